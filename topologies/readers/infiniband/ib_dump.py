"""The grammar of ibnetdiscover's output: records of nodes, and cables that each stand in two records."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.topologies.reading import lines, quoted

# Signalling rate of one lane in Gb/s, as the InfiniBand names are sold: 4x NDR is 400 Gb/s. FDR10 runs QDR's 10 Gb/s
# with a leaner code. Source: IBTA roadmap; reference figures of NVIDIA's switch manuals.
LANE_GBPS = {"SDR": 2.5, "DDR": 5, "QDR": 10, "FDR10": 10, "FDR": 14, "EDR": 25, "HDR": 50, "NDR": 100, "XDR": 200}
_BYTES_PER_GBIT = 1e9 / 8
_MAX_LINE = 4096  # assumed: descriptions have 64 bytes; bounds the work of the patterns below
KINDS = {"Switch": "switch", "Ca": "ca", "Rt": "router"}

_HEADER = re.compile(r'\s*(Switch|Ca|Rt|Hca)\s+(\d{1,3})\s+"([^"]*)"\s*(.*)')
_RECORD = re.compile(r"\s*(?:Switch|Ca|Rt|Hca)\s+\d")
_GUID = re.compile(r"[SHR]-[0-9A-Fa-f]+")
_LINK = re.compile(
    r"\s*\[(\d{1,3})\](?:\[ext \d+\])?\s*(?:\(([0-9A-Fa-f]+)\))?\s*"  # own port; its GUID on channel adapters
    r'"([^"]*)"\[(\d{1,3})\](?:\[ext \d+\])?\s*(?:\([0-9A-Fa-f]+\))?\s*#\s*(.*)'
)
_SPEED = re.compile(r"\b(\d{1,2})x([A-Z]{3}(?:10)?)(?![A-Za-z0-9])")
_IMAGE = re.compile(r"\s*sysimgguid=0x([0-9A-Fa-f]+)")
_HINT = "run ibnetdiscover again and keep its whole output"


@dataclass(slots=True)
class Node:
    """A switch, channel adapter or router; `image` is its system image GUID, shared by the blocks of a chassis.

    Adapters have a GUID for each port as well, which is the one that ibstat and sysfs show first.
    """

    guid: str
    kind: str
    ports: int
    description: str
    line: int
    image: str = ""
    links: int = 0
    port_guids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cable:
    """A cable; `bandwidth_bytes_per_s` is 0 where the file has question marks."""

    a: str
    a_port: int
    b: str
    b_port: int
    bandwidth_bytes_per_s: float


@dataclass(slots=True)
class Dump:
    """A whole fabric: nodes by GUID, each cable once, both in the order of the file."""

    nodes: dict[str, Node] = field(default_factory=dict)
    cables: list[Cable] = field(default_factory=list)


@dataclass(slots=True)
class _Half:
    peer: str
    peer_port: int
    bandwidth_bytes_per_s: float
    line: int


def parse(text: str, path: str) -> Dump:
    """Read the records of `text`.

    Raises
    ------
    InputError
        What is not in the grammar, or contradicts itself, as cut files do.
    """
    dump = Dump()
    halves: dict[tuple[str, int], _Half] = {}
    node: Node | None = None
    image = ""
    for number, line in lines(text, path):
        if len(line) > _MAX_LINE:
            raise InputError(f"a line of {len(line)} characters is none of ibnetdiscover's", place=Place(path, number))
        start = line.lstrip()[:1]
        if start == "[":
            if node is None:
                raise InputError("a link stands before any Switch or Ca", place=Place(path, number), hint=_HINT)
            _add_link(halves, node, line, Place(path, number))
        elif start in ("S", "C", "R", "H") and _RECORD.match(line):
            match = _HEADER.match(line)
            if not match:
                raise InputError("this line is not the whole head of a record", place=Place(path, number), hint=_HINT)
            node = _add_node(dump, match, image, Place(path, number))
            image = ""
        elif match := _IMAGE.match(line):
            image = match[1].lower().lstrip("0")  # zero means that the vendor sets none
    _check(dump, halves, path)
    dump.cables = _join(dump, halves, path)
    return dump


def _add_node(dump: Dump, match: re.Match[str], image: str, place: Place) -> Node:
    kind, ports, guid, rest = match.groups()
    if not _GUID.fullmatch(guid):
        raise InputError(
            f"node {quoted(guid)} has no GUID such as S-0008f10400410015",
            place=place,
            hint="redacted GUIDs cannot be told apart, ibsim's net files are not read; give ibnetdiscover's output",
        )
    if kind == "Hca":
        raise InputError("Hca records belong to ibsim's net files", place=place, hint=_HINT)
    if guid in dump.nodes:
        raise InputError(
            f"node {guid} is listed twice (first in line {dump.nodes[guid].line})",
            place=place,
            hint="give the output of one run, with GUIDs that are not redacted",
        )
    description = _last_quoted(rest) if rest.startswith("#") else None
    if description is None:
        raise InputError(f"node {guid} has no description after its GUID", place=place, hint=_HINT)
    node = Node(guid, KINDS[kind], int(ports), description, place.line, image)
    dump.nodes[guid] = node
    return node


def _last_quoted(text: str) -> str | None:
    """What stands between the first and the last quotation mark; descriptions may hold some themselves."""
    first, last = text.find('"'), text.rfind('"')
    return text[first + 1 : last].strip() if last > first else None


def _add_link(halves: dict[tuple[str, int], _Half], node: Node, line: str, place: Place) -> None:
    match = _LINK.fullmatch(line)
    if not match:
        raise InputError("this line is not a whole link of ibnetdiscover", place=place, hint=_HINT)
    port, peer, peer_port, rest = int(match[1]), match[3], int(match[4]), match[5]
    if port > node.ports:
        raise InputError(f"port {port} of {node.guid}: it has {node.ports} ports", place=place, hint=_HINT)
    if (node.guid, port) in halves:
        raise InputError(f"port {port} of {node.guid} is listed twice", place=place)
    halves[node.guid, port] = _Half(peer, peer_port, _bandwidth(rest, place), place.line)
    node.links += 1
    if match[2] and node.kind == "ca":
        node.port_guids += (match[2],)


def _bandwidth(rest: str, place: Place) -> float:
    after = rest.rfind('"') + 1
    match = _SPEED.search(rest, after)
    if match and (speed := int(match[1]) * LANE_GBPS.get(match[2], 0.0)):
        return speed * _BYTES_PER_GBIT
    if "??" in rest[after:]:  # what ibnetdiscover prints for a rate it does not know
        return 0.0
    raise InputError(
        "this link ends without a speed such as 4xNDR",
        place=place,
        hint=f"speeds: {', '.join(LANE_GBPS)}; a file cut in the middle of a line looks so too",
    )


def _check(dump: Dump, halves: dict[tuple[str, int], _Half], path: str) -> None:
    if not dump.nodes:
        raise InputError("there is no Switch and no Ca in this text", place=Place(path), hint=_HINT)
    for node in dump.nodes.values():
        if not node.links:
            raise InputError(
                f"{node.kind} {node.guid} ({quoted(node.description)}) has {node.ports} ports and not one link",
                place=Place(path, node.line),
                hint=f"the file was cut here, or the port was down during the scan; {_HINT}",
            )
    for (guid, port), half in halves.items():
        if half.peer not in dump.nodes:
            raise InputError(
                f"port {port} of {guid} leads to {quoted(half.peer)}, which the file does not list",
                place=Place(path, half.line),
                hint=f"the file was cut, or a record was removed; {_HINT}",
            )


def _join(dump: Dump, halves: dict[tuple[str, int], _Half], path: str) -> list[Cable]:
    """Each cable once, from its two ends."""
    cables = []
    for (guid, port), half in halves.items():
        other = halves.get((half.peer, half.peer_port))
        if other is None or (other.peer, other.peer_port) != (guid, port):
            raise InputError(
                f"port {port} of {guid} leads to port {half.peer_port} of {half.peer}, which does not lead back",
                place=Place(path, half.line),
                hint=f"the file was cut or edited; {_HINT}",
            )
        if (guid, port) < (half.peer, half.peer_port):
            bandwidth = min(half.bandwidth_bytes_per_s, other.bandwidth_bytes_per_s)
            cables.append(Cable(guid, port, half.peer, half.peer_port, bandwidth))
    return cables
