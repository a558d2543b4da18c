"""Tiers of groups above the leaves: levels of switches, connected parts of each, and the cables that leave them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from topoplan.errors import InputError
from topoplan.topologies.cables.cabling import Cabling, Components
from topoplan.topologies.cables.leaves import LeafGroup, Leaves
from topoplan.topologies.reading import MAX_TIERS

# Assumed: a switch whose cables lead to a lower level by less than this share is of a higher level with a stray cable.
_ENOUGH = 0.25


@dataclass(slots=True)
class Node:
    """A group in the making.

    Parameters
    ----------
    leaf
        Index of the leaf group it is, -1 above the leaves.
    uplinks
        (rail, bytes/s of one cable) -> cables that leave the group.
    aligned
        Whether all leaf groups below have a switch for each rail.
    """

    tier: int
    leaf: int = -1
    switches: tuple[int, ...] = ()
    children: list[int] = field(default_factory=list)
    parent: int = -1
    rails: int = 1
    uplinks: Counter[tuple[int, float]] = field(default_factory=Counter)
    aligned: bool = False

    def planes(self, nodes: Sequence[Node], groups: Sequence[LeafGroup]) -> set[int]:
        """Planes of the leaf groups below."""
        if self.leaf >= 0:
            return {groups[self.leaf].plane}
        return set().union(*(nodes[k].planes(nodes, groups) for k in self.children))


@dataclass(frozen=True, slots=True)
class Levels:
    """What `find_levels` found; `direct` tells that leaf switches are cabled to each other."""

    nodes: tuple[Node, ...]
    tiers: int
    direct: bool


def find_levels(cabling: Cabling, leaves: Leaves) -> Levels:
    """Stack groups above the leaf groups of `leaves`; node k is leaf group k for the first of them."""
    level = _switch_levels(cabling.neighbours(), leaves.level_zero)
    builder = _Builder(cabling, leaves.groups, level)
    direct = builder.count_leaf_uplinks()
    for tier in range(1, max(*level, int(direct)) + 1):
        builder.add_tier(tier)
    used = sorted({node.tier for node in builder.nodes})
    for node in builder.nodes:
        node.tier = used.index(node.tier)
    return Levels(tuple(builder.nodes), len(used), direct)


def _switch_levels(neighbours: Sequence[Counter[int]], zero: frozenset[int]) -> list[int]:
    """Level of each switch: 0 for leaves, else one above the lowest that enough of its cables reach; -1 if none."""
    level = [0 if s in zero else -1 for s in range(len(neighbours))]
    below: Counter[int] = Counter()
    newest = list(zero)
    for height in range(1, len(neighbours) + 1):
        for s in newest:
            for other, cables in neighbours[s].items():
                if level[other] < 0:
                    below[other] += cables
        touched = [s for s in below if level[s] < 0]
        newest = [s for s in touched if below[s] >= _ENOUGH * neighbours[s].total()] or touched
        if not newest:
            break
        if height > MAX_TIERS:
            raise InputError(f"the switches stand more than {MAX_TIERS} levels above the hosts")
        for s in newest:
            level[s] = height
            del below[s]
    return level


class _Builder:
    """Joins switches level by level and remembers the topmost node of each connected part."""

    def __init__(self, cabling: Cabling, groups: Sequence[LeafGroup], level: list[int]) -> None:
        self._cabling = cabling
        self._groups = groups
        self._level = level
        self._parts = Components(len(cabling.switches))
        self.nodes = [
            Node(0, k, group.switches, rails=group.rails, aligned=group.rails > 1) for k, group in enumerate(groups)
        ]
        for group in groups:
            self._parts.join(group.switches)
        self._tops = [k for k, group in enumerate(groups) if not group.above]
        self._width = max((group.rails for group in groups), default=1)
        self._rails_below = self._trace_rails()

    def _trace_rails(self) -> list[set[int]]:
        """Rails that each switch serves; -1 stands for all."""
        rails: list[set[int]] = [set() for _ in self._level]
        for group in self._groups:
            for switch, rail in group.rail_of.items():
                if not group.above:
                    rails[switch].add(rail if group.rails > 1 else -1)
        upward = [(min(a, b, key=self._level.__getitem__), a, b) for a, b, _ in self._cabling.trunks]
        for low, a, b in sorted(upward, key=lambda item: self._level[item[0]]):
            high = a + b - low
            if self._level[high] > self._level[low]:
                rails[high] |= rails[low]
        return rails

    def count_leaf_uplinks(self) -> bool:
        """Count what leaves each leaf group; True when leaf switches are cabled to each other."""
        group_of = {s: k for k, group in enumerate(self._groups) if not group.above for s in group.switches}
        sideways: defaultdict[int, Counter[tuple[int, float]]] = defaultdict(Counter)
        direct = False
        for (a, b, bandwidth), count in self._cabling.trunks.items():
            for s, other in ((a, b), (b, a)):
                k = group_of.get(s, -1)
                if k < 0:
                    continue
                if self._level[other] > 0:
                    self.nodes[k].uplinks[self._groups[k].rail_of[s], bandwidth] += count
                elif group_of.get(other) != k:
                    direct = True
                    sideways[k][self._groups[k].rail_of[s], bandwidth] += count
        for k, uplinks in sideways.items():
            self.nodes[k].uplinks = self.nodes[k].uplinks or uplinks
        self._count_inside_spines()
        return direct

    def _count_inside_spines(self) -> None:
        """Hosts on a switch above the leaves leave their group inside that switch, at the speed of their adapters."""
        above = {group.switches[0]: k for k, group in enumerate(self._groups) if group.above}
        for port in self._cabling.ports:
            if (k := above.get(port.switch, -1)) >= 0:
                rail = self._groups[k].rail_of[port.switch]
                self.nodes[k].uplinks[rail, port.bandwidth_bytes_per_s] += 1

    def add_tier(self, tier: int) -> None:
        """Join all switches up to level `tier` and put a group above what that brings together."""
        for a, b, _ in self._cabling.trunks:
            if max(self._level[a], self._level[b]) <= tier:
                self._parts.join_pair(a, b)
        self._tops += [
            k for k, group in enumerate(self._groups) if group.above and self._level[group.switches[0]] == tier
        ]
        tops: defaultdict[int, list[int]] = defaultdict(list)
        for k in self._tops:
            tops[self._parts.find(self.nodes[k].switches[0])].append(k)
        own: defaultdict[int, list[int]] = defaultdict(list)
        for s, height in enumerate(self._level):
            if height == tier:
                own[self._parts.find(s)].append(s)
        self._tops = [self._cover(tier, children, own[root]) for root, children in tops.items()]
        self._count_uplinks(tier)

    def _cover(self, tier: int, children: list[int], own: Iterable[int]) -> int:
        """Index of a new node over `children`; a lone child needs none, but for the spines above a lone leaf group."""
        switches = tuple(own)
        if len(children) == 1 and (tier > 1 or not switches):
            return children[0]
        node = Node(tier, switches=switches or self.nodes[children[0]].switches, children=children)
        node.aligned = bool(switches) and all(self.nodes[k].aligned for k in children)
        self.nodes.append(node)
        for k in children:
            self.nodes[k].parent = len(self.nodes) - 1
        return len(self.nodes) - 1

    def _keeps_rails_apart(self, node: Node) -> bool:
        """Whether each switch of `node` serves one rail alone."""
        rails = [self._rails_below[s] for s in node.switches]
        return all(len(r) == 1 and -1 not in r for r in rails) and len(set().union(*rails)) > 1

    def _count_uplinks(self, tier: int) -> None:
        top_of = {self._parts.find(self.nodes[k].switches[0]): k for k in self._tops if self.nodes[k].tier == tier}
        for k in top_of.values():
            node = self.nodes[k]
            node.rails = self._width if node.aligned and self._keeps_rails_apart(node) else 1
        for (a, b, bandwidth), count in self._cabling.trunks.items():
            low, high = sorted((a, b), key=self._level.__getitem__)
            if not 0 <= self._level[low] <= tier < self._level[high]:
                continue
            top = top_of.get(self._parts.find(low), -1)
            if top >= 0:
                rail = min(self._rails_below[low]) if self.nodes[top].rails > 1 else 0
                self.nodes[top].uplinks[rail, bandwidth] += count
