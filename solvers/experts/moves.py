"""Change a previous placement little: single copies replaced and pairs swapped, worth the most for each slot moved.

A slot counts as moved when its GPU did not hold that expert before.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.carry import complete, keep_order, moved_slots, previous_rows, relabel
from topoplan.solvers.experts.changes import State, unfinished
from topoplan.solvers.experts.domain_repair import repair
from topoplan.solvers.experts.domains import check_room
from topoplan.solvers.experts.pack import duplicate_slots
from topoplan.solvers.experts.part import Part
from topoplan.solvers.experts.problem import ExpertParams, ExpertProblem

LEVELS = (0.003, 0.01, 0.02, 0.05)  # how far above the bound GPUs may stay: each is another way of spending moves
STEPS = 60  # most changes of a layer for each


@dataclass(frozen=True, eq=False)
class Option:
    """What a row could become."""

    moves: int
    balance: float
    expert: IntArray


def change_little(
    part: Part, fresh: IntArray, bound: FloatArray, problem: ExpertProblem, params: ExpertParams
) -> IntArray:
    """Improve the previous placement with as much as `max_moves` slots moved, the same share of them in every part.

    Parameters
    ----------
    fresh
        [rows, live, places] int64 a placement that owes nothing to the previous one, and may be what it comes to.
    bound
        [rows] float64 load over speed that no placement goes below.

    Returns
    -------
    expert
        [rows, live, places] int64; an expert that stays on its GPU stays in its slot.

    Raises
    ------
    InfeasibleError
        More slots have to move (GPUs or slots were lost) than may.
    """
    old = previous_rows(part, problem)
    zone = part.host if problem.groups else np.zeros(len(part.gpus), np.int64)
    alike = zone if problem.across is None else problem.across.domain[part.gpus]
    fresh = fresh[np.arange(len(fresh))[:, None], relabel(part, old, fresh, alike)]
    if problem.max_moves is None and params.move_price <= 0:
        return keep_order(old, fresh)
    start = complete(part, old)
    broken = _broken_groups(start, zone, problem)
    start[broken] = fresh[broken]
    rule = _rule(part, problem)
    if problem.across is not None:
        check_room(part.slots, rule[0], problem.experts, rule[1], problem.across.name)
        start = np.stack([repair(row, load, part.slots, *rule) for row, load in zip(start, part.load, strict=True)])
    options = _options(part, old, start, zone, bound, rule)
    moves, balance = moved_slots(old, fresh), _balance(part, fresh, bound)
    for k in np.flatnonzero(duplicate_slots(fresh) <= duplicate_slots(start)).tolist():
        options[k].append(Option(int(moves[k]), float(balance[k]), fresh[k]))
    every = int(problem.layer_slots.sum())
    most = every if problem.max_moves is None else problem.max_moves
    chosen = spend([_frontier(o) for o in options], most * len(part.layers) * int(part.slots.sum()) // every, params)
    return keep_order(old, np.stack([option.expert for option in chosen]))


def _broken_groups(start: IntArray, zone: IntArray, problem: ExpertProblem) -> IntArray:
    """Rows where a group is not whole in one zone, so that the previous placement is no start."""
    if not problem.groups:
        return np.empty(0, np.int64)
    size, rows = problem.experts // problem.groups, len(start)
    seen = np.zeros((rows, problem.groups, int(zone.max()) + 1), bool)
    r, g, s = np.nonzero(start >= 0)
    seen[r, start[r, g, s] // size, zone[g]] = True
    return np.flatnonzero((seen.sum(2) != 1).any(1))


def _balance(part: Part, expert: IntArray, bound: FloatArray) -> FloatArray:
    """[rows] bound over largest load, 1 at best."""
    state = State(part.load, expert, part.speed, np.zeros(len(part.gpus), np.int64), bound)
    return np.asarray(bound / state.time.max(1), np.float64)


def _rule(part: Part, problem: ExpertProblem) -> tuple[IntArray, int]:
    """[live] int64 failure domain of each GPU, and how many every expert must be in; 0 for no such rule."""
    if problem.across is None:
        return np.zeros(len(part.gpus), np.int64), 0
    return problem.across.domain[part.gpus], problem.across.least


def _options(
    part: Part, old: IntArray, start: IntArray, zone: IntArray, bound: FloatArray, rule: tuple[IntArray, int]
) -> list[list[Option]]:
    """What each row goes through as it is improved change by change, towards each level."""
    options: list[list[Option]] = [[] for _ in start]
    for level in LEVELS:
        expert, active = start.copy(), np.arange(len(start))
        for step in range(STEPS + 1):
            limit = bound[active] * (1 + level)
            state = State(part.load[active], expert[active], part.speed, zone, limit, *rule)
            if step or level == LEVELS[0]:
                moves = moved_slots(old[active], state.expert)
                for k, m, top in zip(active, moves, state.time.max(1), strict=True):
                    options[k].append(Option(int(m), float(bound[k] / top), expert[k].copy()))
            changed = _change(state) if step < STEPS else np.zeros(len(active), bool)
            expert[active] = state.expert
            active = active[changed]
            if not active.size:
                break
    return options


def _change(state: State) -> BoolArray:
    """Make the change of each row that gains most for each slot it moves; [rows] bool where there was one."""
    swap_gain, swap = state.best_swap()
    gain, place, name = state.best_replacement()
    swap_gain = swap_gain / 2  # two slots move
    useful = unfinished(state) & (np.maximum(swap_gain, gain) > 1e-9 * state.limit)
    swaps = useful & (swap_gain >= gain)
    state.swapped(np.flatnonzero(swaps), swap)
    state.replaced(np.flatnonzero(useful & ~swaps), place, name)
    return useful


def _frontier(options: list[Option]) -> list[Option]:
    """The options that are worth their moves: upper hull of balance over moves, fewest moves first."""
    hull: list[Option] = []
    for option in sorted(options, key=lambda o: (o.moves, -o.balance)):
        if hull and option.balance <= hull[-1].balance:
            continue
        while len(hull) > 1 and _rate(hull[-2], hull[-1]) <= _rate(hull[-2], option):
            hull.pop()
        hull.append(option)
    return hull


def _rate(before: Option, after: Option) -> float:
    """Balance gained for each slot moved."""
    return (after.balance - before.balance) / max(after.moves - before.moves, 1e-9)


def too_few_moves(needed: int, most: int) -> InfeasibleError:
    """The error that says so."""
    return InfeasibleError(
        f"{needed} slots have to move, because GPUs or slots were lost, but only {most} may", hint="allow more moves"
    )


def spend(frontiers: list[list[Option]], most: int, params: ExpertParams) -> list[Option]:
    """One option a row, with at most so many moves together: the steepest steps of all rows first.

    Raises
    ------
    InfeasibleError
        Even the fewest moves are too many.
    """
    at = [0] * len(frontiers)
    left = most - sum(frontier[0].moves for frontier in frontiers)
    if left < 0:
        raise too_few_moves(most - left, most)
    steps = [(-_rate(f[0], f[1]), k) for k, f in enumerate(frontiers) if len(f) > 1]
    heapq.heapify(steps)
    while steps:
        rate, k = heapq.heappop(steps)
        frontier, cost = frontiers[k], frontiers[k][at[k] + 1].moves - frontiers[k][at[k]].moves
        if -rate < params.move_price or cost > left:
            continue
        left, at[k] = left - cost, at[k] + 1
        if at[k] + 1 < len(frontier):
            heapq.heappush(steps, (-_rate(frontier[at[k]], frontier[at[k] + 1]), k))
    return [frontier[k] for frontier, k in zip(frontiers, at, strict=True)]
