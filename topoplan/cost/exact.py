"""A placement priced over the real cables, beside the price over tiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.ecmp import GraphLoads, placement_loads
from topoplan.cost.price import floors, predict
from topoplan.cost.routes import Routes, link_loads
from topoplan.cost.switches import SwitchGraph, switch_graph
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.plan import LinkLoad
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, slots=True)
class ExactPrice:
    """What the real cables say of a placement.

    Parameters
    ----------
    links
        The busiest links, worst first, all axes together; ms of equal-cost multipath.
    tier_ms
        Time of the busiest uplink when each tier is one sum, all axes together.
    ideal_ms
        Exposed time of a step when each uplink spreads perfectly, as `Prediction` has it.
    exact_ms
        The same with each axis as slow as its slowest real link.
    unreachable_bytes
        Bytes of a step between hosts that no cables join.
    """

    links: tuple[LinkLoad, ...]
    tier_ms: float
    ideal_ms: float
    exact_ms: float
    unreachable_bytes: float

    @property
    def worst_ms(self) -> float:
        """Time of the busiest real link; 0 where no bytes cross any."""
        return self.links[0].ms if self.links else 0.0


def exact_price(fabric: Fabric, traffic: Traffic, gpu: IntArray, most: int = 5) -> ExactPrice:
    """Price of placing rank r on global GPU gpu[r] ([ranks] int64), with the `most` busiest links.

    Raises
    ------
    InputError
        Links of the fabric that do not say which switches its groups are made of.
    """
    graph = switch_graph(fabric)
    price = predict(fabric, traffic, gpu)
    near = floors(fabric, traffic, gpu)
    exact_ms = price.ideal_ms
    total = np.zeros((2, len(graph.a)))
    lost = 0.0
    for a, flows in enumerate(traffic.flows):
        routes = Routes.of_axis(fabric, traffic, gpu, a)
        loads = placement_loads(graph, routes, flows.bytes)
        total += loads.bytes
        lost += loads.unreachable_bytes
        tier = max(float(near[a]), _tier_seconds(fabric, routes, flows.bytes))
        real = np.inf if loads.unreachable_bytes else max(float(near[a]), float(loads.seconds.max(initial=0.0)))
        if np.isfinite(tier):
            exact_ms += 1e3 * float(traffic.exposure[a]) * (real - tier)
    links = busiest(GraphLoads(graph, total, lost), most)
    return ExactPrice(links, price.busiest_uplink_ms, price.ideal_ms, exact_ms, lost)


def _tier_seconds(fabric: Fabric, routes: Routes, size_bytes: FloatArray) -> float:
    """Seconds of the slowest uplink of these flows, each uplink spread perfectly."""
    load = link_loads(routes, size_bytes).uplink.max(0, initial=0.0)
    capacity = fabric.uplink_links * fabric.uplink_link_bandwidth
    used = load > 0
    if (capacity[used] <= 0).any():
        return np.inf
    return float((load[used] / capacity[used]).max(initial=0.0))


def busiest(loads: GraphLoads, most: int) -> tuple[LinkLoad, ...]:
    """The `most` links that take longest, worst first; those without bytes are left out."""
    seconds = loads.seconds
    order = np.argsort(-seconds, kind="stable")[:most]
    return tuple(
        LinkLoad(_name(loads.graph, loads, int(i)), float(loads.bytes[:, i].max()), 1e3 * float(seconds[i]))
        for i in order
        if seconds[i] > 0
    )


def _name(graph: SwitchGraph, loads: GraphLoads, link: int) -> str:
    ends = [graph.names[graph.a[link]], graph.names[graph.b[link]]]
    if loads.bytes[1, link] > loads.bytes[0, link]:
        ends.reverse()
    cables = float(graph.count[link])
    return f"link {ends[0]} -> {ends[1]} ({cables:g} cable{'' if cables == 1 else 's'})"
