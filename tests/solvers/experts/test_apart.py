"""Copies on different hosts without any loss of balance. Loads are synthetic and experts independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from topoplan.cost.moe import spread
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.apart import _arrange, _dealt, keep_apart, nearest_load

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]


def nearest_balance(placement: ExpertPlacement, load: FloatArray, host: IntArray) -> FloatArray:
    """[layers] mean / largest GPU under the nearest copy."""
    rows = [
        nearest_load(p2l, placement.slot_gpu, row, host)
        for p2l, row in zip(placement.physical_to_logical_map, load, strict=True)
    ]
    return np.array([on.mean() / on.max() for on in rows])


@pytest.mark.parametrize("kind", ["lognormal", "zipf", "hot"])
def test_loads_under_the_nearest_copy_are_those_of_the_rule(loads: Loads, problem: Problems, kind: str) -> None:
    load, host = loads(kind, layers=2), np.repeat(np.arange(4), 8)
    placement = place(problem(load, 32, 288, hosts=4))
    for layer in range(2):
        how = spread(placement, layer, "nearest", host).share.mean(0)
        on = np.bincount(placement.slot_gpu, how * load[layer, placement.physical_to_logical_map[layer]], 32)
        p2l = placement.physical_to_logical_map[layer]
        assert nearest_load(p2l, placement.slot_gpu, load[layer], host) == pytest.approx(on)


@pytest.mark.parametrize(("gpus", "slots"), [(32, 288), (64, 320)])
def test_the_nearest_copy_is_as_good_as_even_use(loads: Loads, problem: Problems, gpus: int, slots: int) -> None:
    load, host = loads("lognormal"), np.arange(gpus) // 8
    plain = place(problem(load, gpus, slots))
    apart = keep_apart(plain, load, host, np.ones(gpus))
    assert np.sort(apart.gpu_load(load)) == pytest.approx(np.sort(plain.gpu_load(load)))
    kept = nearest_balance(apart, load, host) / apart.balancedness(load)
    assert kept.min() > 0.95
    assert nearest_balance(plain, load, host).mean() < nearest_balance(apart, load, host).mean()


@pytest.mark.parametrize("kind", ["zipf", "hot"])
def test_it_is_never_worse(loads: Loads, problem: Problems, kind: str) -> None:
    load, host = loads(kind), np.repeat(np.arange(4), 8)
    plain = place(problem(load, 32, 288))
    apart = keep_apart(plain, load, host, np.ones(32))
    assert (nearest_balance(apart, load, host) >= nearest_balance(plain, load, host) * (1 - 1e-12)).all()


def test_gpus_that_differ_do_not_change_places(loads: Loads) -> None:
    load, host = loads("lognormal", layers=3, experts=24), np.repeat([0, 1], 4)
    slots, speed = np.array([4, 4, 5, 4, 4, 5, 4, 4]), np.array([1.0, 1, 1, 0.5, 1, 1, 1, 0.5])
    plain = place(ExpertProblem(load, 8, slots, host=host, speed=speed))
    apart = keep_apart(plain, load, host, speed)
    assert np.sort(apart.gpu_load(load) / speed) == pytest.approx(np.sort(plain.gpu_load(load) / speed))
    assert apart.gpu_load(load)[:, [2, 5]].sum() == pytest.approx(plain.gpu_load(load)[:, [2, 5]].sum())
    assert apart.gpu_load(load)[:, [3, 7]].sum() == pytest.approx(plain.gpu_load(load)[:, [3, 7]].sum())


def test_an_exchange_counts_that_the_two_stay_apart() -> None:
    both = np.zeros((4, 4))
    both[0, 1] = both[2, 3] = 1.0
    both[1, 2] = both[0, 3] = 1.5  # exchanged with each other, they are still on different hosts
    both = both + both.T
    source = _arrange(both[None], np.array([0, 0, 1, 1]), np.zeros((1, 4), np.int64), np.arange(4)[None])[0]
    assert both[source[0], source[1]] == both[source[2], source[3]] == 0


def test_gpus_with_the_same_copied_expert_are_dealt_to_hosts_in_turn() -> None:
    p2l = np.array([[0, 3, 0, 4, 1, 5, 1, 6, 2, 7, 2, 8], [0, 3, 1, 4, 0, 5, 1, 6, 2, 7, 2, 8]])
    slot_gpu, host = np.repeat(np.arange(6), 2), np.array([1, 1, 0, 0, 0, 1])
    at = _dealt(p2l, slot_gpu, host, 9)
    assert (np.sort(at) == np.arange(6)).all()
    for row, where in zip(p2l, at, strict=True):
        for expert in (0, 1, 2):
            held = host[where[slot_gpu[row == expert]]]
            assert sorted(held) == [0, 1]
