"""Uneven slots, unequal speeds and dead GPUs through every mode of expert placement, and against exact solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.solvers.experts import Across, ExpertParams, ExpertProblem, Routes, place, place_at, trade_off
from topoplan.solvers.experts.domains import experts_lost
from topoplan.solvers.experts.exact import place_exact
from topoplan.solvers.experts.source_slots import source_slots


@st.composite
def uneven(draw: st.DrawFn, most_experts: int = 8) -> ExpertProblem:
    """Two layers with slots of their own on up to six GPUs of unequal speed, one of which may be dead."""
    hosts = draw(st.integers(2, 3))
    gpus = hosts * draw(st.integers(1, 2))
    experts = draw(st.integers(2, most_experts))
    load = np.array(
        draw(st.lists(st.lists(st.integers(1, 500), min_size=experts, max_size=experts), min_size=2, max_size=2)), float
    )
    dead = draw(st.sampled_from([(), (), (gpus - 1,)]))
    slots = np.array(draw(st.lists(st.lists(st.integers(1, 4), min_size=gpus, max_size=gpus), min_size=2, max_size=2)))
    for row in slots:
        row[0] += max(0, experts - int(row.sum()) + (int(row[-1]) if dead else 0))
    speed = np.array(draw(st.lists(st.sampled_from([1.0, 1.0, 1.25, 2.0]), min_size=gpus, max_size=gpus)))
    return ExpertProblem(load, gpus, slots, host=np.arange(gpus) % hosts, speed=speed, dead=dead)


def trace_of(problem: ExpertProblem, seed: int = 0) -> Routes:
    """Tokens that choose two experts by their loads."""
    rng = np.random.default_rng(seed)
    score = np.log(problem.load)[:, None] + rng.gumbel(size=(problem.layers, 80, problem.experts))
    return Routes(np.argsort(-score, -1)[..., :2], rng.random(80))


def check(problem: ExpertProblem, placement: ExpertPlacement) -> None:
    """Slots are filled unless only with doubles, all experts are there, and the loads and bounds are as said."""
    used = np.zeros((problem.layers, problem.gpus), np.int64)
    for layer, row in enumerate(placement.physical_to_logical_map):
        np.add.at(used[layer], placement.slot_gpu[row >= 0], 1)
    assert (used <= problem.layer_slots).all()
    assert (used >= np.minimum(problem.layer_slots, problem.experts)).all()
    assert placement.copies.min() >= 1
    for gpu in problem.dead:
        assert not placement.gpu_load(problem.load)[:, gpu].any()
    assert placement.max_load is not None
    assert placement.lower_bound is not None
    assert placement.max_load == pytest.approx((placement.gpu_load(problem.load) / problem.speed).max(1))
    assert (placement.lower_bound <= placement.max_load * (1 + 1e-9)).all()


@settings(max_examples=12, deadline=None)
@given(uneven(), st.integers(0, 2**31))
def test_every_mode_takes_uneven_slots_speeds_and_dead_gpus(problem: ExpertProblem, seed: int) -> None:
    even = place(problem)
    check(problem, even)
    weighted = place(replace(problem, weighted=True))
    check(problem, weighted)
    assert weighted.max_load is not None
    assert even.max_load is not None
    assert (weighted.max_load <= even.max_load * (1 + 1e-9)).all()
    soft = replace(problem, routes=trace_of(problem))
    traced = place(soft)
    check(problem, traced)
    drift = problem.load * np.random.default_rng(seed).lognormal(0, 0.4, problem.load.shape)
    for asked, old in ((problem, even), (soft, traced)):
        now = replace(asked, load=drift, previous=old, max_moves=3)
        new = place(now)
        check(now, new)
        assert (new.physical_to_logical_map != old.physical_to_logical_map).sum() <= 3
    for placement in (even, weighted, traced):
        host = np.unique(problem.host, return_inverse=True)[1]
        slot = source_slots(placement, problem.load, host)
        replace(placement, dispatch_slot=slot)  # checks that every slot holds the expert it is chosen for


@settings(max_examples=12, deadline=None)
@given(uneven(), st.integers(1, 2), st.booleans())
def test_failure_domains_hold_in_every_mode(problem: ExpertProblem, least: int, with_routes: bool) -> None:
    asked = replace(problem, across=Across(problem.host, least), routes=trace_of(problem) if with_routes else None)
    try:
        placement = place(asked)
    except InfeasibleError:
        return  # too few hosts or slots
    check(problem, placement)
    assert not experts_lost(placement, problem.host, least).any()
    again = place(replace(asked, previous=placement), ExpertParams(move_price=1e-3))
    check(problem, again)
    assert not experts_lost(again, problem.host, least).any()


def test_the_curve_can_be_asked_for_one_fare() -> None:
    load = np.random.default_rng(2).lognormal(0, 1, (2, 24)) * 100
    problem = ExpertProblem(load, 8, 32, host=np.repeat(np.arange(4), 2))
    asked = replace(problem, routes=trace_of(problem))
    for way in trade_off(asked):
        check(asked, way.placement)
        same = place_at(asked, way.fare)
        assert np.array_equal(same.physical_to_logical_map, way.placement.physical_to_logical_map)


RULES: list[dict[str, Any]] = [{}, {"weighted": True}, {"groups": 2}]


@settings(max_examples=5, deadline=None)
@given(uneven(6), st.sampled_from(RULES))
def test_nothing_beats_the_exact_solver_and_bounds_hold(problem: ExpertProblem, rule: dict[str, Any]) -> None:
    if problem.experts % 2 or problem.layer_slots.max() > problem.experts:
        return
    try:
        asked = replace(problem, **rule)
        plain = place(asked)
        best = place_exact(asked, work=2.0)
    except (InfeasibleError, InputError):
        return  # groups that do not fit, or a GPU that must hold an expert twice
    assert plain.max_load is not None
    assert plain.lower_bound is not None
    assert best.max_load is not None
    assert best.lower_bound is not None
    assert (best.max_load <= plain.max_load * (1 + 1e-9)).all()
    assert (plain.lower_bound <= best.max_load * (1 + 1e-9)).all()
    proven = best.lower_bound >= best.max_load * (1 - 1e-3)
    assert (plain.max_load[proven] >= best.lower_bound[proven] * (1 - 1e-9)).all()
