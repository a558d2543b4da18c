"""Bytes that dispatch and combine put on the links of a fabric, by DeepEP's two kinds of kernels.

normal        a token goes once to each NVLink domain that it visits, to the GPU that stands there where its own GPU
              stands at home (same rail), and from that one over NVLink to the GPUs that serve it; combine goes back.
low-latency   every copy of a token goes straight from its GPU's own NIC to the NIC of the GPU that serves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.moe import Visits, Where
from topoplan.cost.routes import Loads, Routes, link_loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray

KERNELS = ("normal", "low-latency")


@dataclass(frozen=True, eq=False)
class Site:
    """The GPUs of an expert-parallel group on a fabric.

    Parameters
    ----------
    gpu
        [gpus] int64 global GPU of each.
    """

    fabric: Fabric
    gpu: IntArray

    @property
    def where(self) -> Where:
        """Host and NVLink domain of each GPU."""
        return Where(_numbered(self.fabric.gpu_host[self.gpu]), _numbered(self.fabric.gpu_island[self.gpu]))


def _numbered(names: IntArray) -> IntArray:
    _, first, index = np.unique(names, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[index], np.int64)


def flows(visits: Visits, where: Where, kernel: str) -> FloatArray:
    """[gpus, gpus] float64 tokens that go from one GPU to another at dispatch, for one token of the batch.

    Combine sends the same amounts the other way.
    """
    if kernel == "low-latency":
        return visits.copies * (1 - np.eye(where.gpus))
    peer = _peers(where)
    moved = np.zeros((where.gpus, where.gpus))
    source = np.arange(where.gpus)
    for d in range(peer.shape[1]):
        outside = where.domain != d
        np.add.at(moved, (source[outside], peer[outside, d]), visits.domain[outside, d])
        inside = np.flatnonzero(where.domain == d)
        np.add.at(moved, (peer[:, d][:, None], inside[None, :]), visits.gpu[:, inside])
    np.fill_diagonal(moved, 0.0)
    return moved


def _peers(where: Where) -> IntArray:
    """[gpus, domains] int64 GPU of each domain that takes a source's tokens: itself at home, else the one like it."""
    turn = np.zeros(where.gpus, np.int64)
    members = [np.flatnonzero(where.domain == d) for d in range(int(where.domain.max()) + 1)]
    for inside in members:
        turn[inside] = np.arange(len(inside))
    return np.column_stack([inside[turn % len(inside)] for inside in members])


def loads(site: Site, amount: FloatArray, kernel: str) -> Loads:
    """Loads of all links; `amount` is [gpus, gpus] float64 bytes from one GPU to another."""
    src, dst = np.nonzero(amount)
    fabric, a, b = site.fabric, site.gpu[src], site.gpu[dst]
    routes = Routes.of(fabric, a, b)
    if kernel == "low-latency":  # no hand-over to the receiver's rail: GPUs use their own NICs
        own = fabric.gpu_host[a] * fabric.rails + fabric.gpu_rail[a]
        routes = Routes(fabric, routes.inside, a, b, own, routes.in_port)
    return link_loads(routes, amount[src, dst])


@dataclass(frozen=True, slots=True)
class Busiest:
    """The busiest links of a phase: bytes and seconds at line rate of the worst NIC bundle, uplink and NVLink."""

    nic_bytes: float
    nic_s: float
    uplink_bytes: float
    uplink_s: float
    nvlink_bytes: float
    nvlink_s: float


def busiest(fabric: Fabric, found: Loads) -> Busiest:
    """The worst link of each kind; infinite seconds where bytes have no link to go by."""
    values = []
    for load, capacity in (
        (found.port, fabric.port_bandwidth),
        (found.uplink, fabric.uplink_links * fabric.uplink_link_bandwidth),
        (found.scale_up, fabric.gpu_scale_up),
    ):
        seconds = np.where(load > 0, load / np.maximum(capacity, 1e-300), 0.0)
        seconds[(load > 0) & np.broadcast_to(capacity <= 0, load.shape)] = np.inf
        worst = np.unravel_index(int(seconds.argmax()), seconds.shape) if seconds.size else None
        values += [float(load[worst]), float(seconds[worst])] if worst is not None else [0.0, 0.0]
    return Busiest(*values)
