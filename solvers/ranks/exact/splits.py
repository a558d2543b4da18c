"""Split a set of blocks among groups in the cheapest way, each group taking one of the sets that it may take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray

WIDTH = 64  # blocks that a mask holds


def masks(inside: BoolArray) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """[sets] uint64 a bit for each block inside; `inside` [sets, blocks], at most 64 blocks."""
    bits = np.left_shift(np.uint64(1), np.arange(inside.shape[1], dtype=np.uint64))
    return np.asarray((inside * bits).sum(1, dtype=np.uint64))


@dataclass(frozen=True, eq=False)
class Taker:
    """Equal groups, and the sets that each of them may take.

    Parameters
    ----------
    inside
        [sets, blocks] bool.
    cost
        [sets] int64.
    excess
        [sets] float64, not negative: what choosing the set takes from the room that a split has.
    count
        Groups.
    """

    inside: BoolArray
    cost: IntArray
    excess: FloatArray
    count: int


class Splitter:
    """Finds the cheapest splits among `takers`.

    Attributes
    ----------
    work
        Steps taken so far.
    """

    def __init__(self, takers: list[Taker]) -> None:
        self._empty = [bool((~t.inside.any(1)).any()) for t in takers]
        self._counts = [t.count for t in takers]
        self._by_block = [[self._holding(t, b) for b in range(t.inside.shape[1])] for t in takers]
        self.work = 0

    def best(self, whole: BoolArray, room: float) -> tuple[int, list[tuple[int, int]]] | None:
        """Least cost of splitting a set [blocks] bool, and the (taker, its set) pairs; None where nothing fits.

        Parameters
        ----------
        room
            What the excesses of the chosen sets may come to.
        """
        return self._split(int(masks(whole[None])[0]), tuple(self._counts), room)

    def _holding(self, taker: Taker, block: int) -> tuple[IntArray, np.ndarray, IntArray, FloatArray]:
        """Sets that hold a block, by rising excess: index, mask, cost, excess."""
        found = np.flatnonzero(taker.inside[:, block])
        found = found[np.argsort(taker.excess[found], kind="stable")]
        return found, masks(taker.inside[found]), taker.cost[found], taker.excess[found]

    def _split(self, rest: int, left: tuple[int, ...], room: float) -> tuple[int, list[tuple[int, int]]] | None:
        self.work += 1
        if not rest:
            return (0, []) if all(empty for empty, n in zip(self._empty, left, strict=True) if n) else None
        block = (rest & -rest).bit_length() - 1  # the group that takes the lowest block is decided first
        best: tuple[int, list[tuple[int, int]]] | None = None
        for i, n in enumerate(left):
            if not n:
                continue
            index, mask, cost, excess = self._by_block[i][block]
            fits = np.flatnonzero((mask & ~np.uint64(rest) == 0)[: np.searchsorted(excess, room, side="right")])
            fewer = (*left[:i], n - 1, *left[i + 1 :])
            for k in fits.tolist():
                found = self._split(rest & ~int(mask[k]), fewer, room - float(excess[k]))
                if found and (best is None or found[0] + int(cost[k]) < best[0]):
                    best = found[0] + int(cost[k]), [(i, int(index[k])), *found[1]]
        return best
