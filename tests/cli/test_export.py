"""topoplan export: files of every launcher from a plan folder, and plans that a launcher cannot make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result
from topoplan.launchers import LAUNCHERS, SETTINGS

Topoplan = Callable[..., Result]


@pytest.fixture
def plan(files: Path, topoplan: Topoplan) -> Path:
    made = topoplan("solve", "job.yaml", "--topology", "fabric.yaml", "--launcher", "torchrun", "--out", "plan")
    assert made.code == 0, made.err
    return files / "plan"


def swap(plan: Path, a: int, b: int) -> None:
    """Exchange the places of two ranks in plan.json."""
    record = json.loads((plan / "plan.json").read_text())
    for column in record["placement"].values():
        column[a], column[b] = column[b], column[a]
    (plan / "plan.json").write_text(json.dumps(record))


def test_every_launcher_writes_what_verify_takes(plan: Path, topoplan: Topoplan) -> None:
    for name in LAUNCHERS:
        done = topoplan("export", "plan", "--launcher", name)
        assert done.code == 0, done.err
        assert sorted(done.out.split()) == sorted(
            f"plan/launch/{name}/{file.name}" for file in (plan / "launch" / name).iterdir()
        )
        assert "reordered by" in done.err
    done = topoplan("verify", "plan")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("every rank where the plan says") == len(LAUNCHERS)


def test_a_plan_beyond_a_launcher_is_refused_with_the_ranks_and_a_way_out(plan: Path, topoplan: Topoplan) -> None:
    swap(plan, 1, 9)
    for name, launcher in LAUNCHERS.items():
        done = topoplan("export", "plan", "--launcher", name, "--out", f"out/{name}")
        if not launcher.shim:
            assert done.code == 0, done.err
            continue
        assert (done.code, done.out) == (3, ""), name
        assert "gives consecutive ranks to a host, but ranks 2 (" in done.err
        assert f"let processes take their ranks from the plan: {launcher.shim}" in done.err
        assert not Path("out", name).exists()
    assert topoplan("verify", "plan").code == 6  # the files of torchrun are those of the plan before


def test_help_says_what_each_launcher_can_make(topoplan: Topoplan) -> None:
    text = " ".join(topoplan("export", "--help").out.split())
    for name, launcher in LAUNCHERS.items():
        assert f" {name} {launcher.expresses} (" in text
    assert all(f" {key} {setting.what}" in text for key, setting in SETTINGS.items())


def test_a_setting_that_the_launcher_does_not_take_writes_nothing(plan: Path, topoplan: Topoplan) -> None:
    done = topoplan("export", "plan", "--launcher", "openmpi", "--set", "image=x", "--out", "out")
    assert done.code == 2
    assert "'image' is not taken by this launcher" in done.err
    assert not Path("out").exists()
