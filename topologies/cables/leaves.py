"""Leaf switches, the rail-aligned groups they form, and the rail of each: all from which switch each adapter reaches.

Switch names are never parsed: sites number rails and pods as they like.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from topoplan.names import natural_key
from topoplan.topologies.cables.cabling import Cabling, Components, Port
from topoplan.topologies.cables.planes import find_planes, split

MAX_RAILS = 64  # assumed: no host has more fabric ports (AWS p5 has 32)


@dataclass(frozen=True, slots=True)
class LeafGroup:
    """Leaf switches that the same hosts reach.

    Parameters
    ----------
    switches
        Indices into `Cabling.switches`.
    hosts
        Names, naturally sorted; those with more ports here than elsewhere, so there may be none.
    rail_of
        Switch -> rail.
    rails
        Rail switches of the group, absent ones too; 1 where all rails share one switch.
    above
        Whether the switch stands above other leaves, as spines do that carry a few hosts themselves.
    plane
        Which port of each adapter reaches the group; those of planes above 0 list no hosts.
    """

    switches: tuple[int, ...]
    hosts: tuple[str, ...]
    rail_of: dict[int, int]
    rails: int
    above: bool = False
    plane: int = 0


@dataclass(frozen=True, slots=True)
class Leaves:
    """What `find_leaves` found.

    Parameters
    ----------
    level_zero
        All leaf switches, those with nameless adapters alone too.
    labels
        Ordinals of the adapters of rail 0, 1, 2 ...; empty when names do not tell.
    """

    level_zero: frozenset[int]
    groups: tuple[LeafGroup, ...]
    labels: tuple[int, ...]


def find_leaves(cabling: Cabling) -> Leaves:
    """Find leaf switches, groups and rails."""
    ports_of = _by_host(cabling.ports)
    level_zero, above = _level_zero(cabling)
    sets = _share_hosts(cabling, ports_of, above)
    homes = _homes(sets, ports_of)
    label_of = _labels(cabling, sets, homes)
    told = _by_switch(port for port in cabling.ports if port.plane >= 0)
    parts = [split(members, find_planes([p for s in members for p in told.get(s, ())], members)) for members in sets]
    numbering = _Numbering([members for part in parts for members in part], label_of)
    groups = []
    for part, hosts in zip(parts, homes, strict=True):
        for plane, members in enumerate(part):
            rail_of, rails = numbering.rails(members, _cards_per_switch(members, hosts, ports_of))
            groups.append(LeafGroup(members, () if plane else hosts, rail_of, rails, members[0] in above, plane))
    return Leaves(level_zero, tuple(groups), numbering.labels)


def _by_host(ports: Sequence[Port]) -> dict[str, list[Port]]:
    table: defaultdict[str, list[Port]] = defaultdict(list)
    for port in ports:
        table[port.host].append(port)
    return dict(table)


def _by_switch(ports: Iterable[Port]) -> dict[int, list[Port]]:
    table: defaultdict[int, list[Port]] = defaultdict(list)
    for port in ports:
        table[port.switch].append(port)
    return dict(table)


def _level_zero(cabling: Cabling) -> tuple[frozenset[int], frozenset[int]]:
    """Switches that carry hosts: those of the lowest level, and those above others.

    A switch with hosts is above its neighbours with hosts when it has more of them than each of them has: a spine with
    a login node sees all leaves, a leaf sees the few spines that carry a host.
    """
    carriers = {port.switch for port in cabling.ports} | {s for s, count in cabling.nameless.items() if count}
    neighbours = cabling.neighbours()
    seen = {s: [n for n in neighbours[s] if n in carriers] for s in carriers}
    above = {s for s, others in seen.items() if others and all(len(seen[n]) < len(others) for n in others)}
    return frozenset(carriers - above), frozenset(above)


def _share_hosts(cabling: Cabling, ports_of: dict[str, list[Port]], above: frozenset[int]) -> list[tuple[int, ...]]:
    """Leaf switches in sets that share most of their hosts: one cable in the wrong rack joins no racks."""
    hosts_of: Counter[int] = Counter()
    shared: Counter[tuple[int, int]] = Counter()
    for ports in ports_of.values():
        reached = sorted({port.switch for port in ports})
        hosts_of.update(reached)
        shared.update(itertools.combinations(reached, 2))
    sets = Components(len(cabling.switches))
    for (a, b), count in shared.items():
        if not above & {a, b} and 2 * count > min(hosts_of[a], hosts_of[b]):
            sets.join((a, b))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for switch in sorted(hosts_of):
        members[sets.find(switch)].append(switch)
    found: list[tuple[int, ...]] = []
    for switches in members.values():
        # A chain of overlaps longer than any host has ports is no rail-aligned group.
        found.extend([tuple(switches)] if len(switches) <= MAX_RAILS else [(switch,) for switch in switches])
    return found


def _homes(sets: Sequence[tuple[int, ...]], ports_of: dict[str, list[Port]]) -> list[tuple[str, ...]]:
    """Hosts of each set: those that have more ports there than in any other."""
    set_of = {switch: k for k, members in enumerate(sets) for switch in members}
    homes: list[list[str]] = [[] for _ in sets]
    for host in sorted(ports_of, key=natural_key):
        votes = Counter(set_of[port.switch] for port in ports_of[host])
        homes[min(votes, key=lambda k: (-votes[k], k))].append(host)
    return [tuple(hosts) for hosts in homes]


def _labels(cabling: Cabling, sets: Sequence[tuple[int, ...]], homes: Sequence[tuple[str, ...]]) -> dict[int, int]:
    """Ordinal that most adapters on each leaf switch have; absent where none has a known one."""
    home = {host: k for k, hosts in enumerate(homes) for host in hosts}
    set_of = {switch: k for k, members in enumerate(sets) for switch in members}
    votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for port in cabling.ports:
        if port.ordinal >= 0:
            # A stray cable from another group votes as well, but never wins.
            votes[port.switch][port.ordinal] += 2 if home[port.host] == set_of[port.switch] else 1
    return {switch: min(count, key=lambda n: (-count[n], n)) for switch, count in votes.items()}


def _cards_per_switch(members: tuple[int, ...], hosts: tuple[str, ...], ports_of: dict[str, list[Port]]) -> float:
    """Mean number of ports of a host on a switch of its group that it reaches."""
    pairs = [(host, port.switch) for host in hosts for port in ports_of[host] if port.switch in members]
    return len(pairs) / max(1, len(set(pairs)))


class _Numbering:
    """Numbers rails alike in all groups.

    The groups with most switches give the reference: the ordinals of their switches, sorted. A group with fewer
    switches takes the rails of its own ordinals, so that an absent rail switch leaves a gap and shifts nothing.
    """

    def __init__(self, sets: Sequence[tuple[int, ...]], label_of: dict[int, int]) -> None:
        self._label_of = label_of
        self._width = max(map(len, sets))
        self.labels = self._reference(sets)

    def _reference(self, sets: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        if self._width == 1:
            return ()
        wide = [self._sorted_labels(members) for members in sets if len(members) == self._width]
        clear = Counter(labels for labels in wide if len(set(labels)) == self._width and -1 not in labels)
        return min(clear, key=lambda labels: (-clear[labels], labels)) if clear else ()

    def _sorted_labels(self, members: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(self._label_of.get(switch, -1) for switch in members))

    def rails(self, members: tuple[int, ...], cards: float) -> tuple[dict[int, int], int]:
        """Rail of each switch of a group, and how many rails the group has."""
        if self._width == 1 or (len(members) == 1 and cards > 1):
            return dict.fromkeys(members, 0), 1
        own = self._sorted_labels(members)
        if len(members) < self._width or own == self.labels:
            return self._by_label(members), self._width
        order = sorted(members, key=lambda switch: (self._label_of.get(switch, -1), switch))
        return {switch: rail for rail, switch in enumerate(order)}, self._width

    def _by_label(self, members: tuple[int, ...]) -> dict[int, int]:
        place = {label: rail for rail, label in enumerate(self.labels)}
        rail_of: dict[int, int] = {}
        rest = []
        for switch in sorted(members, key=lambda s: (self._label_of.get(s, -1), s)):
            rail = place.get(self._label_of.get(switch, -1))
            if rail is None or rail in rail_of.values():
                rest.append(switch)
            else:
                rail_of[switch] = rail
        free = sorted(set(range(self._width)) - set(rail_of.values()))
        return rail_of | dict(zip(rest, free, strict=False))
