"""One Fabric from several files: each decides what it knows, and where they disagree that is said.

A file that tells of hosts (`HOST` of its reader) decides what is inside them, one that tells of the network the
groups, one that tells of islands the NVLink domains; every name becomes an alias. The order of the files does not
matter.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.topologies.merge.islands import join_islands
from topoplan.topologies.merge.names import Machine, join_aliases, match_hosts
from topoplan.topologies.merge.network import Network, follow_nics
from topoplan.topologies.merge.parts import (
    CABLES,
    NO_NETWORK,
    OWN_FORMAT,
    RAILS,
    ROUTING,
    UPLINKS,
    Part,
    counted,
    some,
    subjects_of,
)
from topoplan.topologies.merge.types import Joined, TypeJoiner
from topoplan.topologies.reading import ISLANDS, NETWORK

# Formats whose names are those that launchers use, and those with ids of instances; all others are in between.
_LAUNCHERS_KNOW = frozenset(
    (OWN_FORMAT, "collected", "scontrol", "slurm", "slurm-block", "slurm-yaml", "kubernetes", "hypernode")
)
_CLOUDS = frozenset(("aws", "gcp", "oci"))
_NO_NICS = re.compile(r"host type \S+ has no NICs")

__all__ = ["OWN_FORMAT", "Part", "merge"]


def merge(parts: Sequence[Part], *, fill: bool = True) -> Fabric:
    """Fabric of all `parts`, the same for any order of them.

    Parameters
    ----------
    fill
        Whether hosts into which no file looked are taken to be like those into which one did, where these are alike.

    Raises
    ------
    InputError
        No parts, names that may mean several hosts, or contradictions that nothing decides.
    """
    if not parts:
        raise InputError("there is nothing to merge")
    parts = _for_hosts(_once(parts))
    if len(parts) == 1:
        return parts[0].fabric
    return _Merge(parts, fill).fabric()


def _once(parts: Sequence[Part]) -> list[Part]:
    """`parts` in an order of their own, equal ones once."""
    text = {id(part): format_fabric(part.fabric) for part in parts}
    order = sorted(parts, key=lambda part: (part.format, part.source, part.hosts, sorted(part.tells), text[id(part)]))
    found: list[Part] = []
    for part in order:
        if not found or (part.hosts, text[id(part)], part.tells) != (
            found[-1].hosts,
            text[id(found[-1])],
            found[-1].tells,
        ):
            found.append(part)
    return found


def _for_hosts(parts: Sequence[Part]) -> list[Part]:
    """Give descriptions of one host the hosts that they are about: those the user named, else all hosts."""
    found = []
    for part in parts:
        if not part.hosts:
            found.append(part)
            continue
        if len(part.fabric.hosts) > 1 or not part.describes_hosts:
            raise InputError(
                f"{part.source} describes {counted(len(part.fabric.hosts), 'host')} by name",
                hint="FILE=HOSTS is for files that describe one host, such as NCCL's XML or nvidia-smi topo -m",
            )
        found.append(part.with_hosts(part.hosts))
    named = [part for part in found if not _is_type(part)]
    if not named:
        return found
    known = {name.lower() for part in named for name in part.fabric.alias_index}
    types = {id(part) for part in found if _is_type(part) and part.fabric.hosts[0].name.lower() not in known}
    if not types:
        return found
    rest = [part for part in found if id(part) not in types]
    everyone = [machine.name for machine in match_hosts(rest, range(len(rest)))]
    return [part.with_hosts(everyone, generic=True) if id(part) in types else part for part in found]


def _is_type(part: Part) -> bool:
    return part.describes_hosts and not part.named and len(part.fabric.hosts) == 1


class _Merge:
    """Puts the merged Fabric together; each method makes one part of it."""

    def __init__(self, parts: Sequence[Part], fill: bool) -> None:
        self._parts = parts
        ranks = sorted(range(len(parts)), key=self._naming)
        machines = match_hosts(parts, [ranks.index(p) for p in range(len(parts))])
        self._network = Network(parts, machines)
        matter = [self._network.rails_matter(m) for m in range(len(machines))]
        self._types = TypeJoiner(parts, machines, self._network.part_of, matter, fill=fill)
        self._groups = self._network.groups()
        self._places = [self._network.place(m) for m in range(len(machines))]
        self._order = self._physical_order(machines)
        self._machines = [machines[m] for m in self._order]

    def _naming(self, p: int) -> tuple[object, ...]:
        """Sort key of parts: whose names hosts are called by, the names that launchers know first."""
        part = self._parts[p]
        known = 0 if part.format in _LAUNCHERS_KNOW else 2 if part.format in _CLOUDS else 1
        return (part.generic, known, NETWORK not in part.tells, ISLANDS not in part.tells, -len(part.fabric.hosts), p)

    def _physical_order(self, machines: Sequence[Machine]) -> list[int]:
        """Machines by group, the groups depth first; those without one last."""
        children: defaultdict[int, list[int]] = defaultdict(list)
        for k, group in enumerate(self._groups):
            children[group.parent].append(k)
        rank: dict[int, int] = {}
        stack = children[-1][::-1]
        while stack:
            k = stack.pop()
            rank[k] = len(rank)
            stack.extend(reversed(children[k]))

        def key(m: int) -> tuple[object, ...]:
            group, attach = self._places[m]
            home = attach[0].group if attach else group
            return (rank.get(home, len(rank)), *self._network.position(m))

        order = list(range(len(machines)))
        if len(self._network.used) == 1:
            return sorted(order, key=self._network.position)
        return sorted(order, key=key)

    def fabric(self) -> Fabric:
        """Return the whole."""
        joined = [self._types.joined[m] for m in self._order]
        kinds, type_of = _number_types(joined)
        hosts = tuple(
            Host(machine.name, type_of[h], self._places[m][0], joined[h].attach(self._places[m][1]),
                 join_aliases(self._parts, machine))
            for h, (m, machine) in enumerate(zip(self._order, self._machines, strict=True))
        )  # fmt: skip
        groups = follow_nics(self._groups, self._network.assumed_uplinks, self._nics_below(hosts, kinds))
        host_of = self._host_of()
        known = self._known_scale_up(kinds, hosts)
        islands, island_notes = join_islands(self._parts, host_of, [host.name for host in hosts], known)
        best = self._best()
        routed = next((p for p in self._network.used if self._parts[p].knows(ROUTING)), best)
        self._deciders = self._types.notes.deciders | {
            UPLINKS: set(self._network.used),
            CABLES: set(self._network.used),
            RAILS: self._types.notes.deciders.get(RAILS, set()),
            NO_NETWORK: set() if self._network.used else set(range(len(self._parts))),
            ROUTING: {routed},
        }
        return Fabric(
            name=self._parts[best].fabric.name,
            routing=self._parts[routed].fabric.routing,
            host_types=tuple(kinds),
            hosts=hosts,
            tiers=self._network.tiers,
            groups=tuple(groups),
            islands=islands,
            links=self._network.links,
            unusable_gpus=self._unusable(host_of, kinds, hosts),
            assumed=tuple(dict.fromkeys(self._assumed())),
            warnings=tuple(dict.fromkeys([*self._missing(), *self._warnings(), *island_notes, *self._told()])),
        )

    def _best(self) -> int:
        """Part whose name the fabric gets: the network's, else that with most hosts."""
        if self._network.used:
            return self._network.used[0]
        return min(
            range(len(self._parts)), key=lambda p: (self._parts[p].generic, -len(self._parts[p].fabric.hosts), p)
        )

    def _host_of(self) -> list[dict[int, int]]:
        """For each part, host there -> merged host."""
        found: list[dict[int, int]] = [{} for _ in self._parts]
        for m, machine in enumerate(self._machines):
            for p, h in machine.members.items():
                found[p][h] = m
        return found

    def _nics_below(self, hosts: Sequence[Host], kinds: Sequence[HostType]) -> list[Counter[tuple[int, float]]]:
        """For each group, how many NICs of each (rail, bytes/s) hang below; ports of one NIC share its speed."""
        below: list[Counter[tuple[int, float]]] = [Counter() for _ in self._groups]
        for (kind, group, attach), count in Counter((h.type, h.group, h.attach) for h in hosts).items():
            nics = kinds[kind].nics
            ports = Counter(item.nic for item in attach)
            ends = [(item.group, nics[item.nic], ports[item.nic]) for item in attach] or [(group, n, 1) for n in nics]
            for end, nic, share in ends:
                k = end
                while k >= 0:
                    below[k][nic.rail, nic.bandwidth_bytes_per_s / share] += count
                    k = self._groups[k].parent
        return below

    def _known_scale_up(self, kinds: Sequence[HostType], hosts: Sequence[Host]) -> list[float]:
        """[hosts] NVLink bytes/s of a GPU, 0 where no file looked into the host: racks tell less than GPUs."""
        found = []
        for host, machine in zip(hosts, self._machines, strict=True):
            known = any(self._parts[p].describes_hosts for p in machine.members)
            found.append(kinds[host.type].scale_up_bandwidth_bytes_per_s if known else 0.0)
        return found

    def _unusable(
        self, host_of: Sequence[dict[int, int]], kinds: Sequence[HostType], hosts: Sequence[Host]
    ) -> frozenset[tuple[int, int]]:
        """GPUs that any file takes out; a host that a file takes out whole is out whole."""
        found: set[tuple[int, int]] = set()
        for part, index in zip(self._parts, host_of, strict=True):
            broken: defaultdict[int, set[int]] = defaultdict(set)
            for h, gpu in part.fabric.unusable_gpus:
                broken[h].add(gpu)
            for h, gpus in broken.items():
                own = kinds[hosts[index[h]].type].gpus
                whole = len(gpus) == part.type_of(h).gpus
                found |= {(index[h], gpu) for gpu in (range(own) if whole else gpus) if gpu < own}
        return frozenset(found)

    # ---- what to say -------------------------------------------------------------------------------------------

    def _missing(self) -> list[str]:
        """Hosts that files of one format name and those of another do not."""
        formats: defaultdict[str, list[int]] = defaultdict(list)
        for p, part in enumerate(self._parts):
            if not part.generic:
                formats[part.format].append(p)
        named = {
            name: {m for m, machine in enumerate(self._machines) if any(p in machine.members for p in members)}
            for name, members in formats.items()
        }
        lacking: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
        for name in sorted(formats):
            lacking[tuple(sorted(set().union(*named.values()) - named[name]))].append(name)
        found = []
        for name, members in sorted(named.items()):
            others = set().union(*(other for what, other in named.items() if what != name))
            if others and not members & others:
                found.append(
                    f"{self._source_of(formats[name])} has no host in common with the other files: is it of another "
                    "cluster, or does it call hosts by other names?"
                )
        for absent, names in sorted(lacking.items()):
            having = [self._source_of(formats[other]) for other in formats if named[other] & set(absent)]
            if absent:
                found.append(
                    f"{counted(len(absent), 'host')} of {_listed(having)} not in "
                    f"{_listed([self._source_of(formats[name]) for name in names])}: "
                    f"{some(self._machines[m].name for m in absent)}"
                )
        return found

    def _source_of(self, members: Sequence[int]) -> str:
        first = self._parts[members[0]]
        sources = {self._parts[p].source for p in members}
        return first.source if len(sources) == 1 else f"the {len(sources)} {first.format} files"

    def _warnings(self) -> list[str]:
        found = list(self._network.warnings)
        for text, names in self._types.notes.found.items():
            found.append(text.replace("{hosts}", f"{counted(len(names), 'host')} ({some(names)})"))
        alone = [host.name for host, place in zip(self._machines, self._places_in_order(), strict=True) if place < 0]
        if alone and self._groups:
            found.append(
                f"{counted(len(alone), 'host')} in no group of the network, out of reach of others: {some(alone)}"
            )
        return found

    def _places_in_order(self) -> list[int]:
        places = (self._places[m] for m in self._order)
        return [attach[0].group if attach else group for group, attach in places]

    def _told(self) -> list[str]:
        """Warnings of the parts, each with its file, one that several files have once."""
        sources: defaultdict[str, list[str]] = defaultdict(list)
        cabled = all(joined.kind.nics for joined in self._types.joined)  # some files may show no NICs
        for part in self._parts:
            for text in part.fabric.warnings:
                if not (cabled and _NO_NICS.search(text)):
                    sources[text].append(part.source)
        return [f"{_files(names)}: {text}" for text, names in sources.items()]

    def _assumed(self) -> list[str]:
        """Assumptions that still hold: those about a subject that a part decided, or about none."""
        sources: defaultdict[str, list[str]] = defaultdict(list)
        for p, part in enumerate(self._parts):
            for text in part.fabric.assumed:
                about = subjects_of(text)
                if not about or any(p in self._deciders.get(subject, ()) for subject in about):
                    sources[text].append(part.source)
        found = [*self._network.assumed]
        for text, names in self._types.notes.assumed.items():
            found.append(text.replace("{hosts}", f"{counted(len(names), 'host')} ({some(names)})"))
        return [*found, *(f"{_files(names)}: {text}" for text, names in sources.items())]


def _files(names: Sequence[str]) -> str:
    found = sorted(set(names))
    return found[0] if len(found) == 1 else f"{found[0]} and {counted(len(found) - 1, 'more file')}"


def _listed(names: Sequence[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}" if most else last


def _number_types(joined: Sequence[Joined]) -> tuple[list[HostType], list[int]]:
    """Merged host types with names that differ, and the type of each host."""
    found: dict[HostType, tuple[int, int]] = {}
    for item in joined:
        found[item.kind] = min(found.get(item.kind, item.origin), item.origin)
    count = Counter(item.kind for item in joined)
    order = sorted(found, key=lambda kind: (found[kind], -count[kind], repr(kind)))
    used: set[str] = set()
    kinds: list[HostType] = []
    for kind in order:
        name, n = kind.name, 1
        while name in used:
            n += 1
            name = f"{kind.name}-v{n}"
        used.add(name)
        kinds.append(dataclasses.replace(kind, name=name))
    index = {kind: n for n, kind in enumerate(order)}
    return kinds, [index[item.kind] for item in joined]
