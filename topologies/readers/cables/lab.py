"""Readers of lab and inventory exports: containerlab YAML, NVIDIA Air, Graphite and link-list JSON, Graphviz dot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.documents import list_at, load, mapping_at
from topoplan.topologies.names.roles import ASIDE, HOST, SWITCH, role_of_word
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, quoted

# Kinds of containerlab nodes that run no network operating system; all others are switches or routers (its manual).
_CLAB_HOSTS = ("linux", "ext-container", "k8s-kind", "generic_vm")
_CLAB_ASIDE = ("host", "mgmt-net", "macvlan", "dummy", "vxlan", "vxlan-stitch")  # ends of links that are no nodes
_CLAB = re.compile(r"^topology[ \t]*:", re.MULTILINE)
# Test beds of SONiC have a `topology` too, and get an explanation.
_ENDPOINTS = re.compile(
    r"\bendpoints\b|^[ \t]+(?:nodes|VMs|host_interfaces|disabled_host_interfaces)[ \t]*:", re.MULTILINE
)
_LINKS = re.compile(r'"links"\s*:\s*\[')
_DOT_EDGE = re.compile(
    r'\s*"?([\w.-]+)"?\s*:\s*"?([\w./:-]+)"?\s*--\s*"?([\w.-]+)"?\s*:\s*"?([\w./:-]+)"?\s*(?:\[.*\])?;?'
)
_DOT_NODE = re.compile(r'\s*"?([\w.-]+)"?\s*\[(.*)\]\s*;?')
_FUNCTION = re.compile(r'\bfunction\s*=\s*"?([\w-]+)')
_HINT = 'links look like {endpoints: ["leaf1:e1-1", "node1:eth1"]}'


def sniff_containerlab(text: str) -> bool:
    """Whether `text` has a `topology` of nodes or links with endpoints."""
    head = text[:SNIFF_CHARS]
    return _CLAB.search(head) is not None and _ENDPOINTS.search(head) is not None


def sniff_json(text: str) -> bool:
    """Whether `text` is JSON with a list of links between nodes and their interfaces."""
    head = text[:SNIFF_CHARS]
    start = _LINKS.search(text)
    if head.lstrip()[:1] != "{" or not start:
        return False
    after = text[start.end() : start.end() + 600]
    return '"interface"' in after or '"endpoints"' in after


def sniff_dot(text: str) -> bool:
    """Whether `text` is an undirected Graphviz graph whose edges name ports."""
    head = text[:SNIFF_CHARS]
    return re.search(r"^[ \t]*(?:strict[ \t]+)?graph\b", head, re.MULTILINE) is not None and any(
        map(_DOT_EDGE.fullmatch, head.split("\n")[:500])
    )


def read_containerlab(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a containerlab topology; nodes of kind linux are hosts, all other kinds switches.

    Labels `role` or `graph-icon` say it better where there are some. Bandwidths are not in the format.

    Raises
    ------
    InputError
        No links, or endpoints that are not "node:interface".
    """
    data = _first(text, path)
    topology = mapping_at(data, "topology")
    if "links" not in topology:
        raise InputError(
            "there are no links in this topology",
            place=Place(path),
            hint="this file sets nodes up without cables, or is a SONiC test bed, whose hosts are interfaces of one "
            "switch under test; give the file with `links`, or the lab's links as CSV",
        )
    wiring = Wiring(wires=list(_clab_wires(topology["links"], path)))
    for name, node in _mapping(topology.get("nodes")).items():
        wiring.roles[str(name)] = _clab_role(_inherited(_mapping(node), topology))
    wiring.roles |= dict.fromkeys(_CLAB_ASIDE, ASIDE)
    return wired_fabric(wiring, path, options, name=str(data.get("name") or ""))


def _first(text: str, path: str) -> dict[str, Any]:
    """The first document of `text`; {} when it is no mapping."""
    documents = load(text, path)
    data = documents[0].data if documents else None
    return data if isinstance(data, dict) else {}


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _inherited(node: Mapping[Any, Any], topology: Mapping[Any, Any]) -> tuple[str, Mapping[Any, Any]]:
    """Kind and labels of a node: its own first, then its group's, its kind's, the defaults (containerlab's manual)."""
    defaults = _mapping(topology.get("defaults"))
    group = _mapping(_mapping(topology.get("groups")).get(node.get("group") or defaults.get("group")))
    kind = str(node.get("kind") or group.get("kind") or defaults.get("kind") or "")
    of_kind = _mapping(_mapping(topology.get("kinds")).get(kind))
    labels: dict[Any, Any] = {}
    for source in (defaults, of_kind, group, node):
        labels |= _mapping(source.get("labels"))
    return kind, labels


