"""Balance independent rows: copies, packing and swaps, tried again with other copies where a row is not finished."""

from __future__ import annotations

from collections.abc import Callable
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
    state = Best.start(len(load), len(slots), int(slots.max()))
    params = params.for_places(int(slots.max()))
    limit = goal * (1 + params.enough)

    def start(size: FloatArray, copies: IntArray) -> tuple[IntArray, Packing]:
        return np.arange(len(size)), pack_in_rounds(size, copies, slots, speed)

    tries = Tries(load, goal, params, start)
    if in_pairs(slots, speed):
        every = np.arange(len(load))
        shifted = shift_copies(load, len(slots))
        state.keep(*tries.pack(every, shifted))
        expert, value = pair_up(load, shifted)
        state.keep(every, expert, value / speed[0])
        return state.expert, state.value
    few = slots.sum() - load.shape[1] <= MOST_PARTITIONED  # then the plans leave nothing out and are the better way
    first, *others = params.alphas
    for alphas in ((first,),) if few and params.plans else ((first,), others):
        todo = state.unfinished(limit)
        if todo.size and alphas:
            copies = [greedy_copies(load[todo], int(slots.sum()), alpha, len(slots)) for alpha in alphas]
            state.keep(*tries.pack(np.tile(todo, len(alphas)), np.concatenate(copies)))
    todo = state.unfinished(limit)
    if todo.size and params.plans:
        state.keep(*tries.pack_best(todo, copy_plans(load[todo], int(slots.sum()), len(slots))))
    return state.expert, state.value


@dataclass(eq=False)
class Best:
    """The best packing so far of each row: fewest duplicates first, then the lightest largest GPU."""

    expert: IntArray
    value: FloatArray
    twice: IntArray

    @classmethod
    def start(cls, rows: int, gpus: int, places: int) -> Best:
        """Nothing packed yet."""
        most = np.iinfo(np.int64).max
        return cls(np.full((rows, gpus, places), -1, np.int64), np.full(rows, np.inf), np.full(rows, most))

    def unfinished(self, limit: FloatArray) -> IntArray:
        """[n] int64 rows above their limit [rows] float64, or with an expert twice on a GPU."""
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


@dataclass(frozen=True, eq=False)
class Tries:
    """Packings of rows with given copies.

    Parameters
    ----------
    load, goal, params
        As for `balance_rows`.
    start
        Sizes and copies [n, experts] to the rows of these that can be packed, [m] int64, and their first packing.
    """

    load: FloatArray
    goal: FloatArray
    params: ExpertParams
    start: Callable[[FloatArray, IntArray], tuple[IntArray, Packing]]

    def pack(self, row: IntArray, copies: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Rows, experts [rows, gpus, places] int64 and value [rows] float64 of packings with copies [rows, experts]."""
        fits, packing = self.start(self._size(row), copies)
        row, copies = row[fits], copies[fits]
        separate_duplicates(packing)
        goal = np.full(len(row), 1 + self.params.tolerance)
        balance_by_swaps(packing, goal, self.params.rounds, self.params.patience)
        return row, packing.expert, largest_time(self.load[row], copies, packing)

    def pack_best(self, todo: IntArray, copies: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """As `pack`, of the most promising [rows, plans, experts] copies, judged by their packing before swaps."""
        rows, plans, experts = copies.shape
        copies, row = copies.reshape(-1, experts), np.repeat(todo, plans)
        fits, first = self.start(self._size(row), copies)
        score = np.full(len(row), np.inf)
        score[fits] = (first.total / first.speed).max(1)
        tries = max(self.params.plans, SMALL_WORK // (rows * max(1, int((first.expert[:1] >= 0).sum()))))
        chosen = np.argsort(score.reshape(rows, plans), axis=1, kind="stable")[:, :tries]
        chosen = (chosen + np.arange(rows)[:, None] * plans).ravel()
        return self.pack(row[chosen], copies[chosen])

    def _size(self, row: IntArray) -> FloatArray:
        """[n, experts] float64 loads near 1: the work is in float32."""
        return np.asarray(self.load[row] / self.goal[row, None], np.float64)


def largest_time(load: FloatArray, copies: IntArray, packing: Packing) -> FloatArray:
    """[rows] float64 load over speed of the largest GPU, even split, summed in full precision."""
    share = np.concatenate([load / copies, np.zeros((len(load), 1))], axis=1)  # last column: -1, no expert
    rows, gpus, places = packing.expert.shape
    size = np.take_along_axis(share, packing.expert.reshape(rows, gpus * places), 1).reshape(rows, gpus, places)
    return np.asarray((size.sum(2) / packing.speed.astype(np.float64)).max(1), np.float64)
