"""Trunks that are not as their like: fewer cables than most, slower ones, none where most have some; and the mend.

A switch's level is its distance from the nearest switch with hosts. Trunks between the same two levels are alike; what
most of them have is usual.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.ecmp import GraphLoads
from topoplan.cost.switches import SwitchGraph
from topoplan.model.fabric import FloatArray

_MOST = 0.5  # assumed: what more than this share of the like switches have is meant for all


@dataclass(frozen=True, slots=True)
class Trunk:
    """What is wrong with the cables from a switch to one above it; `usual` is what most trunks have.

    `cables` is 0 where there are none, `bandwidth` that of the slowest cable in bytes/s.
    """

    low: int
    high: int
    cables: float
    usual: float
    bandwidth: float
    usual_bandwidth: float


@dataclass(frozen=True, eq=False)
class Trunks:
    """Irregular trunks of a graph, the switches that hang on one cable, and the graph as it should be."""

    irregular: tuple[Trunk, ...]
    single: tuple[int, ...]
    mended: SwitchGraph


def find_trunks(graph: SwitchGraph) -> Trunks:
    """Irregular trunks of a graph of real cables."""
    level = _levels(graph)
    cables: dict[tuple[int, int], float] = defaultdict(float)
    slowest: dict[tuple[int, int], float] = {}
    for a, b, count, bandwidth in zip(graph.a, graph.b, graph.count, graph.bandwidth, strict=True):
        low, high = sorted((int(a), int(b)), key=lambda s: (level[s], s))
        if level[high] == level[low] + 1 and count > 0:
            cables[low, high] += float(count)
            slowest[low, high] = min(float(bandwidth), slowest.get((low, high), np.inf))
    usual = _usual(cables, level)
    usual_speed = _usual(slowest, level)
    found = [
        Trunk(low, high, count, usual[level[low]], slowest[low, high], usual_speed[level[low]])
        for (low, high), count in cables.items()
        if count < usual[level[low]] or slowest[low, high] < usual_speed[level[low]]
    ]
    found += [
        Trunk(low, high, 0.0, usual[level[low]], 0.0, usual_speed[level[low]]) for low, high in _absent(cables, level)
    ]
    upward: Counter[int] = Counter()
    for (low, _), count in cables.items():
        upward[low] += round(count)
    single = tuple(sorted(low for low, count in upward.items() if count == 1))
    order = sorted(found, key=lambda trunk: (graph.names[trunk.low], graph.names[trunk.high]))
    return Trunks(tuple(order), single, _mended(graph, order))


def _levels(graph: SwitchGraph) -> list[int]:
    """Hops from the nearest switch with ports; those that none reaches are on no level (-9)."""
    neighbours: defaultdict[int, set[int]] = defaultdict(set)
    for a, b, count in zip(graph.a.tolist(), graph.b.tolist(), graph.count, strict=True):
        if count > 0:
            neighbours[a].add(b)
            neighbours[b].add(a)
    level = [-9] * len(graph.names)
    leaves: set[int] = set()
    for matrix in graph.port_switch:
        leaves |= set(np.flatnonzero(matrix.sum(0) > 0).tolist())
    here, height = leaves, 0
    while here:
        for switch in here:
            level[switch] = height
        here = {n for switch in here for n in neighbours[switch] if level[n] < 0}
        height += 1
    return level


def _usual(values: Mapping[tuple[int, int], float], level: list[int]) -> dict[int, float]:
    """The commonest value of the trunks that leave each level, the larger of two equally common."""
    counts: defaultdict[int, Counter[float]] = defaultdict(Counter)
    for (low, _), value in values.items():
        counts[level[low]][value] += 1
    return {height: max(count, key=lambda v: (count[v], v)) for height, count in counts.items()}


def _absent(cables: Mapping[tuple[int, int], float], level: list[int]) -> list[tuple[int, int]]:
    """Pairs without a cable where most switches that share a switch above with the lower one have one."""
    above: defaultdict[int, set[int]] = defaultdict(set)
    below: defaultdict[int, set[int]] = defaultdict(set)
    for low, high in cables:
        above[low].add(high)
        below[high].add(low)
    missing = []
    for low, reached in above.items():
        like = set().union(*(below[high] for high in reached))
        votes = Counter(high for other in like for high in above[other])
        missing += [(low, high) for high in votes.keys() - reached if votes[high] > _MOST * len(like)]
    return [(low, high) for low, high in sorted(missing) if level[high] == level[low] + 1]


def _mended(graph: SwitchGraph, trunks: list[Trunk]) -> SwitchGraph:
    """`graph` with each irregular trunk made usual."""
    by_pair = {frozenset((trunk.low, trunk.high)): trunk for trunk in trunks}
    keep = np.array([frozenset(pair) not in by_pair for pair in zip(graph.a.tolist(), graph.b.tolist(), strict=True)])
    keep = keep.astype(bool)  # an empty list makes floats
    plane_of = dict(zip(graph.a.tolist() + graph.b.tolist(), np.tile(graph.plane, 2).tolist(), strict=True))
    return replace(
        graph,
        a=np.concatenate([graph.a[keep], np.array([t.low for t in trunks], np.int64)]),
        b=np.concatenate([graph.b[keep], np.array([t.high for t in trunks], np.int64)]),
        count=np.concatenate([graph.count[keep], [max(t.usual, t.cables) for t in trunks]]),
        bandwidth=np.concatenate([graph.bandwidth[keep], [max(t.usual_bandwidth, t.bandwidth) for t in trunks]]),
        plane=np.concatenate([graph.plane[keep], np.array([plane_of[t.low] for t in trunks], np.int64)]),
    )


def switch_seconds(loads: GraphLoads) -> FloatArray:
    """[switches] float64 seconds of the slowest link at each switch."""
    seconds = np.zeros(len(loads.graph.names))
    for ends in (loads.graph.a, loads.graph.b):
        np.maximum.at(seconds, ends, loads.seconds)
    return seconds
