"""The written shim runs as a file of its own in a bare environment, as every launcher starts it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.launchers.test_probe import old_python
from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import LaunchFile, LaunchRequest, compare, get_launcher, parse_observed
from topoplan.launchers.shim import SHIM
from topoplan.model.placement import RankPlacement

Write = Callable[[Mapping[str, LaunchFile]], Path]
Place = Callable[..., RankPlacement]
LAUNCHER = get_launcher("shim")
SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def shim(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the shim with nothing in the environment but `env`, from another folder."""
    command = [old_python(), "-I", str(folder / SHIM), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180, cwd="/")


def shown(folder: Path, *options: str, **env: str) -> dict[str, str]:
    result = shim(folder, *options, *SHOW, **env)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def printed(text: str) -> dict[str, str]:
    return dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines())


@pytest.fixture
def folder(any_ranks: RankPlacement, write_all: Write) -> Path:
    return write_all(LAUNCHER.write(LaunchRequest(any_ranks, master_port=1234)))


@pytest.mark.parametrize(
    "local", ["SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "LOCAL_RANK", "TOPOPLAN_LOCAL_RANK"]
)
def test_every_process_gets_its_seat(local: str, any_ranks: RankPlacement, folder: Path) -> None:
    out = ""
    counts: dict[str, int] = {}
    for h in any_ranks.host.tolist():
        host = any_ranks.fabric.host_names[h]
        result = shim(folder, "--print", NODE_NAME=host, **{local: str(counts.setdefault(host, 0))})
        counts[host] += 1
        assert result.returncode == 0, result.stderr
        found = printed(result.stdout)
        out += f"HOST={host} " + " ".join(f"{key}={value}" for key, value in found.items()) + "\n"
    order = parse_observed(out)
    assert compare(any_ranks, order) == []
    assert [seat.gpu for seat in order] == any_ranks.local.tolist()


def test_the_program_sees_the_environment_and_its_own_arguments(folder: Path) -> None:
    found = shown(folder, SLURMD_NODENAME="h6", SLURM_LOCALID="1", KEPT="yes")
    expected = {
        "RANK": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "9", "MASTER_ADDR": "h6",
        "MASTER_PORT": "1234", "CUDA_VISIBLE_DEVICES": "1,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "KEPT": "yes",
    }  # fmt: skip
    assert found.items() >= expected.items()
    assert "TOPOPLAN_MASTER_PORT" not in found
    mine = shown(folder, TOPOPLAN_HOST="h2", TOPOPLAN_MASTER_ADDR="a", TOPOPLAN_MASTER_PORT="9", TOPOPLAN_GPUS="off")
    assert (mine["MASTER_ADDR"], mine["MASTER_PORT"], "CUDA_VISIBLE_DEVICES" in mine) == ("a", "9", False)
    one = shown(folder, NODE_NAME="h6", LOCAL_RANK="1", TOPOPLAN_ONE_GPU="1")
    assert one["CUDA_VISIBLE_DEVICES"] == "0"
    words = ["a b", "$HOME", "*", "", "'q'", "--node"]
    result = shim(folder, "/usr/bin/printf", "[%s]", *words, NODE_NAME="h2")
    assert result.stdout == "[a b][$HOME][*][]['q'][--node]"


def test_torchruns_own_store_is_kept(folder: Path) -> None:
    """Under c10d torchrun tells its workers where the first agent's store is: not on the plan's first host."""
    started = {"TOPOPLAN_HOST": "h2", "LOCAL_RANK": "0", "MASTER_ADDR": "agent", "MASTER_PORT": "41"}
    assert shown(folder, **started, TORCHELASTIC_USE_AGENT_STORE="True").items() >= {
        "MASTER_ADDR": "agent", "MASTER_PORT": "41"
    }.items()  # fmt: skip
    assert shown(folder, **started, TORCHELASTIC_USE_AGENT_STORE="False")["MASTER_ADDR"] == "h6"


def test_hosts_are_known_by_every_name(placement_of: Place, write_all: Write) -> None:
    aliases = {"n1.a": {"k8s": "pool-7", "ip": "10.0.0.9"}}
    placement = placement_of(["n1.a", "n1.b", "n2.a", "Big"], gpus=1, aliases=aliases)
    folder = write_all(LAUNCHER.write(LaunchRequest(placement)))
    names = {"n1.a": 0, "n1.b.example": None, "pool-7": 0, "10.0.0.9": 0, "n2": 2, "N2": 2, "n2.a": 2, "big.x": 3}
    for name, rank in names.items():
        result = shim(folder, "--print", SLURMD_NODENAME=name)
        if rank is None:
            assert (result.returncode, result.stdout) == (6, "")
            assert "which could be n1.a or n1.b: set TOPOPLAN_HOST" in result.stderr
        else:
            assert printed(result.stdout)["RANK"] == str(rank)
    # the scheduler's name of a host counts before the host's own, and one that nobody knows does not hide the next
    assert printed(shim(folder, "--print", NODE_NAME="?", HOST_IP="10.0.0.9").stdout)["RANK"] == "0"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "this host is not in the plan: it is called"),
        ({"NODE_NAME": "h99"}, "h99 (NODE_NAME)"),
        ({"NODE_NAME": "h6"}, "nothing says which of them this process is: set TOPOPLAN_LOCAL_RANK"),
        ({"NODE_NAME": "h6", "SLURM_LOCALID": "2"}, "SLURM_LOCALID=2 is beyond them: start 2 there"),
        ({"NODE_NAME": "h6", "JOB_COMPLETION_INDEX": "1"}, "nothing says which of them"),
        ({"NODE_NAME": "h2", "OMPI_COMM_WORLD_SIZE": "8"}, "plan has 9 ranks, but OMPI_COMM_WORLD_SIZE=8 processes"),
        ({"NODE_NAME": "h2", "SLURM_PROCID": "0", "SLURM_NTASKS": "5"}, "SLURM_NTASKS=5 processes"),
        (
            {"NODE_NAME": "h2", "TORCHELASTIC_RUN_ID": "x", "LOCAL_RANK": "0", "WORLD_SIZE": "4"},
            "WORLD_SIZE=4 processes",
        ),
        ({"NODE_NAME": "spare"}, "spare is a spare of the plan"),
    ],
)
def test_what_is_not_as_planned_is_refused(
    env: dict[str, str], message: str, placement_of: Place, any_ranks: RankPlacement, write_all: Write
) -> None:
    names = [*any_ranks.fabric.host_names, "spare"]
    seats = [(any_ranks.fabric.host_names[h], g) for h, g in zip(any_ranks.host, any_ranks.local, strict=True)]
    folder = write_all(LAUNCHER.write(LaunchRequest(placement_of(names, seats))))
    result = shim(folder, "/bin/echo", "ran", **env)
    assert (result.returncode, result.stdout) == (6, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_torchrun_counts_and_not_what_started_it(folder: Path) -> None:
    started = {
        "TORCHELASTIC_RUN_ID": "x",
        "WORLD_SIZE": "9",
        "LOCAL_RANK": "0",
        "SLURM_PROCID": "1",
        "SLURM_NTASKS": "3",
    }
    assert shown(folder, NODE_NAME="h2", **started)["WORLD_SIZE"] == "9"
    assert shown(folder, NODE_NAME="h2", OMPI_COMM_WORLD_SIZE="3", **started)["WORLD_SIZE"] == "9"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"^(h6\t)(\d+),", r"\1x,", "no host with its ranks and GPUs: h6"),
        (r"^(h6\t)(\d+),\d+", r"\1\2,\2", "rank 0 is there twice"),
        (r"^h6\t.*\n", "", "rank 0 is there not at all"),
        (r"^(h6\t\S+)\t\S+", r"\1", "no host with its ranks and GPUs: h6"),
    ],
)
def test_a_table_that_was_edited_is_refused(old: str, new: str, message: str, folder: Path) -> None:
    file = folder / "topoplan_shim.py"
    text, count = re.subn(old, new, file.read_text(), flags=re.MULTILINE)
    assert count == 1
    file.write_text(text)
    result = shim(folder, "/bin/echo", "ran", NODE_NAME="h2", LOCAL_RANK="0")
    assert (result.returncode, result.stdout) == (6, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_has_no_domain(placement_of: Place, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(placement_of(["10", "11"], gpus=1))))
    assert printed(shim(folder, "--print", NODE_NAME="10.x").stdout)["RANK"] == "0"
    assert "not in the plan" in shim(folder, "--print", NODE_NAME="10.0.0.99").stderr


