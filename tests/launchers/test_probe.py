"""The probe runs with nothing but a Python (or a shell), and what it prints is read back from any output."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from topoplan.errors import InputError
from topoplan.launchers import Seat, compare_reports, nic_warnings, parse_observed, read_observed
from topoplan.launchers.bundle import bundle
from topoplan.launchers.portable.probe import machine_gpus, observe, own_gpu
from topoplan.launchers.portable.whoami import started_by
from topoplan.launchers.probe import PROBE, SHELL_PROBE, probe_files
from topoplan.model.placement import RankPlacement

OLDEST = (3, 8)
WRAPPED = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "2,0", "NCCL_IB_HCA": "=mlx5_0"}


def old_python() -> str:
    """A Python 3.8 if this machine has one, else the one that runs the tests."""
    found = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))
    return str(found[0]) if found else shutil.which("python3.8") or sys.executable


def run_probe(folder: Path, name: str, **env: str) -> dict[str, object]:
    program = folder / name
    program.write_text(probe_files()[name].text)
    command = ["/bin/sh", str(program)] if name == SHELL_PROBE else [old_python(), "-I", str(program)]
    path = {"PATH": os.defpath} if name == SHELL_PROBE else {}
    out = subprocess.run(command, env={**path, **env}, capture_output=True, text=True, check=True, timeout=180, cwd="/")
    assert out.stderr == ""
    assert out.stdout.count("\n") == 1
    line = json.loads(out.stdout)
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize("name", [PROBE, SHELL_PROBE])
def test_a_process_says_who_it_is(name: str, tmp_path: Path) -> None:
    line = run_probe(tmp_path, name, SLURMD_NODENAME="h6", SLURM_PROCID="7", **WRAPPED)
    assert {key: line[key] for key in ("rank", "world", "host", "local_rank", "hcas")} == {
        "rank": 3, "world": 8, "host": "h6", "local_rank": 1, "hcas": "=mlx5_0",
    }  # fmt: skip
    assert read_observed(json.dumps(line)).seats == {3: Seat("h6", 0)}


@pytest.mark.parametrize("name", [PROBE, SHELL_PROBE])
@pytest.mark.parametrize(
    ("env", "rank", "local", "host"),
    [
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "SLURM_PROCID": "0"}, 2, 1, None),
        ({"PMI_RANK": "5", "MPI_LOCALRANKID": "0"}, 5, 0, None),
        ({"SLURM_PROCID": "09", "SLURM_LOCALID": "1", "SLURMD_NODENAME": "n1"}, 9, 1, "n1"),
        ({"JOB_COMPLETION_INDEX": "4", "NODE_NAME": "worker-7"}, 4, None, "worker-7"),
        ({"RANK": "x", "TOPOPLAN_HOST": "a", "NODE_NAME": "b"}, None, None, "a"),
        ({}, None, None, None),
    ],
)
def test_every_launcher_is_understood(
    name: str, env: dict[str, str], rank: int | None, local: int | None, host: str | None, tmp_path: Path
) -> None:
    line = run_probe(tmp_path, name, **env)
    assert (line["rank"], line["local_rank"], line["host"]) == (rank, local, host or os.uname().nodename)


def test_the_shell_probe_stays_json_whatever_a_variable_holds(tmp_path: Path) -> None:
    line = run_probe(tmp_path, SHELL_PROBE, NODE_NAME='a"b\\c\n$(id)', NCCL_IB_HCA="%s%n")
    assert (line["host"], line["hcas"]) == ("abc$(id)", "%s%n")


def test_shell_probe_passes_shellcheck(shellcheck: Callable[[str], None]) -> None:
    shellcheck(probe_files()[SHELL_PROBE].text)


@pytest.mark.parametrize("module", ["probe", "whoami", "ray_plan", "mesh"])
def test_portable_programs_need_python_3_8_and_no_package(module: str) -> None:
    tree = ast.parse(bundle(module), feature_version=OLDEST)
    imports = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imports <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("env", "launcher"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "SLURM_PROCID": "0"}, "torchrun"),
        ({"OMPI_COMM_WORLD_RANK": "0", "SLURM_PROCID": "0"}, "openmpi"),
        ({"I_MPI_ROOT": "/opt", "MPI_LOCALRANKID": "0"}, "intelmpi"),
        ({"MPI_LOCALRANKID": "0"}, "mpich"),
        ({"SLURM_PROCID": "0"}, "slurm"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({}, ""),
    ],
)
def test_what_started_it(env: dict[str, str], launcher: str) -> None:
    assert started_by(env) == launcher


@pytest.mark.parametrize(
    ("visible", "local", "gpu"),
    [
        (None, 1, 1), (None, 2, None), (None, None, None), (["1", "0"], 0, 1), (["1"], 5, 1), (["1", "0"], 2, None),
        (["GPU-bb", "GPU-aa"], 0, 1), (["GPU-"], 0, None), (["MIG-1"], 0, None), ([], 0, None),
    ],
)  # fmt: skip
def test_own_gpu(visible: list[str] | None, local: int | None, gpu: int | None) -> None:
    assert own_gpu(visible, local, ["GPU-aa11", "GPU-bb22"]) == gpu


def test_gpus_and_nics_of_the_machine(tmp_path: Path) -> None:
    for address, text in (("0000:0a:00.0", "Model: x\nGPU UUID: \t GPU-a\n"), ("0000:1b:00.0", "Model: x\n")):
        (tmp_path / address).mkdir()
        (tmp_path / address / "information").write_text(text)
    assert machine_gpus(str(tmp_path)) == ["GPU-a", ""]
    (tmp_path / "infiniband" / "mlx5_1").mkdir(parents=True)
    (tmp_path / "net" / "lo").mkdir(parents=True)
    seen = observe({"RANK": "0"}, str(tmp_path))
    assert (seen["nics"], seen["net"]) == (["mlx5_1"], [])


# ---- read back ---------------------------------------------------------------------------------------------------


def line(rank: int | None, host: str, **more: object) -> str:
    return json.dumps({"probe": "topoplan-probe/1", "rank": rank, "host": host, "pid": 1, "world": 2, **more})


@pytest.fixture
def plan(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    return placement_of(["a", "b"], [("b", 0), ("a", 0)])


def test_lines_amid_other_output() -> None:
    text = (
        f"Loading module\n[1,1]<stdout>:{line(1, 'a', gpu=3)}\n[pod/job-0/main] {line(0, 'b')} done\n"
        f"{line(1, 'a', gpu=3)}\n"
    )
    assert parse_observed(text) == (Seat("b"), Seat("a", 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(0, "a")[:-5], "cut off or mixed"),
        (line(0, "a").replace("probe/1", "probe/2"), "version 2"),
        (line(0, ""), "without host"),
        ('{"probe": "topoplan-probe/1", "rank": true, "host": "a"}', "strange rank"),
        ('{"probe": "topoplan-probe/1", "rank": 99999999999, "host": "a"}', "strange rank"),
        (line(0, "a") + "\n" + line(0, "b"), "rank 0 was reported by b, but by a before"),
        (line(None, "a"), "was told no rank"),
        (line(1, "a"), "rank 0 is missing"),
    ],
)
def test_bad_reports_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_observed(text)


def test_ranks_that_are_missing_or_doubled_are_differences(plan: RankPlacement) -> None:
    missing = compare_reports(plan, read_observed(line(1, "a")))
    assert str(missing[0]).startswith("rank 0: planned b GPU 0, observed nowhere")
    assert "rank 0 of 2 did not report, and nothing ran on b" in missing[0].reason
    double = compare_reports(plan, read_observed("\n".join([line(0, "b"), line(1, "a"), line(1, "b")])))
    assert [d.observed for d in double] == [Seat("a"), Seat("b")]
    assert "hosts were started with the same node rank (rank 1 is on a, b)" in double[0].reason
    alone = [line(0, host, world=1) for host in "ab"]
    assert "every process believes that it is alone" in compare_reports(plan, read_observed("\n".join(alone)))[0].reason
    told = compare_reports(plan, read_observed("\n".join([line(0, "b"), line(None, "a")])))
    assert "1 processes were told no rank, the first on a" in told[0].reason
    assert compare_reports(plan, read_observed("\n".join([line(0, "b"), line(1, "a")]))) == []


def test_the_probe_tells_the_launcher() -> None:
    assert read_observed(line(0, "a", launcher="slurm")).launcher == "slurm"
    assert read_observed("\n".join([line(0, "a", launcher="slurm"), line(1, "a")])).launcher == ""


def test_nics_that_nccl_cannot_use(plan: RankPlacement) -> None:
    def warnings(**more: object) -> list[str]:
        return nic_warnings(plan, read_observed("\n".join([line(0, "b", **more), line(1, "a")])))

    assert warnings(nics=["mlx5_0", "mlx5_1"], hcas="=mlx5_0:1") == []
    assert warnings(nics=["mlx5_1"]) == ["rank 0 on b does not see mlx5_0"]
    assert warnings(hcas="mlx5_1") == ["rank 0 on b has NCCL_IB_HCA=mlx5_1, the plan =mlx5_0"]