def _clab_role(told: tuple[str, Mapping[Any, Any]]) -> str:
    kind, labels = told
    if labels.get("graph-hide") is True or str(labels.get("graph-hide")).lower() == "yes":
        return ASIDE
    for label in ("role", "graph-icon"):
        if role := role_of_word(str(labels.get(label, ""))):
            return role
    return "" if not kind else HOST if kind in _CLAB_HOSTS else SWITCH


def _clab_wires(links: Any, path: str) -> Iterable[Wire]:
    if not isinstance(links, list):
        raise InputError("`links` is not a list", place=Place(path), hint=_HINT)
    for number, link in enumerate(links, 1):
        ends = link.get("endpoints") if isinstance(link, dict) else None
        if not isinstance(ends, list) or len(ends) != 2:
            ends = [link["endpoint"]] if isinstance(link, dict) and "endpoint" in link else []
            if ends:
                continue  # an end on the machine that runs the lab
            raise InputError(f"link {number} has no two endpoints", place=Place(path), hint=_HINT)
        (a, a_port), (b, b_port) = (_endpoint(end, number, path) for end in ends)
        yield Wire(a, a_port, b, b_port)


def _endpoint(end: Any, number: int, path: str) -> tuple[str, str]:
    """Node and interface of "leaf1:e1-1" or {node: leaf1, interface: e1-1}."""
    if isinstance(end, str) and ":" in end:
        node, _, port = end.partition(":")
    elif isinstance(end, dict) and isinstance(end.get("node"), str | int):
        node, port = str(end["node"]), str(end.get("interface") or "")
    else:
        node = port = ""
    if not node:
        raise InputError(f"link {number}: endpoint {quoted(str(end))} names no node", place=Place(path), hint=_HINT)
    return node, port


def read_json(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a JSON with `links`: NVIDIA Air ({content: {nodes, links}}), Graphite, or containerlab's own export.

    A link is a list of two {node, interface}, or a mapping whose values hold them (`a` and `z`, say). Nodes may have a
    role in `labels`, `role` or `function`.

    Raises
    ------
    InputError
        Not JSON, or links of another shape.
    """
    data = _first(text, path)
    body = mapping_at(data, "content") or data
    links = list_at(body, "links")
    if not links:
        raise InputError("there is no list of links in this JSON", place=Place(path))
    wiring = Wiring(wires=[_json_wire(link, number, path) for number, link in enumerate(links, 1)])
    nodes = body.get("nodes")
    named = nodes.items() if isinstance(nodes, dict) else ((_mapping(n).get("name"), n) for n in nodes or ())
    for name, node in named:
        wiring.roles[str(name)] = _json_role(_mapping(node))
    return wired_fabric(wiring, path, options, name=str(data.get("title") or data.get("name") or ""))


def _json_role(node: Mapping[Any, Any]) -> str:
    labels = _mapping(node.get("labels"))
    words = (labels.get("role"), labels.get("graph-icon"), node.get("role"), node.get("function"), node.get("type"))
    return next((role for word in words if word and (role := role_of_word(str(word)))), "")


def _json_wire(link: Any, number: int, path: str) -> Wire:
    parts = link if isinstance(link, list) else list(link.values()) if isinstance(link, dict) else []
    if isinstance(link, dict) and isinstance(link.get("endpoints"), list):
        parts = link["endpoints"]
    ends = [end for end in parts if (isinstance(end, dict) and "node" in end) or (isinstance(end, str) and ":" in end)]
    if len(ends) != 2 and any(isinstance(end, str) for end in parts):
        return Wire("outside", "", "outside", "")  # Air writes "unconnected" or "exit" for one end
    if len(ends) != 2:
        raise InputError(f"link {number} does not have two ends with a node", place=Place(path))
    (a, a_port), (b, b_port) = (_endpoint(end, number, path) for end in ends)
    return Wire(a, a_port, b, b_port)


def read_dot(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a Graphviz graph with edges such as "leaf01":"swp1" -- "node01":"eth1"; `function` tells the role.

    Raises
    ------
    InputError
        No edge between two ports.
    """
    wiring = Wiring()
    for line in text.split("\n"):
        if len(line) > 4096:
            raise InputError("a line is too long for a graph of cables", place=Place(path))
        if match := _DOT_EDGE.fullmatch(line.rstrip()):
            wiring.wires.append(Wire(match[1], match[2], match[3], match[4]))
        elif (match := _DOT_NODE.fullmatch(line.rstrip())) and (function := _FUNCTION.search(match[2])):
            wiring.roles[match[1]] = role_of_word(function[1])
    if not wiring.wires:
        raise InputError("no edge names two ports", place=Place(path), hint='write "leaf1":"swp1" -- "node1":"eth1"')
    return wired_fabric(wiring, path, options)
