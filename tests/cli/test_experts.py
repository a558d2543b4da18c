"""`topoplan experts`: what it prints, writes and refuses. Loads are synthetic and experts independent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMMON = ("-t", "fabric.yaml", "--gpus", "8", "--slots", "40")


@pytest.fixture
def load(files: Path) -> np.ndarray[Any, Any]:
    """Four layers of 32 experts in load.npy, and the same drifted by a fifth in drifted.npy."""
    rng = np.random.default_rng(3)
    load = rng.lognormal(0, 1, (4, 32)) * 1e4
    np.save(files / "load.npy", load)
    np.save(files / "drifted.npy", load * rng.lognormal(0, 0.2, load.shape))
    return load


def plan_of(folder: Path) -> dict[str, Any]:
    """plan.json of a folder."""
    value: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return value


def test_prints_balance_and_gap_and_writes_no_dispatch(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    result = topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert "Balance (mean / largest GPU)" in result.out
    assert "above its lower bound" in result.out
    experts = plan_of(files / "plan")["experts"]
    assert "dispatch" not in experts
    balance = json.loads((files / "plan/experts/outcome.json").read_text())["balance"]
    p2l, on = np.array(experts["physical_to_logical_map"]), np.zeros((4, 8))
    for layer, row in enumerate(p2l):
        copies = np.bincount(row, minlength=32)
        on[layer] = (load[layer, row] / copies[row]).reshape(8, -1).sum(1)
    assert balance["mean"] == pytest.approx((on.mean(1) / on.max(1)).mean())


def test_few_moves_are_counted_and_bounded(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    moves = ("--previous", "plan", "--max-moves", "10%")
    result = topoplan("experts", "drifted.npy", *COMMON, *moves, "--out", "next", "--no-report", "-o", "json")
    assert result.code == 0, result.err
    change = json.loads(result.out)["outcome"]["change"]
    old, new = (
        np.array(plan_of(files / name)["experts"]["physical_to_logical_map"]).reshape(4, 8, 5)
        for name in ("plan", "next")
    )
    moved = sum(len(set(b) - set(a)) for x, y in zip(old, new, strict=True) for a, b in zip(x, y, strict=True))
    assert change["slots"] == moved
    assert 0 < moved <= 16
    assert change["after"] > change["before"]
    assert plan_of(files / "plan")["placement"] == plan_of(files / "next")["placement"]


def test_a_lost_host_is_replaced_and_its_slots_count_as_moved(
    topoplan: Callable[..., Any], load: Any, files: Path
) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    lost = plan_of(files / "plan")["placement"]["host"][0]
    fabric = (files / "fabric.yaml").read_text()
    (files / "fabric.yaml").write_text(fabric.replace('unavailable: "n3"', f'unavailable: "n3,{lost}"'))
    previous = (*COMMON, "--previous", "plan")
    result = topoplan("experts", "load.npy", *previous, "--out", "next", "--no-report", "-o", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["outcome"]["change"]["slots"] >= 4 * 20  # half of the slots of each layer
    assert lost not in plan_of(files / "next")["placement"]["host"]
    refused = topoplan("experts", "load.npy", *previous, "--max-moves", "79", "--out", "never")
    assert refused.code == 3
    assert "80 slots have to move" in refused.err
    assert not (files / "never").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--max-moves", "5"), 2, "--previous"),
        (("--previous", "plan", "--max-moves", "few"), 2, "percentage"),
        (("--previous", "plan", "--max-moves", "-1"), 2, "percentage"),
        (("--previous", "nowhere"), 2, "nowhere"),
        (("--model", "deepseek-v3"), 2, "256 experts"),
        (("--model", "deepsek-v3"), 2, "deepseek-v3"),
    ],
)
def test_bad_options_are_refused(
    topoplan: Callable[..., Any], load: Any, options: tuple[str, ...], code: int, words: str
) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    result = topoplan("experts", "load.npy", *COMMON, *options, "--out", "never")
    assert result.code == code
    assert words in result.err
    assert not Path("never").exists()
