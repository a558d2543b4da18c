"""Lower bounds that hold for every placement with the same ranks on a host, wherever the hosts are."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.plan import Bound
from topoplan.solvers.ranks.bounds.boundary import Graph, Profiles
from topoplan.solvers.ranks.compact.levels import levels_of
from topoplan.solvers.ranks.steering.blocks import Blocks

SPACE = "host-aligned: the same consecutive ranks share a host"


def hop_bytes_bound(fabric: Fabric, blocks: Blocks, hosts: IntArray) -> float:
    """No placement of the blocks on `hosts` ([hosts] int64) has fewer bytes x distance.

    Bytes x distance is the distance inside the closest groups times all bytes, plus, for each tier, what distance
    grows there times the bytes that leave the tier's groups. Those are half the sum of all groups' boundaries, and no
    group of n blocks has a smaller boundary than the profile of the block graph says.
    """
    if not len(blocks.src):
        return 0.0
    distance, levels = levels_of(fabric, hosts)
    sizes = [np.bincount(part) for part in levels]
    graph = Graph.of(blocks)
    limit = min(max((int(size.max()) for size in sizes if len(size) > 1), default=0), blocks.used)
    profile = Profiles(limit).of(graph) if limit else np.zeros(1)
    total = distance[0] * float(blocks.bytes.sum())
    for size, step in zip(sizes, np.diff(distance), strict=True):
        if len(size) > 1:
            total += float(step) * least_cut(profile, size, blocks.used)
    return total


def least_cut(profile: FloatArray, size: IntArray, used: int) -> float:
    """Least bytes between groups of at most `size` ([groups] int64) blocks that hold `used` blocks together."""
    size = np.minimum(size, used)
    if int(size.sum()) == used:
        return float(profile[size].sum() / 2)
    # spare hosts: each block brings at least its group's smallest boundary a block; the largest groups are filled first
    share = np.concatenate([[0.0], np.minimum.accumulate(profile[1:] / np.arange(1, len(profile)))])
    largest = np.sort(size)[::-1]
    taken = np.diff(np.minimum(np.cumsum(largest), used), prepend=0)
    return float((taken * share[largest]).sum() / 2)


def certificate(value: dict[str, float], bound: dict[str, float]) -> dict[str, Bound]:
    """Bounds of the objectives of a plan; a value at its bound (to rounding) is proven best."""
    result = {}
    for name, lower in bound.items():
        lowest = min(lower, value[name])
        if lower > value[name] * (1 + 1e-9):
            raise AssertionError(f"{name}: lower bound {lower} above the value {value[name]}: a defect of topoplan")
        result[name] = Bound(value[name], lowest, value[name] <= lowest * (1 + 1e-9), SPACE)
    return result


def exposed_bound_ms(floors_s: FloatArray, exposure: FloatArray) -> float:
    """Exposed ms if each axis took its floor ([axes] float64 seconds): NVLinks, NICs, latency, uplinks it must use."""
    return float(1e3 * (floors_s * exposure).sum())
