"""Seconds of a collective on a fabric: latency of its rounds plus its slowest link, at rates that links reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.collectives.rates import LATENCY, LINEAR, NVLS_BYTES_PER_S, SATURATION, Rate, link_class, rate
from topoplan.cost.collectives.saturating import slowdown
from topoplan.cost.collectives.schedules import Call, Schedule, schedules
from topoplan.cost.price import over
from topoplan.cost.routes import Loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of a schedule.

    Parameters
    ----------
    latency_s
        Base and rounds, part of `seconds`.
    links_s
        Seconds of the slowest link of each kind: nvlink, nic and uplink, for an endless message.
    order_free
        Why the order of ranks makes no difference; empty where it may.
    rates
        The efficiencies that were used.
    """

    algorithm: str
    seconds: float
    latency_s: float
    links_s: dict[str, float]
    order_free: str
    rates: tuple[Rate, ...]

    @property
    def slowest(self) -> str:
        """Kind of the slowest link."""
        return max(self.links_s, key=lambda kind: self.links_s[kind])


def timing(schedule: Schedule, fabric: Fabric, gpu: IntArray) -> Timing:
    """Time of a schedule with rank r on global GPU gpu[r] ([ranks] int64), uplinks spread perfectly.

    Phases run at once, chunk after chunk, so a link's time is that of all bytes that it carries, each phase at its own
    efficiency. Small messages reach less, by the saturating form of the slowest kind of link.
    """
    seconds: dict[str, FloatArray | float] = {"nvlink": 0.0, "nic": 0.0, "uplink": 0.0}
    used: dict[tuple[str, str], Rate] = {}
    latency = max(LATENCY[phase.traffic].base_s for phase in schedule.phases)
    for phase in schedule.phases:
        hops = LATENCY[phase.traffic]
        inside, across = phase.rounds
        latency += inside * hops.inside_s + across * hops.across_s
        for kind, (busy, capacity) in _links(fabric, phase.loads(fabric, gpu)).items():
            if not busy.any():
                continue
            row = rate(link_class(fabric, kind), phase.traffic, float(capacity.max(initial=0.0)))
            used[row.link, row.traffic] = row
            seconds[kind] = seconds[kind] + over(busy, capacity * row.share)
    slow = {kind: float(np.max(value, initial=0.0)) for kind, value in seconds.items()}
    worst = max(slow, key=lambda kind: slow[kind])
    form = SATURATION[link_class(fabric, worst)]
    factor = float(slowdown(np.array([schedule.call.size_bytes]), form.half_bytes, form.power)[0])
    if all(phase.traffic in LINEAR for phase in schedule.phases):
        factor = 1.0
    free = schedule.order_free or unordered(fabric)
    return Timing(schedule.algorithm, latency + slow[worst] * factor, latency, slow, free, tuple(used.values()))


def cheapest(call: Call, fabric: Fabric, gpu: IntArray, offload: frozenset[str] = frozenset()) -> list[Timing]:
    """Time of every algorithm that can run a call, the quickest first."""
    found = [timing(schedule, fabric, gpu) for schedule in schedules(call, offload)]
    return sorted(found, key=lambda one: one.seconds)


def offload(fabric: Fabric) -> frozenset[str]:
    """What the NVLink switches of a fabric do, by the speed of its links; whether its network reduces is not known."""
    joined = np.bincount(fabric.gpu_island)[fabric.gpu_island]
    able = (fabric.gpu_scale_up >= NVLS_BYTES_PER_S) & (joined > 2)
    return frozenset({"nvls"}) if able.all() else frozenset()


def unordered(fabric: Fabric) -> str:
    """Why no order of hosts differs from another on this fabric; empty where it may.

    Traffic that spreads perfectly over uplinks as wide as all NICs below them is bound by the NICs. Where NVLink
    domains are wider than hosts, the order of hosts decides who shares one.
    """
    if fabric.islands:
        return ""
    if len(fabric.groups) < 2:
        return "all hosts meet in one switch: no uplinks are shared"
    if fabric.routing != "adaptive":
        return ""
    below = np.zeros((len(fabric.tiers), len(fabric.uplink_links)))
    for plane in range(fabric.planes if fabric.groups else 0):
        rail = np.arange(len(fabric.port_bandwidth)) % fabric.rails
        for tier in range(len(fabric.tiers)):
            group = fabric.group_ancestor[tier, fabric.port_group[plane]]
            here = np.flatnonzero(group >= 0)
            uplink = group[here] * fabric.rails + rail[here] * (fabric.group_rails[group[here]] > 1)
            below[tier] += np.bincount(uplink, fabric.port_bandwidth[here] / fabric.planes, below.shape[1])
    capacity = fabric.uplink_links * fabric.uplink_link_bandwidth
    top = capacity <= 0
    if (below.sum(0)[~top] <= capacity[~top] * (1 + 1e-9)).all():
        return "traffic spreads perfectly over uplinks as wide as the NICs below them"
    return ""


def _links(fabric: Fabric, loads: Loads) -> dict[str, tuple[FloatArray, FloatArray]]:
    return {
        "nvlink": (loads.scale_up, fabric.gpu_scale_up),
        "nic": (loads.port, fabric.port_bandwidth),
        "uplink": (loads.uplink, fabric.uplink_links * fabric.uplink_link_bandwidth),
    }
