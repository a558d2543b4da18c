"""The exact task as a CP-SAT model.

What makes it quick are necks: the least that any set of c blocks exchanges with the rest, proven first by a small model
of its own. The necks of the groups together are nearly the whole bound, which relaxations of the plain model miss.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.exact.cpsat import Stop, cp_model, cp_solver
from topoplan.solvers.ranks.exact.symmetry import orbit, twin_blocks, twin_cells
from topoplan.solvers.ranks.exact.task import ExactResult, ExactTask, Level

NECK_SHARE = 0.25  # of the work for necks, at most
NAME = "CP-SAT"


def solve_cpsat(task: ExactTask, work: float, seed: int = 0, stop: Stop | None = None) -> ExactResult:
    """Best placement and bound within `work` units of deterministic time (about a second each).

    Raises
    ------
    SolverMissingError
        OR-Tools is not installed.
    """
    cp, stop = cp_model(), stop or Stop()
    start = task.cost(task.start)
    if not task.levels or not len(task.ends):
        return ExactResult(task.start, start, start, NAME)
    model = _Model(cp, task, necks(task, work * NECK_SHARE, seed, stop))
    solver = cp_solver(cp, work, seed)
    status = stop.run(solver, model.model, tell=True)
    if status is None:
        return ExactResult(task.start, start, 0.0, NAME)
    lower = float(np.ceil(min(solver.best_objective_bound, start) - 1e-6))
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return ExactResult(task.start, start, max(0.0, lower), NAME)
    cell = model.cells(solver)
    cost = task.cost(cell)
    return ExactResult(cell, cost, lower, NAME) if cost < start else ExactResult(task.start, start, lower, NAME)


def necks(task: ExactTask, work: float, seed: int = 0, stop: Stop | None = None) -> dict[int, int]:
    """Number of blocks c -> weight that any c blocks exchange with the others at least, for every size of group."""
    sizes = {min(c, task.blocks - c) for level in task.levels for k in range(level.count) for c in task.sizes(level, k)}
    cp, result = cp_model(), {0: 0}
    for c in sorted(sizes - {0}):
        result[c] = _neck(cp, task, c, cp_solver(cp, work / len(sizes), seed), stop or Stop())
    return {**result, **{task.blocks - c: weight for c, weight in result.items()}}


def _neck(cp: ModuleType, task: ExactTask, size: int, solver: Any, stop: Stop) -> int:
    model = cp.CpModel()
    inside = [model.new_bool_var("") for _ in range(task.blocks)]
    model.add(sum(inside) == size)
    cut = [_differs(model, inside[a], inside[b]) for a, b in task.ends.tolist()]
    model.minimize(sum(w * y for w, y in zip(task.weight.tolist(), cut, strict=True)))
    if stop.run(solver, model, tell=False) is None:
        return 0
    return max(0, int(np.ceil(solver.best_objective_bound - 1e-6)))


def _differs(model: Any, a: Any, b: Any) -> Any:
    """Variable that is 1 where booleans a and b differ."""
    y = model.new_bool_var("")
    model.add_bool_or([y, a, ~b])
    model.add_bool_or([y, ~a, b])
    model.add_bool_or([~y, a, b])
    model.add_bool_or([~y, ~a, ~b])
    return y


class _Model:
    """Variables of the task: which cell each block is in, which flows each group cuts."""

    def __init__(self, cp: ModuleType, task: ExactTask, neck: dict[int, int]) -> None:
        self.task, self.model, self.neck = task, cp.CpModel(), neck
        rooms = range(len(task.room))
        self.x = [[self.model.new_bool_var("") for _ in rooms] for _ in range(task.blocks)]
        for b, row in enumerate(self.x):
            self.model.add_exactly_one(row)
            for c in rooms:
                self.model.add_hint(row[c], int(task.start[b] == c))
                if task.cell_kind[c] != task.kind[b]:
                    self.model.add(row[c] == 0)
        for c, room in enumerate(task.room.tolist()):
            self.model.add(sum(row[c] for row in self.x) <= room)
        self.model.minimize(sum(self._level(level) for level in task.levels))
        self._break_symmetry()

    def _level(self, level: Level) -> Any:
        """Cost of the flows that leave groups of one tier."""
        task, model = self.task, self.model
        inside = [[self._inside(row, level.group, k) for k in range(level.count)] for row in self.x]
        leaving: list[list[Any]] = []
        weight = task.weight.tolist()
        for k in range(level.count):
            if k and level.count == 2:
                cut = leaving[0]  # what leaves one of two groups leaves the other
            else:
                cut = [_differs(model, inside[a][k], inside[b][k]) for a, b in task.ends.tolist()]
            leaving.append(cut)
            self._keep_neck(level, k, sum(row[k] for row in inside), sum(map(_times, weight, cut)))
        total = []
        for e, w in enumerate(weight):
            crosses = model.new_bool_var("")
            model.add(2 * crosses == sum(cut[e] for cut in leaving))
            total.append(level.climb * w * crosses)
        return sum(total)

    def _inside(self, row: list[Any], group: IntArray, k: int) -> Any:
        """Variable that is 1 where a block is in a cell of group k."""
        cells = np.flatnonzero(group == k).tolist()
        if len(cells) == 1:
            return row[cells[0]]
        inside = self.model.new_bool_var("")
        self.model.add(sum(row[c] for c in cells) == inside)
        return inside

    def _keep_neck(self, level: Level, k: int, held: Any, cut: Any) -> None:
        """What a group cuts is at least the neck of the number of blocks it holds."""
        sizes = self.task.sizes(level, k)
        chosen = {c: self.model.new_bool_var("") for c in sizes}
        self.model.add_exactly_one(chosen.values())
        self.model.add(sum(c * y for c, y in chosen.items()) == held)
        self.model.add(cut >= sum(self.neck[c] * y for c, y in chosen.items()))

    def _break_symmetry(self) -> None:
        task, model, x = self.task, self.model, self.x
        for earlier, later in twin_cells(task):
            for b, row in enumerate(x):
                model.add(row[later] <= sum(x[a][earlier] for a in range(b)))
        place = [sum(c * y for c, y in enumerate(row)) for row in x]
        for a, b in [*twin_blocks(task), *((0, b) for b in orbit(task))]:
            model.add(place[a] <= place[b])

    def cells(self, solver: Any) -> IntArray:
        """[blocks] int64 cell of each block in the solver's answer."""
        table = np.array([[solver.value(y) for y in row] for row in self.x], np.int64)
        return np.asarray(table.argmax(1), np.int64)


def _times(w: int, y: Any) -> Any:
    return w * y
