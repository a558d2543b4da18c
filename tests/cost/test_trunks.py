"""The standard jobs against a slow sum over pairs, and the irregular trunks of small graphs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.cost.test_ecmp import NIC, clos
from topoplan.cost.ecmp import port_loads, switch_loads
from topoplan.cost.routes import Routes
from topoplan.cost.standard import all_to_all, receivers, ring
from topoplan.cost.switches import switch_graph
from topoplan.cost.trunks import find_trunks, switch_seconds
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Link, Nic, Tier


def mixed() -> Fabric:
    """Two leaf groups, two kinds of host (one lacks rail 1), an island, a broken GPU."""
    kinds = (
        HostType("two", 2, (Nic(0, NIC, 0), Nic(1, NIC, 1)), 2, 450e9),
        HostType("one", 2, (Nic(0, NIC, 0),), 2, 450e9),
    )
    regular = clos(leaves=2, rails=2, spines=2, cables=1)
    hosts = tuple(Host(f"n{i}", int(i == 2), 1 + i // 3) for i in range(6))
    return dataclasses.replace(
        regular, host_types=kinds, hosts=hosts, islands=(Island("i", (2, 3), 900e9),), unusable_gpus=frozenset({(0, 1)})
    )


def test_all_to_all_is_the_sum_over_pairs() -> None:
    fabric = mixed()
    graph = switch_graph(fabric)
    free = np.flatnonzero(fabric.gpu_free)
    src, dst = (side.ravel() for side in np.meshgrid(free, free, indexing="ij"))
    routes = Routes.of(fabric, src, dst)
    outside = ~routes.inside
    slow = port_loads(graph, routes.out_port[outside], routes.in_port[outside], np.ones(outside.sum()))
    fast = switch_loads(graph, all_to_all(fabric, graph))
    np.testing.assert_allclose(fast.bytes, slow.bytes)
    assert fast.bytes.sum() > 0
    assert receivers(fabric).sum() == len(free)


def test_all_to_all_shares_planes() -> None:
    kind = HostType("box", 1, (Nic(0, NIC, 0),), 1, 450e9)
    groups = [Group(f"agg-{p}", 1) for p in range(2)]
    groups += [Group(f"tor-{k}-{p}", 0, p, 1, (2.0,), NIC / 2) for k in range(2) for p in range(2)]
    hosts = tuple(
        Host(f"n{i}", 0, -1, tuple(Attachment(0, 2 + 2 * (i // 2) + p, p) for p in range(2))) for i in range(4)
    )
    fabric = Fabric("f", "ecmp", (kind,), hosts, (Tier("tor", 10.0), Tier("agg", 20.0)), tuple(groups))
    graph = switch_graph(fabric)
    # two hosts send to two others across, half of it in each plane
    assert switch_loads(graph, all_to_all(fabric, graph)).bytes.tolist() == [[2.0] * 4] * 2


def test_ring_goes_round_each_rail() -> None:
    fabric = mixed()
    out, into = ring(fabric)
    pairs = sorted(zip((out // 2).tolist(), (into // 2).tolist(), (out % 2).tolist(), strict=True))
    # rail 0: 0-1-2 and 3-4-5-0 (2 and 3 are one island); rail 1 passes host 2 by
    assert [(a, b) for a, b, rail in pairs if rail == 0] == [(0, 1), (1, 2), (3, 4), (4, 5), (5, 0)]
    assert [(a, b) for a, b, rail in pairs if rail == 1] == [(0, 1), (1, 3), (3, 4), (4, 5), (5, 0)]


def test_irregular_trunks_are_found_and_mended() -> None:
    regular = clos(leaves=4, rails=1, spines=3, cables=2, hosts=2)
    links = [link for link in regular.links if (link.a, link.b) != ("leaf-1-r0", "s2")]
    links = [
        dataclasses.replace(link, count=1) if (link.a, link.b) == ("leaf-3-r0", "s1")
        else dataclasses.replace(link, bandwidth_bytes_per_s=NIC / 2) if (link.a, link.b) == ("leaf-2-r0", "s0")
        else link
        for link in links
    ]  # fmt: skip
    graph = switch_graph(dataclasses.replace(regular, links=tuple(links)))
    assert not find_trunks(switch_graph(regular)).irregular
    found = find_trunks(graph)
    said = {
        (graph.names[t.low], graph.names[t.high], t.cables, t.usual, t.bandwidth, t.usual_bandwidth)
        for t in found.irregular
    }
    assert said == {
        ("leaf-1-r0", "s2", 0.0, 2.0, 0.0, NIC),
        ("leaf-2-r0", "s0", 2.0, 2.0, NIC / 2, NIC),
        ("leaf-3-r0", "s1", 1.0, 2.0, NIC, NIC),
    }
    mended = sorted(
        (*sorted((found.mended.names[a], found.mended.names[b])), n, w)
        for a, b, n, w in zip(
            found.mended.a, found.mended.b, found.mended.count, found.mended.bandwidth, strict=True
        )
    )  # fmt: skip
    assert mended == sorted((link.a, link.b, 2.0, NIC) for link in regular.links)


def test_one_cable_is_a_single_trunk() -> None:
    fabric = clos(leaves=3, rails=1, spines=1, cables=1, hosts=1)
    found = find_trunks(switch_graph(fabric))
    assert not found.irregular
    assert [found.mended.names[s] for s in found.single] == ["leaf-0-r0", "leaf-1-r0", "leaf-2-r0"]


def test_rails_that_never_meet_are_not_missing_cables() -> None:
    """Each rail has spines of its own: no leaf lacks a cable to another rail's spine."""
    regular = clos(leaves=3, rails=2, spines=2)
    links = tuple(
        Link(f"leaf-{k}-r{q}", f"s{q}-{s}", 2, NIC) for k in range(3) for q in range(2) for s in range(2)
    )  # fmt: skip
    assert not find_trunks(switch_graph(dataclasses.replace(regular, links=links))).irregular


def test_one_stray_cable_makes_no_others_missing() -> None:
    regular = clos(leaves=4, rails=1, spines=2)
    links = (*regular.links, Link("leaf-0-r0", "s9", 2, NIC))
    assert not find_trunks(switch_graph(dataclasses.replace(regular, links=links))).irregular


def test_switch_seconds_is_the_slowest_link() -> None:
    fabric = clos(leaves=2, rails=1, spines=1, cables=1, hosts=1)
    graph = switch_graph(fabric)
    loads = port_loads(graph, np.array([0]), np.array([1]), np.array([NIC]))
    by_name = dict(zip(graph.names, switch_seconds(loads), strict=True))
    assert by_name == pytest.approx({"leaf-0-r0": 1.0, "s0": 1.0, "leaf-1-r0": 1.0})
