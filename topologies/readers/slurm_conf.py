"""Reader of Slurm's topology.conf (plugin topology/tree): a forest of switches with host lists at its leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic
from topoplan.names import check_name, closest, expand, natural_key
from topoplan.topologies.host_kinds import DEFAULT_SCALE_UP_BYTES_PER_S, DEFAULT_SCALE_UP_SOURCE
from topoplan.topologies.readers.base import (
    MAX_HOSTS,
    MAX_TIERS,
    SNIFF_CHARS,
    ReadOptions,
    fabric_name,
    lines,
    quoted,
    tiers,
)

_RECORD = re.compile(r"^[ \t]*(?:SwitchName|BlockName|BlockSizes|RingName)[ \t]*=", re.MULTILINE | re.IGNORECASE)
_PAIR = re.compile(r'\s*([A-Za-z]\w*)\s*=\s*("[^"]*"|\S*)')
_KEYS = ("SwitchName", "Switches", "Nodes", "LinkSpeed")
# Assumed where the user names no host type: the DGX/HGX H100 layout of 8 GPUs, each with a 400 Gb/s NIC.
_GPUS = 8
_NIC_BYTES_PER_S = 400e9 / 8


@dataclass(slots=True)
class _Switch:
    """A record: `children` are switches, `hosts` host names; one of the two is empty."""

    name: str
    line: int
    children: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    parent: str = ""
    height: int = 0
    nics: float = 0.0


def sniff(text: str) -> bool:
    """Whether `text` has records of topology.conf; block topologies too, so that `read` can say what is wrong."""
    return _RECORD.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a topology.conf tree.

    The height of a switch above the hosts is its tier, so trees of unequal depth are fine, and so are several roots.
    The file holds no bandwidths (LinkSpeed has no unit and no meaning to Slurm): uplinks are assumed 1:1.

    Raises
    ------
    InputError
        A block topology, an unknown key, a switch or host that is missing, doubled or its own ancestor.
    """
    switches = _parse(text, path)
    _link(switches, path)
    order = _heights(switches, path)
    kind = options.host_type or _assumed_type()
    return _build(order, switches, kind, path, options)


def _parse(text: str, path: str) -> dict[str, _Switch]:
    switches: dict[str, _Switch] = {}
    hosts = 0
    for number, line in _logical_lines(text, path):
        place = Place(path, number)
        record = _record(line, place)
        switch = _switch(record, place, MAX_HOSTS - hosts)
        hosts += len(switch.hosts) + len(switch.children)
        if switch.name in switches:
            raise InputError(
                f"switch {switch.name} is listed twice (first in line {switches[switch.name].line})", place=place
            )
        switches[switch.name] = switch
    if not switches:
        raise InputError("there is no SwitchName in this text", place=Place(path))
    return switches


def _logical_lines(text: str, path: str) -> Iterator[tuple[int, str]]:
    r"""Lines without comments and white space, those that end in \ joined with the next."""
    pending: list[str] = []
    start = 0
    for number, raw in lines(text, path):
        line = re.split(r"(?<!\\)#", raw, maxsplit=1)[0].rstrip()
        start = start if pending else number
        if line.endswith("\\"):
            pending.append(line[:-1])
            continue
        whole = "".join([*pending, line]).strip()
        pending = []
        if whole:
            yield start, whole
    if pending and (whole := "".join(pending).strip()):
        yield start, whole


def _record(line: str, place: Place) -> dict[str, str]:
    """Key -> value of a line; keys in the spelling of `_KEYS`."""
    if line.lower().startswith("include "):
        raise InputError("Include is not followed", place=place, hint="put the included file's text here")
    record: dict[str, str] = {}
    at = 0
    while at < len(line):
        match = _PAIR.match(line, at)
        if not match:
            raise InputError(f"{quoted(line[at:].strip())} is not Key=Value", place=place)
        at = match.end()
        key = _key(match[1], place)
        if key in record:
            raise InputError(f"{key} stands twice in one line", place=place)
        record[key] = match[2].strip('"')
    return record


def _key(word: str, place: Place) -> str:
    for key in _KEYS:
        if key.lower() == word.lower():
            return key
    if word.lower() in ("blockname", "blocksizes", "ringname"):
        raise InputError(
            f"{word} belongs to a {'ring' if word.lower() == 'ringname' else 'block'} topology, "
            "which hides the network above its blocks and is not read",
            place=place,
            hint="give the fabric's own description instead: ibnetdiscover's output, a topology.conf with SwitchName "
            "lines, or a Fabric YAML whose islands are the blocks",
        )
    raise InputError(f"unknown key {quoted(word)}", place=place, hint=closest(word, _KEYS))


