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

import numpy as np

from topoplan.model.fabric import BoolArray, Fabric, FloatArray, IntArray


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
        rails = fabric.rails
        inside = fabric.gpu_island[src] == fabric.gpu_island[dst]
        rail = fabric.gpu_rail[dst]
        in_port = fabric.gpu_host[dst] * rails + rail
        out_port = fabric.gpu_host[src] * rails + rail
        absent = fabric.port_bandwidth[out_port] == 0
        if absent.any():
            out_port = np.where(absent, out_port - rail + fabric.gpu_rail[src], out_port)
        return cls(fabric, inside, src, dst, out_port, in_port)

    @cached_property
    def climbs(self) -> tuple[tuple[int, IntArray, IntArray, IntArray], ...]:
        """Uplinks crossed, one item a plane and tier: tier, flow indices, uplink left by, uplink entered by.

        An uplink index is group * rails + rail; -1 where that end has no group of the tier.
        """
        return tuple(self._climbs())

    def _climbs(self) -> Iterator[tuple[int, IntArray, IntArray, IntArray]]:
        fabric, rails = self.fabric, self.fabric.rails
        outside = np.flatnonzero(~self.inside)
        out_port, in_port = self.out_port[outside], self.in_port[outside]
        for plane in range(fabric.planes if fabric.groups else 0):
            a, b = fabric.port_group[plane, out_port], fabric.port_group[plane, in_port]
            out_rail, in_rail = out_port % rails, in_port % rails
            # the rail switches of one leaf group only meet in the tier above
            turns = (a == b) & (out_rail != in_rail) & (fabric.group_rails[a] > 1)
            for tier in range(len(fabric.tiers)):
                ga, gb = fabric.group_ancestor[tier, a], fabric.group_ancestor[tier, b]
                here = np.flatnonzero((ga != gb) | (turns & (ga == a)))
                if len(here):
                    up, down = ga[here], gb[here]
                    yield (
                        tier,
                        outside[here],
                        np.where(up >= 0, up * rails + out_rail[here] * (fabric.group_rails[up] > 1), -1),
                        np.where(down >= 0, down * rails + in_rail[here] * (fabric.group_rails[down] > 1), -1),
                    )


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
    inside, outside = np.flatnonzero(routes.inside), np.flatnonzero(~routes.inside)
    scale_up = [np.bincount(end[inside], size_bytes[inside], fabric.gpus) for end in (routes.src, routes.dst)]
    ports = len(fabric.port_bandwidth)
    port = [np.bincount(end[outside], size_bytes[outside], ports) for end in (routes.out_port, routes.in_port)]
    uplink = np.zeros((2, len(fabric.uplink_links)))
    for _, flows, up, down in routes.climbs:
        share = size_bytes[flows] / fabric.planes
        for direction, index in enumerate((up, down)):
            known = index >= 0
            uplink[direction] += np.bincount(index[known], share[known], uplink.shape[1])
    return Loads(
        np.array(scale_up),
        pooled(fabric, np.array(port), fabric.port_bandwidth),
        pooled(fabric, uplink, fabric.uplink_links * fabric.uplink_link_bandwidth),
    )


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
