"""Expert placement as an integer program, for small cases: a layer at a time, with a proof or a better bound.

Every expert has x[e, g] = 1 where GPU g holds it, at most once, and each GPU is full. Under even split an expert with c
copies (y[e, c] = 1) brings load / c to each GPU that holds it (z[e, g, c] = 1). With weights it brings any share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.dispatch import spread_tokens
from topoplan.solvers.experts.part import Part, from_map, parts_of, to_map
from topoplan.solvers.experts.place import assemble, place, token_weights
from topoplan.solvers.experts.problem import ExpertProblem

MOST_BINARIES = 20_000  # beyond this no solver has a chance; 64 experts on 8 GPUs with 8 copies more are 5,000


@dataclass(frozen=True, eq=False)
class ExactTask:
    """One layer.

    Parameters
    ----------
    load
        [experts] float64.
    slots, speed, host
        [gpus] int64, float64 and int64 (from 0).
    groups
        Consecutive groups that stay whole on a host; 0 for no rule.
    weighted
        Whether copies may get unequal shares.
    start
        [experts, gpus] bool of a placement to start from.
    """

    load: FloatArray
    slots: IntArray
    speed: FloatArray
    host: IntArray
    groups: int
    weighted: bool
    start: BoolArray

    @property
    def most_copies(self) -> int:
        """Copies an expert can have: one a GPU, and every other expert keeps a slot."""
        return min(len(self.slots), int(self.slots.sum()) - len(self.load) + 1)

    def group(self, e: int) -> int:
        """Group of an expert."""
        return e * self.groups // len(self.load)


@dataclass(frozen=True, eq=False)
class ExactAnswer:
    """Which GPUs hold each expert, [experts, gpus] bool or None, and what no placement goes below."""

    held: BoolArray | None
    lower_bound: float


Solver = Callable[[ExactTask, float], ExactAnswer]


def place_exact(problem: ExpertProblem, solver: str = "CP-SAT", work: float = 10.0) -> ExpertPlacement:
    """Place every layer by an exact solver, starting from the heuristic's placement.

    Parameters
    ----------
    problem
        Small, and without routes or a previous placement.
    solver
        CP-SAT, or any solver that PuLP knows, such as HiGHS or PULP_CBC_CMD.
    work
        For each layer: deterministic seconds of CP-SAT, wall-clock seconds of others.

    Returns
    -------
    placement
        Never worse than the heuristic's; proven best in the layers where `max_load` meets `lower_bound`.

    Raises
    ------
    InputError
        The problem is too large, or has what the models do not know.
    SolverMissingError
        The solver is not installed.
    """
    if problem.routes is not None or problem.previous is not None or problem.across is not None:
        raise InputError("exact placement knows no routing traces, previous placement or failure domains")
    solve, plain = _solver(solver), place(problem)
    assert plain.lower_bound is not None
    expert, bound = plain.physical_to_logical_map.copy(), plain.lower_bound.copy()
    for part in parts_of(problem):
        rows = from_map(part, expert, plain.slot_gpu)
        for k, layer in enumerate(part.layers.tolist()):
            answer = solve(_task(part, k, rows[k], problem), work)
            bound[layer] = max(bound[layer], answer.lower_bound)
            if answer.held is not None:
                rows[k] = _places(answer.held, part.places)
        to_map(part, rows, plain.slot_gpu, expert)
    found = assemble(problem, expert, bound, _weights(problem, expert) if problem.weighted else None)
    return _better(problem, plain, found, bound)


def _solver(name: str) -> Solver:
    if name.upper().replace("-", "") == "CPSAT":
        from topoplan.solvers.experts.exact_cpsat import solve_cpsat  # noqa: PLC0415 - OR-Tools is slow to load

        return solve_cpsat
    from topoplan.solvers.experts.exact_ilp import solver_of  # noqa: PLC0415 - only for those who ask for it

    return solver_of(name)


def _task(part: Part, k: int, row: IntArray, problem: ExpertProblem) -> ExactTask:
    start = np.zeros((problem.experts, len(part.gpus)), bool)
    gpu, place_of = np.nonzero(row >= 0)
    start[row[gpu, place_of], gpu] = True
    host = np.unique(part.host, return_inverse=True)[1].astype(np.int64)
    task = ExactTask(part.load[k], part.slots, part.speed, host, problem.groups, problem.weighted, start)
    binaries = start.size * (1 if problem.weighted else task.most_copies + 1)
    if binaries > MOST_BINARIES:
        raise InputError(
            f"layer {part.layers[k]}: {binaries} decisions are too many for an exact solver (at most {MOST_BINARIES})",
            hint="place without --exact, or one host's groups at a time",
        )
    if part.places > problem.experts or task.most_copies * problem.experts < part.slots.sum():
        raise InputError(f"layer {part.layers[k]}: a GPU would hold an expert twice, which the exact models leave out")
    return task


def _places(held: BoolArray, places: int) -> IntArray:
    """[gpus, places] int64 experts, -1 where a GPU has fewer, of [experts, gpus] bool."""
    rows = np.full((held.shape[1], places), EMPTY, np.int64)
    for gpu, column in enumerate(held.T):
        names = np.flatnonzero(column)
        rows[gpu, : len(names)] = names
    return rows


def _weights(problem: ExpertProblem, expert: IntArray) -> FloatArray:
    tokens = np.zeros(expert.shape)
    for part in parts_of(problem):
        rows = from_map(part, expert, problem.slot_gpu)
        to_map(part, spread_tokens(part.load, rows, part.speed, np.zeros(len(rows)), 0.0)[0], problem.slot_gpu, tokens)
    return token_weights(expert, tokens, problem)


def _better(
    problem: ExpertProblem, plain: ExpertPlacement, found: ExpertPlacement, bound: FloatArray
) -> ExpertPlacement:
    """The better of two placements, layer by layer."""
    assert plain.max_load is not None
    assert found.max_load is not None
    first = (plain.max_load <= found.max_load)[:, None]
    expert = np.where(first, plain.physical_to_logical_map, found.physical_to_logical_map)
    dispatch = None
    if plain.dispatch is not None and found.dispatch is not None:
        dispatch = np.where(first, plain.dispatch, found.dispatch)
    return assemble(problem, expert, np.minimum(bound, np.minimum(plain.max_load, found.max_load)), dispatch)
