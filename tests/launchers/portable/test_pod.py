"""What pods start through, run for real: ranks by node, the meeting of pods, and MPI's order."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.launchers.test_probe import old_python
from topoplan.launchers.bundle import bundle
from topoplan.launchers.portable.meeting import Roll
from topoplan.launchers.portable.pod_table import PodRow, own_row, pod_rows, rank_environment

# Three hosts: ranks torn between two of them, GPUs in another order, RDMA devices on one.
TABLE = """\
# host\tranks\tgpus\thcas\tnames
h6\t0,3\t1,0\tmlx5_0,mlx5_1\th6,h6.lab
h10\t1,2\t0,1\t-\th10,pool-7
H1\t4\t1\t-\tH1,h1
"""
SHOW = """import json, os; print(json.dumps({k: os.environ.get(k) for k in (
"RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES",
"NCCL_IB_HCA")}))"""
PROGRAM = [sys.executable, "-c", SHOW]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pod.py").write_text(bundle("pod"))
    (tmp_path / "hosts.txt").write_text(TABLE)
    return tmp_path


def start(folder: Path, mode: str, words: Sequence[str], **env: str) -> subprocess.Popen[str]:
    command = [old_python(), "-I", str(folder / "pod.py"), mode, *words]
    full = {"PATH": os.environ["PATH"], "TOPOPLAN_STATE": str(folder), **env}
    return subprocess.Popen(command, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, str]], str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, sorted((json.loads(line) for line in out.splitlines()), key=str), err


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def meet(folder: Path, nodes: Sequence[str], **env: str) -> list[tuple[int, list[dict[str, str]], str]]:
    """Pods on the nodes, each with a loopback address of its own; the one of index 0 is where they meet."""
    place = f"127.0.0.1:{free_port()}"
    pods = [
        start(folder, "run", PROGRAM, TOPOPLAN_HOST=node, TOPOPLAN_POD=f"pod-{i}", TOPOPLAN_ADDRESS=f"127.0.0.{i + 1}",
              TOPOPLAN_MEET=place, **env)
        for i, node in enumerate(nodes)
    ]  # fmt: skip
    return [end(pod) for pod in pods]


def test_every_pod_gets_the_ranks_of_its_node_and_all_the_same_master(folder: Path) -> None:
    results = meet(folder, ["h1", "h6.lab", "pool-7"], TOPOPLAN_MASTER_PORT="1234")
    assert [code for code, _, _ in results] == [0, 0, 0], results
    shown = [env for _, own, _ in results for env in own]
    assert {env["MASTER_ADDR"] for env in shown} == {"127.0.0.2"}  # the pod that happens to be on h6
    assert {(env["MASTER_PORT"], env["WORLD_SIZE"]) for env in shown} == {("1234", "5")}
    got = [[(e["RANK"], e["LOCAL_RANK"], e["LOCAL_WORLD_SIZE"], e["CUDA_VISIBLE_DEVICES"]) for e in own]
           for _, own, _ in results]  # fmt: skip
    assert got == [
        [("4", "0", "1", "1")],
        [("0", "0", "2", "1,0"), ("3", "1", "2", "1,0")],
        [("1", "0", "2", "0,1"), ("2", "1", "2", "0,1")],
    ]


def test_a_pod_outside_of_the_plan_stops_all(folder: Path) -> None:
    results = meet(folder, ["h6", "other-3", "h10"])
    assert [code for code, _, _ in results] == [6, 6, 6]
    assert not any(shown for _, shown, _ in results)
    for _, _, err in results:
        assert "pod pod-1 is on node other-3, which is not in the plan" in err


def test_two_pods_on_one_node_stop_all(folder: Path) -> None:
    results = meet(folder, ["h6", "h10", "pool-7"])
    assert [code for code, _, _ in results] == [6, 6, 6]
    assert all("pod-1" in err and "pod-2" in err and "both on host h10" in err for _, _, err in results)


def test_pods_that_never_come_are_named(folder: Path) -> None:
    results = meet(folder, ["h6", "h10"], TOPOPLAN_MEET_SECONDS="2")
    assert all(code == 6 for code, _, _ in results)
    assert "not all pods came within 2 s: no pod yet on " in results[0][2]
    assert "H1" in results[0][2]


def test_a_stranger_alone_stops(folder: Path) -> None:
    (folder / "hosts.txt").write_text("h6\t0\t0\t-\th6\n")
    code, shown, err = end(start(folder, "run", PROGRAM, TOPOPLAN_HOST="h7", TOPOPLAN_POD="p"))
    assert (code, shown) == (6, [])
    assert "pod p is on node h7, which is not in the plan" in err


def test_one_host_needs_no_meeting(folder: Path) -> None:
    (folder / "hosts.txt").write_text("h6\t0,1\t0,1\t-\th6\n")
    code, shown, _ = end(start(folder, "run", PROGRAM, TOPOPLAN_HOST="h6", TOPOPLAN_MEET="nowhere:1"))
    assert code == 0
    assert [(env["RANK"], env["MASTER_ADDR"]) for env in shown] == [("0", "127.0.0.1"), ("1", "127.0.0.1")]


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_a_rank_that_fails_ends_the_others(folder: Path, ending: str, code: int) -> None:
    (folder / "hosts.txt").write_text("h6\t0,1\t0,1\t-\th6\n")
    program = f"import os, sys, time\nif os.environ['RANK'] == '1': {ending}\ntime.sleep(60)"
    found, _, _ = end(start(folder, "run", [sys.executable, "-c", program], TOPOPLAN_HOST="h6"))
    assert found == code


def test_a_signal_reaches_all_ranks(folder: Path) -> None:
    (folder / "hosts.txt").write_text("h6\t0,1\t0,1\t-\th6\n")
    program = (
        "import signal, time, sys\nsignal.signal(15, lambda *_: sys.exit(5))\nprint('{}', flush=True)\ntime.sleep(60)"
    )
    pod = start(folder, "run", [sys.executable, "-c", program], TOPOPLAN_HOST="h6")
    assert pod.stdout is not None
    assert [pod.stdout.readline() for _ in range(2)] == ["{}\n", "{}\n"]
    pod.send_signal(signal.SIGTERM)
    assert end(pod)[0] == 5


def test_mpi_ranks_follow_the_plan_and_not_the_pods(folder: Path) -> None:
    """The operator's hostfile lists pods by index; mpirun gets them in the order of the plan."""
    nodes = {"job-worker-0.job.ns.svc": "pool-7", "job-worker-1.job.ns.svc": "H1", "job-worker-2.job.ns.svc": "h6"}
    for pod, node in nodes.items():
        (folder / pod).write_text(node + "\n")
    (folder / "hostfile").write_text("".join(f"{pod} slots=2\n" for pod in nodes))
    tools = folder / "tools"
    tools.mkdir()
    scripts = {
        "fakessh": f'cat "{folder}/$1"\n',
        "mpirun": 'cat "$8" >&2; printf "%s\\n" "$@" >&2; printf "%s" "$OMPI_MCA_orte_default_hostfile" >&2\n',
        "mpiexec.hydra": 'cat "$4" >&2; printf "perhost=%s" "${I_MPI_PERHOST-none}" >&2\n',
    }
    for name, text in scripts.items():
        (tools / name).write_text("#!/bin/sh\n" + text)
        (tools / name).chmod(0o755)
    env = {
        "PATH": f"{tools}:{os.environ['PATH']}", "TOPOPLAN_SSH": "fakessh", "NCCL_DEBUG": "a b",
        "TOPOPLAN_HOSTFILE": str(folder / "hostfile"), "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
        "I_MPI_PERHOST": "2", "TOPOPLAN_HOST": "launcher-node",
    }  # fmt: skip
    code, _, err = end(start(folder, "launch", ["train", "a b"], **env))
    order = [f"job-worker-{i}.job.ns.svc" for i in (2, 0, 0, 2, 1)]
    assert code == 0, err
    assert err.startswith("".join(f"{pod}\n" for pod in order))
    assert "--map-by\nseq\n--bind-to\nnone\n-np\n5\n--hostfile\n" in err
    assert err.endswith(f"rank\n{order[0]}\ntrain\na b\n{folder}/topoplan-order")
    assert "NCCL_DEBUG=a b\n" in err
    assert "TOPOPLAN_HOST=" not in err  # of the launcher's node
    _, _, err = end(start(folder, "launch", ["train"], TOPOPLAN_MPI="Intel", **env))
    assert err == "".join(f"{pod}:1\n" for pod in order) + "perhost=none"
    (folder / "job-worker-1.job.ns.svc").write_text("other-4\n")
    code, _, err = end(start(folder, "launch", ["train"], **env))
    assert code == 6
    assert "job-worker-1.job.ns.svc is on node other-4, which is not in the plan; no pod is on H1" in err


