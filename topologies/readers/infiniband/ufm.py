"""Reader of UFM's ports (GET /ufmRest/resources/ports): an InfiniBand fabric as its manager lists it, a port an entry.

Fields by NVIDIA's UFM Enterprise REST API guide; their names are taken without case and underscores, as tools that
pass the answer on spell them in their own way. Entries without GUIDs are told apart by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.documents import is_json, load
from topoplan.topologies.readers.infiniband.ib_dump import LANE_GBPS, Cable, Dump, Node
from topoplan.topologies.readers.infiniband.subnet import subnet_fabric
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions

_SNIFF = re.compile(r'"peer_?node_?name"\s*:', re.IGNORECASE)
_LISTS = ("data", "ports", "items", "resources")  # keys under which an answer in pages has its entries
_PORT_NAME = re.compile(r"([0-9A-Fa-f]{16})_(\d{1,3})")  # what UFM calls a port: GUID of its node, and its number
_WIDTH = re.compile(r"(?:IB_)?(\d{1,2})x", re.IGNORECASE)
_UP = ("link up", "linkup", "")
_BYTES_PER_GBIT = 1e9 / 8


def sniff(text: str) -> bool:
    """Whether `text` is JSON whose entries know the node at the other end."""
    return is_json(text) and _SNIFF.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of UFM's ports; of ports of hosts alone too, which tell nothing of what is above their leaves.

    Raises
    ------
    InputError
        JSON of another shape, a port without the system it is on, or no host among them.
    """
    dump, down = Dump(), 0
    cables: dict[frozenset[tuple[str, str]], Cable] = {}
    for number, entry in enumerate(_entries(text, path), 1):
        ends = _ends(entry, number, path)
        if ends is None:
            down += _is_host(entry)
            continue
        here, there = (_add(dump, end) for end in ends)
        own, far = ends
        here.description, here.image = own.description, own.image  # a node knows itself better than its peers do
        key = frozenset(((here.guid, own.port or f"entry {number}"), (there.guid, far.port or f"peer {number}")))
        if key not in cables:
            here.links, there.links = here.links + 1, there.links + 1
            cables[key] = Cable(here.guid, 0, there.guid, 0, _speed(entry))
    if not cables:
        hint = "curl -u USER https://UFM/ufmRest/resources/ports"
        raise InputError("no port in this list leads anywhere", place=Place(path), hint=hint)
    dump.cables = list(cables.values())
    return subnet_fabric(dump, path, options, warnings=[f"{down} ports of hosts are down"] if down else [])


def _entries(text: str, path: str) -> Iterator[dict[str, Any]]:
    """Entries of all documents, with keys in lower case and without underscores."""
    for document in load(text, path):
        data = document.data
        if isinstance(data, dict):
            data = next((data[key] for key in _LISTS if isinstance(data.get(key), list)), [data])
        for entry in data if isinstance(data, list) else ():
            if not isinstance(entry, dict):
                raise InputError("a port is no mapping", place=Place(path), hint="give UFM's own JSON")
            yield {str(key).replace("_", "").lower(): value for key, value in entry.items()}


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""


def _is_host(entry: dict[str, Any]) -> bool:
    """Whether the port is one of a host ("Computer IB Port"); of an HCA where there is no description."""
    return "computer" in _text(entry, "description").lower() or _text(entry, "dname").upper().startswith("HCA")


@dataclass(frozen=True, slots=True)
class _End:
    """An end of a cable: its node as a `Node` has it, and the port's number or name there, "" when unknown."""

    kind: str
    guid: str
    description: str
    image: str
    port: str


def _ends(entry: dict[str, Any], number: int, path: str) -> tuple[_End, _End] | None:
    """Both ends of a port's cable, None where it leads nowhere or is down."""
    system, peer = _text(entry, "systemname"), _text(entry, "peernodename")
    if not system:
        raise InputError(f"port {number} of the list is on no system: system_name is missing", place=Place(path))
    if not peer or peer in ("N/A", "NA") or _text(entry, "physicalstate").lower() not in _UP:
        return None
    told, label = _text(entry, "nodedescription"), _text(entry, "dname")
    own = _end(_is_host(entry), system, told, label, _text(entry, "name"), _text(entry, "systemid"))
    told, label = _text(entry, "peernodedescription"), _text(entry, "peerportdname")
    host = label.upper().startswith("HCA")
    return own, _end(host, peer, told, label, _text(entry, "peer"), _text(entry, "peernodeguid"))


def _end(host: bool, system: str, told: str, label: str, port: str, image: str) -> _End:
    """Adapters go by their own GUID and are described as "system device", switches by theirs and the system's name."""
    match = _PORT_NAME.fullmatch(port)
    number = match[2] if match else label
    if not host:
        return _End("switch", f"S-{match[1].lower() if match else system}", system, image.lower(), number)
    words = re.sub(r":\d{1,3}$", "", told).split()
    device = words[1] if len(words) == 2 else label.partition("/")[0]
    guid = match[1].lower() if match else f"{system} {device}"
    return _End("ca", f"H-{guid}", f"{system} {device}".strip(), "", number)


def _add(dump: Dump, end: _End) -> Node:
    return dump.nodes.setdefault(end.guid, Node(end.guid, end.kind, 0, end.description, 0, end.image))


def _speed(entry: dict[str, Any]) -> float:
    """Bytes/s of a port by its active width and speed, 0 where one of them is unknown."""
    width = _WIDTH.fullmatch(_text(entry, "activewidth"))
    lane = LANE_GBPS.get(_text(entry, "activespeed").upper(), 0.0)
    return int(width[1]) * lane * _BYTES_PER_GBIT if width else 0.0
