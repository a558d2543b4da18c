"""Lower bounds that hold for every placement with the same ranks on a host, wherever the hosts are."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.plan import Bound
from topoplan.solvers.ranks.blocks import Blocks

SPACE = "host-aligned: the same consecutive ranks share a host"


def hop_bytes_bound(fabric: Fabric, blocks: Blocks, largest: list[int]) -> float:
    """No host-aligned placement has fewer bytes x distance.

    Each block reaches at most `largest[t] - 1` others inside one group of tier t; its heaviest neighbours are assumed
    to be the near ones, for every block at once.

    Parameters
    ----------
    largest
        Most usable hosts of any group of each tier, closest first.
    """
    distance = [tier.distance for tier in fabric.tiers] + [fabric.top_distance]
    if not len(blocks.src):
        return 0.0
    # bytes between a block and each neighbour, both directions, seen from the block
    key = np.concatenate([blocks.src * blocks.count + blocks.dst, blocks.dst * blocks.count + blocks.src])
    pair, where = np.unique(key, return_inverse=True)
    size = np.bincount(where, np.tile(blocks.bytes, 2), len(pair))
    owner = pair // blocks.count
    order = np.lexsort((-size, owner))
    owner, size = owner[order], size[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)  # 0 for the heaviest neighbour of each block
    tier = np.searchsorted(np.array([most - 1 for most in largest]), rank, side="right")
    return float((size * np.array(distance)[tier]).sum() / 2)


def certificate(value: dict[str, float], bound: dict[str, float]) -> dict[str, Bound]:
    """Bounds of the objectives of a plan; a value at its bound (to rounding) is proven best."""
    result = {}
    for name, lower in bound.items():
        lowest = min(lower, value[name])
        if lower > value[name] * (1 + 1e-9):
            raise AssertionError(f"{name}: lower bound {lower} above the value {value[name]}: a defect of topoplan")
        result[name] = Bound(value[name], lowest, value[name] <= lowest * (1 + 1e-9), SPACE)
    return result


def largest_groups(fabric: Fabric, hosts: IntArray) -> list[int]:
    """Most of `hosts` in any one group of each tier, closest first; all of them where a tier has no group."""
    most = []
    for ancestors in fabric.host_ancestor:
        group = ancestors[hosts]
        most.append(int(np.bincount(group[group >= 0]).max(initial=1)))
    return list(np.maximum.accumulate(most)) if most else []


def exposed_bound_ms(floors_s: FloatArray, exposure: FloatArray) -> float:
    """Exposed ms if no uplink ever slowed an axis: only its NVLinks and NICs."""
    return float(1e3 * (floors_s * exposure).sum())
