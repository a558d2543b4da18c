"""Wiring: a list of cables between named ports, as cabling plans and neighbour tables give it, and its Fabric.

Readers of edge lists fill a `Wiring`; `wired_fabric` finds hosts and switches, drops what is no part of the GPUs'
network, and hands a `Cabling` to `topoplan.topologies.cables.infer`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, HostType
from topoplan.model.host_type import Nic
from topoplan.names import check_name, natural_key
from topoplan.topologies.cables.cabling import Cabling, Components, Port
from topoplan.topologies.cables.infer import to_fabric
from topoplan.topologies.cables.leaves import MAX_RAILS
from topoplan.topologies.cables.nics import select_nics
from topoplan.topologies.names.ports import adapter, device_name, other_network
from topoplan.topologies.names.roles import ASIDE, HOST, SWITCH, Roles, find_roles
from topoplan.topologies.names.table import key_of
from topoplan.topologies.reading import MAX_HOSTS, ReadOptions, clean_name, fabric_name, quoted

USUAL_BYTES_PER_S = 400e9 / 8  # assumed where a file has no speed at all: NDR or 400GbE
_SLOW = 0.25  # assumed: a host's port slower than this share of its fastest is for management


class Wire(NamedTuple):
    """A cable, or several alike.

    Parameters
    ----------
    a_port, b_port
        "" when the file names no ports.
    bandwidth_bytes_per_s
        Of one cable, each direction; 0 when unknown.
    rail, plane
        Of the host's port, where the file says so; -1 otherwise.
    """

    a: str
    a_port: str
    b: str
    b_port: str
    bandwidth_bytes_per_s: float = 0.0
    cables: int = 1
    rail: int = -1
    plane: int = -1


@dataclass(slots=True)
class Wiring:
    """Cables in the order of the file, and the roles of the devices it gives them (host, switch or aside)."""

    wires: list[Wire] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def wired_fabric(
    wiring: Wiring,
    path: str,
    options: ReadOptions,
    *,
    name: str = "",
    routing: str = "ecmp",
    host_type: HostType | None = None,
    types: Mapping[str, HostType] | None = None,
    told: str = "",
) -> Fabric:
    """Fabric of `wiring`.

    Parameters
    ----------
    routing
        Unless the user chose one.
    host_type, types, told
        Kind of all hosts, or of each by name, where the file tells it, and the words that say so; the user's choice
        wins.

    Raises
    ------
    InputError
        No host, or no cable from a host to a switch.
    """
    notes: list[str] = []
    wires = _unique(_renamed(wiring, options), notes)
    roles = find_roles([wire[:4] for wire in wires], _told_roles(wiring, options))
    wires, aside = _wanted(wires, roles, options, notes)
    wires = _reachable(wires, roles, notes)
    wires, assumed = _with_speeds(wires, options.host_type or host_type)
    cabling = _cabling(wires, roles)
    cabling.others = _other_nics(aside, {wire.a for wire in wires if roles.of[wire.a] == HOST})
    cabling, more = select_nics(cabling, options.nics)
    return to_fabric(
        cabling,
        name=clean_name(name) or fabric_name(path),
        routing=options.routing or routing,
        host_type=options.host_type or host_type,
        types=None if options.host_type else types,
        told="as the user said" if options.host_type else told,
        assumed=[*wiring.assumed, *roles.assumed, *assumed, *_routing(options, routing)],
        warnings=[*wiring.warnings, *notes, *more],
    )


def _routing(options: ReadOptions, routing: str) -> list[str]:
    return [] if options.routing else [f"routing: {routing}, as the file does not say"]


def _told_roles(wiring: Wiring, options: ReadOptions) -> dict[str, str]:
    told = dict(wiring.roles)
    for device, entry in options.names.items():
        if entry.role:
            told[device] = entry.role
        if entry.host:
            told[entry.host] = HOST
    return told


def _renamed(wiring: Wiring, options: ReadOptions) -> list[Wire]:
    """Wires with the hosts and devices that the user's table puts behind ids."""
    if not any(entry.host for entry in options.names.values()):
        return wiring.wires
    end_of: dict[str, tuple[str, str]] = {}
    for device in {end for wire in wiring.wires for end in (wire.a, wire.b)}:
        entry = options.names.get(key_of(device))
        if entry and entry.host:
            end_of[device] = (entry.host, entry.device)
    found = []
    for wire in wiring.wires:
        a, a_port = end_of.get(wire.a, (wire.a, ""))
        b, b_port = end_of.get(wire.b, (wire.b, ""))
        found.append(wire._replace(a=a, a_port=a_port or wire.a_port, b=b, b_port=b_port or wire.b_port))
    return found


