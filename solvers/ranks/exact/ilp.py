"""The exact task as an integer linear program, through PuLP: HiGHS, CBC, or a Gurobi or CPLEX that the user has."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers import ilp
from topoplan.solvers.ranks.exact.symmetry import orbit, twin_blocks, twin_cells
from topoplan.solvers.ranks.exact.task import ExactResult, ExactTask, Level

SOLVERS = ("HiGHS", "PULP_CBC_CMD", "COIN_CMD", "GUROBI", "GUROBI_CMD", "CPLEX_PY", "CPLEX_CMD")  # tried in this order
SPAN = 1e6  # largest coefficient: solvers in floating point keep about 1e-9 of it


def choose_solver(name: str | None = None) -> str:
    """PuLP's name of a solver that is here: `name`, or the first of SOLVERS.

    Raises
    ------
    InputError
        PuLP knows no such solver.
    SolverMissingError
        It is not installed.
    """
    return ilp.find_solver(SOLVERS if name is None else (name,))


def solve_ilp(
    task: ExactTask, seconds: float, solver: str | None = None, neck: Mapping[int, int] | None = None
) -> ExactResult:
    """Best placement and bound; `seconds` is wall-clock time, so that a result cut short may differ between runs.

    Parameters
    ----------
    neck
        Number of blocks -> weight that so many exchange with the others at least; speeds the proof up.

    Raises
    ------
    InputError, SolverMissingError
        As `choose_solver`.
    """
    pulp, name = ilp.load_pulp(), choose_solver(solver)
    start = task.cost(task.start)
    if not task.levels or not len(task.ends):
        return ExactResult(task.start, start, start, name)
    model = _Model(pulp, task, neck or {})
    answer = ilp.run(name, model.problem, seconds)
    if answer is None or not ilp.found(answer):
        return ExactResult(task.start, start, 0.0, name)
    cell = model.cells(answer["values"])
    cost = task.cost(cell)
    lower = cost * (1 - ilp.TOLERANCE) if ilp.proven(answer) else 0.0
    if cost < start:
        return ExactResult(cell, cost, lower, name, ilp.TOLERANCE)
    return ExactResult(task.start, start, lower, name, ilp.TOLERANCE)


class _Model:
    """Binaries for the cell of each block; continuous variables for the flows that each group cuts."""

    def __init__(self, pulp: ModuleType, task: ExactTask, neck: Mapping[int, int]) -> None:
        self.pulp, self.task, self.neck = pulp, task, neck
        self.problem = pulp.LpProblem("placement", pulp.LpMinimize)
        self.scale = SPAN / max(1, int(task.weight.max()) * max(level.climb for level in task.levels))
        cells = range(len(task.room))
        self.x = [[self._variable(f"x_{b}_{c}", pulp.LpBinary) for c in cells] for b in range(task.blocks)]
        self.problem += pulp.lpSum(self._level(i, level) for i, level in enumerate(task.levels))
        for b, row in enumerate(self.x):
            self.problem += pulp.lpSum(row) == 1
            for c in cells:
                if task.cell_kind[c] != task.kind[b]:
                    self.problem += row[c] == 0
        for c, room in enumerate(task.room.tolist()):
            self.problem += pulp.lpSum(row[c] for row in self.x) <= room
        self._break_symmetry()

    def _variable(self, name: str, kind: str) -> Any:
        return ilp.variable(self.problem, name, 1, kind)

    def _level(self, index: int, level: Level) -> Any:
        pulp, task = self.pulp, self.task
        cost = []
        for k in range(level.count):
            cells = np.flatnonzero(level.group == k).tolist()
            inside = [pulp.lpSum(row[c] for c in cells) for row in self.x]
            cut = []
            for e, (a, b) in enumerate(task.ends.tolist()):
                y = self._variable(f"cut_{index}_{k}_{e}", pulp.LpContinuous)
                self.problem += y >= inside[a] - inside[b]
                self.problem += y >= inside[b] - inside[a]
                cut.append(float(task.weight[e]) * self.scale * y)
            # a flow between two groups leaves one and enters the other
            cost.append(level.climb / 2 * pulp.lpSum(cut))
            self._keep_neck(level, k, pulp.lpSum(inside), pulp.lpSum(cut))
        return pulp.lpSum(cost)

    def _keep_neck(self, level: Level, k: int, held: Any, cut: Any) -> None:
        sizes = self.task.sizes(level, k)
        if len(sizes) == 1 and sizes[0] in self.neck:
            self.problem += cut >= self.neck[sizes[0]] * self.scale

    def _break_symmetry(self) -> None:
        task, x = self.task, self.x
        for earlier, later in twin_cells(task):
            for b, row in enumerate(x):
                self.problem += row[later] <= self.pulp.lpSum(x[a][earlier] for a in range(b))
        place = [self.pulp.lpSum(c * y for c, y in enumerate(row)) for row in x]
        for a, b in [*twin_blocks(task), *((0, b) for b in orbit(task))]:
            self.problem += place[a] <= place[b]

    def cells(self, values: Mapping[str, float]) -> IntArray:
        """[blocks] int64 cell of each block, by the values of the variables."""
        table = np.array([[values[y.name] for y in row] for row in self.x])
        return np.asarray(table.argmax(1), np.int64)
