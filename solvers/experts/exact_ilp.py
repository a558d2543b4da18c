"""The exact task of a layer as an integer linear program through PuLP: HiGHS, CBC, or another solver that is here."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from topoplan.solvers import ilp
from topoplan.solvers.experts.exact import ExactAnswer, ExactTask, Solver


def solver_of(name: str) -> Solver:
    """A function that solves a task by the solver that PuLP knows under a name, whatever its case.

    Raises
    ------
    InputError
        PuLP knows no such solver.
    SolverMissingError
        PuLP or the solver is not installed.
    """
    known = ilp.find_solver((name,), "CP-SAT, or what ")

    def solve(task: ExactTask, seconds: float) -> ExactAnswer:
        return _solve(task, known, seconds)

    return solve


def _solve(task: ExactTask, solver: str, seconds: float) -> ExactAnswer:
    model = _Model(ilp.load_pulp(), task)
    answer = ilp.run(solver, model.problem, seconds)
    if answer is None or not ilp.found(answer):
        return ExactAnswer(None, 0.0)
    held = np.array([[answer["values"][x.name] > 0.5 for x in row] for row in model.held])
    top = float(answer["values"][model.top.name]) * model.unit
    return ExactAnswer(held, top * (1 - ilp.TOLERANCE) if ilp.proven(answer) else 0.0)


class _Model:
    """Variables of the task; loads are in units of the mean GPU."""

    def __init__(self, pulp: ModuleType, task: ExactTask) -> None:
        self.pulp, self.task = pulp, task
        self.problem = pulp.LpProblem("experts", pulp.LpMinimize)
        self.unit = float(task.load.sum() / task.speed.sum())
        self.top = self._variable("top", None, pulp.LpContinuous)
        self.problem += self.top
        gpus = range(len(task.slots))
        self.held = [[self._binary(f"x_{e}_{g}") for g in gpus] for e in range(len(task.load))]
        brought = [(self._any_share if task.weighted else self._even_share)(e) for e in range(len(task.load))]
        for g in gpus:
            self.problem += pulp.lpSum(row[g] for row in self.held) == int(task.slots[g])
            self.problem += pulp.lpSum(row[g] for row in brought) <= float(task.speed[g]) * self.top
        for row in self.held:
            self.problem += pulp.lpSum(row) >= 1
        self._keep_groups()

    def _variable(self, name: str, high: float | None, kind: str) -> Any:
        return ilp.variable(self.problem, name, high, kind)

    def _binary(self, name: str) -> Any:
        return self._variable(name, 1, self.pulp.LpBinary)

    def _even_share(self, e: int) -> list[Any]:
        """[gpus] load that an expert brings to each GPU: load / copies where it is held."""
        lp_sum, load = self.pulp.lpSum, float(self.task.load[e]) / self.unit
        counts = range(1, self.task.most_copies + 1)
        chosen = {c: self._binary(f"y_{e}_{c}") for c in counts}
        self.problem += lp_sum(chosen.values()) == 1
        here = [{c: self._binary(f"z_{e}_{g}_{c}") for c in counts} for g in range(len(self.held[e]))]
        for z, x in zip(here, self.held[e], strict=True):
            self.problem += lp_sum(z.values()) == x
        for c in counts:
            self.problem += lp_sum(z[c] for z in here) == c * chosen[c]
        return [lp_sum(load / c * z[c] for c in counts) for z in here]

    def _any_share(self, e: int) -> list[Any]:
        """[gpus] load that an expert brings to each GPU: any part of it where it is held."""
        load = float(self.task.load[e]) / self.unit
        tokens = [self._variable(f"t_{e}_{g}", load, self.pulp.LpContinuous) for g in range(len(self.held[e]))]
        self.problem += self.pulp.lpSum(tokens) == load
        for t, x in zip(tokens, self.held[e], strict=True):
            self.problem += t <= load * x
        return tokens

    def _keep_groups(self) -> None:
        hosts = range(int(self.task.host.max()) + 1)
        on = [[self._binary(f"u_{k}_{h}") for h in hosts] for k in range(self.task.groups)]
        for row in on:
            self.problem += self.pulp.lpSum(row) == 1
        for e, row in enumerate(self.held if self.task.groups else []):
            for g, x in enumerate(row):
                self.problem += x <= on[self.task.group(e)][int(self.task.host[g])]
