"""Fewest bytes x distance, proven: which group each block (the ranks of a host) goes to, as integers for exact solvers.

A flow costs its bytes times the distance of the lowest tier whose group holds both ends. That is the distance inside
the lowest group, which no placement changes, plus what each tier adds when the flow leaves a group of it. So what an
exact solver decides is only in which cell (the hosts of one kind in one group of the lowest tier) each block sits, and
what it pays is the flows cut at each tier.

Integers: bytes are divided by a unit and rounded down, so a bound on the integers is a bound on the bytes. A plan is
called optimal when its hop-bytes are within 1e-9 of the bound.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.steering.blocks import Blocks

TOTAL = 2**44  # units that all flows together are rounded to: an error below 1e-9 for ten thousand flows
MILLI = 1000  # distances that are not whole are rounded down to thousandths


@dataclass(frozen=True, eq=False)
class Level:
    """Groups of one tier.

    Parameters
    ----------
    group
        [cells] int64 group that holds each cell, numbered from 0.
    climb
        Distance that a flow adds when it leaves a group, in units of `ExactTask.distance_unit`.
    """

    group: IntArray
    climb: int

    @cached_property
    def count(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1


@dataclass(frozen=True, eq=False)
class ExactTask:
    """Put each block in a cell so that flows cut little.

    Parameters
    ----------
    kind
        [blocks] int64 kind of host that each block needs.
    ends
        [edges, 2] int64 blocks that talk, the lower first.
    size_bytes, weight
        [edges] float64 bytes both ways, and int64 the same in units of `byte_unit`, rounded down.
    cell_kind, room
        [cells] int64 kind and number of the hosts of each cell.
    host_cell
        [hosts] int64 cell of each host; block b starts on host b, hosts beyond the blocks are spare.
    """

    kind: IntArray
    ends: IntArray
    size_bytes: FloatArray
    weight: IntArray
    cell_kind: IntArray
    room: IntArray
    levels: tuple[Level, ...]
    host_cell: IntArray
    byte_unit: float
    distance_unit: float

    @property
    def blocks(self) -> int:
        """Number of blocks that hold ranks."""
        return len(self.kind)

    @property
    def start(self) -> IntArray:
        """[blocks] int64 cell of each block in the incumbent."""
        return self.host_cell[: self.blocks]

    def cost(self, cell: IntArray) -> int:
        """Integer cost of putting block b in cell[b]."""
        total = 0
        for level in self.levels:
            a, b = level.group[cell[self.ends]].T
            total += level.climb * int(self.weight[a != b].sum())
        return total

    def hop_bytes(self, cost: float) -> float:
        """Hop-bytes, above those inside the lowest groups, of an integer cost."""
        return cost * self.byte_unit * self.distance_unit

    def start_hop_bytes(self) -> float:
        """Hop-bytes, above those inside the lowest groups, of the incumbent; not rounded."""
        total = 0.0
        for level in self.levels:
            a, b = level.group[self.start[self.ends]].T
            total += level.climb * self.distance_unit * float(self.size_bytes[a != b].sum())
        return total

    def sizes(self, level: Level, group: int) -> range:
        """Numbers of blocks that a group may hold: what the others leave over, up to its hosts."""
        mine = int(self.room[level.group == group].sum())
        return range(max(0, self.blocks - (int(self.room.sum()) - mine)), min(mine, self.blocks) + 1)


@dataclass(frozen=True, eq=False)
class ExactResult:
    """What an exact solver found.

    Parameters
    ----------
    cell
        [blocks] int64 best placement met; the start where nothing was better.
    lower_bound
        Integer cost that no placement goes below.
    tolerance
        Relative error of a bound computed in floating point.
    """

    cell: IntArray
    cost: int
    lower_bound: float
    solver: str
    tolerance: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether no placement costs less."""
        return self.cost * (1 - self.tolerance) <= self.lower_bound


def exact_task(fabric: Fabric, blocks: Blocks, place: IntArray, kind: IntArray) -> ExactTask | None:
    """Task of a contracted job whose block b is on host place[b].

    None where the distance falls from a tier to the next, or an island is not inside one group: then what a flow costs
    is not a sum over the tiers it leaves.

    Parameters
    ----------
    place
        [blocks.count] int64 host of each block, spare hosts as empty blocks behind the others.
    kind
        [blocks.count] int64; blocks go only to hosts of the kind they start on.
    """
    labels, climbs = _nested(fabric, place)
    whole = all(float(c).is_integer() for c in climbs)
    steps = [int(c if whole else c * MILLI) for c in climbs]
    if any(step < 0 for step in steps) or not all(_inside(a, b) for a, b in itertools.pairwise(labels)):
        return None
    bottom = labels[0] if labels else np.zeros(len(place), np.int64)
    _, first, cell = np.unique(bottom * (int(kind.max()) + 1) + kind, return_index=True, return_inverse=True)
    levels = []
    for label, step in zip(labels, steps, strict=True):
        group = np.unique(label[first], return_inverse=True)[1].astype(np.int64)
        if step and group.max():
            levels.append(Level(group, step))
    low, high = np.minimum(blocks.src, blocks.dst), np.maximum(blocks.src, blocks.dst)
    pair, where = np.unique(low * blocks.count + high, return_inverse=True)
    size = np.bincount(where, blocks.bytes, len(pair)).astype(np.float64)
    weight, unit = _whole(size)
    return ExactTask(
        kind[: blocks.used],
        np.column_stack([pair // blocks.count, pair % blocks.count]),
        size,
        weight,
        kind[first],
        np.bincount(cell, minlength=len(first)).astype(np.int64),
        tuple(levels),
        cell.astype(np.int64),
        unit,
        1.0 if whole else 1 / MILLI,
    )


def _nested(fabric: Fabric, hosts: IntArray) -> tuple[list[IntArray], list[float]]:
    """Group of each host at each tier, closest first, and the distance that leaving it adds; islands are a tier too.

    A host without a group of some tier is by itself there, unless it shares one of a tier below.
    """
    alone = len(fabric.groups) + np.arange(len(hosts))
    labels, distance = [], []
    if fabric.islands:
        labels.append(np.unique(fabric.gpu_island[fabric.gpu_offset[hosts]], return_inverse=True)[1].astype(np.int64))
        distance.append(0.0)
    for tier, ancestors in zip(fabric.tiers, fabric.host_ancestor, strict=True):
        below = labels[-1] if labels else alone
        group = ancestors[hosts]
        labels.append(np.where(group >= 0, group, len(fabric.groups) + below))
        distance.append(tier.distance)
    return labels, [float(d) for d in np.diff([*distance, fabric.top_distance])]


def _inside(low: IntArray, high: IntArray) -> bool:
    """Whether hosts of one lower group are always of one higher group."""
    return len(np.unique(low)) == len(np.unique(np.column_stack([low, high]), axis=0))


def _whole(size: FloatArray) -> tuple[IntArray, float]:
    """Bytes as integers, rounded down, and the bytes of a unit; exact for whole bytes with a large common divisor."""
    if not len(size):
        return np.zeros(0, np.int64), 1.0
    if (size == np.floor(size)).all() and size.max() < 2**52:
        whole = size.astype(np.int64)
        common = int(np.gcd.reduce(whole))
        if whole.sum() // common <= TOTAL:
            return whole // common, float(common)
    unit = float(size.sum()) / TOTAL
    return np.floor(size / unit).astype(np.int64), unit
