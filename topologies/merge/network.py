"""Networks of several files joined: which file places each host, and whether the others agree."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from topoplan.errors import InputError
from topoplan.model.fabric import Attachment, Fabric, Group, Link, Tier
from topoplan.names import natural_key
from topoplan.topologies.merge.names import Machine
from topoplan.topologies.merge.parts import UPLINKS, Part, counted, some
from topoplan.topologies.reading import NETWORK
from topoplan.units import format_bandwidth

_SAME = 0.01  # uplinks that differ by less are one figure


class Network:
    """Groups, tiers and links of all parts as one tree.

    The file that knows the network best places every host it names; the others place those that it does not.

    Parameters
    ----------
    machines
        Their `members` say which host of which part each is.
    """

    def __init__(self, parts: Sequence[Part], machines: Sequence[Machine]) -> None:
        self._parts = parts
        self._machines = machines
        self.warnings: list[str] = []
        self.assumed: list[str] = []
        self.order = sorted((p for p, part in enumerate(parts) if part.fabric.groups), key=self._preference)
        self.part_of = [self._placing(machine) for machine in machines]
        self._moved = self._adopt()
        self.used = [p for p in self.order if p in set(self.part_of) - {-1}]
        self._refuse_contradictions()
        self.tiers = self._tiers()
        self._index: dict[str, int] = {}
        self._groups: list[Group] = []
        self._parent: list[str] = []
        self._owner: list[int] = []
        for p in self.used:
            self._add_groups(p)
        self._order_groups()
        self.links = self._links()
        self._compare()

    def _preference(self, p: int) -> tuple[object, ...]:
        part = self._parts[p]
        return (
            NETWORK not in part.tells,
            not (part.knows(UPLINKS) and any(group.parent >= 0 for group in part.fabric.groups)),
            -len(part.fabric.tiers),
            -len(part.fabric.hosts),
            p,
        )

    def _placing(self, machine: Machine) -> int:
        for p in self.order:
            if p in machine.members and self._parts[p].fabric.host_group[machine.members[p]] >= 0:
                return p
        return -1

    def _adopt(self) -> dict[int, str]:
        """Machine -> group of the first file, for hosts that only a later file places, beside hosts of the first.

        Hosts under one switch of the later file that are all in one leaf group of the first: their neighbours are too.
        """
        if not self.order:
            return {}
        first = self.order[0]
        homes: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for machine in self._machines:
            if first in machine.members:
                home = int(self._parts[first].fabric.host_group[machine.members[first]])
                for p in self.order[1:]:
                    if p in machine.members:
                        homes[p, int(self._parts[p].fabric.host_group[machine.members[p]])].add(home)
        moved: dict[int, str] = {}
        for m, machine in enumerate(self._machines):
            p = self.part_of[m]
            if p in (-1, first):
                continue
            found = homes[p, int(self._parts[p].fabric.host_group[machine.members[p]])]
            if len(found) == 1 and -1 not in found:
                moved[m] = self._parts[first].fabric.groups[next(iter(found))].name
                self.part_of[m] = first
        if moved:
            names = some(self._machines[m].name for m in moved)
            self.assumed.append(
                f"group of {names}, not in {self._parts[first].source}: that of their neighbours in the other files"
            )
        return moved

    def _refuse_contradictions(self) -> None:
        """Refuse a host in different groups of files that call their groups alike."""
        names = [{group.name for group in part.fabric.groups} for part in self._parts]
        for m, machine in enumerate(self._machines):
            p = self.part_of[m]
            if p < 0 or m in self._moved:
                continue
            here = self._group_name(p, machine)
            for q in self.order:
                there = self._group_name(q, machine) if q in machine.members else ""
                if there and there != here and there in names[p] and here in names[q]:
                    raise InputError(
                        f"host {machine.name} is in {here} in {self._parts[p].source} and in {there} in "
                        f"{self._parts[q].source}",
                        hint="one of the files is of another day: leave it out",
                    )

    def _group_name(self, p: int, machine: Machine) -> str:
        fabric = self._parts[p].fabric
        k = int(fabric.host_group[machine.members[p]])
        return fabric.groups[k].name if k >= 0 else ""

    # ---- groups ------------------------------------------------------------------------------------------------

    def _tiers(self) -> tuple[Tier, ...]:
        """Tiers of the file with most of them; the lowest tiers of all files are taken for one."""
        best = max(self.used, key=lambda p: len(self._parts[p].fabric.tiers), default=-1)
        return self._parts[best].fabric.tiers if best >= 0 else ()

    def _add_groups(self, p: int) -> None:
        part = self._parts[p]
        for group in part.fabric.groups:
            parent = part.fabric.groups[group.parent].name if group.parent >= 0 else ""
            if group.name in self._index:
                self._check_same(self._index[group.name], group, parent, p)
                continue
            self._index[group.name] = len(self._groups)
            self._groups.append(group)
            self._parent.append(parent)
            self._owner.append(p)

    def _check_same(self, k: int, group: Group, parent: str, p: int) -> None:
        """Join a group of `p` with the group of that name that is there."""
        old, source, first = self._groups[k], self._parts[p].source, self._parts[self._owner[k]].source
        for what, a, b in (
            ("tier", self.tiers[old.tier].name, self.tiers[group.tier].name),
            ("number of rails", old.rails, group.rails),
            ("group above", self._parent[k] or "none", parent or "none"),
        ):
            if a != b and not (what == "group above" and "none" in (a, b)):
                raise InputError(
                    f"group {group.name} has {what} {a} in {first} and {b} in {source}",
                    hint="one of the files is of another day or another cluster: leave it out",
                )
        if not parent:
            return
        known, knows = (self._parts[q].knows(UPLINKS) for q in (self._owner[k], p))
        if not self._parent[k] or (knows and not known):
            self._groups[k], self._parent[k], self._owner[k] = group, parent, p
            return
        mine, theirs = old.uplink_bandwidth_bytes_per_s, group.uplink_bandwidth_bytes_per_s
        if known and knows and abs(mine - theirs) > _SAME * max(mine, theirs):
            self.warnings.append(
                f"uplinks of {group.name} carry {format_bandwidth(mine)} in {first}, {format_bandwidth(theirs)} in "
                f"{source}; the first counts"
            )

    def _order_groups(self) -> None:
        """Parents before children: as the one file has them, naturally sorted where several files gave groups."""
        order = list(range(len(self._groups)))
        if len(self.used) > 1:
            order.sort(key=self._path)
        self._groups = [self._groups[k] for k in order]
        self._parent = [self._parent[k] for k in order]
        self._owner = [self._owner[k] for k in order]
        self._index = {group.name: k for k, group in enumerate(self._groups)}

    def _path(self, k: int) -> list[tuple[tuple[int, int, str], ...]]:
        path = [natural_key(self._groups[k].name)]
        while self._parent[k]:
            k = self._index[self._parent[k]]
            path.append(natural_key(self._groups[k].name))
            if len(path) > len(self.tiers):
                raise InputError(f"group {self._groups[k].name} is above itself when the files are put together")
        return path[::-1]

    def groups(self) -> list[Group]:
        """Return all groups, with the indices of their parents."""
        return [
            dataclasses.replace(group, parent=self._index.get(parent, -1))
            for group, parent in zip(self._groups, self._parent, strict=True)
        ]

    @property
    def assumed_uplinks(self) -> list[bool]:
        """Whether the uplinks of each group are assumed to be 1:1, so that they follow the NICs below."""
        return [not self._parts[p].knows(UPLINKS) for p in self._owner]

    def place(self, m: int) -> tuple[int, tuple[Attachment, ...]]:
        """Group and attachments (NICs as that file counts them) of machine `m`."""
        p = self.part_of[m]
        if m in self._moved:
            return self._index[self._moved[m]], ()
        if p < 0:
            return -1, ()
        fabric = self._parts[p].fabric
        host = fabric.hosts[self._machines[m].members[p]]
        attach = tuple(dataclasses.replace(item, group=self._translate(fabric, item.group)) for item in host.attach)
        return self._translate(fabric, host.group), attach

    def _translate(self, fabric: Fabric, k: int) -> int:
        return self._index[fabric.groups[k].name] if k >= 0 else -1

    def position(self, m: int) -> tuple[object, ...]:
        """Sort key of machine `m` inside its group: its place in the one network file, or its name."""
        p = self.part_of[m]
        if len(self.used) == 1 and p >= 0 and m not in self._moved:
            return (0, self._machines[m].members[p])
        return (1, natural_key(self._machines[m].name))

    def rails_matter(self, m: int) -> bool:
        """Whether the NICs of machine `m` reach different switches."""
        group, attach = self.place(m)
        return bool(attach) or (group >= 0 and self._groups[group].rails > 1)

    def _links(self) -> tuple[Link, ...]:
        found: dict[tuple[str, str, int, float], int] = {}
        for p in self.used:
            for link in self._parts[p].fabric.links:
                key = (link.a, link.b, link.plane, link.bandwidth_bytes_per_s)
                if found.setdefault(key, link.count) != link.count:
                    self.warnings.append(
                        f"{counted(found[key], 'cable')} from {link.a} to {link.b} in one file, {link.count} in "
                        f"{self._parts[p].source}; the larger number counts"
                    )
                    found[key] = max(found[key], link.count)
        links = [Link(a, b, count, bandwidth, plane) for (a, b, plane, bandwidth), count in found.items()]
        if len(self.used) > 1:
            links.sort(
                key=lambda link: (natural_key(link.a), natural_key(link.b), link.plane, link.bandwidth_bytes_per_s)
            )
        return tuple(links)

    # ---- what the others say -------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Say where another file gives hosts other neighbours than the file that places them."""
        pairs: defaultdict[tuple[int, int], list[tuple[str, str, str]]] = defaultdict(list)
        for m, machine in enumerate(self._machines):
            p = self.part_of[m]
            if p < 0 or m in self._moved:
                continue
            here = self._group_name(p, machine)
            for q in machine.members:
                if q != p and NETWORK in self._parts[q].tells and (there := self._group_name(q, machine)):
                    pairs[p, q].append((here, there, machine.name))
        for (p, q), found in sorted(pairs.items()):
            odd = _misfits(found)
            if odd:
                self.warnings.append(
                    f"{counted(len(odd), 'host')} with other neighbours in {self._parts[q].source} than in "
                    f"{self._parts[p].source}, which counts: {some(odd)}"
                )


