"""Reader of SimAI's network topologies: GPUs, NVSwitches and switches by number, and a link a line.

The first line counts nodes, GPUs a server, NVSwitches, switches and links, and names the GPU; the second lists the
numbers of all switches, NVSwitches first; each further line is "source target bandwidth latency error". GPUs have the
lowest numbers, server by server.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies.cables.leaves import MAX_RAILS
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S
from topoplan.topologies.names.roles import HOST, SWITCH
from topoplan.topologies.reading import MAX_HOSTS, ReadOptions, clean_name, lines
from topoplan.units import parse_bandwidth

_HEAD = re.compile(r"\s*(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s+([A-Za-z]\S*)\s*")
_LINK = re.compile(r"(\d{1,9})\s+(\d{1,9})\s+([\d.]+[KMGT]?bps)\s+[\d.eE+-]+m?[un]?s\s+[\d.eE+-]+")
_HINT = "give a file of SimAI's topology generator, whole"


@dataclass(frozen=True, slots=True)
class _Head:
    nodes: int
    gpus_per_server: int
    nvswitches: int
    switches: int
    links: int
    gpu: str

    @property
    def gpus(self) -> int:
        return self.nodes - self.nvswitches - self.switches

    def name(self, node: int) -> str:
        """Name of a switch, or of the server of a GPU."""
        if node < self.gpus:
            return f"server-{node // self.gpus_per_server}"
        return f"switch-{node}"


def sniff(text: str) -> bool:
    """Whether the first line has SimAI's five counts and a GPU's name."""
    return _HEAD.fullmatch(text[:4096].lstrip().partition("\n")[0]) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a SimAI topology; NICs of a GPU on several switches are planes, NVSwitches the scale-up domain.

    Raises
    ------
    InputError
        Counts that the rest of the file contradicts, or a line that is no link.
    """
    rows = ((number, line) for number, line in lines(text, path) if line.strip())
    head = _head(rows, path)
    switches = _switches(rows, head, path)
    wiring = Wiring(roles={head.name(node): SWITCH if node >= head.gpus else HOST for node in range(head.nodes)})
    scale_up: defaultdict[int, float] = defaultdict(float)
    ports: defaultdict[int, int] = defaultdict(int)
    for a, b, bandwidth in _links(rows, head, path):
        if any(head.gpus <= node < head.gpus + head.nvswitches for node in (a, b)):
            scale_up[min(a, b)] += bandwidth
        elif a < head.gpus:
            gpu = a % head.gpus_per_server
            wire = Wire(head.name(a), f"gpu{gpu}", head.name(b), "", bandwidth, 1, gpu, ports[a])
            wiring.wires.append(wire)
            ports[a] += 1
        else:
            wiring.wires.append(Wire(head.name(a), "", head.name(b), "", bandwidth))
    if not switches:
        raise InputError("there are no switches in this topology", place=Place(path))
    kind = _host_type(head, scale_up, wiring)
    return wired_fabric(wiring, path, options, host_type=kind, told="as the file says")


def _head(rows: Iterator[tuple[int, str]], path: str) -> _Head:
    number, line = next(rows, (0, ""))
    match = _HEAD.fullmatch(line)
    if not match:
        raise InputError("the first line does not hold SimAI's counts", place=Place(path, number), hint=_HINT)
    nodes, gpus, nvswitches, switches, links = map(int, match.groups()[:5])
    head = _Head(nodes, gpus, nvswitches, switches, links, match[6])
    servers = head.gpus // max(1, head.gpus_per_server)
    if head.gpus < 1 or not 1 <= head.gpus_per_server <= MAX_RAILS or head.gpus % head.gpus_per_server:
        raise InputError(
            f"{head.nodes} nodes less {head.nvswitches} NVSwitches and {head.switches} switches leave "
            f"{head.gpus} GPUs, which do not fill servers of {head.gpus_per_server}",
            place=Place(path, number),
            hint=_HINT,
        )
    if servers > MAX_HOSTS or head.nodes > MAX_HOSTS * MAX_RAILS:
        raise InputError(f"{head.nodes} nodes are more than any fabric has", place=Place(path, number))
    return head


def _switches(rows: Iterator[tuple[int, str]], head: _Head, path: str) -> list[int]:
    number, line = next(rows, (0, ""))
    words = line.split()
    if [word for word in words if not (word.isdecimal() and head.gpus <= int(word[:9]) < head.nodes)]:
        raise InputError("the second line does not list the switches", place=Place(path, number), hint=_HINT)
    if len(set(words)) != head.nodes - head.gpus:
        raise InputError(
            f"{len(set(words))} switches are listed; the first line counts {head.nodes - head.gpus}",
            place=Place(path, number),
            hint=_HINT,
        )
    return [int(word) for word in words]


def _links(rows: Iterator[tuple[int, str]], head: _Head, path: str) -> Iterator[tuple[int, int, float]]:
    """Source, target and bytes/s of each link, the GPU first."""
    seen = 0
    speeds: dict[str, float] = {}
    for number, line in rows:
        match = _LINK.fullmatch(line.strip())
        if not match:
            raise InputError("this line is no link", place=Place(path, number), hint=_HINT)
        a, b = sorted((int(match[1]), int(match[2])))
        if b >= head.nodes or b < head.gpus:
            raise InputError(f"a link from node {match[1]} to node {match[2]}", place=Place(path, number), hint=_HINT)
        if match[3] not in speeds:
            speeds[match[3]] = _speed(match[3], Place(path, number))
        seen += 1
        yield a, b, speeds[match[3]]
    if seen != head.links:
        raise InputError(f"{seen} links; the first line counts {head.links}", place=Place(path), hint=_HINT)


def _speed(text: str, place: Place) -> float:
    try:
        return parse_bandwidth(text)
    except ValueError as error:
        raise InputError(str(error), place=place) from None


def _host_type(head: _Head, scale_up: dict[int, float], wiring: Wiring) -> HostType:
    """Server of the file: all GPUs on NVSwitches are one domain."""
    gpus = head.gpus_per_server
    nics = tuple(Nic(rail, 0.0, rail) for rail in range(gpus))
    speeds = {bandwidth for gpu, bandwidth in scale_up.items() if gpu < head.gpus}
    name = clean_name(f"{head.gpu.lower()}-x{gpus}")
    if not speeds:
        wiring.assumed.append("NVLink: none, as the file has no NVSwitches")
        return HostType(name, gpus, nics, 1, DEFAULT_SCALE_UP_BYTES_PER_S)
    if len(speeds) > 1:
        wiring.warnings.append("GPUs differ in NVLink bandwidth; the least counts")
    return HostType(name, gpus, nics, gpus, min(speeds))
