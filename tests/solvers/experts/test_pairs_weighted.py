"""The bound for GPUs with two slots whose copies may get any share. Loads are synthetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.bound import even_bound
from topoplan.solvers.experts.exact import place_exact
from topoplan.solvers.experts.pairs import pair_up
from topoplan.solvers.experts.pairs_weighted import weighted_pairs_bound

Loads = Callable[..., FloatArray]
Placer = Callable[..., float]


def test_partners_of_a_heavy_expert_count() -> None:
    # the heavy expert has three copies at most, each beside another expert: (90 + 3 x 10) / 3
    load = np.array([[90.0, 10, 10, 10, 10, 10]])
    plain = even_bound(load, 8, np.ones(4))
    found = weighted_pairs_bound(load, 4, plain, np.array([60.0]))
    assert plain[0] == pytest.approx(35.0)
    assert found[0] == pytest.approx(40.0, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_valid_and_sometimes_the_best_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gpus = int(rng.integers(3, 5))
    experts = int(rng.integers(gpus + 1, 2 * gpus + 1))
    load = np.round(rng.lognormal(0, 1.2, (1, experts)) * 1000)
    best = place_exact(ExpertProblem(load, gpus, 2 * gpus, weighted=True), work=3.0)
    assert best.max_load is not None
    low = np.array([load.sum() / gpus])
    found = weighted_pairs_bound(load, gpus, low, best.max_load * 1.5)
    assert (found <= best.max_load * (1 + 1e-9)).all()
    assert (found >= low).all()


def test_weights_cannot_take_a_twentieth_off_with_two_slots(loads: Loads, eplb: Placer) -> None:
    load = loads("hot", layers=6)
    found = place(ExpertProblem(load, 144, 288, weighted=True))
    assert found.lower_bound is not None
    assert found.max_load is not None
    rival = np.array([eplb(row, 288, 144) for row in load])
    assert (found.max_load <= rival * (1 + 1e-9)).all()
    assert (found.lower_bound <= found.max_load * (1 + 1e-9)).all()
    assert (found.lower_bound / rival).mean() > 0.96  # the proof: on average not even 4 % less is possible


def test_the_best_pairing_holds_no_expert_twice_where_another_pair_can_take_it() -> None:
    load, copies = np.array([[30.0, 10, 10, 9, 11]]), np.array([[2, 1, 1, 1, 1]])
    pairs, value = pair_up(load, copies)
    assert (pairs[:, :, 0] != pairs[:, :, 1]).all()
    assert value[0] == pytest.approx(25.0)  # 15 + 9, 15 + 10: one of them had stood beside the other
    alone, _ = pair_up(np.array([[4.0, 0.0]]), np.array([[3, 1]]))
    assert sorted(alone[0].ravel().tolist()) == [0, 0, 0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_uniform_loads_in_pairs_are_not_worse_than_eplbs(loads: Loads, eplb: Placer, seed: int) -> None:
    load = loads("uniform", layers=12, seed=seed)
    found = place(ExpertProblem(load, 144, 288))
    assert found.max_load is not None
    assert (found.max_load <= np.array([eplb(row, 288, 144) for row in load]) * (1 + 1e-9)).all()
    assert found.duplicates == 0
