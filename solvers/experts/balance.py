"""Balance independent rows: copies, packing and swaps, tried again with other copies where a row is not finished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.pack import Packing, duplicate_slots, pack_in_rounds, separate_duplicates
from topoplan.solvers.experts.pairs import in_pairs, pair_up, shift_copies
from topoplan.solvers.experts.problem import ExpertParams
from topoplan.solvers.experts.refine import balance_by_swaps
from topoplan.solvers.experts.replicate import MOST_PARTITIONED, copy_plans, greedy_copies

SMALL_WORK = 3_000  # slots, over all rows and plans, up to which more plans than asked for cost next to nothing


def balance_rows(
    load: FloatArray, slots: IntArray, speed: FloatArray, goal: FloatArray, params: ExpertParams
) -> tuple[IntArray, FloatArray]:
    """Place copies of every expert of every row.

    Parameters
    ----------
    load
        [rows, experts] float64.
    slots, speed
        [gpus] int64 and float64, the same for all rows; a GPU has at least one slot.
    goal
        [rows] float64 load over speed of the largest GPU that would be best.

    Returns
    -------
    expert
        [rows, gpus, places] int64, -1 where a GPU has fewer slots than others.
    value
        [rows] float64 load over speed of the largest GPU.
    """
    state = _Best.start(len(load), len(slots), int(slots.max()))
    params = params.for_places(int(slots.max()))
    limit = goal * (1 + params.enough)
    if in_pairs(slots, speed):
        every = np.arange(len(load))
        shifted = shift_copies(load, len(slots))
        state.keep(every, *_pack(load, shifted, slots, speed, goal, params))
        expert, value = pair_up(load, shifted)
        state.keep(every, expert, value / speed[0])
        return state.expert, state.value
    few = slots.sum() - load.shape[1] <= MOST_PARTITIONED  # then the plans leave nothing out and are the better way
    first, *others = params.alphas
    for alphas in ([first],) if few and params.plans else ([first], others):
        todo = state.unfinished(limit)
        row = np.tile(todo, len(alphas))
        if row.size:
            copies = [greedy_copies(load[todo], int(slots.sum()), alpha, len(slots)) for alpha in alphas]
            state.keep(row, *_pack(load[row], np.concatenate(copies), slots, speed, goal[row], params))
    todo = state.unfinished(limit)
    if todo.size and params.plans:
        state.keep(*_try_plans(todo, load, slots, speed, goal, params))
    return state.expert, state.value


@dataclass(eq=False)
class _Best:
    """The best packing so far of each row: fewest duplicates first, then the lightest largest GPU."""

    expert: IntArray
    value: FloatArray
    twice: IntArray

    @classmethod
    def start(cls, rows: int, gpus: int, places: int) -> _Best:
        most = np.iinfo(np.int64).max
        return cls(np.full((rows, gpus, places), -1, np.int64), np.full(rows, np.inf), np.full(rows, most))

    def unfinished(self, limit: FloatArray) -> IntArray:
        return np.flatnonzero((self.value > limit) | (self.twice > 0))

    def keep(self, row: IntArray, expert: IntArray, value: FloatArray) -> None:
        """Take what is better; the same row may come several times, the best one is kept."""
        twice = duplicate_slots(expert)
        order = np.lexsort((-value, -twice, row))
        last = np.flatnonzero(np.diff(row[order], append=-1))
        best = order[last]
        now = row[best]
        better = (twice[best] < self.twice[now]) | ((twice[best] == self.twice[now]) & (value[best] < self.value[now]))
        now, best = now[better], best[better]
        self.expert[now], self.value[now], self.twice[now] = expert[best], value[best], twice[best]


def _pack(
    load: FloatArray, copies: IntArray, slots: IntArray, speed: FloatArray, goal: FloatArray, params: ExpertParams
) -> tuple[IntArray, FloatArray]:
    """[rows, gpus, places] int64 experts and [rows] float64 value of a packing with the given copies."""
    packing = pack_in_rounds(load / goal[:, None], copies, slots, speed)  # loads near 1: the work is in float32
    separate_duplicates(packing)
    balance_by_swaps(packing, np.full(len(load), 1 + params.tolerance), params.rounds, params.patience)
    return packing.expert, largest_time(load, copies, packing)


def _try_plans(
    todo: IntArray, load: FloatArray, slots: IntArray, speed: FloatArray, goal: FloatArray, params: ExpertParams
) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, experts and value of the most promising copy plans of each row, judged by their packing before swaps."""
    copies = copy_plans(load[todo], int(slots.sum()), len(slots))
    rows, plans, experts = copies.shape
    copies = copies.reshape(-1, experts)
    row = np.repeat(todo, plans)
    first = pack_in_rounds(load[row] / goal[row, None], copies, slots, speed)
    score = (first.total / first.speed).max(1).reshape(rows, plans)
    tries = max(params.plans, SMALL_WORK // (rows * int(slots.sum())))
    chosen = np.argsort(score, axis=1, kind="stable")[:, :tries] + np.arange(rows)[:, None] * plans
    chosen = chosen.ravel()
    row = row[chosen]
    return row, *_pack(load[row], copies[chosen], slots, speed, goal[row], params)


def largest_time(load: FloatArray, copies: IntArray, packing: Packing) -> FloatArray:
    """[rows] float64 load over speed of the largest GPU, even split, summed in full precision."""
    share = np.concatenate([load / copies, np.zeros((len(load), 1))], axis=1)  # last column: -1, no expert
    size = np.take_along_axis(share, packing.expert.reshape(len(load), -1), 1).reshape(packing.expert.shape)
    return np.asarray((size.sum(2) / packing.speed.astype(np.float64)).max(1), np.float64)