def _unique(wires: Sequence[Wire], notes: list[str]) -> list[Wire]:
    """Each cable once: tables of neighbours list those between two of their devices from both ends."""
    seen: dict[tuple[tuple[str, str], tuple[str, str]], int] = {}
    found: list[Wire] = []
    ends: set[tuple[str, str]] = set()
    doubled: set[tuple[str, str]] = set()
    for wire in wires:
        if wire.a == wire.b:
            continue
        if wire.a_port and wire.b_port:
            a, b = (wire.a, wire.a_port), (wire.b, wire.b_port)
            key = (a, b) if a < b else (b, a)
            if key in seen:
                old = found[seen[key]]
                found[seen[key]] = old._replace(
                    bandwidth_bytes_per_s=old.bandwidth_bytes_per_s or wire.bandwidth_bytes_per_s
                )
                continue
            seen[key] = len(found)
            for end in (a, b):
                if end in ends:
                    doubled.add(end)
                ends.add(end)
        found.append(wire)
    if doubled:
        device, port = min(doubled)
        notes.append(
            f"{len(doubled)} ports are on several cables, {device[:60]} port {port[:60]} among them; all count"
        )
    loops = sum(wire.a == wire.b for wire in wires)
    if loops:
        notes.append(f"{loops} cables from a device to itself were left out")
    return found


def _wanted(
    wires: Sequence[Wire], roles: Roles, options: ReadOptions, notes: list[str]
) -> tuple[list[Wire], list[tuple[Wire, str]]]:
    """Cables of the GPUs' network, the host first where one end is a host, and hosts' cables of other networks.

    The latter stand with what their network is called; all that is no part of the GPUs' network is counted in `notes`.
    """
    left: Counter[str] = Counter()
    found: list[Wire] = []
    aside: list[tuple[Wire, str]] = []
    for wire in wires:
        a, b = roles.of[wire.a], roles.of[wire.b]
        turned = wire if b != HOST else wire._replace(a=wire.b, a_port=wire.b_port, b=wire.a, b_port=wire.a_port)
        if ASIDE in (a, b):
            left["to devices of other networks (management, storage and the like)"] += wire.cables
            if HOST in (a, b):
                aside.append((turned, other_network(turned.a_port) or "other"))
        elif a == b == HOST:
            left["between two hosts"] += wire.cables
        else:
            kind = other_network(turned.a_port) if HOST in (a, b) and not options.nics else ""
            if kind:
                left[f"from hosts' ports called like {kind} ones"] += wire.cables
                aside.append((turned, kind))
            else:
                found.append(turned)
    if not options.nics:
        found = _fast_enough(found, roles, left, aside)
    notes.extend(f"{count} cables {what} were left out" for what, count in sorted(left.items()))
    if not any(roles.of[wire.a] == HOST for wire in found):
        raise InputError(
            ("no cable joins a host to a switch" if roles.hosts() else "no device is a host")
            + "".join(f"; {note}" for note in notes),
            hint="say what the devices are in a CSV with the header name,role and rows such as node1,host (--names)",
        )
    return found, aside


def _other_nics(aside: Sequence[tuple[Wire, str]], hosts: set[str]) -> dict[str, tuple[Nic, ...]]:
    """NICs of each of `hosts` that lead into other networks."""
    names = _host_names(hosts)
    found: defaultdict[str, dict[Nic, None]] = defaultdict(dict)
    for wire, network in (item for item in aside if item[0].a in hosts):
        found[names[wire.a]][Nic(0, wire.bandwidth_bytes_per_s, 0, clean_name(wire.a_port), network=network)] = None
    return {host: tuple(nics) for host, nics in found.items()}


def _fast_enough(wires: list[Wire], roles: Roles, left: Counter[str], aside: list[tuple[Wire, str]]) -> list[Wire]:
    """Cables without those of hosts' ports that are far slower than the host's fastest; these go to `aside`."""
    fastest: defaultdict[str, float] = defaultdict(float)
    for wire in wires:
        fastest[wire.a] = max(fastest[wire.a], wire.bandwidth_bytes_per_s)
    found = []
    for wire in wires:
        if roles.of[wire.a] == HOST and 0 < wire.bandwidth_bytes_per_s < _SLOW * fastest[wire.a]:
            left["from hosts' ports slower than a quarter of their fastest"] += wire.cables
            aside.append((wire, "front-end"))
        else:
            found.append(wire)
    return found


