"""plan.sbatch: the plan is made again inside whatever allocation Slurm gives, and its own script is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fabrics import two_leaves
from topoplan.cli import run
from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.model.job import Job, Parallel
from topoplan.model.placement import RankPlacement
from topoplan.planning.folder import open_plan

JOB = """
apiVersion: topoplan/v1
kind: Job
name: small
model: mixtral-8x22b
parallel: {tp: 4, pp: 1, dp: 4, ep: 4}
batch: {sequence: 4096, micro_batch: 1, micro_batches: 4}
"""
ALLOCATION = "n[2,5,7,10-11]"
SRUN = '#!/bin/sh\necho "$@"\ncat "$SLURM_HOSTFILE"\n'


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    (tmp_path / "fabric.yaml").write_text(two_leaves(unavailable=""))
    (tmp_path / "job.yaml").write_text(JOB)
    words = ["--topology", str(tmp_path / "fabric.yaml"), "--launcher", "slurm", "--no-report", "--set", "program=go"]
    assert run(["solve", str(tmp_path / "job.yaml"), *words, "--out", str(tmp_path / "plan")]) == 0
    return tmp_path / "plan"


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script as Slurm would, with srun showing its words and the hosts."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "srun").write_text(SRUN)
    (tools / "topoplan").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m topoplan "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)

    def call(script: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        slurm = {"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": ALLOCATION, "SLURM_SUBMIT_DIR": str(tmp_path)}
        env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **slurm, **more}
        return subprocess.run([script, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


def test_the_job_is_planned_on_the_nodes_that_slurm_gave(
    plan: Path, tmp_path: Path, start: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = start(plan / "launch/slurm/plan.sbatch", "train", "a b")
    assert done.returncode == 0, done.stderr
    command, *lines = done.stdout.splitlines()
    assert command.startswith("--ntasks=16 --distribution=arbitrary")
    assert command.endswith("/plan-77/launch/slurm/topoplan-env train a b")
    hosts = [line for line in lines if not line.startswith("#")]
    assert len(hosts) == 16
    assert set(hosts) <= {"n2", "n5", "n7", "n10", "n11"}
    made = open_plan(str(tmp_path / "plan-77")).plan.placement
    assert made is not None
    assert hosts == [made.fabric.host_names[h] for h in made.host]


def test_a_copy_of_the_script_finds_the_inputs(
    plan: Path, tmp_path: Path, start: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    copy = tmp_path / "spool" / "slurm_script"
    copy.parent.mkdir()
    copy.write_text((plan / "launch/slurm/plan.sbatch").read_text())
    copy.chmod(0o755)
    lost = start(copy)
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "no job at /job.yaml: sbatch from its folder" in lost.stderr
    stub = tmp_path / "stub"  # makes the old plan again, as planning takes seconds
    stub.write_text(f'#!/bin/sh\necho "$@" >&2\nrm -rf "$TOPOPLAN_OUT"\ncp -r "{plan}" "$TOPOPLAN_OUT"\n')
    stub.chmod(0o755)
    for more in (
        {"TOPOPLAN_LAUNCH_DIR": str(plan / "launch/slurm")},
        {"SLURM_SUBMIT_DIR": str(plan / "launch/slurm")},
        {"TOPOPLAN_JOB": str(tmp_path / "job.yaml"), "TOPOPLAN_FABRIC": str(tmp_path / "fabric.yaml")},
    ):
        again = {"TOPOPLAN": str(stub), "TOPOPLAN_OUT": str(tmp_path / "again"), "TOPOPLAN_OPTIONS": "--seed 3"}
        done = start(copy, **again, **more)
        assert done.returncode == 0, done.stderr
        assert f"--out {tmp_path}/again --seed 3\n" in done.stderr
        assert "topoplan-env go\n" in done.stdout  # the program of --set
    alone = start(plan / "launch/slurm/plan.sbatch", SLURM_JOB_ID="")
    assert alone.returncode != 0
    assert "run me with sbatch" in alone.stderr


def test_an_allocation_that_is_too_small_stops_before_srun(
    plan: Path, start: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = start(plan / "launch/slurm/plan.sbatch", SLURM_JOB_NODELIST="n[2-4]")
    assert (done.returncode, done.stdout) == (3, "")


def test_text(any_ranks: RankPlacement, golden: Callable[[str, str], None], shellcheck: Callable[[str], None]) -> None:
    job = Job("j", any_ranks.ranks, parallel=Parallel(dp=any_ranks.ranks))
    request = LaunchRequest(any_ranks, "golden plan", job=job, master_port=1234, nccl_topo_file="/a b")
    text = get_launcher("slurm").write(request)["plan.sbatch"].text
    shellcheck(text)
    golden("slurm/plan.sbatch", text)
