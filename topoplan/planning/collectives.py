"""How each axis of a job would really communicate: an explanation beside the price of an order, which it leaves alone.

The price (`topoplan.cost.price`) puts the bytes of a step on links at line rate. Here each collective is looked at call
by call: the cheapest algorithm of NCCL or DeepEP at that size and the rates that links are measured to reach, what
hashing adds on average and in one case of twenty, how many senders meet at one NIC, and whether the order of hosts
matters to it at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

import numpy as np

from topoplan.cost.collectives.rates import Rate, link_class
from topoplan.cost.collectives.schedules import BY_NETWORK, EVERYONE, Call, low_latency, once_a_host
from topoplan.cost.collectives.spreading import Hashing, Incast, hashing, incast
from topoplan.cost.collectives.timing import Timing, cheapest, offload, timing, unordered
from topoplan.model.demand import visit_probability
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.job import Job, Routing
from topoplan.model.patterns import Flows
from topoplan.model.traffic import Collective, Traffic

FREE, IN_GROUPS, MATTERS = ORDER = ("free", "free inside groups", "may matter")
INSIDE = ("nvlink", "rack")  # classes of links inside NVLink domains
NOTABLE = 1e-3  # slowdown that is worth a word


@dataclass(frozen=True, slots=True)
class AxisCollective:
    """A collective of an axis in a placement.

    Parameters
    ----------
    op
        As in `topoplan.model.traffic.Collective`; "" for measured traffic, of which no call is known.
    groups, size
        Groups that run it at the same time, and ranks of each; 0 when unknown.
    calls, call_bytes
        Calls of a step, and the mean size of one; 0 when unknown. Of tokens to experts: what a rank holds for all
        GPUs, a token once for each GPU that it visits.
    copies
        Of tokens to experts, copies for each of those: one an expert is what NCCL's all-to-all and DeepEP's
        low-latency kernels send. 1 for all other traffic.
    ways
        One call by every algorithm that the job can choose, the quickest first; those that never end left out.
    best, runner_up
        One call by the cheapest algorithm and by the next; None where there is none, or no call is known.
    with_sharp
        One call if the switches of the network reduced (SHARP); None where they could not, or would not be cheaper.
    rate
        Efficiency of the slowest kind of link under `best`.
    order, why
        Whether the order of hosts makes a difference: one of `ORDER`, and the reason.
    hashing
        Seconds of the slowest link for the bytes of a step, at line rate.
    incast
        Of one call, where every rank sends to every other; of a combine, where tokens go to experts and back.
    """

    axis: str
    op: str
    groups: int
    size: int
    calls: float
    call_bytes: float
    best: Timing | None
    runner_up: Timing | None
    with_sharp: Timing | None
    rate: Rate | None
    order: str
    why: str
    hashing: Hashing
    incast: Incast | None
    copies: float = 1.0
    ways: tuple[Timing, ...] = ()


def axis_collectives(job: Job, traffic: Traffic, fabric: Fabric, gpu: IntArray) -> tuple[AxisCollective, ...]:
    """Every collective of a step, in the order of the axes, with rank r on global GPU gpu[r] ([ranks] int64)."""
    placed = _Placed(job, fabric, gpu)
    found = []
    for name, flows in zip(traffic.axes, traffic.flows, strict=True):
        spread = hashing(fabric, gpu, flows)
        parts = [part for part in traffic.collectives if part.axis == name and part.calls > 0 and part.call_bytes > 0]
        found += [placed.known(part, flows, spread) for part in parts] or [placed.unknown(name, spread)]
    return tuple(found)


class _Placed:
    """Ranks of a job on a fabric, numbered so that rank // width is their NVLink domain."""

    def __init__(self, job: Job, fabric: Fabric, gpu: IntArray) -> None:
        self.job, self.fabric, self.gpu = job, fabric, gpu
        _, island, count = np.unique(fabric.gpu_island[gpu], return_inverse=True, return_counts=True)
        self.width = int(count.max(initial=1))
        order = np.argsort(island, kind="stable")
        place = np.arange(len(gpu)) - np.repeat(np.cumsum(count) - count, count)
        self.label = np.empty(len(gpu), np.int64)
        self.label[order] = island[order] * self.width + place
        self.gpu_of_label = np.zeros(len(count) * self.width, np.int64)
        self.gpu_of_label[self.label] = gpu

    @cached_property
    def unordered(self) -> str:
        return unordered(self.fabric)

    @cached_property
    def offload(self) -> frozenset[str]:
        """What switches may do; the network's are asked only where they could: SHARP is InfiniBand's."""
        network = {"sharp"} if link_class(self.fabric, "nic") == "infiniband" else set()
        return offload(self.fabric) | network

    def known(self, part: Collective, flows: Flows, spread: Hashing) -> AxisCollective:
        """A collective whose calls are known; `flows` are all of its axis."""
        call = Call(part.op, self.label[part.groups], part.call_bytes, self.width)
        routing, copies = self._routing(part), 1.0
        if routing is None:
            timings = cheapest(call, self.fabric, self.gpu_of_label, self.offload)
        else:
            copies = routing.top_k / (call.size * visit_probability(routing, call.size))
            timings = self._to_experts(call, copies, flows, part)
        timings = [found for found in timings if isfinite(found.seconds)] or timings
        plain = [found for found in timings if found.algorithm not in BY_NETWORK]
        best, runner_up = plain[0], plain[1] if len(plain) > 1 else None
        sharp = timings[0] if timings[0].algorithm in BY_NETWORK else None
        inside = best.slowest == "nvlink"
        rate = next((rate for rate in best.rates if (rate.link in INSIDE) == inside), None)
        groups, size = part.groups.shape
        return AxisCollective(
            part.axis, part.op, groups, size, part.calls, part.call_bytes, best, runner_up, sharp, rate,
            *self._order(best.order_free, spread, part), spread, self._incast(part, flows), copies,
            tuple(plain),
        )  # fmt: skip

    def _to_experts(self, call: Call, copies: float, flows: Flows, part: Collective) -> list[Timing]:
        """Ways of a dispatch or combine, the quickest first: by DeepEP, and by NCCL with a copy for each expert."""
        each = replace(call, size_bytes=copies * call.size_bytes)
        once = Flows(self.label[flows.src], self.label[flows.dst], flows.bytes / part.calls)
        found = [timing(made, self.fabric, self.gpu_of_label) for made in (once_a_host(call, once), low_latency(each))]
        found += cheapest(each, self.fabric, self.gpu_of_label, self.offload)
        return sorted(found, key=lambda one: one.seconds)

    def unknown(self, axis: str, spread: Hashing) -> AxisCollective:
        """An axis of measured traffic: bytes, but no calls."""
        order, why = self._order("", spread)
        return AxisCollective(axis, "", 0, 0, 0.0, 0.0, None, None, None, None, order, why, spread, None)

    def _routing(self, part: Collective) -> Routing | None:
        """How tokens choose experts, for a collective that carries them there; None for others."""
        if part.axis != "ep" or self.job.model is None or self.job.axes or self.job.traffic is not None:
            return None
        return self.job.model.routing

    def _order(self, free: str, spread: Hashing, part: Collective | None = None) -> tuple[str, str]:
        """One of `ORDER`, and why, where an algorithm gives the reason `free`."""
        if part is not None:
            host = self.fabric.gpu_host[self.gpu[part.groups]]
            if (host == host[:, :1]).all():
                return FREE, "each group stays on one host"
        if self.unordered:
            return FREE, self.unordered
        if free == EVERYONE:
            return IN_GROUPS, "every rank sends to every other; what it crosses depends on which hosts make a group"
        return MATTERS, self._matters(free, spread)

    def _matters(self, free: str, spread: Hashing) -> str:
        if self.fabric.islands:
            here = "here each group stays inside an NVLink domain, another order may split it"
            return here if free else "which hosts share an NVLink domain decides what stays on NVLink"
        if self.fabric.routing == "adaptive":
            return "uplinks are narrower than the NICs below them"
        if max(spread.expected, spread.p95) > 1 + NOTABLE:
            return "hashed flows meet on uplinks"
        return "hashing costs this order nothing, but may cost another"

    def _incast(self, part: Collective, flows: Flows) -> Incast | None:
        if part.op != "all_to_all":
            return None
        share = 1 / part.calls
        routing = self._routing(part)
        if routing is not None:
            # calls are as many dispatches as combines, which differ in bytes a value
            share *= 2 * routing.combine_bytes / (routing.dispatch_bytes + routing.combine_bytes)
        return incast(self.fabric, self.gpu, Flows(flows.src, flows.dst, flows.bytes * share))
