"""Readers of graphs: GraphML and networkx's node-link JSON, those that topoplan wrote and any others with cables.

In a graph of others, nodes are devices: an attribute `role`, `kind`, `type` or `device_type` says what they are. Edges
are cables, with a `bandwidth` or `speed` ("400 Gb/s", or a number under bandwidth_bytes_per_s or bandwidth_gbps) and a
`count`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.documents import list_at, load, mapping_at
from topoplan.topologies.graph import from_networkx
from topoplan.topologies.names.roles import role_of_word
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, quoted
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag
from topoplan.units import parse_bandwidth

_NODE_LINK = re.compile(r'"(?:directed|multigraph)"\s*:')
_ROLES = ("role", "kind", "type", "device_type")
_SPEEDS = {"bandwidth_bytes_per_s": 1.0, "bandwidth_gbps": 1e9 / 8, "speed_gbps": 1e9 / 8}
_MAX_COUNT = 4096  # cables of one edge


def sniff_graphml(text: str) -> bool:
    """Whether the first element is <graphml>."""
    return root_tag(text) == "graphml"


def sniff_node_link(text: str) -> bool:
    """Whether `text` is JSON that begins as node_link_data does."""
    return text.lstrip()[:1] == "{" and _NODE_LINK.search(text, 0, SNIFF_CHARS) is not None


def read_graphml(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a GraphML file.

    Raises
    ------
    InputError
        Not well-formed, edges between nodes that are not listed, or no host among them.
    """
    root = parse_xml(text, path)
    keys = {element.get("id"): element for element in root.children if element.tag == "key"}
    graph = next((element for element in root.children if element.tag == "graph"), None)
    if graph is None:
        raise InputError("there is no <graph> in this file", place=Place(path, root.line))
    nodes = {node.get("id"): _data(node, keys) for node in graph.children if node.tag == "node"}
    edges = [
        (edge.get("source"), edge.get("target"), _data(edge, keys)) for edge in graph.children if edge.tag == "edge"
    ]
    return _fabric(_data(graph, keys), nodes, edges, path, options)


def _data(element: Element, keys: Mapping[str, Element]) -> dict[str, Any]:
    """Attributes of a graph, node or edge by name, numbers and JSON turned into what they are."""
    found: dict[str, Any] = {}
    for item in element.children:
        if item.tag == "data":
            key = keys.get(item.get("key"))
            name = key.get("attr.name") if key else item.get("key")
            found[name] = _value(item.text, key.get("attr.type") if key else "string")
    return found


def _value(text: str, kind: str) -> Any:
    bare = text.strip()
    if kind in ("boolean", "int", "long", "float", "double") or bare[:1] in ("[", "{", '"'):
        try:
            return json.loads(bare.lower() if kind == "boolean" else bare)
        except (ValueError, RecursionError):
            return text
    return text


def read_node_link(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of node-link JSON; edges stand under "links" or "edges".

    Raises
    ------
    InputError
        Not JSON, edges between nodes that are not listed, or no host among them.
    """
    documents = load(text, path)
    data = mapping_at(documents[0].data) if documents else {}
    nodes: dict[str, dict[str, Any]] = {}
    for node in list_at(data, "nodes"):
        about = mapping_at(node)
        nodes[str(about.get("id"))] = {key: value for key, value in about.items() if key != "id"}
    edges = []
    for edge in list_at(data, "links") or list_at(data, "edges"):
        about = mapping_at(edge)
        rest = {key: value for key, value in about.items() if key not in ("source", "target")}
        edges.append((str(about.get("source")), str(about.get("target")), rest))
    return _fabric(mapping_at(data, "graph"), nodes, edges, path, options)


def _fabric(
    about: Mapping[str, Any],
    nodes: Mapping[str, dict[str, Any]],
    edges: list[tuple[str, str, dict[str, Any]]],
    path: str,
    options: ReadOptions,
) -> Fabric:
    for a, b, _ in edges:
        if a not in nodes or b not in nodes:
            raise InputError(f"an edge from {quoted(a)} to {quoted(b)}, which are not both listed", place=Place(path))
    if "host_types" in about and "tiers" in about:
        import networkx as nx  # noqa: PLC0415 - slow to import

        graph: nx.Graph[str] = nx.Graph()
        graph.graph.update(about)
        graph.add_nodes_from(nodes.items())
        graph.add_edges_from(edges)
        return from_networkx(graph)
    wiring = Wiring()
    for name, data in nodes.items():
        wiring.roles[name] = next((r for key in _ROLES if key in data and (r := role_of_word(str(data[key])))), "")
    for number, (a, b, data) in enumerate(edges, 1):
        wiring.wires.append(_wire(a, b, data, f"edge {number}", path))
    if not wiring.wires:
        raise InputError("there is no edge in this graph", place=Place(path))
    return wired_fabric(wiring, path, options, name=str(about.get("name") or ""))


def _wire(a: str, b: str, data: Mapping[str, Any], what: str, path: str) -> Wire:
    count = data.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int | float) or not 1 <= count <= _MAX_COUNT:
        raise InputError(f"{what}: count {quoted(str(count))} is no number of cables", place=Place(path))
    speed = 0.0
    for key, factor in _SPEEDS.items():
        value = data.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
            speed = value * factor
    for key in ("bandwidth", "speed"):
        if isinstance(data.get(key), str) and data[key]:
            try:
                speed = parse_bandwidth(data[key])
            except ValueError as error:
                raise InputError(f"{what}: {str(error)[:200]}", place=Place(path)) from None
    ports = (str(data.get(key) or "") for key in ("source_port", "target_port"))
    return Wire(a, next(ports), b, next(ports), speed, int(count))