def test_pieces_of_het_jobs_and_steps_of_other_tools_are_let_through(folder: Path) -> None:
    for env in ({"SLURM_PROCID": "0", "SLURM_NTASKS": "5", "SLURM_HET_SIZE": "2"}, {"SLURM_NTASKS": "5"}):
        assert shim(folder, "/bin/true", NODE_NAME="h2", **env).returncode == 0


def test_surplus_processes_and_spare_hosts_end_quietly(placement_of: Place, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(placement_of(["a", "b", "spare"], [("b", 1), ("b", 0), ("a", 1)]))))
    for host, local, shown in (("b", 1, "ran\n"), ("a", 0, "ran\n"), ("a", 1, ""), ("spare", 0, "")):
        env = {"NODE_NAME": host, "SLURM_LOCALID": str(local), "SLURM_PROCID": "9", "SLURM_NTASKS": "6"}
        result = shim(folder, "--surplus", "/bin/echo", "ran", **env)
        assert (result.returncode, result.stdout, result.stderr) == (0, shown, "")
    assert shim(folder, "--surplus", "/bin/echo", "ran", NODE_NAME="stranger").returncode == 6


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        ("a b.example\nc", 0, ""),
        ("b a", 0, ""),
        ("a", 6, "1 hosts of the plan are not here: b. Plan again"),
        ("", 6, "2 hosts of the plan are not here: b, a. Plan again"),
    ],
)
def test_hosts_of_an_allocation(names: str, code: int, message: str, placement_of: Place, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(placement_of(["a", "b", "spare"], [("b", 1), ("a", 1)]))))
    command = [old_python(), "-I", str(folder / SHIM), "--hosts"]
    result = subprocess.run(command, input=names, capture_output=True, text=True, check=False, timeout=180, cwd="/")
    assert (result.returncode, result.stdout, message in result.stderr) == (code, "", True)