def _switch(record: dict[str, str], place: Place, limit: int) -> _Switch:
    name = record.get("SwitchName", "")
    if not name:
        raise InputError("a line without SwitchName", place=place)
    try:
        switch = _Switch(check_name(name), place.line)
        switch.children = expand(record.get("Switches", ""), limit=limit)
        switch.hosts = expand(record.get("Nodes", ""), limit=limit)
    except ValueError as error:
        raise InputError(f"switch {quoted(name)}: {error}", place=place) from None
    if switch.children and switch.hosts:
        raise InputError(f"switch {name} has both Switches and Nodes, which Slurm refuses", place=place)
    if not switch.children and not switch.hosts:
        raise InputError(f"switch {name} has neither Switches nor Nodes", place=place)
    return switch


def _link(switches: dict[str, _Switch], path: str) -> None:
    """Set the parent of each switch, and see that each host and switch hangs from one."""
    leaf_of: dict[str, str] = {}
    for switch in switches.values():
        place = Place(path, switch.line)
        for name in switch.children:
            child = switches.get(name)
            if child is None:
                raise InputError(
                    f"switch {switch.name} lists {name}, which no SwitchName defines",
                    place=place,
                    hint=closest(name, list(switches)[:1000]),
                )
            if child.parent:
                raise InputError(
                    f"switch {name} is under {child.parent} and under {switch.name}",
                    place=place,
                    hint="topology.conf is a tree: name one switch for all spines that a leaf reaches",
                )
            child.parent = switch.name
        for host in switch.hosts:
            if leaf_of.setdefault(host, switch.name) != switch.name:
                raise InputError(
                    f"host {host} is under {leaf_of[host]} and under {switch.name}",
                    place=place,
                    hint="a host hangs from one switch; in files with a switch for each rail, as made from lists of "
                    "adapters' GUIDs, join the rail switches of a rack into one",
                )
        if len(set(switch.hosts)) < len(switch.hosts):
            raise InputError(f"switch {switch.name} lists a host twice", place=place)


def _heights(switches: dict[str, _Switch], path: str) -> list[_Switch]:
    """Set the height of each switch; all switches, parents before their children, siblings naturally sorted."""
    order = []
    stack = sorted((s for s in switches.values() if not s.parent), key=_sort_key, reverse=True)
    depth = dict.fromkeys((s.name for s in stack), 1)
    while stack:
        switch = stack.pop()
        order.append(switch)
        children = sorted((switches[name] for name in switch.children), key=_sort_key, reverse=True)
        depth |= {child.name: depth[switch.name] + 1 for child in children}
        if depth[switch.name] > MAX_TIERS:
            raise InputError(
                f"switch {switch.name} is more than {MAX_TIERS} levels deep", place=Place(path, switch.line)
            )
        stack.extend(children)
    if len(order) < len(switches):
        lost = min((s for s in switches.values() if s.name not in depth), key=lambda s: s.line)
        raise InputError(f"switch {lost.name} is above itself", place=Place(path, lost.line), hint="break the cycle")
    for switch in reversed(order):
        switch.height = max((switches[name].height + 1 for name in switch.children), default=0)
    return order


def _sort_key(switch: _Switch) -> tuple[tuple[int, int, str], ...]:
    return natural_key(switch.name)


def _assumed_type() -> HostType:
    nics = tuple(Nic(rail, _NIC_BYTES_PER_S, rail) for rail in range(_GPUS))
    return HostType("assumed-8-gpu", _GPUS, nics, _GPUS, DEFAULT_SCALE_UP_BYTES_PER_S)


def _build(
    order: list[_Switch], switches: dict[str, _Switch], kind: HostType, path: str, options: ReadOptions
) -> Fabric:
    index = {switch.name: k for k, switch in enumerate(order)}
    for switch in reversed(order):
        switch.nics += len(switch.hosts) * len(kind.nics)
        if switch.parent:
            switches[switch.parent].nics += switch.nics
    speed = max((nic.bandwidth_bytes_per_s for nic in kind.nics), default=0.0)
    return Fabric(
        name=fabric_name(path),
        routing=options.routing or "ecmp",
        host_types=(kind,),
        hosts=tuple(Host(h, 0, index[s.name]) for s in order for h in sorted(s.hosts, key=natural_key)),
        tiers=tiers(max(switch.height for switch in order) + 1),
        groups=tuple(
            Group(s.name, s.height, index[s.parent], 1, (s.nics,), speed) if s.parent else Group(s.name, s.height)
            for s in order
        ),
        assumed=tuple(_assumed(kind, options)),
    )


def _assumed(kind: HostType, options: ReadOptions) -> list[str]:
    found = ["uplinks of all switches: 1:1, one link for each NIC below"]
    if not options.routing:
        found.append("routing: ecmp, as the file does not tell InfiniBand from Ethernet")
    if options.host_type:
        found.append(f"all hosts: {kind.name}, as the user said")
    else:
        found.append(f"all hosts: {_GPUS} GPUs, each with a NIC of 400 Gb/s (give the host type if not so)")
        found.append(f"scale-up bandwidth of a GPU: {DEFAULT_SCALE_UP_SOURCE}; NVLink domain: the host")
    return found
