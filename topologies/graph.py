"""Fabric <-> networkx graph: hosts, groups and switches as nodes; attachments, uplinks and cables as edges.

Nodes are called as in the fabric and have a `kind`: "host", "group", or "switch" for those that only links name. Every
edge has `count` and `bandwidth_bytes_per_s` (all of it together, each direction), so that cuts and paths can be asked
of the graph as it is. All attributes are numbers, texts and lists of them, which GraphML-like formats and JSON hold.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from topoplan.errors import InputError
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Link, Nic, Tier

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.Graph[str]


def to_networkx(fabric: Fabric) -> Graph:
    """Graph of `fabric`; `from_networkx` turns it back into an equal Fabric.

    Raises
    ------
    InputError
        A group or linked switch that is called like a host, as nodes could not be told apart.
    """
    import networkx as nx  # noqa: PLC0415 - slow to import, and few commands need a graph

    _check_names(fabric)
    graph: Graph = nx.Graph(
        name=fabric.name,
        routing=fabric.routing,
        host_types=[dataclasses.asdict(kind) for kind in fabric.host_types],
        tiers=[dataclasses.asdict(tier) for tier in fabric.tiers],
        islands=[
            {
                "name": island.name,
                "hosts": [fabric.hosts[h].name for h in island.hosts],
                "bandwidth_bytes_per_s": island.bandwidth_bytes_per_s,
            }
            for island in fabric.islands
        ],
        assumed=list(fabric.assumed),
        warnings=list(fabric.warnings),
    )
    _add_groups(graph, fabric)
    _add_hosts(graph, fabric)
    _add_links(graph, fabric)
    return graph


def _check_names(fabric: Fabric) -> None:
    if any(group.name in fabric.host_index for group in fabric.groups):
        raise InputError("a group and a host share a name: a graph cannot hold both")
    if any(name in fabric.host_index for link in fabric.links for name in (link.a, link.b)):
        raise InputError("a link leads to a switch called like a host: a graph cannot hold both")


def _add_groups(graph: Graph, fabric: Fabric) -> None:
    for k, group in enumerate(fabric.groups):
        graph.add_node(
            group.name,
            kind="group",
            index=k,
            tier=fabric.tiers[group.tier].name,
            level=group.tier,
            rails=group.rails,
            uplinks=list(group.uplinks),
            link_bandwidth_bytes_per_s=group.link_bandwidth_bytes_per_s,
            switches=list(group.switches),
        )
    for group in fabric.groups:
        if group.parent >= 0:
            parent = fabric.groups[group.parent].name
            bandwidth = group.uplink_bandwidth_bytes_per_s
            graph.add_edge(group.name, parent, kind="uplink", count=sum(group.uplinks), bandwidth_bytes_per_s=bandwidth)


def _add_hosts(graph: Graph, fabric: Fabric) -> None:
    broken: defaultdict[int, list[int]] = defaultdict(list)
    for h, gpu in sorted(fabric.unusable_gpus):
        broken[h].append(gpu)
    for h, host in enumerate(fabric.hosts):
        kind = fabric.host_types[host.type]
        graph.add_node(
            host.name,
            kind="host",
            index=h,
            type=kind.name,
            gpus=kind.gpus,
            unusable_gpus=broken[h],
            aliases=[list(alias) for alias in host.aliases],
        )
        for group, nics in _attached(host, kind).items():
            ports = [nic for _, nic, _ in nics] if nics else range(len(kind.nics))
            graph.add_edge(
                host.name,
                fabric.groups[group].name,
                kind="attach",
                home=group == host.group,
                nics=[list(item) for item in nics],
                count=len(ports),
                bandwidth_bytes_per_s=sum(kind.nics[nic].bandwidth_bytes_per_s for nic in ports),
            )


def _attached(host: Host, kind: HostType) -> dict[int, list[tuple[int, int, int]]]:
    """Group -> (position in `attach`, NIC, plane) of what reaches it; an empty list stands for all NICs."""
    found: dict[int, list[tuple[int, int, int]]] = {host.group: []} if host.group >= 0 else {}
    for position, item in enumerate(host.attach):
        if item.group >= 0:
            found.setdefault(item.group, []).append((position, item.nic, item.plane))
    return found


def _add_links(graph: Graph, fabric: Fabric) -> None:
    for index, link in enumerate(fabric.links):
        for name in (link.a, link.b):
            if name not in graph:
                graph.add_node(name, kind="switch")
        if not graph.has_edge(link.a, link.b):
            graph.add_edge(link.a, link.b, kind="cable", count=0, bandwidth_bytes_per_s=0.0)
        edge = graph.edges[link.a, link.b]
        edge.setdefault("cables", []).append(
            [index, link.a, link.b, link.count, link.bandwidth_bytes_per_s, link.plane]
        )
        if edge["kind"] == "cable":  # an uplink counts these cables already
            edge["count"] += link.count
            edge["bandwidth_bytes_per_s"] += link.count * link.bandwidth_bytes_per_s


def from_networkx(graph: Graph) -> Fabric:
    """Fabric of a graph that `to_networkx` made, perhaps with nodes and edges taken away since.

    Raises
    ------
    InputError
        A graph that lacks what `to_networkx` writes, or makes no sound Fabric.
    """
    try:
        return _rebuild(graph)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"this graph is not one of to_networkx: {type(error).__name__} {error}",
            hint="nodes need kind, index and what else to_networkx writes",
        ) from None


def _rebuild(graph: Graph) -> Fabric:
    about = graph.graph
    groups = _nodes(graph, "group")
    hosts = _nodes(graph, "host")
    group_index = {name: k for k, name in enumerate(groups)}
    host_index = {name: h for h, name in enumerate(hosts)}
    types = tuple(_host_type(item) for item in about["host_types"])
    type_index = {kind.name: n for n, kind in enumerate(types)}
    return Fabric(
        name=about["name"],
        routing=about["routing"],
        host_types=types,
        hosts=tuple(_host(graph, name, type_index, group_index) for name in hosts),
        tiers=tuple(Tier(**item) for item in about["tiers"]),
        groups=tuple(_group(graph, name, group_index) for name in groups),
        islands=tuple(
            Island(item["name"], tuple(host_index[name] for name in item["hosts"]), item["bandwidth_bytes_per_s"])
            for item in about["islands"]
        ),
        links=_links(graph),
        unusable_gpus=frozenset((h, gpu) for name, h in host_index.items() for gpu in hosts[name]["unusable_gpus"]),
        assumed=tuple(about["assumed"]),
        warnings=tuple(about["warnings"]),
    )


def _nodes(graph: Graph, kind: str) -> dict[str, Mapping[str, Any]]:
    found = [(data["index"], name, data) for name, data in graph.nodes(data=True) if data["kind"] == kind]
    return {name: data for _, name, data in sorted(found, key=lambda item: item[0])}


def _host_type(item: Mapping[str, Any]) -> HostType:
    nics = {key: tuple(_nic(nic) for nic in item.get(key, ())) for key in ("nics", "other_nics")}
    return HostType(**{**item, **nics, "slices": tuple(item.get("slices", ()))})


def _nic(item: Mapping[str, Any]) -> Nic:
    return Nic(**{**item, "also": tuple(item.get("also", ()))})


def _group(graph: Graph, name: str, index: Mapping[str, int]) -> Group:
    data = graph.nodes[name]
    above = [
        other
        for other, edge in graph.adj[name].items()
        if edge["kind"] == "uplink" and graph.nodes[other]["level"] > data["level"]
    ]
    if len(above) > 1:
        raise InputError(f"group {name} has {len(above)} groups above it", hint="a fabric is a tree of groups")
    parent = index[above[0]] if above else -1
    speed = data["link_bandwidth_bytes_per_s"]
    return Group(
        name, data["level"], parent, data["rails"], tuple(data["uplinks"]), speed, tuple(data.get("switches", ()))
    )


def _host(graph: Graph, name: str, types: Mapping[str, int], groups: Mapping[str, int]) -> Host:
    home = -1
    attach: list[tuple[int, Attachment]] = []
    for other, edge in graph.adj[name].items():
        if edge["kind"] != "attach":
            continue
        if edge["home"]:
            home = groups[other]
        attach += [(position, Attachment(nic, groups[other], plane)) for position, nic, plane in edge["nics"]]
    data = graph.nodes[name]
    aliases = tuple((kind, alias) for kind, alias in data["aliases"])
    return Host(name, types[data["type"]], home, tuple(item for _, item in sorted(attach, key=lambda i: i[0])), aliases)


def _links(graph: Graph) -> tuple[Link, ...]:
    cables = [cable for _, _, edge in graph.edges(data=True) for cable in edge.get("cables", ())]
    return tuple(Link(*cable[1:]) for cable in sorted(cables, key=lambda item: item[0]))
