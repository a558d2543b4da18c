"""Paths between devices of a PCI tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.model.host_type import numbered
from topoplan.topologies.hosts.near import Path


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a device hangs.

    Parameters
    ----------
    above
        Labels of what is above it, from the top: first `tops` that are not PCIe bridges (NUMA node, package, host
        bridge), then bridges.
    """

    above: tuple[str, ...]
    tops: int


def paths(gpus: Sequence[Spot], nics: Sequence[Spot]) -> tuple[IntArray, IntArray]:
    """[gpus, nics] int64 `Path` and hops of each pair: edges of the tree between them."""
    path = np.full((len(gpus), len(nics)), Path.SYS, np.int64)
    hops = np.zeros((len(gpus), len(nics)), np.int64)
    for g, gpu in enumerate(gpus):
        for n, nic in enumerate(nics):
            shared = _shared(gpu.above, nic.above)
            hops[g, n] = len(gpu.above) + len(nic.above) - 2 * shared + 2
            path[g, n] = _path(shared, gpu.tops, int(hops[g, n]))
    return path, hops


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """How many labels both begin with."""
    for n, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return n
    return min(len(a), len(b))


def _path(shared: int, tops: int, hops: int) -> Path:
    if shared > tops:
        return Path.PIX if hops == 2 else Path.PXB
    if not shared:
        return Path.SYS
    return Path.PHB if shared == tops else Path.NODE


def switches(gpus: Sequence[Spot]) -> tuple[int, ...]:
    """Number of the topmost PCIe bridge that each GPU shares with another, else of what is above all bridges."""
    label: dict[tuple[str, ...], int] = {}
    found = []
    for spot in gpus:
        bridge = spot.above[: spot.tops + 1]
        alike = sum(other.above[: spot.tops + 1] == bridge for other in gpus)
        key = bridge if alike > 1 else spot.above[: spot.tops]
        found.append(label.setdefault(key, len(label)))
    return numbered(found)
