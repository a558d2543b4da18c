"""Phases of a collective: which links carry how many bytes, in how many sequential rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from topoplan.cost.routes import Loads, Routes, link_loads
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.patterns import Flows


class Phase(Protocol):
    """Part of a collective."""

    @property
    def traffic(self) -> str:
        """Class of traffic, of `topoplan.cost.collectives.rates`."""
        ...

    @property
    def rounds(self) -> tuple[int, int]:
        """Sequential steps over links inside NVLink domains, and over links between them."""
        ...

    def loads(self, fabric: Fabric, gpu: IntArray) -> Loads:
        """Bytes on every link with rank r on global GPU gpu[r] ([ranks] int64)."""
        ...


@dataclass(frozen=True, eq=False)
class Sends:
    """Ranks send to ranks.

    Parameters
    ----------
    flows
        Bytes from rank to rank over the whole phase.
    own_rail
        Senders use their own NIC, also to a receiver on another rail (no PXN); that takes for ever where no switch
        joins the rails.
    """

    flows: Flows
    traffic: str
    rounds: tuple[int, int]
    own_rail: bool = False

    def loads(self, fabric: Fabric, gpu: IntArray) -> Loads:
        """Bytes on every link."""
        src, dst = gpu[self.flows.src], gpu[self.flows.dst]
        routes = Routes.of(fabric, src, dst)
        if self.own_rail:
            own = fabric.gpu_host[src] * fabric.rails + fabric.gpu_rail[src]
            routes = Routes(fabric, routes.inside, src, dst, own, routes.in_port)
            turned = own[~routes.inside & ((own - routes.in_port) % fabric.rails != 0) & (self.flows.bytes > 0)]
            loads = link_loads(routes, self.flows.bytes)
            if len(turned) and not rails_meet(fabric):
                loads.port[0, turned] = np.inf
            return loads
        return link_loads(routes, self.flows.bytes)


@dataclass(frozen=True, eq=False)
class HandsOver:
    """Senders hand over to the GPU of their host that sits on the receiver's rail (PXN), over NVLink.

    Parameters
    ----------
    flows
        Bytes from rank to rank; only those that leave a domain on another rail than the sender's count.
    """

    flows: Flows
    traffic: str
    rounds: tuple[int, int]

    def loads(self, fabric: Fabric, gpu: IntArray) -> Loads:
        """Bytes on the NVLinks of senders, and of the GPUs that they hand over to."""
        src, dst = gpu[self.flows.src], gpu[self.flows.dst]
        routes = Routes.of(fabric, src, dst)
        via = self._rail_gpu(fabric)[routes.out_port]
        moved = np.flatnonzero(~routes.inside & (via >= 0) & (fabric.gpu_rail[src] != routes.out_port % fabric.rails))
        loads = empty(fabric)
        for way, end in enumerate((src[moved], via[moved])):
            loads.scale_up[way] += np.bincount(end, self.flows.bytes[moved], fabric.gpus)
        return loads

    @staticmethod
    def _rail_gpu(fabric: Fabric) -> IntArray:
        """[hosts * rails] int64 first GPU beside each port, -1 without one."""
        table = np.full(len(fabric.port_bandwidth), -1, np.int64)
        gpus = np.arange(fabric.gpus)[::-1]
        table[fabric.gpu_host[gpus] * fabric.rails + fabric.gpu_rail[gpus]] = gpus
        return table


@dataclass(frozen=True, eq=False)
class Multicast:
    """NVLink switches reduce and multicast: what ranks put on their own NVLink and take from it.

    Parameters
    ----------
    ranks
        [ranks] int64.
    out_bytes, in_bytes
        Bytes that each of them sends and receives.
    """

    ranks: IntArray
    out_bytes: float
    in_bytes: float
    traffic: str
    rounds: tuple[int, int]

    def loads(self, fabric: Fabric, gpu: IntArray) -> Loads:
        """Bytes on the NVLinks of the ranks."""
        loads = empty(fabric)
        for way, size_bytes in enumerate((self.out_bytes, self.in_bytes)):
            np.add.at(loads.scale_up[way], gpu[self.ranks], size_bytes)
        return loads


@dataclass(frozen=True, eq=False)
class InNetwork:
    """Switches of the network reduce (SHARP): each rank sends its share up once and gets the result once.

    Every switch passes one partial sum up and one result down for each rail, however many hosts hang below it, so
    neither the number nor the order of hosts matters to its uplink.

    Parameters
    ----------
    ranks
        [ranks] int64.
    size_bytes
        Bytes that each of them reduces.
    """

    ranks: IntArray
    size_bytes: float
    traffic: str
    rounds: tuple[int, int]

    def loads(self, fabric: Fabric, gpu: IntArray) -> Loads:
        """Bytes on ports, and on the uplinks of the reduction tree."""
        loads = empty(fabric)
        gpus = gpu[self.ranks]
        port = fabric.gpu_host[gpus] * fabric.rails + fabric.gpu_rail[gpus]
        for way in range(2):
            np.add.at(loads.port[way], port, self.size_bytes)
        for uplink in _tree_uplinks(fabric, port):
            loads.uplink[:, uplink] += self.size_bytes / fabric.planes
        return loads


def _tree_uplinks(fabric: Fabric, port: IntArray) -> list[int]:
    """Uplinks (group * rails + rail) of the smallest trees that join all ports of each rail, in every plane."""
    found: list[int] = []
    for plane in range(fabric.planes if fabric.groups else 0):
        for rail in sorted(set((port % fabric.rails).tolist())):
            group = fabric.port_group[plane, port[port % fabric.rails == rail]]
            for tier in range(len(fabric.tiers)):
                above = np.unique(fabric.group_ancestor[tier, group])
                if len(above) == 1:
                    break  # all meet here: the root
                split = fabric.group_rails[above] > 1
                found += [int(g) * fabric.rails + rail * bool(s) for g, s in zip(above, split, strict=True) if g >= 0]
    return found


def rails_meet(fabric: Fabric) -> bool:
    """Whether a switch joins NICs of different rails: those at the top do, or there are no switches to tell them apart.

    On rail-only networks, and where each rail has a plane of its own, data changes rails over NVLink alone.
    """
    return all(group.rails == 1 for group in fabric.groups if group.parent < 0)


def empty(fabric: Fabric) -> Loads:
    """No bytes on any link."""
    ports, uplinks = len(fabric.port_bandwidth), len(fabric.uplink_links)
    return Loads(np.zeros((2, fabric.gpus)), np.zeros((2, ports)), np.zeros((2, uplinks)))
