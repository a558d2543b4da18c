"""Writers of networkx graphs: node-link JSON and GraphML, of the graph that `topoplan.topologies.graph` builds.

Both hold all of a Fabric, and the reader of the same name reads them back. GraphML has no lists: attributes
that are lists or mappings stand in it as JSON.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies.graph import to_networkx

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def write_node_link(fabric: Fabric) -> str:
    """Node-link JSON as networkx.node_link_data makes it, edges under "links".

    Raises
    ------
    InputError
        A group or linked switch that is called like a host, as nodes could not be told apart.
    """
    import networkx as nx  # noqa: PLC0415 - slow to import

    data = nx.node_link_data(to_networkx(fabric), edges="links")
    lines = [f'"{key}": {_dump(data[key])}' for key in data if key not in ("nodes", "links")]
    for key in ("nodes", "links"):
        rows = ",\n".join("  " + _dump(row) for row in data[key])
        lines.append(f'"{key}": [\n{rows}\n]')
    return "{" + ",\n".join(lines) + "}\n"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def write_graphml(fabric: Fabric) -> str:
    """GraphML that networkx, Gephi, yEd and igraph open.

    Raises
    ------
    InputError
        As `write_node_link`, or text that XML cannot hold, as control characters.
    """
    graph = to_networkx(fabric)
    root = ET.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    inside = ET.Element("graph", id="G", edgedefault="undirected")
    keys = _Keys(root)
    keys.add(inside, "graph", graph.graph.items())
    for name, attributes in graph.nodes(data=True):
        keys.add(ET.SubElement(inside, "node", id=name), "node", attributes.items())
    for a, b, attributes in graph.edges(data=True):
        keys.add(ET.SubElement(inside, "edge", source=a, target=b), "edge", attributes.items())
    root.append(inside)
    ET.indent(root)
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
    if any(
        (ord(char) < 32 and char not in "\t\n\r") or char in "\ufffe\uffff" or 0xD800 <= ord(char) < 0xE000
        for char in text
    ):
        raise InputError("a name or a note has a character that XML cannot hold")
    return text


class _Keys:
    """The <key> elements: one for each attribute, in the order in which they first appear."""

    def __init__(self, root: ET.Element) -> None:
        self._root = root
        self._ids: dict[tuple[str, str], str] = {}

    def add(self, element: ET.Element, domain: str, attributes: Iterable[tuple[str, Any]]) -> None:
        """Put `attributes` into `element`, lists and mappings as JSON."""
        for name, value in attributes:
            kind = type(value) if type(value) in _TYPES else str
            text = value if isinstance(value, str) else _dump(value)
            # XML turns line ends into line feeds and drops nothing else, but JSON escapes survive all readers
            text = _dump(text) if isinstance(value, str) and not text.isprintable() else text
            ET.SubElement(element, "data", key=self._key(domain, name, kind)).text = text

    def _key(self, domain: str, name: str, kind: type) -> str:
        ident = self._ids.get((domain, name))
        if ident is None:
            ident = self._ids[domain, name] = f"d{len(self._ids)}"
            attributes = {"id": ident, "for": domain, "attr.name": name, "attr.type": _TYPES[kind]}
            ET.SubElement(self._root, "key", attributes)
        return ident
