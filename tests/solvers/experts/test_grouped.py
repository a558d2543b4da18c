"""Groups whole on a host: the bound against listing all assignments, balance against it and against EPLB's rules."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts import assignment as assignment_module
from topoplan.solvers.experts.bound import even_bound

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
Placer = Callable[..., float]
MOST = {"lognormal": 0.001, "zipf": 0.03, "hot": 0.015}


def largest(placement: ExpertPlacement) -> FloatArray:
    assert placement.max_load is not None
    return placement.max_load


def bound(placement: ExpertPlacement) -> FloatArray:
    assert placement.lower_bound is not None
    return placement.lower_bound


def hosts_of_groups(placement: ExpertPlacement, host: IntArray, groups: int) -> IntArray:
    """[layers, groups] the one host of each group; fails where there are two."""
    size = placement.experts // groups
    on = np.full((placement.layers, groups), -1)
    for layer, row in enumerate(placement.physical_to_logical_map):
        for expert, gpu in zip(row, placement.slot_gpu, strict=True):
            assert on[layer, expert // size] in (-1, host[gpu])
            on[layer, expert // size] = host[gpu]
    return on


@pytest.mark.parametrize("kind", MOST)
def test_close_to_the_grouped_bound_and_no_layer_worse_than_eplb(
    loads: Loads, problem: Problems, eplb: Placer, kind: str
) -> None:
    load = loads(kind, 8, seed=2)
    placement = place(problem(load, 32, 288, hosts=4, groups=8))
    assert (largest(placement) / bound(placement)).mean() - 1 <= MOST[kind]
    assert (largest(placement) <= np.array([eplb(row, 288, 32, 4, 8) for row in load])).all()
    assert placement.duplicates == 0
    assert placement.gpu_load(load).max(1) == pytest.approx(placement.max_load, rel=1e-9)
    hosts_of_groups(placement, np.repeat(np.arange(4), 8), 8)


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize(("gpus", "slots", "hosts"), [(64, 320, 8), (16, 288, 2), (32, 288, 1), (144, 288, 4)])
def test_other_sizes_are_no_worse_than_eplb(
    loads: Loads, problem: Problems, eplb: Placer, kind: str, gpus: int, slots: int, hosts: int
) -> None:
    load = loads(kind, 3, seed=4)
    placement = place(problem(load, gpus, slots, hosts=hosts, groups=8))
    assert (largest(placement) <= np.array([eplb(row, slots, gpus, hosts, 8) for row in load]) * (1 + 1e-9)).all()
    hosts_of_groups(placement, np.repeat(np.arange(hosts), gpus // hosts), 8)


def brute_bound(row: FloatArray, groups: int, hosts: int, slots: int, gpus: int) -> float:
    by_group, best = row.reshape(groups, -1), np.inf
    for way in set(permutations([h for h in range(hosts) for _ in range(groups // hosts)])):
        worst = 0.0
        for h in range(hosts):
            load = by_group[np.array(way) == h].reshape(1, -1)
            worst = max(worst, float(even_bound(load, slots // hosts, np.ones(gpus // hosts))[0]))
        best = min(best, worst)
    return best


@pytest.mark.parametrize("most_listed", [3000, 0])
def test_bound_is_the_best_over_all_assignments(
    loads: Loads, problem: Problems, monkeypatch: pytest.MonkeyPatch, most_listed: int
) -> None:
    monkeypatch.setattr(assignment_module, "MOST_LISTED", most_listed)
    assignment_module.list_ways.cache_clear()
    load = loads("zipf", 4, 24, seed=1)
    placement = place(problem(load, 6, 30, hosts=3, groups=6))
    assert placement.lower_bound == pytest.approx([brute_bound(row, 6, 3, 30, 6) for row in load])
    assignment_module.list_ways.cache_clear()


def test_a_search_cut_short_still_bounds(loads: Loads, problem: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment_module, "MOST_LISTED", 0)
    monkeypatch.setattr(assignment_module, "MOST_NODES", 3)
    assignment_module.list_ways.cache_clear()
    load = loads("hot", 4, 64, seed=1)
    placement = place(problem(load, 8, 80, hosts=4, groups=16))
    assert (bound(placement) <= largest(placement) * (1 + 1e-9)).all()
    hosts_of_groups(placement, np.repeat(np.arange(4), 2), 16)
    assignment_module.list_ways.cache_clear()


def test_unequal_hosts_get_groups_by_their_slots(loads: Loads) -> None:
    load = loads("lognormal", 3, 64)
    host = np.array([0] * 8 + [1] * 4 + [2] * 4)
    placement = place(ExpertProblem(load=load, gpus=16, slots=80, host=host, groups=8))
    on = hosts_of_groups(placement, host, 8)
    assert (np.sort(on, axis=1) == [0, 0, 0, 0, 1, 1, 2, 2]).all()
    assert placement.gpu_load(load).max(1) == pytest.approx(placement.max_load, rel=1e-9)


def test_groups_need_not_divide_by_hosts(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 3, 64)
    placement = place(problem(load, 6, 90, hosts=3, groups=8))
    on = hosts_of_groups(placement, np.repeat(np.arange(3), 2), 8)
    assert all(sorted(np.bincount(row, minlength=3)) == [2, 3, 3] for row in on)


def test_groups_that_do_not_fit_whole_are_infeasible(loads: Loads, problem: Problems) -> None:
    with pytest.raises(InfeasibleError, match="3 groups of 8 experts do not fit whole on 2 hosts"):
        place(problem(loads("uniform", 1, 24), 4, 28, hosts=2, groups=3))
