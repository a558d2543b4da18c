"""solve --previous, diff, and the demands on hosts from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from topoplan import read_plan

Run = Callable[..., Any]
SOLVE = ("solve", "job.yaml", "--topology", "fabric.yaml", "--no-report", "--launcher", "openmpi")


@pytest.fixture
def plans(files: Path, topoplan: Run) -> tuple[str, str]:
    """A plan, its replan without one host; the names of that host and of its substitute."""
    assert topoplan(*SOLVE, "--spares", "1", "--out", "a").code == 0
    first = json.loads((files / "a" / "plan.json").read_text())["placement"]
    lost = first["host"][0]
    assert topoplan(*SOLVE, "--previous", "a", "--avoid", lost, "--out", "b").code == 0
    return lost, first["spares"][0]


def test_diff_shows_moves_costs_and_state(plans: tuple[str, str], topoplan: Run) -> None:
    lost, spare = plans
    shown = topoplan("diff", "a", "b")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("4 ranks of 32 move.\n")
    assert f"  ~ {lost} -> {spare}  4 ranks: 0-3\n" in shown.out
    assert f"  ~ rank 1  {lost}:gpu1 -> {spare}:gpu1\n" in shown.out
    assert "exposed_ms  " in shown.out
    assert "GB (weights and optimizer)" in shown.out
    data = json.loads(topoplan("diff", "a", "b", "-o", "json").out)
    assert (data["moved"], data["hosts_left"], data["hosts_joined"]) == (4, [lost], [spare])
    assert data["after"]["hop_bytes"] >= 0
    assert data["state_bytes"] > 0


def test_diff_of_a_plan_with_itself(plans: tuple[str, str], topoplan: Run) -> None:
    shown = topoplan("diff", "a", "a")
    assert (shown.code, shown.out.splitlines()[0]) == (0, "No rank moves: both plans place 32 ranks alike.")


def test_state_of_foreign_traffic_is_unknown(files: Path, topoplan: Run) -> None:
    import numpy as np

    ends = np.arange(8, dtype=np.int32)
    np.savez(files / "t.npz", src=ends, dst=np.roll(ends, 1), bytes=np.full(8, 1e9))
    (files / "job.yaml").write_text("apiVersion: topoplan/v1\nkind: Job\nname: foreign\nranks: 8\ntraffic: t.npz\n")
    assert topoplan(*SOLVE, "--out", "a").code == 0
    assert "unknown: the job gives traffic, not its model" in topoplan("diff", "a", "a").out
    assert json.loads(topoplan("diff", "a", "a", "-o", "json").out)["state_bytes"] is None


def test_demands_on_hosts(files: Path, topoplan: Run) -> None:
    short = topoplan(*SOLVE, "--require", "leaf")
    assert short.code == 3
    assert "2 hosts short in leaf-1; 2 leaves needed" in short.err
    many = topoplan(*SOLVE, "--spares", "4")
    assert many.code == 3
    assert "4 spare hosts are wanted, 3" in many.err
    assert topoplan(*SOLVE, "--reserve", "n[0-2]", "--out", "a").code == 0
    assert not {"n0", "n1", "n2"} & set(json.loads((files / "a" / "plan.json").read_text())["placement"]["host"])


def test_exact_proves_and_names_missing_solvers(files: Path, topoplan: Run) -> None:
    done = topoplan(*SOLVE, "--objective", "hop_bytes", "--exact", "-o", "json")
    assert json.loads(done.out)["certificate"]["hop_bytes"]["proven_optimal"]
    assert topoplan(*SOLVE, "--exact-solver", "nonsense").code == 2
    assert topoplan(*SOLVE, "--exact-solver", "XPRESS").code == 5


def test_the_time_limit_holds_for_proofs_too(files: Path, topoplan: Run) -> None:
    done = topoplan(*SOLVE, "--objective", "hop_bytes", "--exact", "--time-limit", "0.001", "--out", "a")
    assert done.code == 0
    assert "stopped by time limit: this is the best plan so far" in done.err
    assert json.loads((files / "a" / "run.json").read_text())["stopped_by"] == "time limit"


def test_two_jobs_get_a_folder_each(files: Path, topoplan: Run) -> None:
    text = (files / "job.yaml").read_text()
    (files / "small.yaml").write_text(
        text.replace("name: moe", "name: small").replace("dp: 16", "dp: 4").replace("ep: 8", "ep: 4")
    )
    done = topoplan("solve", "small.yaml", *SOLVE[1:], "--out", "both")
    assert done.code == 0, done.err
    used = [set(read_plan(files / "both" / name).placement.host.tolist()) for name in ("moe", "small")]  # type: ignore[union-attr]
    assert not used[0] & used[1]
    twice = topoplan("solve", "job.yaml", *SOLVE[1:])
    assert twice.code == 2
    assert "two jobs have the same name" in twice.err
    assert topoplan("solve", "small.yaml", *SOLVE[1:], "--previous", "both/moe").code == 2


def test_moves_against_loss(files: Path, topoplan: Run) -> None:
    assert topoplan(*SOLVE, "--out", "a").code == 0
    lost = json.loads((files / "a" / "plan.json").read_text())["placement"]["host"][0]
    bought = topoplan(*SOLVE, "--previous", "a", "--avoid", lost, "--max-moves", "50%", "--out", "b")
    assert bought.code == 0, bought.err
    assert "moves against price" in bought.out
    steps = json.loads((files / "b" / "moves.json").read_text())
    assert steps[0]["moved"] == 4
    (chosen,) = [step for step in steps if step["chosen"]]
    assert chosen["moved"] <= 16
    assert json.loads(topoplan("diff", "a", "b", "-o", "json").out)["moved"] == chosen["moved"]
    few = topoplan(*SOLVE, "--previous", "a", "--avoid", lost, "--max-moves", "3")
    assert few.code == 3
    assert "4 ranks lost their GPUs and have to move, but only 3 may" in few.err
    assert topoplan(*SOLVE, "--max-loss", "1%").code == 2
    assert topoplan(*SOLVE, "--previous", "a", "--max-loss", "much").code == 2


def test_says_at_once_that_nics_bind(files: Path, topoplan: Run) -> None:
    hashed = topoplan(*SOLVE)
    assert "NICs and NVLinks bind" not in hashed.err
    fabric = (files / "fabric.yaml").read_text()
    (files / "fabric.yaml").write_text(fabric.replace("routing: ecmp", "routing: adaptive"))
    spread = topoplan(*SOLVE)
    assert "NICs and NVLinks bind this job: no order of hosts gains more than 0." in spread.err
    assert "NICs and NVLinks bind" not in topoplan(*SOLVE, "--objective", "hop_bytes").err
