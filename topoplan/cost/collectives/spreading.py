"""What real networks add to perfect spreading: collisions of hashed flows, and many senders into one NIC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.hashing import slowest_link
from topoplan.cost.price import hashed_flows, over
from topoplan.cost.routes import Routes, link_loads
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.patterns import Flows


@dataclass(frozen=True, slots=True)
class Hashing:
    """Seconds of the slowest link when flows are spread perfectly, hashed on average, and hashed in 95 of 100 cases."""

    perfect_s: float
    expected_s: float
    p95_s: float

    @property
    def expected(self) -> float:
        """Expected slowdown over perfect spreading, 1 or more."""
        return self.expected_s / self.perfect_s if self.perfect_s else 1.0

    @property
    def p95(self) -> float:
        """Slowdown over perfect spreading that 95 of 100 hashings stay within."""
        return self.p95_s / self.perfect_s if self.perfect_s else 1.0


def hashing(fabric: Fabric, gpu: IntArray, flows: Flows) -> Hashing:
    """Slowdown of flows that run together, rank r on global GPU gpu[r] ([ranks] int64), at line rate.

    On a fabric that does not hash all three are the same.
    """
    routes = Routes.of(fabric, gpu[flows.src], gpu[flows.dst])
    loads = link_loads(routes, flows.bytes)
    near = (over(loads.scale_up, fabric.gpu_scale_up), over(loads.port, fabric.port_bandwidth))
    floor = max(float(seconds.max(initial=0.0)) for seconds in near)
    uplinks = over(loads.uplink, fabric.uplink_links * fabric.uplink_link_bandwidth)
    perfect = max(floor, float(uplinks.max(initial=0.0)))
    crossing = hashed_flows(routes, flows.bytes) if fabric.routing != "adaptive" and np.isfinite(perfect) else None
    if crossing is None:
        return Hashing(perfect, perfect, perfect)
    # a link is never quicker than spreading evenly, up to the lattice of the distribution
    found = slowest_link(crossing, floor)
    return Hashing(perfect, max(perfect, found.expected_s), max(perfect, found.quantile_s(0.95)))


@dataclass(frozen=True, slots=True)
class Incast:
    """The NIC that takes in most.

    Parameters
    ----------
    senders
        NICs that send to it; at once in the worst case, so that the last switch must hold back all but one.
    in_bytes
        Bytes that it takes in.
    over_mean
        Those bytes over the mean of all NICs that take in any: 1 where the exchange is even.
    """

    senders: int
    in_bytes: float
    over_mean: float


def incast(fabric: Fabric, gpu: IntArray, flows: Flows) -> Incast:
    """Incast of flows, such as a combine's; rank r on global GPU gpu[r] ([ranks] int64).

    Raises nothing: without traffic between NVLink domains the answer is no senders, no bytes and a factor of 1.
    """
    routes = Routes.of(fabric, gpu[flows.src], gpu[flows.dst])
    out = np.flatnonzero(~routes.inside & (flows.bytes > 0))
    taken = np.bincount(routes.in_port[out], flows.bytes[out], len(fabric.port_bandwidth)).astype(np.float64)
    if not len(out):
        return Incast(0, 0.0, 1.0)
    worst = int(taken.argmax())
    senders = len(np.unique(routes.out_port[out][routes.in_port[out] == worst]))
    return Incast(senders, float(taken[worst]), float(taken[worst] / taken[taken > 0].mean()))
