"""The main path: solve writes a plan folder that the other commands read and verify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from topoplan import read_plan

Run = Callable[..., Any]


def _solve(topoplan: Callable[..., Any], *more: str) -> Any:
    return topoplan("solve", "job.yaml", "--topology", "fabric.yaml", *more)


def test_solve_writes_a_plan_folder(files: Path, topoplan: Run) -> None:
    result = _solve(topoplan, "--out", "plan")
    assert result.code == 0, result.err
    plan = json.loads((files / "plan" / "plan.json").read_text())
    assert plan["format_version"] == "1.0"
    placed = list(zip(plan["placement"]["host"], plan["placement"]["gpu"], strict=True))
    assert len(set(placed)) == 32
    assert "n3" not in plan["placement"]["host"]
    best = min(b["prediction"]["exposed_ms"] for b in plan["baselines"])
    assert plan["prediction"]["exposed_ms"] <= best
    assert {b["name"] for b in plan["baselines"]} == {"linear", "strings", "random"}
    for name, bound in plan["certificate"].items():
        assert bound["lower_bound"] <= bound["value"], name
    for path in (
        "inputs/fabric.yaml",
        "inputs/job.yaml",
        "run.json",
        "report.html",
        "launch/openmpi",
        "launch/torchrun",
    ):
        assert (files / "plan" / path).exists()
    text = (files / "plan" / "plan.json").read_text()
    assert str(files) not in text


def test_two_runs_write_the_same_bytes(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "a", "--no-report")
    _solve(topoplan, "--out", "b", "--no-report")
    first, second = (
        {p.relative_to(files / d): p.read_bytes() for p in (files / d).rglob("*") if p.is_file()} for d in "ab"
    )
    del first[Path("run.json")], second[Path("run.json")]
    assert first == second


def test_the_plan_reads_back(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "plan", "--no-report")
    plan = read_plan(files / "plan")
    assert plan.placement is not None
    assert plan.stages is not None
    assert plan.stages.first == (0, 28, 56)


def test_verify_passes_and_then_finds_a_swapped_line(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "plan", "--no-report")
    assert topoplan("verify", "plan").code == 0
    seats = files / "plan" / "launch" / "openmpi" / "hosts.seq"
    lines = seats.read_text().splitlines()
    hosts = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    lines[hosts[0]], lines[hosts[-1]] = lines[hosts[-1]], lines[hosts[0]]
    seats.write_text("\n".join(lines) + "\n")
    result = topoplan("verify", "plan")
    assert result.code == 6
    assert "openmpi" in result.err


def test_verify_explains_the_first_difference(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "plan", "--no-report")
    hosts = sorted(json.loads((files / "plan" / "plan.json").read_text())["placement"]["host"])
    (files / "seen.txt").write_text("".join(f"{rank} {host}\n" for rank, host in enumerate(hosts[::-1])))
    result = topoplan("verify", "plan", "--observed", "seen.txt", "--launcher", "openmpi")
    assert result.code == 6
    assert "rank 0: planned" in result.out


def test_verify_and_score_of_an_observed_order(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "plan", "--no-report")
    placement = json.loads((files / "plan" / "plan.json").read_text())["placement"]
    seen = [
        f"{rank} {host} {gpu}" for rank, (host, gpu) in enumerate(zip(placement["host"], placement["gpu"], strict=True))
    ]
    (files / "seen.txt").write_text("\n".join(seen) + "\n")
    assert topoplan("verify", "plan", "--observed", "seen.txt").code == 0
    scored = topoplan("score", "job.yaml", "-t", "fabric.yaml", "--observed", "seen.txt", "-o", "json")
    prices = json.loads(scored.out)
    plan = json.loads((files / "plan" / "plan.json").read_text())
    assert prices["observed"]["exposed_ms"] == plan["prediction"]["exposed_ms"]
    assert set(prices) == {"observed", "linear", "strings", "random"}


def test_hosts_of_the_allocation_alone_are_used(files: Path, topoplan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[4-11]")
    _solve(topoplan, "--out", "plan", "--no-report")
    plan = json.loads((files / "plan" / "plan.json").read_text())
    assert set(plan["placement"]["host"]) == {f"n{i}" for i in range(4, 12)}


def test_output_as_json_is_the_plan(files: Path, topoplan: Run) -> None:
    result = _solve(topoplan, "-o", "json", "--out", "plan", "--no-report")
    assert json.loads(result.out) == json.loads((files / "plan" / "plan.json").read_text())


def test_export_writes_one_launcher(files: Path, topoplan: Run) -> None:
    _solve(topoplan, "--out", "plan", "--no-report", "--launcher", "rankmap")
    assert sorted(p.name for p in (files / "plan" / "launch").iterdir()) == ["rankmap"]
    assert topoplan("export", "plan", "--launcher", "slurm", "--out", "s").code == 0
    assert (files / "s").is_dir()


def test_show_fabric_as_json_keeps_its_keys(files: Path, topoplan: Run) -> None:
    shown = json.loads(topoplan("show", "fabric.yaml", "-o", "json").out)
    wanted = {
        "name": "small", "hosts": 12, "gpus": 48, "nics": 48, "islands": 12, "links": 0,
        "groups": {"leaf": 2, "core": 1}, "unavailable": ["n3"],
    }  # fmt: skip
    assert {key: shown[key] for key in wanted} == wanted
    assert {"assumed", "warnings"} <= set(shown)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom topoplan.cli import run\nrun(['--help'])\n"
        "heavy = {'numpy', 'ortools', 'scipy', 'matplotlib', 'pandas', 'pydantic', 'rich', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stderr.strip() == "[]"
    assert "solve" in done.stdout


@pytest.mark.parametrize(
    "command", ["solve", "experts", "score", "verify", "export", "report", "import", "show", "catalog"]
)
def test_every_command_has_help(topoplan: Run, command: str) -> None:
    result = topoplan(command, "--help")
    assert result.code == 0
    assert "Usage" in result.out