def _reachable(wires: list[Wire], roles: Roles, notes: list[str]) -> list[Wire]:
    """Cables of the parts of the network that hold hosts."""
    number: dict[str, int] = {}
    for wire in wires:
        for end in (wire.a, wire.b):
            number.setdefault(end, len(number))
    parts = Components(len(number))
    for wire in wires:
        parts.join_pair(number[wire.a], number[wire.b])
    used = {parts.find(number[wire.a]) for wire in wires if roles.of[wire.a] == HOST}
    found = [wire for wire in wires if parts.find(number[wire.a]) in used]
    if len(found) < len(wires):
        left = sum(wire.cables for wire in wires) - sum(wire.cables for wire in found)
        notes.append(f"{left} cables of parts of the network without hosts were left out")
    return found


def _with_speeds(wires: list[Wire], host_type: HostType | None) -> tuple[list[Wire], list[str]]:
    """Cables with the speed that most have, or the host type's, where the file gives none; and a note of that."""
    unknown = sum(wire.cables for wire in wires if not wire.bandwidth_bytes_per_s)
    if not unknown:
        return wires, []
    speeds: Counter[float] = Counter()
    for wire in wires:
        speeds[wire.bandwidth_bytes_per_s] += wire.cables
    del speeds[0.0]
    usual, why = USUAL_BYTES_PER_S, "assumed, as the file has no speeds"
    if speeds:
        usual, why = max(speeds, key=lambda s: (speeds[s], s)), "as most others"
    elif host_type and host_type.nics:
        usual = max(nic.bandwidth_bytes_per_s for nic in host_type.nics)
        why = f"as the NICs of {host_type.name}"
    known = [wire if wire.bandwidth_bytes_per_s else wire._replace(bandwidth_bytes_per_s=usual) for wire in wires]
    return known, [f"speed of {unknown} cables: {usual * 8 / 1e9:g} Gb/s, {why}"]


def _cabling(wires: Sequence[Wire], roles: Roles) -> Cabling:
    switches = sorted({end for wire in wires for end in (wire.a, wire.b) if roles.of[end] == SWITCH}, key=natural_key)
    index = {name: s for s, name in enumerate(switches)}
    host_wires = [wire for wire in wires if roles.of[wire.a] == HOST]
    cabling = Cabling(_switch_names(switches), _ports(host_wires, index), Counter())
    for wire in wires:
        if roles.of[wire.a] == SWITCH:
            a, b = sorted((index[wire.a], index[wire.b]))
            cabling.trunks[a, b, wire.bandwidth_bytes_per_s] += wire.cables
    return cabling


def _switch_names(switches: Sequence[str]) -> tuple[str, ...]:
    """Names as a Fabric may hold them, all different."""
    wanted = [clean_name(name) for name in switches]
    uses = Counter(wanted)
    return tuple(name if name and uses[name] == 1 else f"{name or 'switch'}-{s}" for s, name in enumerate(wanted))


def _ports(wires: Sequence[Wire], index: dict[str, int]) -> tuple[Port, ...]:
    """Ports of all hosts; an adapter's ordinal is its place among the names that adapters have anywhere."""
    host_of = _host_names({wire.a for wire in wires})
    unnamed: Counter[str] = Counter()
    ends: list[tuple[Wire, str, int]] = []
    for wire in wires:
        card, plane = (f"rail{wire.rail}", wire.plane) if wire.rail >= 0 else adapter(wire.a_port)
        for _ in range(wire.cables):
            if not card or wire.cables > 1:
                card = f"port{unnamed[wire.a]}"
                unnamed[wire.a] += 1
            ends.append((wire, card, wire.plane if wire.plane >= 0 else plane))
    if len(ends) > MAX_HOSTS * MAX_RAILS:
        raise InputError(f"{len(ends)} cables from hosts are more than any fabric has")
    cards = sorted({card for _, card, _ in ends}, key=natural_key)
    ordinal = {card: n for n, card in enumerate(cards)} if len(cards) <= 2 * MAX_RAILS else {}
    return tuple(
        Port(
            host_of[wire.a],
            device_name(wire.a_port),
            wire.rail if wire.rail >= 0 else ordinal.get(card, -1),
            card,
            index[wire.b],
            wire.bandwidth_bytes_per_s,
            plane,
        )
        for wire, card, plane in ends
    )


def _host_names(hosts: set[str]) -> dict[str, str]:
    """Name that a Fabric may hold for each host."""
    found: dict[str, str] = {}
    for host in sorted(hosts):
        try:
            found[host] = check_name(host)
        except ValueError:
            found[host] = clean_name(host)
    uses = Counter(found.values())
    for host, name in found.items():
        if not name or uses[name] > 1:
            raise InputError(f"host {quoted(host)} has no name that launch files can hold", hint="rename it (--names)")
    return found
