"""srun.sh, with stand-ins for Slurm's commands that show what they are given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from topoplan.launchers import LaunchFile, LaunchRequest, get_launcher
from topoplan.launchers.shim import SHIM
from topoplan.launchers.shim_srun import SRUN
from topoplan.model.placement import RankPlacement

Write = Callable[[Mapping[str, LaunchFile]], Path]
Place = Callable[..., RankPlacement]
STANDINS = {
    "scontrol": "echo \"$3\" | tr , '\\n'",
    "srun": "printf '%s\\n' \"$@\"; env | grep -c '^SLURM_.*TASKS\\|^TOPOPLAN_HOST\\|^SLURM_HOSTFILE' || :",
}


@pytest.fixture
def folder(placement_of: Place, write_all: Write) -> Path:
    seats = [("b", 1), ("b", 0), ("a", 1)]
    folder = write_all(get_launcher("shim").write(LaunchRequest(placement_of(["a", "b", "c"], seats))))
    for name, text in STANDINS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def srun(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": f"{folder}:{os.environ['PATH']}", **env}
    command = [str(folder / SRUN), *words]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=180, cwd="/")


def shown(folder: Path, **env: str) -> list[str]:
    """Words that srun is given before the shim."""
    result = srun(folder, "prog", "a b", SLURM_JOB_ID="1", **env)
    assert result.returncode == 0, result.stderr
    words = result.stdout.splitlines()
    assert words[-5:] == [str(folder / SHIM), "--surplus", "prog", "a b", "0"]
    return words[:-5]


def test_text(any_ranks: RankPlacement, golden: Callable[[str, str], None], shellcheck: Callable[[str], None]) -> None:
    request = LaunchRequest(any_ranks, "golden plan", program=("python3", "it's.py"))
    text = get_launcher("shim").write(request)[SRUN].text
    shellcheck(text)
    golden(f"shim/{SRUN}", text)


PLAIN = ["--ntasks-per-node=2", "--wait=0", "--cpu-bind=none"]


@pytest.mark.parametrize(
    ("kinds", "job", "options", "asked"),
    [
        ("gpu:h100:8(S:0-1)", "", "", "--gres=gpu:h100:8"),
        ("gpu:a100:4(S:0,1),gpu:1g.5gb:7(S:2),nic:2", "", "", "--gres=gpu:1g.5gb:7,gpu:a100:4"),
        ("(null)", "", "", ""),
        ("nic:2", "", "", ""),
        ("gpu:8", "TresPerNode=gres/gpu:4", "", ""),  # its steps get what the job asked for
        ("gpu:8", "TRES=cpu=8,gres/gpu=16", "", "--gres=gpu:8"),  # that is what it has, not what it asked for
        ("gpu:8", "", "--gpus-per-task=1", ""),
    ],
)
def test_gpus_that_slurm_manages_are_asked_for(kinds: str, job: str, options: str, asked: str, folder: Path) -> None:
    (folder / "sinfo").write_text(f"#!/bin/sh\necho '{kinds}'\necho '{kinds}'\n")  # a line for each partition
    (folder / "sinfo").chmod(0o755)
    show = f"""case $2 in job) echo '   {job}' ;; *) {STANDINS["scontrol"]} ;; esac"""
    (folder / "scontrol").write_text(f"#!/bin/sh\n{show}\n")
    words = shown(folder, SLURM_JOB_NODELIST="a,b", SRUN_OPTIONS=options)
    assert [word for word in words if word.startswith("--g")] == [word for word in (asked, options) if word]


def test_nodes_of_different_gpus_are_left_to_people(folder: Path) -> None:
    (folder / "sinfo").write_text("#!/bin/sh\nprintf 'gpu:8\\ngpu:4\\n'\n")
    (folder / "sinfo").chmod(0o755)
    result = srun(folder, "prog", SLURM_JOB_ID="1", SLURM_JOB_NODELIST="a,b")
    assert "--gres" not in result.stdout
    assert "nodes have different GPUs" in result.stderr


def test_plain_jobs(folder: Path) -> None:
    noise = {"SLURM_NTASKS": "9", "SLURM_TASKS_PER_NODE": "3(x2)", "TOPOPLAN_HOST": "a", "SLURM_HOSTFILE": "/x"}
    assert shown(folder, SLURM_JOB_NODELIST="a,b,c", SRUN_OPTIONS="--mpi=none -v", **noise) == [
        *PLAIN, "--mpi=none", "-v",
    ]  # fmt: skip


def test_heterogeneous_jobs(folder: Path) -> None:
    parts = {"SLURM_JOB_NODELIST_HET_GROUP_0": "b", "SLURM_JOB_NODELIST_HET_GROUP_1": "c,a"}
    assert shown(folder, SLURM_HET_SIZE="2", SLURM_JOB_NODELIST="b", **parts) == [*PLAIN, "--het-group=0-1"]
    assert shown(folder, SLURM_HET_SIZE="1", SLURM_JOB_NODELIST="a,b") == PLAIN


def test_containers_see_the_folder(folder: Path) -> None:
    image = "--container-image=nvcr.io#nvidia/pytorch:25.01-py3"
    mount = f"--container-mounts={folder}:{folder}"
    nodes = {"SLURM_JOB_NODELIST": "a,b"}
    own = "--container-mounts=/data:/data"
    assert shown(folder, SRUN_OPTIONS=f"{image} {own}", **nodes) == [*PLAIN, mount, image, own]
    assert shown(folder, PYXIS_CONTAINER_IMAGE="i", PYXIS_CONTAINER_MOUNTS="/d:/d", **nodes) == [
        *PLAIN, f"{mount},/d:/d"
    ]  # fmt: skip
    odd = folder.rename(folder.with_name("a:b"))
    refused = subprocess.run(
        [str(odd / SRUN), "prog"], env={"PATH": f"{os.environ['PATH']}", "SLURM_JOB_ID": "1", "SRUN_OPTIONS": image},
        capture_output=True, text=True, check=False, timeout=180, cwd="/",
    )  # fmt: skip
    assert refused.returncode != 0


def test_what_cannot_work_is_refused(folder: Path) -> None:
    outside = srun(folder, "prog")
    assert (outside.returncode != 0, "run me with sbatch, or in salloc" in outside.stderr) == (True, True)
    missing = srun(folder, "prog", SLURM_JOB_ID="1", SLURM_JOB_NODELIST="b,c")
    assert (missing.returncode, missing.stdout) == (6, "")
    assert "1 hosts of the plan are not here: a" in missing.stderr
    assert srun(folder, SLURM_JOB_ID="1", SLURM_JOB_NODELIST="a,b").returncode == 2
