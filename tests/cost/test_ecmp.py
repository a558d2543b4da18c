"""Loads of real graphs: against path enumeration, conserved, and equal to the tier sums where all is regular."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from topoplan.cost.ecmp import placement_loads, port_loads, switch_loads
from topoplan.cost.exact import exact_price
from topoplan.cost.price import predict
from topoplan.cost.routes import Routes
from topoplan.cost.standard import all_to_all
from topoplan.cost.switches import SwitchGraph, switch_graph
from topoplan.errors import InputError
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Link, Nic, Tier
from topoplan.model.traffic import Traffic

NIC = 50e9


def traffic_of(ranks: int, flows: int, seed: int, axes: int = 2) -> Traffic:
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, ranks, (2, flows)).astype(np.int32)
    names = tuple(f"a{i}" for i in range(axes))
    axis = rng.integers(0, axes, flows).astype(np.int8)
    return Traffic(ranks, names, src, dst, rng.random(flows) * 1e9, axis, np.linspace(0.3, 1, axes), np.zeros(axes))


def clos(
    leaves: int = 3, rails: int = 2, spines: int = 4, cables: int = 2, hosts: int = 3, links: tuple[Link, ...] = ()
) -> Fabric:
    """Leaf groups of `rails` switches, each with `cables` cables to each spine; `links` replaces these cables."""
    kind = HostType("box", rails, tuple(Nic(i, NIC, i) for i in range(rails)), rails, 450e9)
    up = (float(spines * cables),) * rails
    groups = (
        Group("spine", 1),
        *(
            Group(f"leaf-{k}", 0, 0, rails, up, NIC, tuple(f"leaf-{k}-r{q}" for q in range(rails)))
            for k in range(leaves)
        ),
    )
    regular = tuple(
        Link(f"leaf-{k}-r{q}", f"s{s}", cables, NIC) for k in range(leaves) for q in range(rails) for s in range(spines)
    )
    machines = tuple(Host(f"n{i}", 0, 1 + i // hosts) for i in range(leaves * hosts))
    tiers = (Tier("leaf", 10.0), Tier("spine", 20.0))
    return Fabric("f", "adaptive", (kind,), machines, tiers, groups, links=links or regular)


# ---- brute force -----------------------------------------------------------------------------------------------


def enumerated(graph: SwitchGraph, demand: dict[tuple[int, int], float]) -> tuple[np.ndarray, float]:
    """[2, links] loads by listing every shortest path, and the bytes without one."""
    plain: nx.Graph[int] = nx.Graph()
    plain.add_nodes_from(range(len(graph.names)))
    cables: dict[tuple[int, int], float] = {}
    for i in range(len(graph.a)):
        ends = (int(graph.a[i]), int(graph.b[i]))
        plain.add_edge(*ends)
        for pair in (ends, ends[::-1]):
            cables[pair] = cables.get(pair, 0.0) + graph.count[i]
    loads = np.zeros((2, len(graph.a)))
    lost = 0.0
    for (source, target), size in demand.items():
        if source == target:
            continue
        if not nx.has_path(plain, source, target):
            lost += size
            continue
        paths = list(nx.all_shortest_paths(plain, source, target))
        onward = {(u, v) for path in paths for u, v in pairwise(path)}
        for path in paths:
            share = size
            for u, v in pairwise(path):
                share *= cables[u, v] / sum(cables[x, y] for x, y in onward if x == u)
            for u, v in pairwise(path):
                for i in range(len(graph.a)):
                    ends = (graph.a[i], graph.b[i])
                    part = share * graph.count[i] / cables[u, v]
                    loads[0, i] += part if ends == (u, v) else 0
                    loads[1, i] += part if ends == (v, u) else 0
    return loads, lost


@st.composite
def graphs(draw: st.DrawFn) -> tuple[SwitchGraph, dict[tuple[int, int], float]]:
    size = draw(st.integers(2, 7))
    nodes = st.integers(0, size - 1)
    pairs = draw(st.lists(st.tuples(nodes, nodes).filter(lambda p: p[0] != p[1]), min_size=1, max_size=14))
    counts = [float(draw(st.integers(1, 3))) for _ in pairs]
    ends = np.array(pairs, np.int64).T
    empty = csr_array((0, size))
    zero = np.zeros(len(pairs), np.int64)
    graph = SwitchGraph(
        tuple(f"s{i}" for i in range(size)),
        ends[0],
        ends[1],
        np.array(counts),
        np.full(len(pairs), NIC),
        zero,
        (empty,),
    )
    demand = draw(st.dictionaries(st.tuples(nodes, nodes), st.floats(1, 1e9), max_size=5))
    return graph, demand


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_loads_are_those_of_path_enumeration(case: tuple[SwitchGraph, dict[tuple[int, int], float]]) -> None:
    graph, demand = case
    matrix = np.zeros((len(graph.names),) * 2)
    for (a, b), size in demand.items():
        matrix[a, b] = size
    found = switch_loads(graph, [csr_array(matrix)])
    loads, lost = enumerated(graph, demand)
    np.testing.assert_allclose(found.bytes, loads, rtol=1e-9, atol=1e-3)
    assert found.unreachable_bytes == pytest.approx(lost)
    # each switch passes on what it gets: in - out is what ends there less what starts there
    balance = np.zeros(len(graph.names))
    for i in range(len(graph.a)):
        net = found.bytes[0, i] - found.bytes[1, i]
        balance[graph.b[i]] += net
        balance[graph.a[i]] -= net
    hops = dict(nx.all_pairs_shortest_path_length(nx.Graph(zip(graph.a.tolist(), graph.b.tolist(), strict=True))))
    for (a, b), size in demand.items():
        if b in hops.get(a, {}):
            balance[b] -= size
            balance[a] += size
    np.testing.assert_allclose(balance, 0, atol=1e-3)


# ---- placements ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
def test_regular_graphs_agree_with_the_tiers(seed: int, leaves: int, rails: int, spines: int, cables: int) -> None:
    fabric = clos(leaves, rails, spines, cables)
    traffic = traffic_of(fabric.gpus, 60, seed)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    exact = exact_price(fabric, traffic, gpu)
    assert exact.worst_ms == pytest.approx(exact.tier_ms)
    assert exact.exact_ms == pytest.approx(exact.ideal_ms)
    assert exact.unreachable_bytes == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99))
def test_a_fabric_without_links_agrees_with_its_tiers(seed: int) -> None:
    kind = HostType("box", 2, (Nic(0, NIC, 0), Nic(1, NIC, 1)), 2, 450e9)
    groups = [Group("core", 2), *(Group(f"pod-{p}", 1, 0, 1, (3.0,), NIC) for p in range(2))]
    groups += [Group(f"leaf-{k}", 0, 1 + k // 2, 2, (2.0, 1.5), NIC) for k in range(4)]
    hosts = tuple(Host(f"n{i}", 0, 3 + i // 2) for i in range(8))
    tiers = (Tier("leaf", 10.0), Tier("pod", 20.0), Tier("core", 40.0))
    fabric = Fabric("f", "ecmp", (kind,), hosts, tiers, tuple(groups))
    traffic = traffic_of(fabric.gpus, 50, seed)
    exact = exact_price(fabric, traffic, np.random.default_rng(seed).permutation(fabric.gpus))
    assert exact.worst_ms == pytest.approx(exact.tier_ms)
    assert exact.exact_ms == pytest.approx(exact.ideal_ms)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([[0, 1, 2, 3], [2, 0, 1, 3], [0, 0, 1, 1]]))
def test_rails_that_gpus_use_together_share_a_flow(seed: int, rail_of: list[int]) -> None:
    kind = HostType("box", 2, tuple(Nic(rail, NIC, n // 2) for n, rail in enumerate(rail_of)), 2, 450e9)
    rails = max(rail_of) + 1
    fabric = dataclasses.replace(clos(leaves=3, rails=rails), host_types=(kind,))
    traffic = traffic_of(fabric.gpus, 40, seed)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    exact = exact_price(fabric, traffic, gpu)
    assert exact.worst_ms == pytest.approx(exact.tier_ms)
    graph = switch_graph(fabric)
    free = np.arange(fabric.gpus)
    routes = Routes.of(fabric, *(side.ravel() for side in np.meshgrid(free, free, indexing="ij")))
    slow = placement_loads(graph, routes, np.ones(fabric.gpus**2))
    np.testing.assert_allclose(switch_loads(graph, all_to_all(fabric, graph)).bytes, slow.bytes)


def test_planes_share_a_flow() -> None:
    kind = HostType("box", 1, (Nic(0, NIC, 0),), 1, 450e9)
    groups = [Group(f"agg-{p}", 1) for p in range(2)]
    groups += [Group(f"tor-{k}-{p}", 0, p, 1, (2.0,), NIC / 2) for k in range(2) for p in range(2)]
    hosts = tuple(
        Host(f"n{i}", 0, -1, tuple(Attachment(0, 2 + 2 * (i // 2) + p, p) for p in range(2))) for i in range(4)
    )
    tree = Fabric("f", "ecmp", (kind,), hosts, (Tier("tor", 10.0), Tier("agg", 20.0)), tuple(groups))
    links = tuple(Link(f"tor-{k}-{p}", f"agg-{p}", 2, NIC / 2, p) for k in range(2) for p in range(2))
    for fabric in (tree, dataclasses.replace(tree, links=links)):
        graph = switch_graph(fabric)
        loads = port_loads(graph, np.array([0]), np.array([2]), np.array([8e9]))
        assert sorted(loads.bytes.max(0).tolist()) == [4e9] * 4
        assert loads.seconds.max() == pytest.approx(4e9 / NIC)


def test_a_missing_cable_loads_one_spine_port() -> None:
    """Three leaves send to a fourth over two spines; one of its four cables is cut."""
    regular = clos(leaves=4, rails=1, spines=2, cables=2, hosts=1)
    cut = tuple(
        dataclasses.replace(link, count=1) if (link.a, link.b) == ("leaf-3-r0", "s1") else link
        for link in regular.links
    )
    sizes = np.array([12e9, 12e9, 12e9])
    ends = np.arange(3), np.full(3, 3)
    whole = port_loads(switch_graph(regular), *ends, sizes).seconds.max()
    hurt = port_loads(switch_graph(dataclasses.replace(regular, links=cut)), *ends, sizes)
    # half of 36 GB comes down through s1: over two cables before, over one now; the sums over tiers see 3 of 4 cables
    assert whole == pytest.approx(18e9 / (2 * NIC))
    assert hurt.seconds.max() == pytest.approx(18e9 / NIC)


def test_the_step_is_as_slow_as_its_slowest_real_link() -> None:
    """As above, but to three hosts of the leaf, so that no NIC hides the cable."""
    regular = clos(leaves=4, rails=1, spines=2, cables=2, hosts=3)
    cut = tuple(
        dataclasses.replace(link, count=1) if (link.a, link.b) == ("leaf-3-r0", "s1") else link
        for link in regular.links
    )
    ends = np.array([0, 3, 6], np.int32), np.array([9, 10, 11], np.int32)
    traffic = Traffic(
        12, ("dp",), *ends, np.full(3, 12e9), np.zeros(3, np.int8), np.full(1, 0.5), np.zeros(1)
    )  # fmt: skip
    exact = exact_price(dataclasses.replace(regular, links=cut), traffic, np.arange(12))
    assert exact.links[0].link == "link s1 -> leaf-3-r0 (1 cable)"
    assert exact.worst_ms == pytest.approx(1e3 * 18e9 / NIC)
    # the tiers' busiest: 36 GB over four cables; a NIC takes 12 GB, which is longer
    assert exact.tier_ms == pytest.approx(1e3 * 36e9 / (4 * NIC))
    assert exact.ideal_ms == pytest.approx(0.5 * 1e3 * 12e9 / NIC)
    assert exact.exact_ms == pytest.approx(0.5 * 1e3 * 18e9 / NIC)


def test_cut_off_hosts_are_reported() -> None:
    fabric = clos(leaves=2, rails=1, spines=1, cables=1, hosts=1, links=(Link("leaf-0-r0", "s0", 1, NIC),))
    traffic = Traffic(
        2, ("a",), np.array([0], np.int32), np.array([1], np.int32), np.array([5e9]),
        np.zeros(1, np.int8), np.ones(1), np.zeros(1),
    )  # fmt: skip
    exact = exact_price(fabric, traffic, np.arange(2))
    assert exact.unreachable_bytes == 5e9
    assert exact.exact_ms == np.inf
    assert predict(fabric, traffic, np.arange(2)).exposed_ms < np.inf  # the tiers cannot see it


def test_a_rail_of_several_switches_shares_its_bytes() -> None:
    kind = HostType("box", 1, (Nic(0, NIC, 0),), 1, 450e9)
    groups = (
        Group("top", 1),
        Group("two", 0, 0, 1, (2.0,), NIC, ("a0", "a1")),
        Group("one", 0, 0, 1, (1.0,), NIC, ("b",)),
    )
    links = (Link("a0", "s", 1, NIC), Link("a1", "s", 1, NIC), Link("b", "s", 1, NIC))
    hosts = (Host("x", 0, 1), Host("y", 0, 2))
    fabric = Fabric("f", "ecmp", (kind,), hosts, (Tier("leaf", 10.0), Tier("top", 20.0)), groups, links=links)
    loads = port_loads(switch_graph(fabric), np.array([0]), np.array([1]), np.array([8e9]))
    assert loads.bytes.tolist() == [[4e9, 4e9, 0.0], [0.0, 0.0, 8e9]]
    assert loads.unreachable_bytes == 0


def test_links_must_say_whose_they_are() -> None:
    fabric = clos()
    nameless = tuple(dataclasses.replace(group, switches=()) for group in fabric.groups)
    with pytest.raises(InputError, match="which switches group leaf-0"):
        switch_graph(dataclasses.replace(fabric, groups=nameless))
    alone = clos(rails=1)
    links = tuple(dataclasses.replace(link, a=link.a.removesuffix("-r0")) for link in alone.links)
    one = dataclasses.replace(
        alone, links=links, groups=tuple(dataclasses.replace(group, switches=()) for group in alone.groups)
    )
    assert set(switch_graph(one).names) == {"leaf-0", "leaf-1", "leaf-2", "s0", "s1", "s2", "s3"}
