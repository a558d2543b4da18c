"""Fabric -> networkx -> Fabric loses nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Link, Nic, Tier
from topoplan.topologies import formats
from topoplan.topologies.graph import from_networkx, to_networkx

bandwidths = st.sampled_from([12.5e9, 25e9, 50e9, 450e9])


@st.composite
def host_types(draw: st.DrawFn, name: str) -> HostType:
    gpus = draw(st.integers(1, 4))
    nics = draw(st.lists(st.builds(Nic, st.integers(0, 3), bandwidths, st.integers(0, gpus - 1)), max_size=4))
    speed = draw(bandwidths)
    memory = draw(st.none() | st.just(80e9))
    return HostType(name, gpus, tuple(nics), draw(st.integers(1, gpus)), speed, gpu_memory_bytes=memory, speed=1.5)


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    types = tuple(draw(host_types(f"type{n}")) for n in range(draw(st.integers(1, 3))))
    tiers = tuple(Tier(f"t{t}", 10.0 * 2**t, draw(st.none() | st.just(1e-6))) for t in range(draw(st.integers(0, 3))))
    groups: list[Group] = []
    for k in range(draw(st.integers(0, 6)) if tiers else 0):
        tier = draw(st.integers(0, len(tiers) - 1))
        above = [i for i, group in enumerate(groups) if group.tier > tier]
        parent = draw(st.sampled_from([-1, *above]))
        rails = draw(st.integers(1, 3))
        uplinks = tuple(draw(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=rails, max_size=rails)))
        switches = draw(st.sampled_from([(), tuple(f"g{k}-r{rail}" for rail in range(rails))]))
        groups.append(Group(f"g{k}", tier, parent, rails, uplinks if parent >= 0 else (), draw(bandwidths), switches))
    hosts = tuple(draw(_hosts(f"h{h}", types, len(groups))) for h in range(draw(st.integers(1, 5))))
    names = st.sampled_from([group.name for group in groups] + ["sw0", "sw1"])
    links = draw(st.lists(st.builds(Link, names, names, st.integers(1, 3), bandwidths, st.integers(0, 1)), max_size=5))
    islanders = draw(st.lists(st.integers(0, len(hosts) - 1), unique=True, max_size=3))
    gpus = [(h, gpu) for h, host in enumerate(hosts) for gpu in range(types[host.type].gpus)]
    return Fabric(
        name="any",
        routing=draw(st.sampled_from(["ecmp", "adaptive", "static"])),
        host_types=types,
        hosts=hosts,
        tiers=tiers,
        groups=tuple(groups),
        islands=(Island("rack", tuple(islanders), 900e9),) if islanders else (),
        links=tuple(links),
        unusable_gpus=frozenset(draw(st.lists(st.sampled_from(gpus), max_size=3))),
        assumed=("something",),
        warnings=("careful",),
    )


@st.composite
def _hosts(draw: st.DrawFn, name: str, types: tuple[HostType, ...], groups: int) -> Host:
    kind = draw(st.integers(0, len(types) - 1))
    home = draw(st.integers(-1, groups - 1))
    attach: list[Attachment] = []
    if groups and types[kind].nics:
        nic = st.integers(0, len(types[kind].nics) - 1)
        attach = draw(st.lists(st.builds(Attachment, nic, st.integers(0, groups - 1), st.integers(0, 1)), max_size=4))
    return Host(name, kind, home, tuple(attach), draw(st.sampled_from([(), (("ip", f"10.0.0.{name[1:]}"),)])))


def fields(fabric: Fabric) -> dict[str, Any]:
    return {field.name: getattr(fabric, field.name) for field in dataclasses.fields(fabric)}


@settings(max_examples=60, deadline=None)
@given(fabrics())
def test_round_trip(fabric: Fabric) -> None:
    assert fields(from_networkx(to_networkx(fabric))) == fields(fabric)


@settings(max_examples=30, deadline=None)
@given(fabrics())
def test_round_trip_through_json(fabric: Fabric) -> None:
    data = json.loads(json.dumps(nx.node_link_data(to_networkx(fabric), edges="edges")))
    assert fields(from_networkx(nx.node_link_graph(data, edges="edges"))) == fields(fabric)


def test_edges_count_links(make_clos: Callable[..., Any]) -> None:
    fabric = formats.read(make_clos(groups=2, rails=4, hosts=2, spines=2, cables=2).text())
    graph = to_networkx(fabric)
    uplink = graph.edges["leaf-0-0", "spine-0"]
    assert (uplink["kind"], uplink["count"], uplink["bandwidth_bytes_per_s"]) == ("uplink", 16, 16 * 50e9)
    attach = graph.edges["gpu-0-0-1", "leaf-0-0"]
    assert (attach["kind"], attach["count"], attach["bandwidth_bytes_per_s"]) == ("attach", 4, 4 * 50e9)
    cable = graph.edges["leaf-0-0-r0", "spine0-0"]
    assert (cable["kind"], cable["count"], cable["bandwidth_bytes_per_s"]) == ("cable", 2, 2 * 50e9)
    kinds = sorted(data["kind"] for _, data in graph.nodes(data=True))
    assert kinds == ["group"] * 3 + ["host"] * 4 + ["switch"] * (8 + 2)


def test_a_host_taken_away_is_gone(make_clos: Callable[..., Any]) -> None:
    graph = to_networkx(formats.read(make_clos(groups=2, rails=2, hosts=2).text()))
    graph.remove_node("gpu-0-0-2")
    assert from_networkx(graph).host_names == ("gpu-0-0-1", "gpu-0-1-1", "gpu-0-1-2")


def test_what_a_graph_cannot_hold_is_refused() -> None:
    kind = HostType("t", 1, (), 1, 0.0)
    with pytest.raises(InputError, match="share a name"):
        to_networkx(Fabric("f", "ecmp", (kind,), (Host("x", 0, 0),), (Tier("leaf", 10.0),), (Group("x", 0),)))
    with pytest.raises(InputError, match="called like a host"):
        to_networkx(Fabric("f", "ecmp", (kind,), (Host("x", 0),), links=(Link("x", "y", 1, 1e9),)))


def test_a_foreign_graph_is_refused() -> None:
    with pytest.raises(InputError, match="not one of to_networkx"):
        from_networkx(nx.path_graph(3))
    graph = to_networkx(Fabric("f", "ecmp", (HostType("t", 1, (), 1, 0.0),), (Host("x", 0),)))
    graph.nodes["x"]["type"] = "other"
    with pytest.raises(InputError, match="not one of to_networkx"):
        from_networkx(graph)