def _misfits(pairs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Hosts whose (group here, group there, host) fits neither what most of its group here nor there have.

    A file may be coarser or finer than another without a misfit.
    """
    size = Counter((a, b) for a, b, _ in pairs)
    usual: dict[str, tuple[int, str]] = {}
    main: dict[str, tuple[int, str]] = {}
    for (a, b), count in size.items():
        usual[b] = max(usual.get(b, (0, "")), (count, a))
        main[a] = max(main.get(a, (0, "")), (count, b))
    return [name for a, b, name in pairs if usual[b][1] != a and main[a][1] != b]


def follow_nics(
    groups: Sequence[Group], assumed: Sequence[bool], below: Sequence[Mapping[tuple[int, float], int]]
) -> list[Group]:
    """`groups` with 1:1 uplinks where they are assumed.

    Parameters
    ----------
    below
        For each group, how many NICs of each (rail, bytes/s) all its hosts have.
    """
    found = []
    for group, follows, nics in zip(groups, assumed, below, strict=True):
        if not follows or group.parent < 0 or not nics:
            found.append(group)
            continue
        speeds: Counter[float] = Counter()
        totals = [0.0] * group.rails
        for (rail, bandwidth), count in sorted(nics.items()):
            speeds[bandwidth] += count
            totals[rail if group.rails > rail else 0] += count * bandwidth
        link = max(speeds, key=lambda speed: (speeds[speed], speed))
        uplinks = tuple(total / link for total in totals)
        found.append(dataclasses.replace(group, uplinks=uplinks, link_bandwidth_bytes_per_s=link))
    return found
