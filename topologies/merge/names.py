"""Which hosts of several files are one machine: by name, alias and GUID."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from topoplan.errors import InputError
from topoplan.model.fabric import Host
from topoplan.names import natural_key
from topoplan.topologies.cables.cabling import Components
from topoplan.topologies.merge.parts import Part

# Kinds of alias that are ids of adapters: "guid", and "guid-0" or "guid-mlx5_0" for the NIC of that index or name.
GUID_KIND = re.compile(r"guid(?:[-_](.+))?", re.IGNORECASE)
_GUID_DIGITS = 16
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")

Member = tuple[int, int]  # part, host in its fabric


@dataclass(frozen=True, slots=True)
class Machine:
    """A host as all files know it: `members` maps the index of a part to the index of the host there."""

    name: str
    members: dict[int, int]


def guid(text: str) -> str:
    """A GUID in one spelling: lower-case digits without 0x, colons and leading zeros; "" for one of zeros."""
    return re.sub(r"[:.\-]", "", text.lower()).removeprefix("0x").lstrip("0")


def match_hosts(parts: Sequence[Part], rank: Sequence[int]) -> list[Machine]:
    """Machines of all parts, each host of each part in one of them, in natural order of their names.

    A machine is called as the member part with the least `rank` calls it. Names are compared without regard to case.
    A bare name matches a full name of that first label where only one host has it.

    Raises
    ------
    InputError
        A name that may mean two hosts of another file, or two hosts of a file that another takes for one.
    """
    members = [(p, h) for p, part in enumerate(parts) for h in range(len(part.fabric.hosts))]
    number = {member: n for n, member in enumerate(members)}
    components = Components(len(members))
    holders = _holders(parts)
    _add_short_names(parts, holders)
    doubtful: list[tuple[str, list[Member]]] = []
    for key, held in holders.items():
        if len({p for p, _ in held}) == len(held):
            components.join(number[member] for member in held)
        else:
            doubtful.append((key, held))
    found: defaultdict[int, list[Member]] = defaultdict(list)
    for member in members:
        found[components.find(number[member])].append(member)
    _check_one_host_a_file(parts, found.values())
    parts_of = {member: {p for p, _ in group} for group in found.values() for member in group}
    for key, held in doubtful:
        _check_doubtful(parts, key, held, parts_of)
    machines = [_machine(parts, group, rank) for group in found.values()]
    _check_names(machines)
    return sorted(machines, key=lambda machine: natural_key(machine.name))


def _keys(host: Host) -> Iterator[str]:
    yield host.name.lower()
    for kind, alias in host.aliases:
        if not GUID_KIND.fullmatch(kind):
            yield alias.lower()
        elif digits := guid(alias):
            yield f"guid {digits}"  # no name has a space, so GUIDs and names stay apart


def _holders(parts: Sequence[Part]) -> dict[str, list[Member]]:
    """For each name, the hosts that bear it; a host's own name wins over an alias of another host of its file."""
    found: dict[str, list[Member]] = {}
    for p, part in enumerate(parts):
        own = {host.name.lower(): h for h, host in enumerate(part.fabric.hosts)}
        if len(own) < len(part.fabric.hosts):
            raise InputError(f"{part.source}: two hosts have names that differ in upper and lower case alone")
        for h, host in enumerate(part.fabric.hosts):
            for key in dict.fromkeys(_keys(host)):
                if own.get(key, h) == h:
                    found.setdefault(key, []).append((p, h))
    return found


def _add_short_names(parts: Sequence[Part], holders: dict[str, list[Member]]) -> None:
    """Let hosts with a full name hold its first label too, where another file knows a host by that label alone."""
    exact = {key: {p for p, _ in held} for key, held in holders.items()}
    full_of: defaultdict[str, dict[Member, str]] = defaultdict(dict)
    for p, part in enumerate(parts):
        for h, host in enumerate(part.fabric.hosts):
            for full in sorted(key for key in _keys(host) if "." in key and not _ADDRESS.fullmatch(key)):
                short = full.split(".")[0]
                if p not in exact.get(short, {p}):
                    full_of[short].setdefault((p, h), full)
    for short, found in full_of.items():
        if len(set(found.values())) > 1:
            several = sorted({f"{full} of {parts[p].source}" for (p, _), full in found.items()})
            p, h = holders[short][0]
            raise InputError(
                f"{parts[p].fabric.hosts[h].name} of {parts[p].source} may be {' or '.join(several[:3])}",
                hint="use full names in all files, or give the hosts aliases",
            )
        holders[short] += found


def _check_one_host_a_file(parts: Sequence[Part], groups: Iterable[list[Member]]) -> None:
    for group in groups:
        first: dict[int, int] = {}
        for p, h in group:
            if p in first:
                a, b = (parts[p].fabric.hosts[i].name for i in (first[p], h))
                others = ", ".join(sorted({parts[q].source for q, _ in group} - {parts[p].source}))
                raise InputError(
                    f"{a} and {b} are two hosts in {parts[p].source}, but one by the names in {others}",
                    hint="correct the aliases or GUIDs in one of the files",
                )
            first[p] = h


def _check_doubtful(parts: Sequence[Part], key: str, held: Sequence[Member], parts_of: dict[Member, set[int]]) -> None:
    """Refuse a name of several hosts of one file, where another file's host can be found by nothing else."""
    twice = sorted({p for p, _ in held if sum(q == p for q, _ in held) > 1})
    for p in twice:
        for other in held:
            if other[0] != p and p not in parts_of[other]:
                several = [parts[p].fabric.hosts[h].name for q, h in held if q == p]
                here = f"{parts[other[0]].fabric.hosts[other[1]].name} in {parts[other[0]].source}"
                raise InputError(
                    f"{key} ({here}) may be {' or '.join(several[:3])} of {parts[p].source}",
                    hint="use full names in both files, or give the hosts aliases",
                )


def _machine(parts: Sequence[Part], group: Sequence[Member], rank: Sequence[int]) -> Machine:
    p, h = min(group, key=lambda member: (rank[member[0]], member))
    return Machine(parts[p].fabric.hosts[h].name, dict(group))


def _check_names(machines: Sequence[Machine]) -> None:
    seen: dict[str, Machine] = {}
    for machine in machines:
        if seen.setdefault(machine.name.lower(), machine) is not machine:
            raise InputError(f"two different hosts are called {machine.name}", hint="use full names in all files")


def join_aliases(parts: Sequence[Part], machine: Machine) -> tuple[tuple[str, str], ...]:
    """(kind, name) pairs of all names but the machine's own; a file's name for it has the file's format as kind."""
    found: dict[str, str] = {}
    seen = {machine.name}
    for p in sorted(machine.members):
        part = parts[p]
        host = part.fabric.hosts[machine.members[p]]
        for kind, given in (*host.aliases, *(() if part.generic else ((part.format, host.name),))):
            alias = guid(given).zfill(_GUID_DIGITS) if GUID_KIND.fullmatch(kind) else given
            if alias in seen:
                continue
            seen.add(alias)
            free, n = kind, 1
            while free in found:  # a Fabric file has one list for each kind
                n += 1
                free = f"{kind}-{n}"
            found[free] = alias
    return tuple(found.items())
