"""export --probe, started as the launch files start a program, and verify of what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

Run = Callable[..., Result]
GPUS = 4  # of each host


@pytest.fixture
def plan(files: Path, topoplan: Run) -> Path:
    args = ("solve", "job.yaml", "-t", "fabric.yaml", "--out", "plan", "--no-report", "--time-limit", "1")
    assert topoplan(*args).code == 0
    assert topoplan("export", "plan", "--probe").code == 0
    return files / "plan"


def lines(plan: Path) -> list[dict[str, object]]:
    """What the probe says through Open MPI's wrapper; one rank of each host is run, the others are made alike."""
    found = []
    placed = json.loads((plan / "plan.json").read_text())["placement"]
    done: dict[str, dict[str, object]] = {}
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for rank, (host, gpu) in enumerate(zip(placed["host"], placed["gpu"], strict=True)):
        if host not in done:
            command = [str(plan / "launch/openmpi/topoplan-env"), str(plan / "launch/probe/topoplan-probe")]
            told = {"OMPI_COMM_WORLD_RANK": str(rank), "TOPOPLAN_HOST": host}
            out = subprocess.run(command, env=env | told, capture_output=True, text=True, check=True, timeout=180)
            done[host] = json.loads(out.stdout)
            assert done[host]["gpu"] == gpu
        found.append({**done[host], "rank": rank, "gpu": gpu, "pid": rank})
    return found


def text(found: list[dict[str, object]]) -> str:
    return "".join(f"[1,{i}]<stdout>: {json.dumps(line)}\n" for i, line in enumerate(found))


def test_probe_verify_and_the_launcher_s_own_terms(plan: Path, topoplan: Run) -> None:
    found = lines(plan)
    Path("seen.txt").write_text(text(found))
    good = topoplan("verify", "plan", "--observed", "seen.txt")
    assert (good.code, good.err) == (0, "")
    last = found[-1]["host"]
    first_ranks = [line for line in found if line["host"] == last] + [line for line in found if line["host"] != last]
    Path("seen.txt").write_text(text([{**line, "rank": i} for i, line in enumerate(first_ranks)]))
    moved = topoplan("verify", "plan", "--observed", "seen.txt")
    assert moved.code == 6
    assert f"Open MPI 4 moved {last} to the front because mpirun ran there" in moved.out


def test_missing_and_doubled_ranks_differ(plan: Path, topoplan: Run) -> None:
    found = lines(plan)
    Path("seen.txt").write_text(text(found[:-GPUS]))
    missing = topoplan("verify", "plan", "--observed", "seen.txt")
    assert missing.code == 6
    assert f"{GPUS} ranks differ" in missing.out
    assert f"nothing ran on {found[-1]['host']}" in missing.out
    Path("seen.txt").write_text(text([*found, {**found[3], "pid": 999}]))
    doubled = topoplan("verify", "plan", "--observed", "seen.txt")
    assert doubled.code == 6
    assert "several processes have one rank" in doubled.out


def test_export_needs_something_to_write(plan: Path, topoplan: Run) -> None:
    result = topoplan("export", "plan")
    assert result.code == 2
    assert "--launcher NAME or --probe" in result.err
    assert topoplan("export", "plan", "--probe", "--out", "elsewhere").code == 0
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["topoplan-probe", "topoplan-probe.sh"]
