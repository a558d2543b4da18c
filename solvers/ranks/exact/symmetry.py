"""Placements that are the same but for names: identical groups, identical blocks, rotations of the rank grid.

Every rule here keeps the lexicographically smallest of equal placements (cells read block by block), so all of them
may be used together.
"""

from __future__ import annotations

import itertools

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.exact.task import ExactTask


def twin_cells(task: ExactTask) -> list[tuple[int, int]]:
    """Pairs of cells (earlier, later) of equal room and kind that are in the same groups but for the lowest.

    Of such a pair the earlier one holds the block of lowest number.
    """
    if len(np.unique(task.cell_kind)) > 1:
        return []  # a group of several kinds is several cells, which would have to change places together
    upper = [level.group for level in task.levels if level.count < len(task.room)]
    key = np.column_stack([task.room, *upper])
    pairs = []
    for same in np.unique(key, axis=0):
        pairs += list(itertools.pairwise(np.flatnonzero((key == same).all(1)).tolist()))
    return pairs


def matrix(task: ExactTask) -> IntArray:
    """[blocks, blocks] int64 weight between any two blocks."""
    table = np.zeros((task.blocks, task.blocks), np.int64)
    table[task.ends[:, 0], task.ends[:, 1]] = task.weight
    table[task.ends[:, 1], task.ends[:, 0]] = task.weight
    return table


def twin_blocks(task: ExactTask) -> list[tuple[int, int]]:
    """Pairs of blocks (earlier, later) of one kind that talk alike to all others; the earlier has the lower cell."""
    table, pairs = matrix(task), []
    for b in range(task.blocks):
        for a in range(b - 1, -1, -1):
            others = np.ones(task.blocks, bool)
            others[[a, b]] = False
            if task.kind[a] == task.kind[b] and (table[a, others] == table[b, others]).all():
                pairs.append((a, b))
                break
    return pairs


def orbit(task: ExactTask) -> list[int]:
    """Blocks that block 0 can be mapped to by a symmetry of the job; block 0 is in the lowest cell of all of them.

    Tried are rotations and reflections of runs of blocks: those of rings in a grid of ranks.
    """
    table, n = matrix(task), task.blocks
    index = np.arange(n)
    found: set[int] = set()
    for run in (run for run in range(2, n + 1) if n % run == 0):
        base = index - index % run
        for shift in range(run):
            for sign in (1, -1):
                moved = base + (sign * index + shift) % run
                alike = (task.kind[moved] == task.kind).all() and (table[np.ix_(moved, moved)] == table).all()
                if alike:
                    found.add(int(moved[0]))
    return sorted(found - {0})
