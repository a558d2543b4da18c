"""A `Site` -> Fabric: heights of switches become tiers, and what no such source knows is assumed and said so."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Group, Host, Island
from topoplan.model.host_type import HostType
from topoplan.names import closest, natural_key
from topoplan.topologies.hosts import guess
from topoplan.topologies.reading import MAX_HOSTS, MAX_TIERS, ReadOptions, fabric_name, tiers
from topoplan.topologies.trees.site import Machine, Site, Switch, unique_names


def build(site: Site, path: str, options: ReadOptions) -> Fabric:
    """Fabric of what a source tells; the height of a switch above the hosts is its tier.

    Raises
    ------
    InputError
        No hosts or too many; a switch or host that is missing, doubled or its own ancestor.
    """
    count = len(site.host_names)
    if count > MAX_HOSTS:
        raise InputError(f"{count} hosts are more than any fabric has", place=Place(path))
    _link(site, path)
    _separate_leaves(site)
    _place_strays(site)
    order = _heights(site, path)
    if not count:
        raise InputError("no hosts are named in this file", place=Place(path))
    _join_roots(site, order)
    return _Assembly(site, order, options).fabric(path)


def _link(site: Site, path: str) -> None:
    """Set the parent of each switch, and see that each host and switch hangs from one."""
    above: dict[str, str] = {}
    for switch in site.switches.values():
        place = switch.place or Place(path)
        for name in switch.children:
            child = site.switches.get(name)
            if child is None:
                hint = closest(name, list(site.switches)[:1000])
                raise InputError(
                    f"switch {switch.name} lists {name}, which no {site.entry} defines", place=place, hint=hint
                )
            if child.parent:
                raise InputError(
                    f"switch {name} is under {child.parent} and under {switch.name}",
                    place=place,
                    hint="this format is a tree: name one switch for all those that a switch below reaches",
                )
            child.parent = switch.name
        for host in switch.hosts:
            if above.setdefault(host, switch.name) != switch.name:
                raise InputError(
                    f"host {host} is under {above[host]} and under {switch.name}",
                    place=place,
                    hint=site.hint_two_switches,
                )
        if len(set(switch.hosts)) < len(switch.hosts):
            twice = next(host for host, count in Counter(switch.hosts).items() if count > 1)
            raise InputError(f"switch {switch.name} lists a host twice: {twice}", place=place)
    again = [host for host, count in Counter(site.unplaced).items() if count > 1 or host in above]
    if again:
        raise InputError(f"host {again[0]} is listed twice", place=Place(path))


def _separate_leaves(site: Site) -> None:
    """Hosts that hang from a switch with switches below get a leaf group of their own."""
    mixed = [switch for switch in site.switches.values() if switch.hosts and switch.children]
    names = unique_names((f"{switch.name}-direct" for switch in mixed), "direct", site.switches)
    for switch, name in zip(mixed, names, strict=True):
        site.switches[name] = Switch(name, switch.place, hosts=switch.hosts, parent=switch.name)
        switch.hosts = []
        switch.children.append(name)


def _place_strays(site: Site) -> None:
    """Hosts without a place stand in a group of their own, where others have one."""
    if site.unplaced and site.switches:
        name = unique_names(["unplaced"], "unplaced", site.switches)[0]
        site.switches[name] = Switch(name, hosts=site.unplaced)
        count = len(site.unplaced)
        site.warnings.append(
            f"{count} host{'s' * (count > 1)} without a place in the network, such as {min(site.unplaced)}: "
            f"taken as group {name}"
        )


def _heights(site: Site, path: str) -> list[Switch]:
    """Set the height of each switch; all switches, parents before their children."""

    def sorted_for_stack(switches: Iterable[Switch]) -> list[Switch]:
        found = list(switches) if site.in_order else sorted(switches, key=lambda switch: natural_key(switch.name))
        return found[::-1]

    order = []
    stack = sorted_for_stack(s for s in site.switches.values() if not s.parent)
    depth = dict.fromkeys((s.name for s in stack), 1)
    while stack:
        switch = stack.pop()
        order.append(switch)
        children = sorted_for_stack(site.switches[name] for name in switch.children)
        depth |= {child.name: depth[switch.name] + 1 for child in children}
        if depth[switch.name] > MAX_TIERS:
            raise InputError(
                f"switch {switch.name} is more than {MAX_TIERS} levels deep", place=switch.place or Place(path)
            )
        stack.extend(children)
    if len(order) < len(site.switches):
        lost = next(s for s in site.switches.values() if s.name not in depth)
        raise InputError(f"switch {lost.name} is above itself", place=lost.place or Place(path), hint="break the cycle")
    for switch in reversed(order):
        switch.height = max((site.switches[name].height + 1 for name in switch.children), default=0)
    return order


def _join_roots(site: Site, order: list[Switch]) -> None:
    roots = [switch for switch in order if not switch.parent]
    if not site.joined or len(roots) < 2:
        return
    name = unique_names(["above"], "above", site.switches)[0]
    top = Switch(name, children=[root.name for root in roots], height=max(root.height for root in roots) + 1)
    for root in roots:
        root.parent = name
    site.switches[name] = top
    order.insert(0, top)
    site.assumed.append(f"group {name}: the network above the topmost groups, which the file does not show")


class _Assembly:
    """Puts the Fabric together once the tree is known to be one."""

    def __init__(self, site: Site, order: Sequence[Switch], options: ReadOptions) -> None:
        self._site = site
        self._order = order
        self._options = options
        self._in_islands = {host for hosts in site.islands.values() if len(hosts) > 1 for host in hosts}
        self._default = options.host_type or guess.assumed_type(islands=bool(self._in_islands))
        self._kinds: dict[HostType, int] = {}
        self._type_of = {host: self._kinds.setdefault(self._kind(host), len(self._kinds)) for host in site.host_names}

    def _kind(self, host: str) -> HostType:
        machine = self._site.machines.get(host, Machine())
        given = self._options.host_type
        if machine.kind is not None and (given is None or given.gpus != machine.kind.gpus):
            return machine.kind
        if given is None and machine.named and host not in self._in_islands:
            return guess.assumed_type(islands=False)  # what it is called is no tray of the islands that others are in
        return self._default

    def fabric(self, path: str) -> Fabric:
        site, kinds, hosts = self._site, list(self._kinds), self._hosts()
        index = {host.name: h for h, host in enumerate(hosts)}
        return Fabric(
            name=fabric_name(path),
            routing=self._options.routing or "ecmp",
            host_types=_named_apart(kinds),
            hosts=hosts,
            tiers=tiers(max((switch.height for switch in self._order), default=-1) + 1),
            groups=self._groups(kinds),
            islands=self._islands(hosts, index, kinds),
            unusable_gpus=self._unusable(index, kinds),
            assumed=tuple(self._assumed()),
            warnings=tuple(site.warnings + self._contradictions()),
        )

    def _hosts(self) -> tuple[Host, ...]:
        site = self._site
        places = [(k, host) for k, switch in enumerate(self._order) for host in self._sorted(switch.hosts)]
        if not self._order:
            places = [(-1, host) for host in self._sorted(site.unplaced)]
        none = Machine()
        return tuple(
            Host(host, self._type_of[host], k, aliases=site.machines.get(host, none).aliases) for k, host in places
        )

    def _sorted(self, hosts: Sequence[str]) -> Sequence[str]:
        return hosts if self._site.in_order else sorted(hosts, key=natural_key)

    def _groups(self, kinds: Sequence[HostType]) -> tuple[Group, ...]:
        nics = [len(kind.nics) for kind in kinds]
        speed = max((nic.bandwidth_bytes_per_s for kind in kinds for nic in kind.nics), default=0.0)
        index = {switch.name: k for k, switch in enumerate(self._order)}
        for switch in reversed(self._order):
            switch.nics += sum(nics[self._type_of[host]] for host in switch.hosts)
            if switch.parent:
                self._site.switches[switch.parent].nics += switch.nics
        return tuple(
            Group(s.name, s.height, index[s.parent], 1, (s.nics,), speed) if s.parent else Group(s.name, s.height)
            for s in self._order
        )

    def _islands(
        self, hosts: Sequence[Host], index: Mapping[str, int], kinds: Sequence[HostType]
    ) -> tuple[Island, ...]:
        speed = [kinds[host.type].scale_up_bandwidth_bytes_per_s for host in hosts]
        members = {name: sorted(index[host] for host in inside) for name, inside in self._site.islands.items()}
        wide = sorted((inside, name) for name, inside in members.items() if len(inside) > 1)
        names = unique_names((name for _, name in wide), "island")
        return tuple(
            Island(name, tuple(inside), max(speed[h] for h in inside))
            for name, (inside, _) in zip(names, wide, strict=True)
        )

    def _unusable(self, index: Mapping[str, int], kinds: Sequence[HostType]) -> frozenset[tuple[int, int]]:
        found = set()
        for name, machine in self._site.machines.items():
            if machine.free is not None and name in index:
                found |= {(index[name], gpu) for gpu in range(machine.free, kinds[self._type_of[name]].gpus)}
        return frozenset(found)

    def _contradictions(self) -> list[str]:
        given = self._options.host_type
        if given is None:
            return []
        other = sorted(
            name for name, machine in self._site.machines.items() if machine.kind and machine.kind.gpus != given.gpus
        )
        return (
            [f"{len(other)} hosts such as {other[0]} do not have the {given.gpus} GPUs of {given.name}: kept as told"]
            if other
            else []
        )

    def _assumed(self) -> list[str]:
        site, options = self._site, self._options
        found = list(site.assumed)
        if self._order:
            found.append("uplinks of all switches: 1:1, one link for each NIC below")
        else:
            found.append("the network between the hosts: none is told, all hosts are equally far from each other")
        if not options.routing:
            found.append("routing: ecmp, as the file does not tell InfiniBand from Ethernet")
        if options.host_type:
            found.append(f"all hosts: {options.host_type.name}, as the user said")
        else:
            usual = (self._default, guess.assumed_type(islands=False))
            used = [kind for kind in dict.fromkeys(usual) if kind in self._kinds]
            alone = len(used) == len(self._kinds) == 1
            found += [line for kind in used for line in guess.describe(kind, all_hosts=alone)]
        if self._in_islands:
            speed = max(kind.scale_up_bandwidth_bytes_per_s for kind in self._kinds)
            found.append(f"NVLink bandwidth inside an island: {speed / 1e9:.0f} GB/s a GPU each direction")
        return found


def _named_apart(kinds: Sequence[HostType]) -> tuple[HostType, ...]:
    """Host types with names that differ."""
    names = unique_names((kind.name for kind in kinds), "host")
    return tuple(dataclasses.replace(kind, name=name) for kind, name in zip(kinds, names, strict=True))
