"""The links that each flow of a placement crosses.

Flows inside an NVLink domain use the GPU's scale-up link. All others leave and arrive on the rail of the receiving GPU
(NCCL's PXN: the sender hands its data over NVLink to the GPU on that rail), or leave on the sender's own rail where its
host has no NIC on that one. Above the leaves they climb to the lowest group that holds both ends.

A GPU with NICs on several rails spreads what it sends and receives over them by their bandwidth; ports and uplinks here
are those of its first NIC, and `pooled` shares out what they carry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from topoplan.model.fabric import BoolArray, Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic


class Climb(NamedTuple):
    """Flows that cross uplinks of a tier in a plane.

    Parameters
    ----------
    flows
        [crossing] int64 indices of flows.
    up, down
        [crossing] int64 uplink (group * rails + rail) by which each leaves a group and enters one; -1 where that end
        has no group of the tier.
    """

    plane: int
    tier: int
    flows: IntArray
    up: IntArray
    down: IntArray


@dataclass(frozen=True, eq=False)
class Routes:
    """Links of a set of flows.

    Parameters
    ----------
    inside
        [flows] bool: both ends share an NVLink domain; then no port is used.
    src, dst
        [flows] int64 global GPU of each end.
    out_port, in_port
        [flows] int64 port (host * rails + rail) by which a flow leaves and arrives.
    """

    fabric: Fabric
    inside: BoolArray
    src: IntArray
    dst: IntArray
    out_port: IntArray
    in_port: IntArray

    @classmethod
    def of(cls, fabric: Fabric, src: IntArray, dst: IntArray) -> Routes:
        """Routes of flows from global GPU `src` to `dst`, [flows] int64 each."""
        inside = fabric.gpu_island[src] == fabric.gpu_island[dst]
        in_port = fabric.gpu_port[dst]
        out_port = fabric.gpu_first_port[src] + fabric.gpu_rail[dst]
        if not fabric.port_bandwidth.all():
            out_port = np.where(fabric.port_bandwidth[out_port] == 0, fabric.gpu_port[src], out_port)
        return cls(fabric, inside, src, dst, out_port, in_port)

    @classmethod
    def of_axis(cls, fabric: Fabric, traffic: Traffic, gpu: IntArray, axis: int) -> Routes:
        """Routes of `traffic.flows[axis]` with rank r on global GPU gpu[r] ([ranks] int64)."""
        flows = traffic.flows[axis]
        return cls.of(fabric, gpu[flows.src], gpu[flows.dst])

    @cached_property
    def outside(self) -> IntArray:
        """Indices of the flows that leave their NVLink domain."""
        return np.flatnonzero(~self.inside)

    @cached_property
    def climbs(self) -> tuple[Climb, ...]:
        """Uplinks crossed, one item for each plane and tier where there are any."""
        return tuple(self._climbs())

    def _climbs(self) -> Iterator[Climb]:
        fabric = self.fabric
        out_port, in_port = self.out_port[self.outside], self.in_port[self.outside]
        turned = (self.out_port - self.in_port) % fabric.rails != 0
        turning = bool(turned[self.outside].any())
        for plane, uplinks in enumerate(fabric.port_uplink):
            left, out, into = self.outside, out_port, in_port  # flows whose ends have not met yet
            for tier, uplink in enumerate(uplinks):
                up, down = uplink[out], uplink[into]
                crosses = up != down
                if turning:
                    rows = np.flatnonzero(crosses & turned[left])
                    crosses[rows] = self._apart(plane, up[rows], down[rows], out[rows], into[rows])
                if crosses.any():
                    flows, *ends = _those(crosses, left, up, down)
                    yield Climb(plane, tier, flows, *ends)
                if (uplink < 0).any():
                    crosses |= up < 0
                left, out, into = _those(crosses, left, out, into)

    def _apart(self, plane: int, up: IntArray, down: IntArray, out: IntArray, into: IntArray) -> BoolArray:
        """Whether flows that change rails climb here: rail switches of one leaf group only meet in the tier above."""
        group, other, attached = up // self.fabric.rails, down // self.fabric.rails, self.fabric.port_group[plane]
        return np.asarray((group != other) | ((group == attached[out]) & (group == attached[into])))


def _those(kept: BoolArray, *arrays: IntArray) -> tuple[IntArray, ...]:
    """The entries of each array that are kept; the arrays themselves where all are."""
    if kept.all():
        return arrays
    index = np.flatnonzero(kept)
    return tuple(array[index] for array in arrays)


@dataclass(frozen=True, eq=False)
class Loads:
    """Bytes on every link, each direction.

    Parameters
    ----------
    scale_up
        [2, gpus] float64 bytes that leave and enter each GPU over NVLink.
    port
        [2, hosts * rails] float64 bytes that leave and enter each port.
    uplink
        [2, groups * rails] float64 bytes up and down each uplink.
    """

    scale_up: FloatArray
    port: FloatArray
    uplink: FloatArray


def link_loads(routes: Routes, size_bytes: FloatArray) -> Loads:
    """Loads of flows of `size_bytes` [flows] float64."""
    fabric = routes.fabric
    uplink = np.zeros((2, len(fabric.uplink_links)))
    each = size_bytes / fabric.planes if fabric.planes > 1 else size_bytes
    for climb in routes.climbs:
        share = each[climb.flows]
        for direction, index in enumerate((climb.up, climb.down)):
            uplink[direction] += count_known(index, share, uplink.shape[1])
    uplink = pooled(fabric, uplink, fabric.uplink_links * fabric.uplink_link_bandwidth)
    return Loads(*near_loads(routes, size_bytes), uplink)


def count_known(index: IntArray, weight: FloatArray | None, size: int) -> FloatArray:
    """[size] float64 sums of `weight` (None for 1 each) by index, indices below 0 left out."""
    if index.min(initial=0) < 0:
        known = np.flatnonzero(index >= 0)
        index, weight = index[known], None if weight is None else weight[known]
    return np.asarray(np.bincount(index, weight, size), np.float64)


def near_loads(routes: Routes, size_bytes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bytes on NVLinks [2, gpus] and ports [2, ports], as `Loads` has them."""
    fabric, inside, outside = routes.fabric, np.flatnonzero(routes.inside), routes.outside
    near, far, ports = size_bytes[inside], size_bytes[outside], len(fabric.port_bandwidth)
    scale_up = [np.bincount(end[inside], near, fabric.gpus) for end in (routes.src, routes.dst)]
    port = [np.bincount(end[outside], far, ports) for end in (routes.out_port, routes.in_port)]
    return np.array(scale_up), pooled(fabric, np.array(port), fabric.port_bandwidth)


def pooled(fabric: Fabric, load: FloatArray, capacity: FloatArray) -> FloatArray:
    """`load` of links, shared out by capacity among the rails that GPUs use together.

    Parameters
    ----------
    load
        [..., n * rails] float64 of ports or uplinks.
    capacity
        [n * rails] float64 of each of them; where a bundle has none its load stays.
    """
    bundle, rails = fabric.rail_bundle, fabric.rails
    if (bundle == np.arange(rails)).all() or not load.size:
        return load
    member = np.equal.outer(bundle, np.arange(rails)).astype(float)  # [rail, lowest rail of its bundle]
    parts, sizes = load.reshape(*load.shape[:-1], -1, rails), capacity.reshape(-1, rails)
    total, room = (parts @ member)[..., bundle], (sizes @ member)[:, bundle]
    share = np.divide(sizes, room, out=np.zeros_like(sizes), where=room > 0)
    return np.asarray(np.where(room > 0, total * share, parts).reshape(load.shape), float)