def test_mpi_ranks_start_only_where_the_plan_has_them(folder: Path) -> None:
    code, _, _ = end(start(folder, "worker", ["true"], TOPOPLAN_HOST="h10"))
    assert code == 0
    code, shown, err = end(start(folder, "rank", ["m", *PROGRAM], OMPI_COMM_WORLD_RANK="2"))
    assert code == 0, err
    assert (shown[0]["RANK"], shown[0]["LOCAL_RANK"], shown[0]["MASTER_ADDR"]) == ("2", "1", "m")
    code, shown, err = end(start(folder, "rank", ["m", *PROGRAM], PMI_RANK="0"))
    assert (code, shown) == (6, [])
    assert "rank 0 (PMI_RANK) was started on h10, where the plan has [1, 2]" in err
    code, _, err = end(start(folder, "worker", ["true"], TOPOPLAN_HOST="other"))
    assert code == 6
    assert "node other, which is not in the plan" in err


def test_wrong_use(folder: Path) -> None:
    assert end(start(folder, "walk", ["x"], TOPOPLAN_HOST="h6"))[0] == 2
    assert end(start(folder, "run", [], TOPOPLAN_HOST="h6"))[0] == 2


def test_compressed_tables_and_missing_gpus(folder: Path) -> None:
    plain = pod_rows(str(folder))
    packed = gzip.compress(TABLE.encode())
    (folder / "hosts.txt").unlink()
    for number, start_at in enumerate(range(0, len(packed), 40)):
        (folder / f"hosts.txt.gz.{number:03d}").write_bytes(packed[start_at : start_at + 40])
    assert pod_rows(str(folder)) == plain
    (folder / "devices.txt").write_text("H1 1,2,3\n")  # GPU 0 is broken: the pod's first device is the host's GPU 1
    assert [list(row.devices) for row in pod_rows(str(folder))] == [[1, 0], [0, 1], [0]]


