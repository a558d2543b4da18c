"""The model over sets: the same optimum as enumeration and as the plain model, bounds below every placement."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.exact.test_plain import CASES, _brute, _task
from topoplan.solvers.ranks import ExactParams, RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.exact.cpsat import Stop
from topoplan.solvers.ranks.exact.plain import solve_cpsat
from topoplan.solvers.ranks.exact.sets import solve_sets
from topoplan.solvers.ranks.exact.splits import Splitter, Taker
from topoplan.solvers.ranks.exact.subsets import Lister
from topoplan.solvers.ranks.exact.task import Level

Make = Callable[..., Any]


def _graph(seed: int, n: int) -> Any:
    rng = np.random.default_rng(seed)
    weight = np.triu(rng.integers(0, 4, (n, n)), 1)
    return weight + weight.T


@given(st.integers(0, 10**6), st.integers(2, 8), st.data())
@settings(max_examples=40, deadline=None)
def test_the_list_of_sets_is_complete(seed: int, n: int, data: Any) -> None:
    weight = _graph(seed, n)
    price = np.random.default_rng(seed).normal(0, 3, n)
    low = data.draw(st.integers(0, n))
    sizes = range(low, data.draw(st.integers(low, n)) + 1)
    limit = data.draw(st.floats(-5, 15))
    inside, value, complete = Lister(weight).sets(sizes, 2.0, price, limit, 10**6)
    wanted = {}
    for bits in itertools.product((False, True), repeat=n):
        chosen = np.array(bits)
        net = 2 * weight[np.ix_(chosen, ~chosen)].sum() - price[chosen].sum()
        if chosen.sum() in sizes and net <= limit:
            wanted[bits] = net
    assert complete
    assert {tuple(row): pytest.approx(v) for row, v in zip(inside.tolist(), value, strict=True)} == wanted
    assert (np.diff(value) >= 0).all()


def test_a_short_list_keeps_the_most_promising_and_says_so() -> None:
    inside, value, complete = Lister(_graph(3, 12)).sets(range(4, 6), 1.0, np.zeros(12), 1e9, 20)
    everything, best, whole = Lister(_graph(3, 12)).sets(range(4, 6), 1.0, np.zeros(12), 1e9, 10**6)
    assert (complete, whole, len(everything)) == (False, True, 495 + 792)
    assert 0 < len(inside) <= 20
    assert best[0] <= value[0] <= best[100]


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_splits_are_the_cheapest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, room = 6, float(rng.uniform(0, 6))
    takers = []
    for count in (1, 2):
        inside = np.unique(rng.random((25, n)) < 0.4, axis=0)
        takers.append(Taker(inside, rng.integers(0, 9, len(inside)), rng.uniform(0, 3, len(inside)), count))
    whole = rng.random(n) < 0.8
    costs = []
    a, b = takers
    for i, (j, k) in itertools.product(range(len(a.cost)), itertools.product(range(len(b.cost)), repeat=2)):
        taken = a.inside[i].astype(int) + b.inside[j] + b.inside[k]
        if (taken == whole).all() and a.excess[i] + b.excess[j] + b.excess[k] <= room:
            costs.append(int(a.cost[i] + b.cost[j] + b.cost[k]))
    free = [t.inside.any(1) | (t.cost == 0) & (t.excess == 0) for t in takers]
    if not all(f.all() for f in free):
        return  # an empty set costs nothing: such takers do not come up
    found = Splitter(takers).best(whole, room)
    assert (found[0] if found else None) == (min(costs) if costs else None)


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_is_that_of_enumeration(name: str, fabrics: Make, grid_jobs: Make) -> None:
    leaves, per_pod, shape = CASES[name]
    task = _task(fabrics(leaves, per_pod), grid_jobs(*shape))
    found = solve_sets(task, 10.0)
    assert found is not None
    assert found.cost == task.cost(found.cell) == _brute(task)
    assert found.proven
    assert (np.bincount(found.cell, minlength=len(task.room)) <= task.room).all()


@pytest.mark.parametrize("seed", range(6))
def test_both_models_agree_on_random_jobs(seed: int, fabrics: Make, random_jobs: Make) -> None:
    rng = np.random.default_rng(seed)
    leaves = [int(n) for n in rng.integers(1, 4, 4)]
    ranks = 2 * (sum(leaves) - seed % 2)  # with and without a spare host
    task = _task(fabrics(leaves, 2), random_jobs(ranks, 4 * ranks, seed))
    found, other = solve_sets(task, 20.0), solve_cpsat(task, 20.0)
    assert found is not None
    assert other.proven
    assert found.proven
    assert found.cost == other.cost


@pytest.mark.slow
def test_three_levels(random_jobs: Make, fabrics: Make) -> None:
    task = _task(fabrics([2, 1, 2, 1, 1, 2], 2), random_jobs(18, 60, 7))
    leaf, pod = task.levels
    zone = Level(np.array([0, 0, 0, 0, 1, 1]), 40)
    deep = replace(task, levels=(leaf, pod, zone))
    found, other = solve_sets(deep, 20.0), solve_cpsat(deep, 20.0)
    assert found is not None
    assert (found.cost, found.proven) == (other.cost, True)


def test_hosts_of_several_kinds_are_left_to_the_plain_model(fabrics: Make, grid_jobs: Make) -> None:
    task = _task(fabrics([2, 2], 2), grid_jobs(2, 2, 2), np.array([0, 1, 0, 1]))
    assert solve_sets(task, 1.0) is None


def test_more_hosts_than_a_mask_holds_are_left_to_the_plain_model(fabrics: Make, grid_jobs: Make) -> None:
    assert solve_sets(_task(fabrics([33, 32], 2), grid_jobs(2, 13, 5)), 1.0) is None


@pytest.mark.slow
def test_little_work_gives_a_valid_bound_and_the_same_answer_twice(fabrics: Make, grid_jobs: Make) -> None:
    task = _task(fabrics([6, 7, 5, 8, 6], 2), grid_jobs(2, 8, 4, 4))
    first, second = solve_sets(task, 1.0), solve_sets(task, 1.0)
    assert first is not None
    assert second is not None
    assert (first.cost, first.lower_bound) == (second.cost, second.lower_bound)
    assert 0 < first.lower_bound <= 1150 <= first.cost  # 1150 is proven with more work


@pytest.mark.slow
def test_a_stop_keeps_what_there_is(fabrics: Make, grid_jobs: Make) -> None:
    task = _task(fabrics([6, 7, 5, 8, 6], 2), grid_jobs(2, 8, 4, 4))
    found = solve_sets(task, 1e3, 0, Stop(look=lambda _: False))
    assert found is not None
    assert (found.cost, found.proven) == (task.cost(task.start), False)


@pytest.mark.slow
@pytest.mark.parametrize(("leaves", "per_pod"), [([6, 7, 5, 8, 6], 2), ([9, 7, 10, 6], 4), ([3, 5, 4, 6, 2, 7, 5], 4)])
def test_unequal_leaves_of_32_hosts_are_proven(leaves: list[int], per_pod: int, fabrics: Make, grid_jobs: Make) -> None:
    problem = RankProblem(fabrics(leaves, per_pod), grid_jobs(2, 8, 4, 4), objective="hop_bytes")
    found = solve_ranks(problem, RankParams(proposals=500, exact=ExactParams(work=30.0)))
    assert found.certificate["hop_bytes"].proven_optimal