def test_pods_of_one_process_share_a_host_by_index(placement_of: Place, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(placement_of(["a", "b"]))))
    ranks = [
        printed(shim(folder, "--print", NODE_NAME=host, JOB_COMPLETION_INDEX=str(index)).stdout)["RANK"]
        for index, host in enumerate("bbaa")
    ]
    assert ranks == ["2", "3", "0", "1"]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no folder of memory that processes share")
def test_two_processes_cannot_have_one_rank(folder: Path) -> None:
    env = {"NODE_NAME": "h6", "LOCAL_RANK": "0", "SLURM_JOB_ID": f"test{os.getpid()}"}
    command = [old_python(), "-I", str(folder / SHIM), "/bin/cat"]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(b"x\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"x\n"  # the program runs, so the shim has claimed the rank
        second = shim(folder, "/bin/echo", "ran", **env)
        assert (second.returncode, second.stdout) == (6, "")
        assert f"rank 0 is taken by process {first.pid}" in second.stderr
        assert shim(folder, "/bin/echo", "ran", TOPOPLAN_CLAIM="off", **env).stdout == "ran\n"
        assert shim(folder, "/bin/echo", "ran", **{**env, "LOCAL_RANK": "1"}).stdout == "ran\n"
        first.stdin.close()
        first.wait(timeout=180)
    deadline = time.monotonic() + 60
    while shim(folder, "/bin/true", **env).returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    assert shim(folder, "/bin/echo", "ran", **env).stdout == "ran\n"


def test_wrong_use(folder: Path) -> None:
    assert shim(folder, NODE_NAME="h2").returncode == 2
    unknown = shim(folder, "--prnt", NODE_NAME="h2")
    assert (unknown.returncode, "unknown option --prnt" in unknown.stderr) == (2, True)
    missing = shim(folder, "/no/such/program", NODE_NAME="h2")
    assert (missing.returncode, "/no/such/program: No such file" in missing.stderr) == (127, True)
    assert shim(folder, "/", NODE_NAME="h2").returncode == 126


def test_a_program_of_the_plan_s_own(any_ranks: RankPlacement, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(any_ranks, program=("/bin/echo", "a b"), nccl_topo_file="/t'x")))
    assert shim(folder, NODE_NAME="h2").stdout == "a b\n"
    assert shim(folder, "--", "/bin/echo", "c", NODE_NAME="h2").stdout == "c\n"
    assert shown(folder, NODE_NAME="h2")["NCCL_TOPO_FILE"] == "/t'x"


