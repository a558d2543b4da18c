"""Bounds: exact where small cases can be listed, never above what is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.bound import even_bound, replica_bound
from topoplan.solvers.experts.pairs import fold, pairs_bound, shift_copies
from topoplan.solvers.experts.replicate import copy_plans, greedy_copies

Loads = Callable[..., FloatArray]


def all_copies(experts: int, slots: int) -> Iterator[list[int]]:
    if experts == 1:
        yield [slots]
        return
    for first in range(1, slots - experts + 2):
        for rest in all_copies(experts - 1, slots - first):
            yield [first, *rest]


def test_replica_bound_is_the_best_over_all_copies() -> None:
    load = np.random.default_rng(1).lognormal(0, 1, (5, 4))
    best = [min((row / copies).max() for copies in all_copies(4, 9)) for row in load]
    assert replica_bound(load, 9) == pytest.approx(best)


def test_even_bound_takes_the_strictest_part() -> None:
    speed = np.array([1.0, 1.0, 2.0])
    assert even_bound(np.array([[4.0, 4.0, 4.0]]), 6, speed) == pytest.approx([3.0])  # mean
    assert even_bound(np.array([[9.0, 1.0, 1.0]]), 3, speed) == pytest.approx([4.5])  # one replica, fastest GPU
    assert even_bound(np.array([[6.0]]), 9, np.ones(2)) == pytest.approx([3.0])


@pytest.mark.parametrize("seed", range(4))
def test_bound_of_pairs_is_valid_and_tighter(seed: int) -> None:
    load = np.random.default_rng(seed).lognormal(0, 1, (6, 6))
    gpus = 4
    best = np.array([min(fold(np.sort(np.repeat(row / c, c))[None]).max() for c in all_copies(6, 8)) for row in load])
    plain = even_bound(load, 8, np.ones(gpus))
    tight = pairs_bound(load, gpus, plain, best)
    assert (tight <= best * (1 + 1e-9)).all()
    assert (tight >= plain).all()
    assert (best / tight).mean() < (best / plain).mean()


def test_bound_of_pairs_closes_most_of_the_gap(loads: Loads) -> None:
    load = loads("zipf", 3)
    copies = shift_copies(load, 144)
    value = np.array([fold(np.sort(np.repeat(row / c, c))[None]).max() for row, c in zip(load, copies, strict=True)])
    plain = even_bound(load, 288, np.ones(144))
    tight = pairs_bound(load, 144, plain, value)
    assert (value / plain).mean() > 1.01
    assert (value / tight).mean() < 1.004


def test_shifted_copies_are_never_worse_than_greedy_ones(loads: Loads) -> None:
    load = loads("uniform", 4)
    plain, shifted = greedy_copies(load, 288, 1.0, 144), shift_copies(load, 144)

    def value(copies: IntArray) -> FloatArray:
        return np.array([fold(np.sort(np.repeat(row / c, c))[None]).max() for row, c in zip(load, copies, strict=True)])

    assert (value(shifted) <= value(plain)).all()
    assert value(shifted).mean() < value(plain).mean()
    assert (shifted.sum(1) == 288).all()


@pytest.mark.parametrize(("slots", "cap"), [(24, 8), (27, 2), (40, 8), (48, 2), (60, 2)])
def test_copies_fill_the_slots_within_the_cap(slots: int, cap: int) -> None:
    load = np.random.default_rng(3).lognormal(0, 2, (3, 24))
    for copies in (greedy_copies(load, slots, 0.8, cap), *copy_plans(load, slots, cap).transpose(1, 0, 2)):
        assert (copies.sum(1) == slots).all()
        assert copies.min() >= 1
        assert copies.max() <= max(cap, -(-slots // 24))


def test_less_alpha_gives_light_experts_more() -> None:
    load = np.array([[16.0, 4.0, 2.0, 1.0]])
    assert greedy_copies(load, 8, 1.0, 8).tolist() == [[5, 1, 1, 1]]
    assert greedy_copies(load, 8, 0.5, 8).tolist() == [[3, 2, 2, 1]]
    assert greedy_copies(load, 8, 0.0, 8).tolist() == [[2, 2, 2, 2]]
