"""What must hold for any loads, sizes and rules of expert placement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.solvers.experts import ExpertProblem, place


@st.composite
def problems(draw: st.DrawFn) -> ExpertProblem:
    hosts, layers = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    gpus = hosts * draw(st.integers(1, 4))
    groups = draw(st.sampled_from([0, 0, 1, 2, 4]))
    experts = max(groups, 1) * draw(st.integers(1, 5))
    tokens = st.lists(st.integers(0, 1000), min_size=experts, max_size=experts).filter(any)
    load = np.array(draw(st.lists(tokens, min_size=layers, max_size=layers)), np.float64)
    if draw(st.booleans()):
        slots: int | np.ndarray[tuple[int], np.dtype[np.int64]] = experts + draw(st.integers(0, 12))
    else:
        slots = np.array(draw(st.lists(st.integers(0, 6), min_size=gpus, max_size=gpus)))
        slots[0] += max(0, experts - int(slots.sum()))
    speed = np.array(draw(st.lists(st.sampled_from([1.0, 1.0, 1.5]), min_size=gpus, max_size=gpus)))
    return ExpertProblem(load=load, gpus=gpus, slots=slots, host=np.arange(gpus) % hosts, groups=groups, speed=speed)


def avoidable(problem: ExpertProblem, placement: ExpertPlacement) -> bool:
    """Whether the copies of some layer could sit without a duplicate (Gale and Ryser), yet do not."""
    for copies, slots, row in zip(
        placement.copies, problem.layer_slots, placement.physical_to_logical_map, strict=True
    ):
        room = np.sort(slots)[::-1].cumsum()
        fits = all(room[k - 1] <= np.minimum(copies, k).sum() for k in range(1, len(room) + 1))
        keys = (placement.slot_gpu * problem.experts + row)[row >= 0]
        if fits and len(set(keys.tolist())) < len(keys):
            return True
    return False


@settings(max_examples=100, deadline=None)
@given(problems())
def test_any_problem_is_placed_soundly(problem: ExpertProblem) -> None:
    try:
        placement = place(problem)
    except InfeasibleError:
        assert problem.groups  # whole groups may not fit; anything else does
        return
    assert placement.copies.min() >= 1
    used = np.zeros((problem.layers, problem.gpus), np.int64)
    for layer, row in enumerate(placement.physical_to_logical_map):
        np.add.at(used[layer], placement.slot_gpu[row >= 0], 1)
    assert (used == problem.layer_slots).all()
    time = (placement.gpu_load(problem.load) / problem.speed).max(1)
    assert placement.max_load == pytest.approx(time, rel=1e-9)
    assert placement.lower_bound is not None
    assert (placement.lower_bound <= time * (1 + 1e-9)).all()
    if problem.groups:
        size = problem.experts // problem.groups
        for row in placement.physical_to_logical_map:
            host = problem.host[placement.slot_gpu]
            on = {(int(e) // size, int(h)) for e, h in zip(row, host, strict=True) if e >= 0}
            assert len(on) == problem.groups
    else:
        assert not avoidable(problem, placement)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 20), st.integers(0, 2**31), st.booleans())
def test_moves_stay_within_the_budget(problem: ExpertProblem, most: int, seed: int, weighted: bool) -> None:
    try:
        old = place(problem)
    except InfeasibleError:
        return
    now = problem.load * np.random.default_rng(seed).lognormal(0, 0.5, problem.load.shape)
    again = replace(problem, load=now, previous=old, max_moves=most, weighted=weighted)
    new = place(again)
    changed = new.physical_to_logical_map != old.physical_to_logical_map
    assert changed.sum() <= most
    assert new.duplicates <= old.duplicates
    speed = problem.speed
    before = (old.gpu_load(now) / speed).max(1)
    assert new.max_load is not None
    assert (new.max_load <= before * (1 + 1e-9)).all()
