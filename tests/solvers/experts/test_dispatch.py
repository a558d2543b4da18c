"""Dispatch weights: as good as a linear program says, and never worse than an even split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import linprog

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.dispatch import spread_tokens

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]


def best_split(load: FloatArray, row: IntArray, slot_gpu: IntArray, speed: FloatArray) -> float:
    """Least largest load over speed of one layer, by linear programming over the tokens of each slot."""
    slots, gpus = len(row), len(speed)
    cost = np.append(np.zeros(slots), 1.0)
    upper = np.zeros((gpus, slots + 1))
    upper[slot_gpu, np.arange(slots)] = 1.0
    upper[:, -1] = -speed
    equal = np.zeros((len(load), slots + 1))
    equal[row, np.arange(slots)] = 1.0
    fun = linprog(cost, upper, np.zeros(gpus), equal, load).fun
    assert fun is not None
    return float(fun)


@pytest.mark.parametrize("kind", ["lognormal", "zipf", "hot"])
@pytest.mark.parametrize(("gpus", "slots"), [(8, 80), (32, 80)])
def test_split_matches_linear_programming(loads: Loads, problem: Problems, kind: str, gpus: int, slots: int) -> None:
    load = loads(kind, 3, 64, seed=2)
    speed = 1 + np.arange(gpus) % 3 / 4
    even = place(problem(load, gpus, slots, speed=speed))
    row = even.physical_to_logical_map
    places = np.full((3, gpus, int(np.bincount(even.slot_gpu).max())), -1)
    place_of = np.arange(slots) - np.searchsorted(even.slot_gpu, even.slot_gpu)
    places[:, even.slot_gpu, place_of] = row
    tokens, value = spread_tokens(load, places, speed, np.zeros(3), 0.0)
    best = [best_split(load[k], row[k], even.slot_gpu, speed) for k in range(3)]
    assert value == pytest.approx(best, rel=1e-3)
    assert value == pytest.approx((tokens.sum(2) / speed).max(1))
    for k in range(3):
        spread = np.bincount(places[k][places[k] >= 0], tokens[k][places[k] >= 0])
        assert spread == pytest.approx(load[k])


@pytest.mark.parametrize("kind", ["lognormal", "zipf", "hot"])
def test_weights_close_nearly_all_of_the_gap(loads: Loads, problem: Problems, kind: str) -> None:
    load = loads(kind, 8)
    placement = place(problem(load, 32, 288, weighted=True))
    assert placement.dispatch is not None
    assert placement.dispatch.shape == (8, 288)
    assert placement.max_load is not None
    assert placement.lower_bound is not None
    assert (placement.max_load / placement.lower_bound).mean() - 1 <= 0.0003
    assert placement.gpu_load(load).max(1) == pytest.approx(placement.max_load)


@pytest.mark.parametrize("groups", [0, 8])
def test_weights_are_no_worse_than_an_even_split(loads: Loads, problem: Problems, groups: int) -> None:
    load = loads("zipf", 4, seed=3)
    even = place(problem(load, 32, 288, hosts=4, groups=groups))
    weighted = place(problem(load, 32, 288, hosts=4, groups=groups, weighted=True))
    assert even.max_load is not None
    assert weighted.max_load is not None
    assert (weighted.max_load <= even.max_load * (1 + 1e-9)).all()
    assert weighted.max_load.mean() < even.max_load.mean()


def test_an_expert_without_tokens_has_even_weights(problem: Problems) -> None:
    load = np.zeros((1, 4))
    load[0, 0] = 8.0
    placement: ExpertPlacement = place(problem(load, 4, 8, weighted=True))
    assert placement.shares().max() <= 1.0
    assert placement.max_load == pytest.approx([2.0])
