"""The tree of hosts as levels of ever larger parts: islands, leaves, pods ..."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from topoplan.model.fabric import Fabric, IntArray


def levels_of(fabric: Fabric, hosts: IntArray) -> tuple[list[float], list[IntArray]]:
    """Distances that never fall from tier to tier, and the part of each of `hosts` on each level below the last.

    Islands wider than hosts are a level of distance 0. Parts of a level are unions of those of the level below.
    """
    distance = [*(tier.distance for tier in fabric.tiers), fabric.top_distance]
    levels = []
    part = np.arange(len(hosts))
    if fabric.islands:
        distance = [0.0, *distance]
        island = fabric.gpu_island[fabric.gpu_offset[hosts]]
        part = np.unique(island, return_inverse=True)[1]
        levels.append(part)
    for ancestors in fabric.host_ancestor:
        part = _merged(part, ancestors[hosts])
        levels.append(part)
    # a user may give a higher tier a shorter distance; the least from each tier on is still below every pair's own
    return np.minimum.accumulate(distance[::-1])[::-1].tolist(), levels


def _merged(part: IntArray, group: IntArray) -> IntArray:
    """Finest partition in which hosts of one part, and hosts of one group (-1: of none), are together."""
    hosts = np.flatnonzero(group >= 0)
    parts = int(part.max()) + 1
    ends = (part[hosts], parts + group[hosts])
    vertices = parts + int(group.max(initial=-1)) + 1
    label = connected_components(coo_array((np.ones(len(hosts)), ends), (vertices, vertices)), directed=False)[1]
    return np.asarray(np.unique(label[part], return_inverse=True)[1], np.int64)
