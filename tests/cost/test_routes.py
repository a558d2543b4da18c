"""Routes against a walk of each flow, and distances against a walk of each pair of hosts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.any_fabric import any_fabric, any_traffic
from topoplan.cost.price import floors, host_distance, predict
from topoplan.cost.routes import Routes, link_loads, near_loads
from topoplan.model.fabric import Fabric

SEEDS = st.integers(0, 10_000)


def above(fabric: Fabric, group: int) -> dict[int, int]:
    """Group of each tier at or above a group."""
    found = {}
    while group >= 0:
        found[fabric.groups[group].tier] = group
        group = fabric.groups[group].parent
    return found


def walked(fabric: Fabric, plane: int, out_port: int, in_port: int) -> list[tuple[int, ...]]:
    """[(tier, uplink up, uplink down)] of a flow: at each tier until its ends meet in one switch."""
    ends = [int(fabric.port_group[plane, port]) for port in (out_port, in_port)]
    rail = [port % fabric.rails for port in (out_port, in_port)]
    crossed: list[tuple[int, ...]] = []
    for tier in range(len(fabric.tiers)):
        here = [above(fabric, end).get(tier, -1) for end in ends]
        turn = ends[0] == ends[1] == here[0] >= 0 and rail[0] != rail[1] and fabric.groups[here[0]].rails > 1
        if here[0] != here[1] or turn:
            uplink = [
                g * fabric.rails + (r if fabric.groups[g].rails > 1 else 0) if g >= 0 else -1
                for g, r in zip(here, rail, strict=True)
            ]
            crossed.append((tier, *uplink))
    return crossed


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_climbs_are_those_of_a_walk(seed: int) -> None:
    fabric = any_fabric(seed)
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, fabric.gpus, (2, 60))
    routes = Routes.of(fabric, src, dst)
    wanted: Counter[tuple[int, ...]] = Counter()
    for flow in range(60):
        if fabric.gpu_island[src[flow]] == fabric.gpu_island[dst[flow]]:
            continue
        for plane in range(fabric.planes):
            for step in walked(fabric, plane, int(routes.out_port[flow]), int(routes.in_port[flow])):
                wanted[plane, flow, *step] += 1
    found = Counter(
        (climb.plane, flow, climb.tier, up, down)
        for climb in routes.climbs
        for flow, up, down in zip(climb.flows.tolist(), climb.up.tolist(), climb.down.tolist(), strict=True)
    )
    assert found == wanted


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_ports_are_on_the_rail_of_the_receiver_where_the_sender_has_it(seed: int) -> None:
    fabric = any_fabric(seed)
    src, dst = np.random.default_rng(seed).integers(0, fabric.gpus, (2, 60))
    routes = Routes.of(fabric, src, dst)
    assert (routes.in_port == fabric.gpu_host[dst] * fabric.rails + fabric.gpu_rail[dst]).all()
    assert (routes.out_port // fabric.rails == fabric.gpu_host[src]).all()
    rail = routes.out_port % fabric.rails
    other = rail != fabric.gpu_rail[dst]
    assert (rail[other] == fabric.gpu_rail[src][other]).all()
    table = fabric.port_bandwidth.reshape(-1, fabric.rails)
    assert (table[fabric.gpu_host[src], fabric.gpu_rail[dst]][other] == 0).all()


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_distance_is_that_of_the_lowest_tier_above_both(seed: int) -> None:
    fabric = any_fabric(seed)
    hosts = np.arange(len(fabric.hosts))
    table = host_distance(fabric, hosts[:, None], hosts)
    for a in hosts:
        for b in hosts:
            up, other = (above(fabric, int(fabric.host_group[h])) for h in (a, b))
            common = [tier for tier, group in up.items() if other.get(tier) == group]
            tier = 0 if a == b else min(common, default=None)
            assert table[a, b] == (fabric.top_distance if tier is None else fabric.tiers[tier].distance)
            # few pairs are looked up one by one, many in a table of groups
            assert host_distance(fabric, hosts[[a]], hosts[[b]])[0] == table[a, b]
    many = host_distance(fabric, *(x.ravel() for x in np.broadcast_arrays(np.tile(hosts, 200)[:, None], hosts)))
    assert (many.reshape(200, len(hosts), -1) == table).all()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_floors_are_the_near_links_of_the_price(seed: int) -> None:
    fabric = any_fabric(seed)
    traffic = any_traffic(fabric.gpus, seed)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    known = floors(fabric, traffic, gpu)
    price = predict(fabric, traffic, gpu)
    for a, name in enumerate(traffic.axes):
        routes = Routes.of_axis(fabric, traffic, gpu, a)
        whole = link_loads(routes, traffic.flows[a].bytes)
        scale_up, port = near_loads(routes, traffic.flows[a].bytes)
        assert (whole.scale_up == scale_up).all()
        assert (whole.port == port).all()
        assert price.axes[name] >= 1e3 * known[a] * (1 - 1e-12)
    assert scale_up.sum() + port.sum() == pytest.approx(2 * traffic.flows[-1].bytes.sum())