def test_no_table_stops(folder: Path) -> None:
    (folder / "hosts.txt").unlink()
    code, _, err = end(start(folder, "run", ["true"], TOPOPLAN_HOST="h6"))
    assert code == 6
    assert "the plan's table is not in" in err


def test_rdma_devices_only_where_the_pod_sees_them_all(tmp_path: Path) -> None:
    row = PodRow(0, "h6", [0], [0], ["mlx5_0", "mlx5_1:1"], ["h6"])
    for name in ("mlx5_0", "mlx5_1"):
        assert "NCCL_IB_HCA" not in rank_environment([row], row, 0, "m", {}, str(tmp_path))
        (tmp_path / name).mkdir()
    assert rank_environment([row], row, 0, "m", {}, str(tmp_path))["NCCL_IB_HCA"] == "=mlx5_0,mlx5_1:1"
    kept = rank_environment([row], row, 0, "m", {"NCCL_IB_HCA": "mine", "TOPOPLAN_ONE_GPU": "1"}, str(tmp_path))
    assert (kept["NCCL_IB_HCA"], kept["CUDA_VISIBLE_DEVICES"]) == ("mine", "0")


@pytest.mark.parametrize(("me", "host"), [("n1.b", "n1.b"), ("N1.B", "n1.b"), ("n2", "N2"), ("n2.x", "N2"), ("n1", "")])
def test_hosts_are_known_by_their_names(me: str, host: str) -> None:
    names = {"n1.a": ["n1.a"], "n1.b": ["n1.b"], "N2": ["N2", "n2"]}
    rows = [PodRow(i, name, [i], [0], [], known) for i, (name, known) in enumerate(names.items())]
    found = own_row(rows, me)
    assert (found.host if found else "") == host


def test_roll_waits_then_tells_the_master() -> None:
    rows = [PodRow(i, f"h{i}", [i], [0], [], [f"h{i}"]) for i in range(8)]
    roll = Roll(rows)
    for i in range(7, 0, -1):
        reply = roll.answer({"row": i, "pod": f"p{i}", "node": f"h{i}", "address": f"10.0.0.{i}"})
        assert reply["wait"].startswith("no pod yet on h0")
    assert roll.answer({"row": 7, "pod": "p7", "node": "h7", "address": "a"})["wait"] == "no pod yet on h0"
    assert roll.answer({"row": 0, "pod": "p0", "node": "h0", "address": "10.0.0.9"}) == {"master": "10.0.0.9"}
    assert "not in the plan" in roll.answer({"row": None, "pod": "x", "node": "y", "address": "z"})["error"]
    assert "error" in roll.answer({"row": 0, "pod": "p0", "node": "h0", "address": "10.0.0.9"})  # for good


def test_what_answers_otherwise_is_no_pod(folder: Path) -> None:
    for answer in (b"", b"[]\n", b"{}\n", b'{"master": "a", "x": 1}\n', b"HTTP/1.1 200 OK\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            place = f"127.0.0.1:{server.getsockname()[1]}"
            env = {"TOPOPLAN_MEET": place, "TOPOPLAN_MEET_SECONDS": "0", "TOPOPLAN_ADDRESS": "127.0.0.9"}
            pod = start(folder, "run", PROGRAM, TOPOPLAN_HOST="h6", **env)
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
            code, shown, err = end(pod)
        assert (code, shown) == (6, [])
        assert "not all pods came" in err
