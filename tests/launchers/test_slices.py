"""MIG slices and shared NICs in launch files; scripts run under /bin/sh with a stand-in for nvidia-smi."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.launchers.table import host_rows
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement

NICS = (Nic(0, 25e9, 0, "mlx5_0", (1, 2)),)
SLICED = HostType("mig", 3, NICS, 1, 0.0, slices=(2, 1))
WHOLE = HostType("whole", 3, NICS, 3, 300e9)
LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-zero)
  MIG 3g.20gb     Device  0: (UUID: MIG-first)
  MIG 3g.20gb     Device  1: (UUID: MIG-second)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-one)
"""


def placement(kind: HostType) -> RankPlacement:
    return RankPlacement(Fabric("f", "ecmp", (kind,), (Host("h0", 0),)), np.arange(3))


def run(folder: Path, name: str, file: str, *command: str, listed: str, **env: str) -> subprocess.CompletedProcess[str]:
    for path, launch in get_launcher(name).write(LaunchRequest(placement(SLICED))).items():
        (folder / path).write_text(launch.text)
        (folder / path).chmod(0o755)
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'EOF'\n{listed}EOF\n")
    tool.chmod(0o755)
    clean = {"PATH": f"{folder}:{os.environ['PATH']}", "TOPOPLAN_HOST": "h0", **env}
    return subprocess.run(
        [str(folder / file), *command], env=clean, capture_output=True, text=True, check=False, timeout=180
    )


@pytest.mark.parametrize(("rank", "uuid"), [("0", "MIG-first"), ("1", "MIG-second"), ("2", "GPU-one")])
def test_a_rank_sees_its_own_slice_by_uuid(tmp_path: Path, rank: str, uuid: str) -> None:
    result = run(tmp_path, "slurm", "topoplan-env", "env", listed=LISTED, SLURM_PROCID=rank)
    assert result.returncode == 0, result.stderr
    assert {f"CUDA_VISIBLE_DEVICES={uuid}", f"LOCAL_RANK={rank}", "NCCL_IB_HCA==mlx5_0"} <= set(
        result.stdout.splitlines()
    )


def test_a_host_without_the_slice_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "slurm", "topoplan-env", "env", listed=LISTED[: LISTED.index("GPU 1")], SLURM_PROCID="2")
    assert (result.returncode, result.stdout) == (6, "")
    assert "MIG slice number 2" in result.stderr


def test_torchrun_stops_where_it_cannot_show_a_rank_its_slice(tmp_path: Path) -> None:
    result = run(tmp_path, "torchrun", "run.sh", "x.py", listed=LISTED, TORCHRUN="true")
    assert result.returncode == 6
    assert "openmpi or slurm" in result.stderr
    assert run(tmp_path, "torchrun", "run.sh", "x.py", listed="", TORCHRUN="true").returncode == 0


@pytest.mark.parametrize("name", ["openmpi", "slurm", "torchrun"])
def test_hosts_of_whole_gpus_are_written_as_ever(name: str) -> None:
    text = "".join(file.text for file in get_launcher(name).write(LaunchRequest(placement(WHOLE))).values())
    assert "MIG" not in text


def test_ranks_get_every_nic_of_their_gpus_and_only_those() -> None:
    dual = HostType("dual", 2, tuple(Nic(n // 2, 25e9, n // 2, f"mlx5_{n}", plane=n % 2) for n in range(4)), 2, 1e9)
    fabric = Fabric("f", "ecmp", (dual,), (Host("h0", 0), Host("h1", 0)))
    rows = host_rows(RankPlacement(fabric, np.array([0, 1, 3])))
    assert [row.hcas for row in rows] == [("mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"), ("mlx5_2", "mlx5_3")]


@pytest.mark.parametrize("name", ["openmpi", "slurm", "torchrun"])
def test_the_scripts_are_clean(name: str, shellcheck: Callable[[str], None]) -> None:
    for path, file in get_launcher(name).write(LaunchRequest(placement(SLICED))).items():
        if file.text.startswith("#!") and path.endswith((".sh", "topoplan-env")):
            shellcheck(file.text)
