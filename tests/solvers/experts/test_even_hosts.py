"""As many copies on each host that has any: the nearest copy then loads all alike. Loads are synthetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertParams, ExpertProblem, place
from topoplan.solvers.experts.apart import nearest_load
from topoplan.solvers.experts.balance import balance_rows
from topoplan.solvers.experts.bound import even_bound
from topoplan.solvers.experts.by_host import pack_by_host
from topoplan.solvers.experts.even_hosts import EVENLY, _least, balance_evenly, even_copies, even_counts, evenly
from topoplan.solvers.experts.pack import duplicate_slots

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]


def test_numbers_that_hosts_can_hold_alike() -> None:
    assert even_counts(4, 16).tolist() == [1, 2, 3, 4, 6, 8, 9, 12, 16]
    assert even_counts(1, 3).tolist() == [1, 2, 3]
    assert even_counts(3, 3).tolist() == [1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 12), st.integers(0, 20), st.integers(0, 2**31))
def test_copies_fill_the_slots_in_such_numbers(hosts: int, each: int, experts: int, extra: int, seed: int) -> None:
    gpus = hosts * each
    slots = experts + min(extra, (gpus - 1) * experts)
    load = np.random.default_rng(seed).lognormal(0, 2, (3, experts))
    ways = ((1.0, 0), (0.7, 5))
    copies = even_copies(load, slots, ways, np.arange(gpus).reshape(hosts, each))
    assert copies.shape == (3, 2, experts)
    assert (copies.sum(2) == slots).all()
    assert copies.min() >= 1
    assert copies.max() <= gpus
    if slots - experts < hosts:  # then no expert needs more copies than there are hosts
        assert np.isin(copies, even_counts(hosts, gpus)).all()


@pytest.mark.parametrize("kind", ["lognormal", "zipf", "hot", "uniform"])
def test_the_nearest_copy_gives_what_even_use_gives(loads: Loads, problem: Problems, kind: str) -> None:
    load, host = loads(kind), np.repeat(np.arange(4), 8)
    placement = place(problem(load, 32, 288, hosts=4))
    even = placement.gpu_load(load)
    assert evenly(placement.physical_to_logical_map, host[placement.slot_gpu], 256).all()
    for layer, p2l in enumerate(placement.physical_to_logical_map):
        assert nearest_load(p2l, placement.slot_gpu, load[layer], host) == pytest.approx(even[layer])
    assert placement.lower_bound is not None
    assert (even.max(1) / placement.lower_bound - 1).mean() < 1e-3  # and costs no balance


@st.composite
def small(draw: st.DrawFn) -> tuple[FloatArray, int, int, int]:
    """Loads [rows, experts], hosts, GPUs of each and slots of a GPU."""
    hosts, each, places = draw(st.integers(2, 3)), draw(st.integers(1, 3)), draw(st.integers(3, 5))
    experts = draw(st.integers(places, hosts * each * places))  # fewer have to be on a GPU twice
    tokens = st.lists(st.integers(0, 1000), min_size=experts, max_size=experts).filter(any)
    return np.array(draw(st.lists(tokens, min_size=1, max_size=3)), np.float64), hosts, each, places


@settings(max_examples=60, deadline=None)
@given(small())
def test_little_balance_is_given_up_for_it(case: tuple[FloatArray, int, int, int]) -> None:
    load, hosts, each, places = case
    gpus = hosts * each
    slots, speed = np.full(gpus, places), np.full(gpus, 2.0)
    goal = even_bound(load, gpus * places, speed)
    host = np.arange(gpus) % hosts
    by_host: IntArray = np.argsort(host, kind="stable").reshape(hosts, each)
    expert, value = balance_evenly(load, slots, speed, goal, by_host, ExpertParams())
    plain, reached = balance_rows(load, slots, speed, goal, ExpertParams())
    assert (duplicate_slots(expert) <= duplicate_slots(plain)).all()
    assert (value <= np.maximum(reached, goal) * (1 + EVENLY) * (1 + 1e-9)).all()
    at = np.repeat(np.arange(gpus), places)
    for row, tokens, largest in zip(expert.reshape(len(load), -1), load, value, strict=True):
        copies = np.bincount(row, minlength=len(tokens))
        assert copies.min() >= 1
        on = np.bincount(at, tokens[row] / copies[row], gpus)
        assert on.max() / 2 == pytest.approx(largest)
        if duplicate_slots(row.reshape(1, gpus, places))[0] == 0:
            assert _least(tokens[None], copies[None], places)[0] <= on.max() * (1 + 1e-9)
        if evenly(row[None], host[at], len(tokens))[0]:
            assert nearest_load(row, at, tokens, host) == pytest.approx(on)


def test_one_copy_a_host_is_enough_where_no_expert_needs_more(loads: Loads, problem: Problems) -> None:
    one = place(problem(loads("lognormal"), 32, 288, hosts=4)).copies.max(1) <= 4
    assert one.mean() > 0.8
    several = place(problem(loads("hot"), 32, 288, hosts=4)).copies  # one a host would be too heavy beside eight others
    assert several.max(1).min() > 4


def test_what_the_largest_gpu_cannot_go_below() -> None:
    load, copies = np.array([[6.0, 4.0, 2.0, 1.0, 1.0]]), np.array([[2, 1, 1, 1, 1]])
    # 4 3 3 2 1 1 on three GPUs of two: 4 + 1; (4 + 3 + 1 + 1) / 2; all / 3
    assert _least(load, copies, 2).tolist() == [5.0]
    assert _least(np.array([[8.0, 2.0, 2.0, 2.0, 2.0]]), copies, 2).tolist() == [6.0]


def test_hosts_that_differ_are_balanced_as_ever(loads: Loads) -> None:
    load = loads("lognormal", layers=2, experts=24)
    host, slots = np.repeat([0, 1], 4), np.array([4, 4, 5, 4, 4, 5, 4, 4])
    placement = place(ExpertProblem(load, 8, slots, host=host))
    anywhere = place(ExpertProblem(load, 8, slots))
    assert np.array_equal(placement.physical_to_logical_map, anywhere.physical_to_logical_map)


def test_what_is_even_over_hosts() -> None:
    host = np.array([0, 0, 1, 1])
    rows = np.array([[0, 1, 0, 2], [0, 0, 1, 2], [0, 0, 0, 1], [0, -1, 0, 1]])
    assert evenly(rows, host, 3).tolist() == [True, True, False, True]


def test_copies_that_do_not_fit_on_hosts_alike_are_left_out() -> None:
    hosts, copies = (
        np.arange(6).reshape(3, 2),
        np.array([[4, 2], [3, 3]]),
    )  # two slots a host: 2 2 0, then no room for 1 1
    row, packing = pack_by_host(np.ones((2, 2)), copies, 1, np.ones(6), hosts)
    assert row.tolist() == [1]
    assert np.sort(packing.expert.reshape(3, 2)).tolist() == [[0, 1]] * 3
    row, packing = pack_by_host(np.ones((1, 2)), copies[:1], 1, np.ones(6), hosts)
    assert row.size == 0
    assert packing.expert.shape == (0, 6, 1)
