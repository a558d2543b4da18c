"""The job contracted to blocks: the ranks that share a host, and the flows between them, by rails that are alike.

Inside a placement that keeps blocks whole, NVLink and NIC loads do not depend on which host a block is on; only the
uplinks do. So a state is the group of the first tier that each block sits in, and its price needs only the number of
flows that leave and enter each group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.cost.hashing import classify
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic

MAX_CLASSES = 3  # sizes of flow told apart when steering; more are merged into one of equal mean square
MAX_RAIL_KINDS = 4  # kinds of rail told apart, such as those that a ring of ranks leaves a host by; more are averaged


@dataclass(frozen=True, eq=False)
class AxisArcs:
    """Flows of one axis between blocks, on those of its rails that carry the same.

    Parameters
    ----------
    src, dst
        [arcs] int64 blocks.
    pairs
        [arcs, classes] float64 queue pairs on each of the rails.
    steps
        [classes] int64 lattice steps of a queue pair of each class.
    step_bytes
        Bytes of a lattice step.
    index
        Of the axis in the traffic.
    rails
        How many rails these are.
    """

    src: IntArray
    dst: IntArray
    pairs: FloatArray
    steps: IntArray
    step_bytes: float
    index: int
    rails: int


@dataclass(frozen=True, eq=False)
class Blocks:
    """Contracted job: arcs by axis and kind of rail, and all of them together with their bytes.

    Blocks from `used` to `count` are empty: spare hosts.
    """

    count: int
    used: int
    axes: tuple[AxisArcs, ...]
    src: IntArray
    dst: IntArray
    bytes: FloatArray


def contract(fabric: Fabric, traffic: Traffic, block: IntArray, count: int, rail: IntArray | None = None) -> Blocks:
    """Contract ranks to blocks.

    Parameters
    ----------
    block
        [ranks] int64 block of each rank.
    count
        Number of blocks, empty ones too.
    rail
        [ranks] int64 rail by which each rank receives; None takes all rails alike.
    """
    axes: list[AxisArcs] = []
    everything = []
    # rails that share an uplink meet on the same links whatever they carry
    if any(group.rails == 1 and group.uplinks for group in fabric.groups):
        rail = None
    for a, flows in enumerate(traffic.by_axis):
        src, dst = block[traffic.src[flows]], block[traffic.dst[flows]]
        cross = src != dst
        if not cross.any():
            continue
        src, dst, size = src[cross], dst[cross], traffic.bytes[flows][cross]
        key = src * count + dst
        everything.append((key, size))
        ways = _on_average(fabric, key, size, a)
        if rail is not None and fabric.rails > 1:
            ways = _by_rail(fabric, key, size, a, rail[traffic.dst[flows][cross]]) or ways
        axes += [_arcs(way, count) for way in ways]
    keys = np.concatenate([k for k, _ in everything]) if everything else np.zeros(0, np.int64)
    sizes = np.concatenate([s for _, s in everything]) if everything else np.zeros(0)
    key, where = np.unique(keys, return_inverse=True)
    total = np.bincount(where, sizes, len(key)).astype(float)  # of nothing at all bincount makes integers
    return Blocks(count, int(block.max()) + 1, tuple(axes), key // count, key % count, total)


@dataclass(frozen=True, eq=False)
class _Way:
    """Queue pairs of an axis on some rails: `pairs` [keys, classes] by `key` [keys] = source block x count + other."""

    key: IntArray
    pairs: FloatArray
    steps: IntArray
    step_bytes: float
    index: int
    rails: int


def _arcs(way: _Way, count: int) -> AxisArcs:
    live = way.pairs.any(1)
    key = way.key[live]
    return AxisArcs(key // count, key % count, way.pairs[live], way.steps, way.step_bytes, way.index, way.rails)


def _classes(fabric: Fabric, size: FloatArray) -> tuple[IntArray, IntArray, float, FloatArray]:
    """Class of each flow (-1: too small to tell), steps of a class, bytes of a step, queue pairs / QUEUE_PAIRS."""
    cls, steps, step = classify(size / fabric.planes)
    if len(steps) <= MAX_CLASSES:
        return cls, steps, step, np.ones(len(size))
    # one class of the mean square size: keeps mean and variance of a link's load
    step = float((size**2).sum() / size.sum()) / QUEUE_PAIRS / fabric.planes
    weight = size / fabric.planes / QUEUE_PAIRS / step
    return np.zeros(len(size), np.int64), np.ones(1, np.int64), step, weight


def _on_average(fabric: Fabric, key: IntArray, size: FloatArray, axis: int) -> list[_Way]:
    """All rails alike: each carries its share of the queue pairs."""
    cls, steps, step, weight = _classes(fabric, size)
    live = cls >= 0
    keys, where = np.unique(key[live], return_inverse=True)
    pairs = np.zeros((len(keys), len(steps)))
    np.add.at(pairs, (where, cls[live]), QUEUE_PAIRS * weight[live] / fabric.rails)
    return [_Way(keys, pairs, steps, step, axis, fabric.rails)]


def _by_rail(fabric: Fabric, key: IntArray, size: FloatArray, axis: int, rail: IntArray) -> list[_Way]:
    """One way for each kind of rail, or none where there are too many kinds; `rail` [flows] int64."""
    cls, steps, step, weight = _classes(fabric, size)
    live = cls >= 0
    keys, where = np.unique(key[live], return_inverse=True)
    cell = (rail[live] * len(keys) + where) * len(steps) + cls[live]
    flat = np.bincount(cell, QUEUE_PAIRS * weight[live], fabric.rails * len(keys) * len(steps))
    table = flat.reshape(fabric.rails, len(keys), len(steps))
    first: list[int] = []  # of each kind of rail
    alike: list[int] = []
    for q in range(fabric.rails):
        same = [i for i, k in enumerate(first) if np.array_equal(table[k], table[q])]
        if same:
            alike[same[0]] += 1
        elif len(first) == MAX_RAIL_KINDS:
            return []
        else:
            first.append(q)
            alike.append(1)
    return [
        _Way(keys, table[q], steps, step, axis, count) for q, count in zip(first, alike, strict=True) if table[q].any()
    ]
