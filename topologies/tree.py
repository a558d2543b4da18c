"""Trees of switches with hosts at their leaves -> Fabric: what schedulers, clouds and Kubernetes tell alike.

A reader fills a `Site`, either with switches and their children, or with `Paths`, the ordered ids above each host.
No such source knows bandwidths, so `build` assumes 1:1 uplinks and says so.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Group, Host, HostType, Island
from topoplan.names import check_name, closest, natural_key
from topoplan.topologies import host_guess
from topoplan.topologies.readers.base import MAX_HOSTS, MAX_TIERS, ReadOptions, clean_name, fabric_name, quoted, tiers

MAX_ISLAND_HOSTS = 18  # compute trays of an NVL72 rack, the widest NVLink domain there is (NVIDIA's GB200 NVL72 guide)


@dataclass(slots=True)
class Switch:
    """A node of the tree: `children` are names of switches, `hosts` names of hosts; `build` fills the rest."""

    name: str
    place: Place | None = None
    children: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    parent: str = ""
    height: int = 0
    nics: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What a source tells of a host beside its place.

    Parameters
    ----------
    kind
        None when the source does not say; then the user's or an assumed type.
    free
        How many GPUs can be used, all when None. Sources give a count and no indices: the last ones are left out.
    """

    kind: HostType | None = None
    aliases: tuple[tuple[str, str], ...] = ()
    free: int | None = None


@dataclass(slots=True)
class Site:
    """What a source tells.

    Parameters
    ----------
    switches
        By name, in the order of the source.
    unplaced
        Hosts that the source names without saying where they hang.
    islands
        NVLink domains wider than a host: name -> hosts, in any order.
    in_order
        Whether switches and hosts stand in an order that means something; else they are sorted naturally.
    joined
        Whether the network goes on above the topmost switches, so that several of them get a group above.
    entry
        What defines a switch in the source, for messages.
    """

    switches: dict[str, Switch] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    unplaced: list[str] = field(default_factory=list)
    islands: dict[str, list[str]] = field(default_factory=dict)
    in_order: bool = False
    joined: bool = False
    entry: str = "SwitchName"
    hint_two_switches: str = "a host hangs from one switch"
    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, switch: Switch) -> None:
        """Take a switch; InputError when one of its name is there."""
        first = self.switches.setdefault(switch.name, switch)
        if first is not switch:
            line = f" (first in line {first.place.line})" if first.place and first.place.line else ""
            raise InputError(f"switch {switch.name} is listed twice{line}", place=switch.place)

    @property
    def host_names(self) -> list[str]:
        """All hosts, in the order of the source."""
        return [*(host for switch in self.switches.values() for host in switch.hosts), *self.unplaced]


class Paths:
    """Collects hosts by the ids above them, coarsest first, and makes switches of them.

    A switch is its whole path: rack r1 of block b1 is not rack r1 of block b2. Its name is its own id where no other
    switch has that, else the ids of its path joined by "-". An id that follows itself stands for no level of its own.
    """

    def __init__(self) -> None:
        self._hosts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        self._nodes: dict[tuple[str, ...], None] = {}

    def add(self, host: str, ids: Sequence[str]) -> None:
        """Put `host` under the switch of the last of `ids`."""
        path = tuple(name for i, name in enumerate(ids) if not i or name != ids[i - 1])
        for depth in range(1, min(len(path), MAX_TIERS + 1) + 1):
            self._nodes.setdefault(path[:depth])
        self._hosts[path].append(host)

    def into(self, site: Site) -> None:
        """Add the switches to `site`, and hosts without any id to its unplaced ones."""
        site.unplaced += self._hosts.get((), [])
        name_of = self._names()
        for path, name in name_of.items():
            site.add(Switch(name, hosts=self._hosts.get(path, [])))
        for path, name in name_of.items():
            if len(path) > 1:
                site.switches[name_of[path[:-1]]].children.append(name)

    def _names(self) -> dict[tuple[str, ...], str]:
        count = Counter(path[-1] for path in self._nodes)
        wanted = ["-".join(path) if count[path[-1]] > 1 else path[-1] for path in self._nodes]
        return dict(zip(self._nodes, unique_names(wanted, "group"), strict=True))


def unique_names(wanted: Iterable[str], default: str, taken: Collection[str] = ()) -> list[str]:
    """`wanted` made into names that differ from each other and from `taken`, by a number at the end where needed."""
    used = set(taken)
    found = []
    for text in wanted:
        stem = clean_name(text) or default
        name, n = stem, 1
        while name in used:
            n += 1
            name = f"{stem[:56]}-{n}"
        used.add(name)
        found.append(name)
    return found


def host_name(text: object, place: Place | None = None) -> str:
    """`text` as the name of a host.

    Raises
    ------
    InputError
        Not a text, or one that launch files cannot hold.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)  # YAML reads a name of digits as a number
    if not isinstance(text, str) or not text:
        raise InputError("the name of a host must be a text", place=place)
    try:
        return check_name(text)
    except ValueError as error:
        raise InputError(str(error), place=place) from None


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
        self._default = options.host_type or host_guess.assumed_type(islands=self._wide_islands())
        self._kinds: dict[HostType, int] = {}
        self._type_of = {host: self._kinds.setdefault(self._kind(host), len(self._kinds)) for host in site.host_names}

    def _wide_islands(self) -> bool:
        return any(len(hosts) > 1 for hosts in self._site.islands.values())

    def _kind(self, host: str) -> HostType:
        own = self._site.machines.get(host, Machine()).kind
        given = self._options.host_type
        if own is None or (given is not None and given.gpus == own.gpus):
            return self._default
        return own

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
        elif self._default in self._kinds:
            found += host_guess.describe(self._default)
        if self._wide_islands():
            speed = max(kind.scale_up_bandwidth_bytes_per_s for kind in self._kinds)
            found.append(f"NVLink bandwidth inside an island: {speed / 1e9:.0f} GB/s a GPU each direction")
        return found


def _named_apart(kinds: Sequence[HostType]) -> tuple[HostType, ...]:
    """Host types with names that differ."""
    names = unique_names((kind.name for kind in kinds), "host")
    return tuple(dataclasses.replace(kind, name=name) for kind, name in zip(kinds, names, strict=True))


def check_text(value: object, what: str, place: Place) -> str:
    """`value` as a text that is not empty; InputError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    raise InputError(f"{what} must be a text, not {quoted(str(value))}", place=place)
