"""Cut the grid of a training job into compact pieces that fit unequal groups, tier by tier from the top.

Blocks stand on a grid: an axis for each parallelism above a host. A *band order* cuts some axes into bands and runs
through the bands like a snake, so that any consecutive stretch of blocks is a compact piece, and a stretch that spills
into the next band spills next to itself. Each group takes a stretch of its own size; inside the group the stretch is
cut again by the band order that suits the group's subgroups best. Which group takes which stretch is decided by local
search: sizes that do not divide by an expert group's want neighbours that make up for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.bounds.boundary import Graph

BANDS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32)  # numbers of bands tried on an axis
MAX_ORDERS = 150  # band orders tried for one group


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look for a cut.

    Parameters
    ----------
    searched
        Best band orders whose groups are rearranged.
    moves
        Rearrangements tried for each of them.
    seed
        Of the rearrangements.
    """

    searched: int = 3
    moves: int = 250
    seed: int = 0


QUICK = Effort(1, 60)


@dataclass(frozen=True, eq=False)
class Piece:
    """Some blocks, and the edges among them.

    Parameters
    ----------
    blocks
        [n] int64.
    u, v
        [edges] int64 index into `blocks`.
    weight
        [edges] float64.
    """

    blocks: IntArray
    u: IntArray
    v: IntArray
    weight: FloatArray

    @classmethod
    def whole(cls, graph: Graph) -> Piece:
        """All blocks of a graph."""
        return cls(np.arange(graph.count), graph.u, graph.v, graph.weight)

    def part(self, chosen: IntArray) -> Piece:
        """The piece of `chosen` indices into `blocks`."""
        place = np.full(len(self.blocks), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        u, v = place[self.u], place[self.v]
        inside = (u >= 0) & (v >= 0)
        return Piece(self.blocks[chosen], u[inside], v[inside], self.weight[inside])

    def cut(self, label: IntArray) -> float:
        """Weight of the edges between indices of different label."""
        return float(self.weight[label[self.u] != label[self.v]].sum())


def coordinates(sizes: list[int]) -> IntArray:
    """[axes, blocks] int64 place of each block on the grid, fastest axis first."""
    return np.indices(sizes[::-1]).reshape(len(sizes), -1)[::-1]


def band_orders(at: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Name and order ([n] int64 indices) of snakes through blocks at coordinates `at` [axes, n]."""
    at = at - at.min(1, keepdims=True)
    extent = at.max(1) + 1
    axes = [a for a in range(len(at)) if extent[a] > 1] or [0]
    count = 0
    for run, *fast in permutations(axes):
        for bands in product(*[[b for b in BANDS if b <= extent[a]] for a in fast]):
            count += 1
            if count > MAX_ORDERS:
                return
            high = [at[a] * b // extent[a] for a, b in zip(fast, bands, strict=True)]
            keys, turns = [], np.zeros(at.shape[1], np.int64)
            for digit in (*high, at[run], *(at[a] for a in fast)):
                keys.append(np.where(turns % 2, -digit, digit))
                turns = turns + digit
            yield f"{run}|{'.'.join(f'{a}/{b}' for a, b in zip(fast, bands, strict=True))}", np.lexsort(keys[::-1])


def fit(piece: Piece, at: IntArray, size: IntArray, cells: list[int], effort: Effort) -> IntArray:
    """[n] int64 group of each block of a piece at coordinates `at`, with little weight between the groups.

    Parameters
    ----------
    size
        [groups] int64 blocks that each group takes, n together.
    cells
        Lengths of stretches that had better stay whole: rings, expert groups.
    """
    found = []
    for i, (_, order) in enumerate(band_orders(at)):
        label = np.empty(len(order), np.int64)
        label[order] = np.repeat(np.arange(len(size)), size)
        found.append((piece.cut(label), i, order))
    found.sort(key=lambda item: item[:2])
    few = found[: effort.searched]
    return min((_arrange(piece, order, size, cells, effort) for _, _, order in few), key=piece.cut)


def _arrange(piece: Piece, order: IntArray, size: IntArray, cells: list[int], effort: Effort) -> IntArray:
    """Group of each block when groups take stretches of an order, after moving the stretches about.

    A group's stretch may come in two: whole cells (rings, expert groups), and what is left over, so that the
    left-overs of several groups share a cell.
    """
    best = np.repeat(np.arange(len(size)), size)[np.argsort(order)]
    for cell in (0, *cells):
        whole = size // cell * cell if cell else size
        stretches = [(g, int(n)) for g, n in enumerate(whole) if n]
        stretches += [(g, int(n)) for g, n in enumerate(size - whole) if n]
        if not cell or len(stretches) - len(size) > 0:
            best = min(best, _rearranged(piece, order, stretches, effort), key=piece.cut)
    return best


def _rearranged(piece: Piece, order: IntArray, stretches: list[tuple[int, int]], effort: Effort) -> IntArray:
    """Group of each block after local search over the sequence of stretches (group, blocks)."""
    group, size = np.array(stretches, np.int64).T

    def labels(turn: list[int]) -> IntArray:
        label = np.empty(len(order), np.int64)
        label[order] = np.repeat(group[turn], size[turn])
        return label

    sequence = list(range(len(stretches)))
    best = labels(sequence)
    value, rng = piece.cut(best), random.Random(effort.seed)  # noqa: S311 - a search, not a secret
    for _ in range(effort.moves if len(stretches) > 2 else len(stretches) - 1):
        i, j = rng.sample(range(len(stretches)), 2)
        other = list(sequence)
        if rng.random() < 0.5:
            other[i], other[j] = other[j], other[i]
        else:
            other.insert(j, other.pop(i))
        label = labels(other)
        if (cut := piece.cut(label)) <= value:
            value, best, sequence = cut, label, other
    return best


def cut_tree(graph: Graph, sizes: list[int], levels: list[IntArray], effort: Effort) -> IntArray:
    """[blocks] int64 slot of each block of a grid of `sizes`.

    Parameters
    ----------
    levels
        [slots] int64 part of each slot on each level, closest first; as many slots as blocks.
    """
    at = coordinates(sizes)
    cells = [int(n) for n in np.cumprod(sizes)[:-1]]
    slot = np.empty(graph.count, np.int64)

    def place(piece: Piece, slots: IntArray, level: int) -> None:
        if level < 0 or len(slots) == 1:
            slot[piece.blocks] = slots
            return
        groups, first, part = np.unique(levels[level][slots], return_index=True, return_inverse=True)
        if len(groups) == 1:
            place(piece, slots, level - 1)
            return
        # groups stand in the order of their first slots
        rank = np.argsort(np.argsort(first))[part]
        label = fit(piece, at[:, piece.blocks], np.bincount(rank), cells, effort)
        for k in range(len(groups)):
            place(piece.part(np.flatnonzero(label == k)), slots[rank == k], level - 1)

    place(Piece.whole(graph), np.arange(graph.count), len(levels) - 1)
    return slot
