"""Exact models: two solvers agree, the heuristic never beats them, and their bounds hold."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InputError, SolverMissingError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.solvers import ilp
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.exact import place_exact

Loads = Callable[..., FloatArray]
RULES: dict[str, dict[str, Any]] = {
    "even": {"slots": 8},
    "weighted": {"slots": 9, "weighted": True},
    "groups": {"slots": 9, "groups": 2, "host": np.array([0, 0, 1])},
    "speeds": {"slots": 8, "speed": np.array([1.0, 1.0, 1.5])},
    "uneven": {"slots": np.array([4, 3, 1])},
}


def load_of(experts: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 1.2, experts)
    return rng.multinomial(10_000, share / share.sum(), size=1).astype(np.float64)


def value(placement: ExpertPlacement) -> float:
    assert placement.max_load is not None
    return float(placement.max_load[0])


def bound(placement: ExpertPlacement) -> float:
    assert placement.lower_bound is not None
    return float(placement.lower_bound[0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("solver", ["HiGHS", "PULP_CBC_CMD"])
def test_solvers_agree_and_the_heuristic_does_not_beat_them(rule: str, solver: str) -> None:
    problem = ExpertProblem(load=load_of(6, 3), gpus=3, **RULES[rule])
    first, second, plain = place_exact(problem), place_exact(problem, solver, 60), place(problem)
    assert value(first) == pytest.approx(value(second), rel=1e-4)
    for proven in (first, second):
        assert bound(proven) == pytest.approx(value(proven), rel=1e-4)
        assert bound(proven) <= value(proven) * (1 + 1e-9)
        assert value(plain) >= bound(proven) * (1 - 1e-9)
        assert proven.duplicates == 0


def brute(load: FloatArray, gpus: int, slots: int) -> float:
    """Least largest load over all ways of filling all GPUs alike, even split."""
    best, sets = np.inf, [np.array(s, bool) for s in product([0, 1], repeat=len(load)) if sum(s) == slots // gpus]
    for chosen in product(sets, repeat=gpus):
        held = np.array(chosen)
        if held.any(0).all():
            best = min(best, float((held * (load / held.sum(0))).sum(1).max()))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_the_proven_value_is_the_best_of_all(seed: int) -> None:
    load = load_of(5, seed)
    problem = ExpertProblem(load=load, gpus=3, slots=9)
    assert value(place_exact(problem)) == pytest.approx(brute(load[0], 3, 9))


def test_exact_may_improve_on_the_heuristic() -> None:
    gains = []
    for seed in range(4):
        problem = ExpertProblem(load=load_of(8, seed), gpus=3, slots=10)
        gains.append(value(place(problem)) / value(place_exact(problem)))
    assert min(gains) >= 1 - 1e-12
    assert max(gains) > 1


def test_a_search_cut_short_still_bounds(loads: Loads) -> None:
    problem = ExpertProblem(load=loads("zipf", 1, 32), gpus=8, slots=40)
    found, plain = place_exact(problem, work=0.05), place(problem)
    assert bound(plain) <= bound(found) <= value(found) <= value(plain)


def test_fractional_loads_and_layers_with_other_slots() -> None:
    load = np.vstack([load_of(6, 1), load_of(6, 2)]) / 7
    problem = ExpertProblem(load=load, gpus=3, slots=np.array([[2, 2, 2], [3, 3, 2]]))
    found = place_exact(problem)
    assert found.max_load is not None
    assert found.lower_bound == pytest.approx(found.max_load, rel=1e-6)
    assert (found.physical_to_logical_map[0] >= 0).sum() == 6


def test_what_the_models_leave_out_is_refused(loads: Loads) -> None:
    load = loads("uniform", 1, 256)
    with pytest.raises(InputError, match="decisions are too many"):
        place_exact(ExpertProblem(load=load, gpus=32, slots=288))
    with pytest.raises(InputError, match="an expert twice"):
        place_exact(ExpertProblem(load=load_of(4, 0), gpus=2, slots=10))
    problem = ExpertProblem(load=load_of(4, 0), gpus=2, slots=4)
    with pytest.raises(InputError, match="previous"):
        place_exact(replace(problem, previous=place(problem), max_moves=1))
    with pytest.raises(InputError, match="no ILP solver 'magic'"):
        place_exact(ExpertProblem(load=load_of(4, 0), gpus=2, slots=4), "magic")


@pytest.mark.parametrize(("solver", "module"), [("CP-SAT", "ortools"), ("HiGHS", "pulp")])
def test_a_missing_solver_is_named(monkeypatch: pytest.MonkeyPatch, solver: str, module: str) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == module:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SolverMissingError, match="is not installed"):
        place_exact(ExpertProblem(load=load_of(4, 0), gpus=2, slots=4), solver)


def test_a_solver_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ilp, "run", lambda *_: None)
    with pytest.raises(SolverMissingError, match="ILP solver HiGHS is not installed"):
        place_exact(ExpertProblem(load=load_of(4, 0), gpus=2, slots=4), "HiGHS")
