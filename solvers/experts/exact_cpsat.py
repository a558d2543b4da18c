"""The exact task of a layer as a CP-SAT model, in whole numbers."""

from __future__ import annotations

import warnings
from math import gcd, lcm
from types import ModuleType
from typing import Any

import numpy as np

from topoplan.errors import SolverMissingError
from topoplan.model.fabric import IntArray
from topoplan.solvers.experts.exact import ExactAnswer, ExactTask

SPAN = 2**30  # loads that are no whole numbers are rounded down to this many steps
MILLI = 1000  # speeds are rounded up to thousandths


def _ortools() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # its compiled parts have no __module__, which newer Pythons speak of
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            from ortools.sat.python import cp_model  # noqa: PLC0415 - slow, and only for small cases
    except ImportError as error:
        raise SolverMissingError(
            "exact placement by CP-SAT needs OR-Tools, which is not installed", hint="pip install ortools"
        ) from error
    module: ModuleType = cp_model
    return module


def solve_cpsat(task: ExactTask, work: float) -> ExactAnswer:
    """Best placement within `work` units of deterministic time (about a second each), and a bound.

    Loads are rounded down and speeds up, so the bound holds for the loads as they are.

    Raises
    ------
    SolverMissingError
        OR-Tools is not installed.
    """
    cp = _ortools()
    model = _Model(cp, task)
    solver = cp.CpSolver()
    # one worker and deterministic time: the same answer on every run and machine
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model.model)
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return ExactAnswer(None, 0.0)
    held = np.array([[bool(solver.value(x)) for x in row] for row in model.held])
    steps = float(np.ceil(solver.best_objective_bound - 1e-6)) - model.rounding
    return ExactAnswer(held, steps * model.unit)


class _Model:
    """Variables of the task; the objective counts in `unit`, and may be `rounding` of them too high."""

    def __init__(self, cp: ModuleType, task: ExactTask) -> None:
        self.task, self.model = task, cp.CpModel()
        gpus = range(len(task.slots))
        self.held = [[self.model.new_bool_var("") for _ in gpus] for _ in task.load]
        parts = 1 if task.weighted else lcm(*range(1, task.most_copies + 1))
        step, load = _steps(task)
        brought = self._any_share(load) if task.weighted else self._even_share(load, parts)
        speed = np.ceil(task.speed * MILLI - 1e-9).astype(np.int64).tolist()
        common = gcd(*speed, MILLI)
        self.unit = step / parts
        # a share of tokens, or tokens over speed, need be no whole number of steps
        self.rounding = int(task.weighted or any(s != MILLI for s in speed))
        top = self.model.new_int_var(0, int(load.sum()) * parts, "")
        for g in gpus:
            self.model.add(sum(row[g] for row in self.held) == int(task.slots[g]))
            self.model.add(sum(row[g] for row in brought) * (MILLI // common) <= top * (speed[g] // common))
        for e, row in enumerate(self.held):
            self.model.add_bool_or(row)
            for g in gpus:
                self.model.add_hint(row[g], int(task.start[e, g]))
        self._keep_groups()
        self.model.minimize(top)

    def _even_share(self, load: IntArray, parts: int) -> list[list[Any]]:
        """[experts][gpus] load that an expert brings to a GPU: load / copies where it is held."""
        model, brought = self.model, []
        for e, row in enumerate(self.held):
            counts = range(1, self.task.most_copies + 1)
            chosen = {c: model.new_bool_var("") for c in counts}
            model.add_exactly_one(chosen.values())
            here = [{c: model.new_bool_var("") for c in counts} for _ in row]
            for g, x in enumerate(row):
                model.add(sum(here[g].values()) == x)
            for c in counts:
                model.add(sum(z[c] for z in here) == c * chosen[c])
            brought.append([sum(int(load[e]) * (parts // c) * z[c] for c in counts) for z in here])
        return brought

    def _any_share(self, load: IntArray) -> list[list[Any]]:
        """[experts][gpus] load that an expert brings to a GPU: any part of it where it is held."""
        model, brought = self.model, []
        for e, row in enumerate(self.held):
            tokens = [model.new_int_var(0, int(load[e]), "") for _ in row]
            model.add(sum(tokens) == int(load[e]))
            for t, x in zip(tokens, row, strict=True):
                model.add(t <= int(load[e]) * x)
            brought.append(tokens)
        return brought

    def _keep_groups(self) -> None:
        task, model = self.task, self.model
        hosts = range(int(task.host.max()) + 1)
        on = [[model.new_bool_var("") for _ in hosts] for _ in range(task.groups)]
        for row in on:
            model.add_exactly_one(row)
        for e, row in enumerate(self.held if task.groups else []):
            for g, x in enumerate(row):
                model.add_implication(x, on[task.group(e)][int(task.host[g])])


def _steps(task: ExactTask) -> tuple[float, IntArray]:
    """Size of a step, and loads in whole steps, rounded down."""
    whole = bool((task.load == np.floor(task.load)).all()) and float(task.load.max()) < SPAN
    step = 1.0 if whole and not task.weighted else float(task.load.max()) / SPAN
    return step, np.floor(task.load / step + 1e-9).astype(np.int64)
