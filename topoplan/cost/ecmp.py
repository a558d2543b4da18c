"""Bytes on every cable of a real graph under equal-cost multipath.

A switch splits what it forwards to a destination evenly over all cables that begin a path of fewest hops, as ECMP
does with many flows and InfiniBand with as many addresses. A cable less, or a slower one, therefore loads its
neighbours, which the sums over tiers cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topoplan.cost.routes import Routes
from topoplan.cost.switches import SwitchGraph
from topoplan.model.fabric import FloatArray, IntArray

if TYPE_CHECKING:
    from topoplan.cost.switches import Sparse


_AT_ONCE = 256  # targets whose distances are held at a time: 20 MB with 10,000 switches


@dataclass(frozen=True, eq=False)
class GraphLoads:
    """Bytes on the links of a graph.

    Parameters
    ----------
    bytes
        [2, links] float64 from end a to b, and from b to a.
    unreachable_bytes
        Bytes between ports that no path joins.
    """

    graph: SwitchGraph
    bytes: FloatArray
    unreachable_bytes: float

    @property
    def seconds(self) -> FloatArray:
        """[links] float64 time of the busier direction; infinite for bytes on a link without capacity."""
        busy = self.bytes.max(0, initial=0.0)
        capacity = self.graph.capacity
        seconds = np.zeros(len(busy))
        np.divide(busy, capacity, out=seconds, where=capacity > 0)
        seconds[(busy > 0) & (capacity <= 0)] = np.inf
        return seconds


def placement_loads(graph: SwitchGraph, routes: Routes, size_bytes: FloatArray) -> GraphLoads:
    """Loads of the flows of a placement, `size_bytes` [flows] float64; those inside an NVLink domain use no cable.

    Where GPUs use several rails together, each carries its share of a flow, by the bandwidth of the receiving NICs.
    """
    outside = np.flatnonzero(~routes.inside)
    out_port, in_port, size = routes.out_port[outside], routes.in_port[outside], size_bytes[outside]
    fabric, rails = routes.fabric, routes.fabric.rails
    alike = [np.flatnonzero(fabric.rail_bundle == bundle) for bundle in fabric.rail_bundle]
    width = max(map(len, alike))
    if width == 1:
        return port_loads(graph, out_port, in_port, size)
    member = np.array([np.resize(rail, width) for rail in alike])  # [rails, width], the first ones again where fewer
    fresh = np.array([np.arange(width) < len(rail) for rail in alike])
    out, into = (port[:, None] - port[:, None] % rails + member[port % rails] for port in (out_port, in_port))
    room = fabric.port_bandwidth[into] * fresh[in_port % rails] * (fabric.port_bandwidth[out] > 0)
    total = room.sum(1, keepdims=True)
    share = np.divide(room, total, out=np.zeros_like(room), where=total > 0) * size[:, None]
    return port_loads(graph, out.ravel(), into.ravel(), share.ravel())


def port_loads(graph: SwitchGraph, out_port: IntArray, in_port: IntArray, size_bytes: FloatArray) -> GraphLoads:
    """Loads of flows from port to port, [flows] each; planes share each flow evenly."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - slow to import

    planes = len(graph.port_switch)
    ports = graph.port_switch[0].shape[0]
    wanted: Sparse = csr_array((size_bytes / planes, (out_port, in_port)), shape=(ports, ports))
    demands = [(matrix.T @ wanted @ matrix).tocsr() for matrix in graph.port_switch]
    loads = switch_loads(graph, demands)
    homeless = sum(float(wanted.sum() - demand.sum()) for demand in demands)
    lost = homeless if homeless > 1e-9 * size_bytes.sum() else 0.0  # less is rounding
    return GraphLoads(graph, loads.bytes, loads.unreachable_bytes + lost)


def switch_loads(graph: SwitchGraph, demands: list[Sparse]) -> GraphLoads:
    """Loads of bytes from switch to switch: a [switches, switches] matrix for each plane."""
    total = np.zeros((2, len(graph.a)))
    lost = 0.0
    for plane, demand in enumerate(demands):
        links = graph.in_plane(plane)
        part, missing = _spread(graph, links, demand)
        total[:, links] += part
        lost += missing
    return GraphLoads(graph, total, lost)


def _spread(graph: SwitchGraph, links: IntArray, demand: Sparse) -> tuple[FloatArray, float]:
    """[2, links] bytes of `demand` on `links`, and the bytes that find no path."""
    from scipy.sparse import csr_array  # noqa: PLC0415
    from scipy.sparse.csgraph import shortest_path  # noqa: PLC0415

    tail = np.concatenate([graph.a[links], graph.b[links]])
    head = np.concatenate([graph.b[links], graph.a[links]])
    cables = np.tile(graph.count[links], 2)
    size = len(graph.names)
    columns = demand.tocsc()
    wanted = np.flatnonzero(np.diff(columns.indptr))
    if not len(wanted):
        return np.zeros((2, len(links))), 0.0
    joined = csr_array((np.ones(len(tail)), (tail, head)), shape=(size, size))
    load = np.zeros(len(tail))
    lost = 0.0
    for targets in np.split(wanted, range(_AT_ONCE, len(wanted), _AT_ONCE)):
        hops = shortest_path(joined, unweighted=True, indices=targets)
        for target, away in zip(targets.tolist(), hops, strict=True):
            waiting = columns[:, [target]].toarray().ravel()
            lost += float(waiting[~np.isfinite(away)].sum())
            waiting[~np.isfinite(away)] = 0
            _drain(away, waiting, tail, head, cables, load)
    return load.reshape(2, -1), lost


def _drain(
    away: FloatArray, waiting: FloatArray, tail: IntArray, head: IntArray, cables: FloatArray, load: FloatArray
) -> None:
    """Move the bytes `waiting` at each switch to the target, `away` hops off, farthest first; add to `load`."""
    farthest = int(away[waiting > 0].max(initial=0))
    for distance in range(farthest, 0, -1):
        onward = np.flatnonzero((away[tail] == distance) & (away[head] == distance - 1) & (waiting[tail] > 0))
        start = tail[onward]
        ways = np.bincount(start, cables[onward], len(away))
        moved = waiting[start] * cables[onward] / ways[start]
        load[onward] += moved
        waiting += np.bincount(head[onward], moved, len(away))
