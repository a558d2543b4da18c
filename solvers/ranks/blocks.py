"""The job contracted to blocks: the ranks that share a host, and the flows between them, rail by rail alike.

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


@dataclass(frozen=True, eq=False)
class AxisArcs:
    """Flows of one axis between blocks.

    Parameters
    ----------
    src, dst
        [arcs] int64 blocks.
    pairs
        [arcs, classes] float64 queue pairs on each rail.
    steps
        [classes] int64 lattice steps of a queue pair of each class.
    step_bytes
        Bytes of a lattice step.
    index
        Of the axis in the traffic.
    """

    src: IntArray
    dst: IntArray
    pairs: FloatArray
    steps: IntArray
    step_bytes: float
    index: int


@dataclass(frozen=True, eq=False)
class Blocks:
    """Contracted job: arcs by axis, and all of them together with their bytes.

    Blocks from `used` to `count` are empty: spare hosts.
    """

    count: int
    used: int
    axes: tuple[AxisArcs, ...]
    src: IntArray
    dst: IntArray
    bytes: FloatArray


def contract(fabric: Fabric, traffic: Traffic, block: IntArray, count: int) -> Blocks:
    """Contract ranks to blocks; `block` [ranks] int64 names the block of each rank."""
    axes, everything = [], []
    for a, flows in enumerate(traffic.by_axis):
        src, dst = block[traffic.src[flows]], block[traffic.dst[flows]]
        cross = src != dst
        if not cross.any():
            continue
        src, dst, size = src[cross], dst[cross], traffic.bytes[flows][cross]
        everything.append((src * count + dst, size))
        cls, steps, step = classify(size / fabric.planes)
        if len(steps) > MAX_CLASSES:
            # one class of the mean square size: keeps mean and variance of a link's load
            step = float((size**2).sum() / size.sum()) / QUEUE_PAIRS / fabric.planes
            weight, steps, cls = (
                size / fabric.planes / QUEUE_PAIRS / step,
                np.ones(1, np.int64),
                np.zeros(len(size), np.int64),
            )
        else:
            weight = np.ones(len(size))
        live = cls >= 0
        key, where = np.unique(src[live] * count + dst[live], return_inverse=True)
        pairs = np.zeros((len(key), len(steps)))
        np.add.at(pairs, (where, cls[live]), QUEUE_PAIRS * weight[live] / fabric.rails)
        axes.append(AxisArcs(key // count, key % count, pairs, steps, step, a))
    keys = np.concatenate([k for k, _ in everything]) if everything else np.zeros(0, np.int64)
    sizes = np.concatenate([s for _, s in everything]) if everything else np.zeros(0)
    key, where = np.unique(keys, return_inverse=True)
    total = np.bincount(where, sizes, len(key)).astype(float)  # of nothing at all bincount makes integers
    return Blocks(count, int(block.max()) + 1, tuple(axes), key // count, key % count, total)
