"""Placing on any host: balance against the bound and against EPLB's rules, odd sizes, bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts import ExpertProblem, place

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
Placer = Callable[..., float]
KINDS = ("lognormal", "zipf", "hot", "uniform")


def largest(placement: ExpertPlacement) -> FloatArray:
    assert placement.max_load is not None
    return placement.max_load


def gap(placement: ExpertPlacement) -> FloatArray:
    assert placement.lower_bound is not None
    return np.asarray(largest(placement) / placement.lower_bound - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_close_to_the_bound_and_no_layer_worse_than_eplb(
    loads: Loads, problem: Problems, eplb: Placer, kind: str, seed: int
) -> None:
    load = loads(kind, 8, seed=seed)
    placement = place(problem(load, 32, 288))
    assert gap(placement).mean() <= 0.001
    assert (largest(placement) <= np.array([eplb(row, 288, 32) for row in load])).all()
    assert placement.duplicates == 0
    assert placement.gpu_load(load).max(1) == pytest.approx(placement.max_load, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("gpus", "slots"), [(144, 288), (8, 288), (64, 320), (320, 320), (16, 272)])
def test_no_layer_worse_than_eplb_at_other_sizes(
    loads: Loads, problem: Problems, eplb: Placer, kind: str, gpus: int, slots: int
) -> None:
    load = loads(kind, 3, seed=5)
    placement = place(problem(load, gpus, slots))
    assert (largest(placement) <= np.array([eplb(row, slots, gpus) for row in load]) * (1 + 1e-9)).all()
    assert placement.duplicates == 0
    assert gap(placement).min() >= -1e-9


def test_one_slot_a_gpu_is_optimal(loads: Loads, problem: Problems) -> None:
    placement = place(problem(loads("lognormal"), 320, 320))
    assert gap(placement).max() == pytest.approx(0, abs=1e-9)


def test_slots_that_do_not_divide_are_spread_over_hosts(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 4)
    placement = place(problem(load, 32, 300, hosts=4))
    counts = np.bincount(placement.slot_gpu)
    assert sorted(set(counts.tolist())) == [9, 10]
    assert counts.reshape(4, 8).sum(1).tolist() == [75] * 4
    assert gap(placement).max() <= 0.001
    assert placement.duplicates == 0


def test_dead_gpus_hold_nothing_and_cost_balance_only(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 4)
    placement = place(problem(load, 32, 288, dead=(3, 17)))
    on = placement.gpu_load(load)
    assert not on[:, [3, 17]].any()
    assert placement.slots == 270
    assert gap(placement).max() <= 0.001
    assert placement.lower_bound == pytest.approx(load.sum(1) / 30)


def test_faster_gpus_take_more(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 4)
    speed = np.where(np.arange(32) < 16, 1.0, 1.5)
    placement = place(problem(load, 32, 288, speed=speed))
    time = placement.gpu_load(load) / speed
    assert time.max(1) == pytest.approx(placement.max_load, rel=1e-9)
    assert placement.lower_bound == pytest.approx(load.sum(1) / 40)
    assert gap(placement).max() <= 0.002
    assert placement.duplicates == 0


def test_layers_may_differ_in_slots(loads: Loads) -> None:
    load = loads("lognormal", 4)
    slots = np.full((4, 32), 9)
    slots[1:3] = 8
    placement = place(ExpertProblem(load=load, gpus=32, slots=slots))
    used = (placement.physical_to_logical_map >= 0).sum(1)
    assert used.tolist() == [288, 256, 256, 288]
    assert (placement.copies[1] == 1).all()
    assert placement.gpu_load(load).max(1) == pytest.approx(placement.max_load, rel=1e-9)


def test_an_expert_without_tokens_keeps_a_slot(problem: Problems) -> None:
    load = np.zeros((1, 16))
    load[0, 0] = 8.0
    placement = place(problem(load, 8, 24))
    assert placement.copies.min() == 1
    assert placement.max_load == pytest.approx([1.0])


def test_more_slots_than_places_for_different_experts(problem: Problems) -> None:
    placement = place(problem(np.array([[3.0, 1.0]]), 2, 8))
    assert placement.copies.tolist() == [[4, 4]]
    assert placement.max_load == pytest.approx([2.0])


def test_the_same_input_gives_the_same_map(loads: Loads, problem: Problems) -> None:
    load = loads("hot", 6, seed=3)
    first, second = (place(problem(load, 32, 288)).physical_to_logical_map for _ in range(2))
    assert (first == second).all()


def test_a_layer_does_not_depend_on_the_others(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", 6)
    assert (largest(place(problem(load, 32, 288)))[2:4] <= largest(place(problem(load[2:4], 32, 288))) * 1.001).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda load: load.__setitem__((2, 5), np.nan), "layer 2: the load of expert 5 is not a finite number"),
        (lambda load: load.__setitem__((1, 7), -1.0), "layer 1: the load of expert 7 is negative"),
        (lambda load: load.__setitem__(3, 0.0), "layer 3 has no tokens"),
    ],
)
def test_bad_loads_name_the_layer(
    loads: Loads, problem: Problems, change: Callable[[FloatArray], None], message: str
) -> None:
    load = loads("uniform", 4, 32)
    change(load)
    with pytest.raises(InputError, match=message):
        problem(load, 4, 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slots": 31}, "layer 0: 31 slots cannot hold 32 experts"),
        ({"slots": 40, "dead": (0, 1)}, "20 slots cannot hold 32 experts"),
        ({"slots": 40, "dead": (4,)}, "dead GPU 4"),
        ({"slots": [10, 10, 10]}, "slots have shape"),
        ({"slots": [20, 20, 20, -1]}, "negative"),
        ({"slots": 40, "speed": [1, 1, 1, 0]}, "speed"),
        ({"slots": 40, "host": [0, 0]}, "host"),
        ({"slots": 40, "groups": 5}, "5 groups"),
    ],
)
def test_bad_problems_say_what_is_wrong(loads: Loads, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExpertProblem(load=loads("uniform", 2, 32), gpus=4, **arguments)


@pytest.mark.parametrize("load", [np.ones(4), np.ones((2, 2, 4)), np.ones((0, 4)), "text"])
def test_a_load_must_be_a_table(load: Any) -> None:
    with pytest.raises(InputError, match="load"):
        ExpertProblem(load=load, gpus=2, slots=4)
