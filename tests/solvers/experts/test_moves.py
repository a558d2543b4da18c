"""Changing a previous placement little: budgets, kept slots, lost GPUs, and what the moves buy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts import ExpertParams, ExpertProblem, place

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]


def moved(old: ExpertPlacement, new: ExpertPlacement) -> int:
    """Slots whose GPU did not hold their expert before, counted one by one."""
    count = 0
    for before, after in zip(old.physical_to_logical_map, new.physical_to_logical_map, strict=True):
        for gpu in range(new.gpus):
            had = Counter(before[old.slot_gpu == gpu].tolist())
            count += sum((Counter(after[new.slot_gpu == gpu].tolist()) - had).values())
    return count


def balance(placement: ExpertPlacement, load: FloatArray) -> float:
    return float(placement.balancedness(load).mean())


@pytest.mark.parametrize(("kind", "drift", "share"), [("lognormal", 0.05, 0.07), ("lognormal", 0.2, 0.14)])
@pytest.mark.parametrize("seed", [0, 1])
def test_few_moves_keep_nearly_all_balance(
    loads: Loads, problem: Problems, kind: str, drift: float, share: float, seed: int
) -> None:
    load = loads(kind, 10, seed=seed)
    old = place(problem(load, 32, 288))
    now = load * np.random.default_rng(seed + 7).lognormal(0, drift, load.shape)
    most = int(share * old.physical_to_logical_map.size)
    new = place(problem(now, 32, 288, previous=old, max_moves=most))
    fresh = place(problem(now, 32, 288))
    assert moved(old, new) <= most
    assert balance(new, now) >= 0.99 * balance(fresh, now)
    assert balance(old, now) < 0.97 * balance(fresh, now)
    assert new.duplicates == 0


@pytest.mark.parametrize("most", [0, 1, 2, 7, 40])
def test_budget_holds_and_more_moves_are_never_worse(loads: Loads, problem: Problems, most: int) -> None:
    load = loads("zipf", 3, 64)
    old = place(problem(load, 8, 72))
    now = load * np.random.default_rng(1).lognormal(0, 0.3, load.shape)
    new = place(problem(now, 8, 72, previous=old, max_moves=most))
    assert moved(old, new) <= most
    assert balance(new, now) >= balance(old, now) * (1 - 1e-12)
    if not most:
        assert (new.physical_to_logical_map == old.physical_to_logical_map).all()


def test_unmoved_experts_stay_in_their_slots(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 4)
    old = place(problem(load, 32, 288))
    now = load * np.random.default_rng(1).lognormal(0, 0.2, load.shape)
    new = place(problem(now, 32, 288, previous=old, max_moves=100))
    changed = int((new.physical_to_logical_map != old.physical_to_logical_map).sum())
    assert 0 < changed == moved(old, new)


def test_without_a_limit_gpus_are_renamed_to_keep_what_they_hold(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 2)
    old = place(problem(load, 32, 288))
    again = place(problem(load, 32, 288, previous=old))
    assert moved(old, again) == 0
    shuffled = old.physical_to_logical_map.reshape(2, 32, 9)[:, ::-1].reshape(2, -1)
    other = ExpertPlacement(gpus=32, physical_to_logical_map=shuffled)
    assert moved(other, place(problem(load, 32, 288, previous=other))) == 0


def test_a_price_on_moves_stops_when_they_do_not_pay(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 4)
    old = place(problem(load, 32, 288))
    now = load * np.random.default_rng(1).lognormal(0, 0.05, load.shape)
    counts = [
        moved(old, place(problem(now, 32, 288, previous=old), ExpertParams(move_price=price)))
        for price in (1e-4, 2e-3, 1.0)
    ]
    assert counts[0] > counts[1] > counts[2] == 0


def test_groups_stay_whole(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 3)
    old = place(problem(load, 32, 288, hosts=4, groups=8))
    now = load * np.random.default_rng(1).lognormal(0, 0.2, load.shape)
    new = place(problem(now, 32, 288, hosts=4, groups=8, previous=old, max_moves=120))
    host = new.slot_gpu // 8
    for row in new.physical_to_logical_map:
        assert len({(e // 32, h) for e, h in zip(row.tolist(), host.tolist(), strict=True)}) == 8
    assert moved(old, new) <= 120
    assert balance(new, now) > balance(old, now)


def test_after_losing_a_gpu_lost_experts_come_back_first(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 3)
    old = place(problem(load, 32, 288))
    lone = sum(int((old.copies[k][old.physical_to_logical_map[k][45:54]] == 1).sum()) for k in range(3))
    new = place(problem(load, 32, 288, dead=(5,), previous=old, max_moves=lone))
    assert new.copies.min() == 1
    assert 5 not in new.slot_gpu
    assert moved(old, new) == lone
    with pytest.raises(InfeasibleError, match=f"{lone} slots have to move"):
        place(problem(load, 32, 288, dead=(5,), previous=old, max_moves=lone - 1))


def test_added_slots_are_filled(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 2)
    old = place(problem(load, 32, 288))
    new = place(problem(load, 32, 320, previous=old, max_moves=64))
    assert new.slots == 320
    assert moved(old, new) == 64
    assert new.duplicates == 0


@pytest.mark.parametrize(("gpus", "layers", "experts"), [(16, 2, 64), (8, 3, 64), (8, 2, 32)])
def test_a_previous_placement_of_another_model_is_refused(
    loads: Loads, problem: Problems, gpus: int, layers: int, experts: int
) -> None:
    old = place(problem(loads("uniform", layers, experts), gpus, 80))
    with pytest.raises(InputError, match="the previous placement has"):
        place(problem(loads("uniform", 2, 64), 8, 80, previous=old, max_moves=5))


def test_a_fresh_placement_with_more_duplicates_is_no_way_out() -> None:
    slots = np.array([0, 0, 0, 0, 0, 0, 1, 3, 3, 4, 6, 5])  # six slots for five experts: one has to be there twice
    problem = ExpertProblem(np.array([[0.0, 3, 51, 67, 92]]), 12, slots)
    old = place(problem)
    now = problem.load * np.random.default_rng(0).lognormal(0, 0.5, problem.load.shape)
    new = place(ExpertProblem(now, 12, slots, previous=old, max_moves=2))
    assert new.duplicates == old.duplicates == 1
