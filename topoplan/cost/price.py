"""Price a placement: time of each axis, exposed step time, busiest links, bytes x distance."""

from __future__ import annotations

import numpy as np

from topoplan.cost.calibration import QUEUE_PAIRS, SAME_LEAF_LATENCY_S, SCALE_UP_LATENCY_S, TIER_LATENCY_S
from topoplan.cost.hashing import HashedFlows, classify, expected_slowest
from topoplan.cost.routes import Loads, Routes, count_known, link_loads, near_loads, pooled
from topoplan.model.fabric import FIRST_DISTANCE, Fabric, FloatArray, IntArray
from topoplan.model.plan import LinkLoad, Prediction
from topoplan.model.traffic import Traffic


def predict(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> Prediction:
    """Price of placing rank r on global GPU gpu[r] ([ranks] int64).

    The time of an axis is its latency plus its slowest link (a GPU's NVLink, a host's NICs on a rail, an uplink). On
    an ECMP fabric the slowest uplink is the expected one of hashing, otherwise uplinks are spread perfectly. Time is
    infinite where ranks of different components would have to talk.
    """
    hashed = fabric.routing != "adaptive"
    axes: dict[str, float] = {}
    ideal = 0.0
    total = Loads(
        np.zeros((2, fabric.gpus)), np.zeros((2, len(fabric.port_bandwidth))), np.zeros((2, len(fabric.uplink_links)))
    )
    for a, (name, flows) in enumerate(zip(traffic.axes, traffic.flows, strict=True)):
        routes = Routes.of_axis(fabric, traffic, gpu, a)
        loads = link_loads(routes, flows.bytes)
        for whole, part in ((total.scale_up, loads.scale_up), (total.port, loads.port), (total.uplink, loads.uplink)):
            np.add(whole, part, out=whole)
        floor = max(_slowest(seconds) for seconds in near_seconds(fabric, loads.scale_up, loads.port))
        spread = max(floor, _slowest(uplink_seconds(fabric, loads)))
        wait = latency_seconds(fabric, routes, float(traffic.messages[a]))
        slowest = hashed_seconds(routes, flows.bytes, floor) if hashed and np.isfinite(spread) else spread
        axes[name] = 1e3 * float(traffic.exposure[a]) * (slowest + wait)
        ideal += 1e3 * float(traffic.exposure[a]) * (spread + wait)
    return Prediction(sum(axes.values()), axes, ideal, _busiest(fabric, total), hop_bytes(fabric, traffic, gpu))


def floors(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> FloatArray:
    """[axes] float64 seconds of each axis's slowest NVLink or NIC: what no routing of the uplinks can go below."""
    seconds = np.zeros(len(traffic.axes))
    for a, flows in enumerate(traffic.flows):
        near = near_loads(Routes.of_axis(fabric, traffic, gpu, a), flows.bytes)
        seconds[a] = max(_slowest(x) for x in near_seconds(fabric, *near))
    return seconds


def least_latency(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> FloatArray:
    """[axes] float64 seconds of each axis's messages if all of them stayed as near as hosts that meet in one leaf.

    A bound for every placement that keeps ranks together on hosts as `gpu` does.
    """
    seconds = np.zeros(len(traffic.axes))
    leaf = fabric.tiers[0].latency_s if fabric.tiers else None
    near = SAME_LEAF_LATENCY_S if leaf is None else leaf
    island = fabric.gpu_island[gpu]
    for a, flows in enumerate(traffic.flows):
        inside = island[flows.src] == island[flows.dst]
        if not len(inside):
            continue
        # where islands are wider than hosts another placement may bring an axis inside one, or out of it
        either = min(near, SCALE_UP_LATENCY_S) if fabric.islands else near
        seconds[a] = traffic.messages[a] * (SCALE_UP_LATENCY_S if inside.all() and not fabric.islands else either)
    return seconds


def hop_bytes(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> float:
    """Sum of bytes x distance over flows between NVLink domains; distance is that of the lowest common tier."""
    island, host = fabric.gpu_island[gpu], fabric.gpu_host[gpu]
    parts = [np.zeros(0)]
    for flows in traffic.flows:
        outside = np.flatnonzero(island[flows.src] != island[flows.dst])
        a, b = host[flows.src[outside]], host[flows.dst[outside]]
        parts.append(flows.bytes[outside] * host_distance(fabric, a, b))
    return float(np.concatenate(parts).sum())


def host_distance(fabric: Fabric, a: IntArray, b: IntArray) -> FloatArray:
    """Distance of hosts a and b ([pairs] int64): that of the lowest tier whose group holds both."""
    low, high = fabric.host_group[a], fabric.host_group[b]
    group = np.arange(len(fabric.groups) + 1)  # the last stands for none, as -1 does
    if group.size**2 < np.broadcast(a, b).size:
        distance = np.asarray(_meeting_distance(fabric, group[:, None], group)[low, high], np.float64)
    else:
        distance = _meeting_distance(fabric, low, high)
    distance[a == b] = fabric.tiers[0].distance if fabric.tiers else FIRST_DISTANCE
    return distance


def _meeting_distance(fabric: Fabric, a: IntArray, b: IntArray) -> FloatArray:
    """Distance of hosts that hang from groups a and b ([pairs] int64): that of the lowest tier whose group is above."""
    distance = np.full(np.broadcast(a, b).shape, fabric.top_distance)
    for tier, up in reversed(list(zip(fabric.tiers, fabric.group_ancestor, strict=True))):
        distance[(up[a] == up[b]) & (up[a] >= 0)] = tier.distance
    return distance


def over(load: FloatArray, capacity: FloatArray) -> FloatArray:
    """Load / capacity; 0 for no load, infinite for load without capacity."""
    result = np.zeros(load.shape)
    np.divide(load, capacity, out=result, where=capacity > 0)
    result[(load > 0) & np.broadcast_to(capacity <= 0, load.shape)] = np.inf
    return result


def near_seconds(fabric: Fabric, scale_up: FloatArray, port: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Seconds of each NVLink [2, gpus] and port [2, ports] for the bytes of `near_loads`."""
    return over(scale_up, fabric.gpu_scale_up), over(port, fabric.port_bandwidth)


def uplink_seconds(fabric: Fabric, loads: Loads) -> FloatArray:
    """Seconds of each uplink [2, uplinks], spread perfectly."""
    return over(loads.uplink, fabric.uplink_links * fabric.uplink_link_bandwidth)


def _slowest(seconds: FloatArray) -> float:
    return float(seconds.max(initial=0.0))


def hashed_seconds(routes: Routes, size_bytes: FloatArray, at_least_s: float) -> float:
    """Expected time of the slowest uplink link under ECMP, or of the other links where they are slower."""
    flows = hashed_flows(routes, size_bytes)
    return at_least_s if flows is None else expected_slowest(flows, at_least_s)


def hashed_flows(routes: Routes, size_bytes: FloatArray) -> HashedFlows | None:
    """Queue pairs of flows on uplinks, up and then down; None where no flow of `size_bytes` [flows] crosses one."""
    fabric = routes.fabric
    uplinks = len(fabric.uplink_links)
    crossing = routes.climbs
    if not crossing:
        return None
    crosses = np.zeros(len(size_bytes), bool)
    for climb in crossing:
        crosses[climb.flows] = True
    crossed = np.flatnonzero(crosses)
    share = np.zeros_like(size_bytes)
    share[crossed] = size_bytes[crossed] / fabric.planes
    cls = np.full(len(share), -1, np.int64)
    cls[crossed], steps, step_bytes = classify(share[crossed])
    left_over = share - np.where(cls >= 0, np.append(steps, 0)[cls] * step_bytes * QUEUE_PAIRS, 0.0)
    alike, exact = len(steps) == 1 and not cls[crossed].any(), not left_over.any()
    count = np.zeros((2, uplinks * len(steps)))
    fluid = np.zeros((2, uplinks))
    for climb in crossing:
        for direction, index in enumerate((climb.up, climb.down)):
            key = index
            if not alike:
                kind = cls[climb.flows]
                key = np.where((index < 0) | (kind < 0), -1, index * len(steps) + kind)
            count[direction] += QUEUE_PAIRS * count_known(key, None, count.shape[1])
            if not exact:
                fluid[direction] += count_known(index, left_over[climb.flows], uplinks)
    capacity = fabric.uplink_links * fabric.uplink_link_bandwidth
    each = count.reshape(2, uplinks, len(steps)).transpose(0, 2, 1)
    return HashedFlows(
        pooled(fabric, each, capacity).transpose(0, 2, 1).reshape(2 * uplinks, len(steps)),
        steps,
        step_bytes,
        pooled(fabric, fluid, capacity).ravel(),
        np.tile(fabric.uplink_links, 2),
        np.tile(fabric.uplink_link_bandwidth, 2),
    )


def latency_seconds(fabric: Fabric, routes: Routes, messages: float) -> float:
    """Seconds of an axis's sequential messages over the farthest link it uses."""
    if not messages or not len(routes.inside):
        return 0.0
    if routes.inside.all():
        return messages * SCALE_UP_LATENCY_S
    highest = max((climb.tier for climb in routes.climbs), default=-1) + 1
    given = fabric.tiers[min(highest, len(fabric.tiers) - 1)].latency_s if fabric.tiers else None
    return messages * (given if given is not None else SAME_LEAF_LATENCY_S + highest * TIER_LATENCY_S)


def _busiest(fabric: Fabric, loads: Loads) -> tuple[LinkLoad, ...]:
    """The worst NIC and the worst uplink of each tier, all axes together."""
    found = []
    port = over(loads.port, fabric.port_bandwidth).max(0)
    if port.max(initial=0.0) > 0:
        worst = int(port.argmax())
        host, rail = divmod(worst, fabric.rails)
        name = f"nic {fabric.host_names[host]} rail {rail}"
        found.append(LinkLoad(name, float(loads.port[:, worst].max()), 1e3 * float(port[worst])))
    seconds = uplink_seconds(fabric, loads).max(0)
    tier_of = np.repeat([group.tier for group in fabric.groups], fabric.rails)
    for tier in range(len(fabric.tiers)):
        here = np.flatnonzero((tier_of == tier) & (seconds > 0))
        if len(here):
            worst = int(here[seconds[here].argmax()])
            group, rail = divmod(worst, fabric.rails)
            shared = fabric.groups[group].rails == 1
            name = f"uplink {fabric.groups[group].name}" + ("" if shared else f" rail {rail}")
            found.append(LinkLoad(name, float(loads.uplink[:, worst].max()), 1e3 * float(seconds[worst])))
    return tuple(found)