def test_node_gives_torchrun_its_options(whole_hosts: RankPlacement, write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(whole_hosts)))
    found = shown(folder, "--node", NODE_NAME="h2", RANK="99", PET_NODE_RANK="5")
    expected = {
        "PET_NODE_RANK": "2", "PET_NNODES": "6", "PET_NPROC_PER_NODE": "2", "PET_MASTER_ADDR": "h6",
        "PET_MASTER_PORT": "29500", "PET_RDZV_BACKEND": "static", "NODE_RANK": "2", "CUDA_VISIBLE_DEVICES": "0,1",
        "TORCH_ELASTIC_WORKER_IDENTICAL": "0",
    }  # fmt: skip
    assert found.items() >= expected.items()
    assert "RANK" not in found
    assert shown(folder, "--node", NODE_NAME="h1")["PET_NPROC_PER_NODE"] == "1"


def test_node_refuses_ranks_that_torchrun_would_renumber(folder: Path) -> None:
    result = shim(folder, "--node", "--print", NODE_NAME="h2")
    assert result.returncode == 6
    assert "leave out --node" in result.stderr


def test_mig_slices_are_refused(placement_of: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    placement = placement_of(["a"])
    monkeypatch.setattr(type(placement.fabric.host_types[0]), "slices", property(lambda _: (1,)))
    with pytest.raises(InfeasibleError, match="MIG slice"):
        LAUNCHER.write(LaunchRequest(placement))


def test_a_file_without_its_table_is_refused(any_ranks: RankPlacement) -> None:
    text = LAUNCHER.write(LaunchRequest(any_ranks))[SHIM].text
    with pytest.raises(InputError, match="table of hosts is missing"):
        LAUNCHER.read({SHIM: text.replace("TABLE_TEXT =", "OTHER =")})
    with pytest.raises(InputError, match="rank 0 is missing"):
        LAUNCHER.read({SHIM: text.replace("h6\t0,3\t", "h6\t9,3\t")})
    ast.parse(text, feature_version=(3, 8))


def test_the_file_says_what_it_is_and_holds_spares_last(placement_of: Place) -> None:
    placement = placement_of(["a", "b", "s2", "s10", "s1"], [("b", 1), ("b", 0), ("a", 1)])
    file = LAUNCHER.write(LaunchRequest(placement, "my plan", spares=("s10",)))[SHIM]
    head, table = file.text.split("\n", 3)[:3], file.text.split('"""\\\n')[1].split('"""')[0]
    assert file.executable
    assert head[:2] == [
        "#!/usr/bin/env python3",
        "# plan my-plan: 3 ranks on 2 hosts. Used as the entry point of every process, or with --node of every host.",
    ]
    assert table.splitlines() == [
        "# host\tranks\tgpus\thcas\tnames",
        "b\t0,1\t1,0\tmlx5_0,mlx5_1\tb",
        "a\t2\t1\tmlx5_1\ta",
        "s10\t-\t0,1\tmlx5_0,mlx5_1\ts10",
        "s1\t-\t0,1\tmlx5_0,mlx5_1\ts1",
        "s2\t-\t0,1\tmlx5_0,mlx5_1\ts2",
    ]
