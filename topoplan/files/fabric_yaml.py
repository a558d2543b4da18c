"""Fabric YAML -> Fabric: names resolved, defaults filled in and said, what does not fit refused with its place.

Hosts come out in physical order: groups in the order listed, depth first from the top (a pod's leaves stay together),
hosts as listed inside each group, hosts without a group last. `host_order: listed` keeps the file's order instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from topoplan import names
from topoplan.errors import InputError
from topoplan.files.fabric_shape import WHOLE_HOST, FabricFile, HostsShape, HostTypeShape, NicCount, TierItem
from topoplan.files.host_lists import HostEntries, unusable
from topoplan.files.inputs import read_source
from topoplan.files.marked import Marked, parse
from topoplan.files.shapes import MAX_COUNT, check
from topoplan.files.uplinks import Uplinks
from topoplan.model.fabric import (
    FIRST_DISTANCE,
    Attachment,
    Fabric,
    Group,
    Host,
    HostType,
    Island,
    Link,
    Nic,
    Tier,
)

Loc = tuple[str | int, ...]


def read_fabric_yaml(path: str | Path) -> Fabric:
    """Fabric of a YAML file, or of standard input for "-"; InputError when it is not one."""
    source = read_source(path)
    return parse_fabric(source.text, source.shown)


def parse_fabric(text: str, path: str = "<text>") -> Fabric:
    """Fabric of YAML text.

    Parameters
    ----------
    path
        File name for messages.

    Raises
    ------
    InputError
        Anything that is not a Fabric, with file, line and column.
    """
    marked = parse(text, path)
    return _Reader(marked, check(FabricFile, marked)).fabric()


class _Reader:
    """Turns a checked file into a Fabric; each method reads one section."""

    def __init__(self, marked: Marked, file: FabricFile) -> None:
        self.marked = marked
        self.file = file
        self.assumed = list(file.assumed)
        self.warnings = list(file.warnings)
        self.tiers = self._tiers()
        self.groups = self._index("group", [group.name for group in file.groups], "groups")
        self.types = {name: i for i, name in enumerate(file.host_types)}

    def fabric(self) -> Fabric:
        """The whole, section by section."""
        file = self.file
        routing = self._routing()
        host_types = tuple(self._host_type(name, item) for name, item in file.host_types.items())
        parents = self._parents()
        entries = HostEntries(self.marked, file.hosts)
        hosts = self._hosts(entries, host_types)
        groups = self._groups(parents, hosts, host_types)
        if file.host_order == "physical":
            hosts = [hosts[h] for h in physical_order(parents, [_host_group(host) for host in hosts])]
        index = {host.name: h for h, host in enumerate(hosts)}
        gpus = [host_types[host.type].gpus for host in hosts]
        islands, broken = self._islands(index, gpus)
        broken |= unusable(self.marked, ("unavailable",), file.unavailable, _with_aliases(hosts, index), gpus)
        links = tuple(Link(item.a, item.b, item.count, item.bandwidth, item.plane) for item in file.links)
        return Fabric(
            file.name, routing, host_types, tuple(hosts), self.tiers, groups, islands, links,
            unusable_gpus=frozenset(broken),
            assumed=tuple(dict.fromkeys(self.assumed)),
            warnings=tuple(dict.fromkeys(self.warnings)),
        )  # fmt: skip

    def _routing(self) -> str:
        if self.file.routing:
            return self.file.routing
        kind = self.file.fabric_type
        routing = "ecmp" if kind == "ethernet" else "adaptive"
        why = {"ethernet": "Ethernet", "infiniband": "InfiniBand"}.get(
            kind or "", "InfiniBand, as no fabric_type is given"
        )
        self.assumed.append(f"routing is not given: {routing} ({why})")
        return routing

    # ---- host types and tiers ----------------------------------------------------------------------------------

    def _host_type(self, name: str, item: HostTypeShape) -> HostType:
        domain, bandwidth = 1, 0.0
        if item.scale_up is None:
            if item.gpus > 1:
                self.assumed.append(f"host type {name}: scale_up is not given: no NVLink between its GPUs")
        else:
            domain = item.gpus if item.scale_up.domain == WHOLE_HOST else item.scale_up.domain
            bandwidth = item.scale_up.bandwidth or 0.0
        loc = ("host_types", name)
        if domain > item.gpus:
            raise self._error(
                f"a domain of {domain} GPUs is larger than the host's {item.gpus}",
                (*loc, "scale_up", "domain"),
                hint="NVLink domains wider than a host are listed under islands",
            )
        if domain > 1 and not bandwidth:
            raise self._error("scale_up needs a bandwidth such as 450 GB/s", (*loc, "scale_up"))
        parts = self._parts(item.scale_up.domains if item.scale_up else [], item.gpus, (*loc, "scale_up", "domains"))
        if parts and max(parts.count(part) for part in parts) != domain:
            message = f"domain says {domain} GPUs, the largest of domains does not"
            raise self._error(message, (*loc, "scale_up", "domain"))
        if item.slices and sum(item.slices) != item.gpus:
            raise self._error(f"{sum(item.slices)} slices are not the {item.gpus} of gpus", (*loc, "slices"))
        return HostType(
            name, item.gpus, self._nics(item, (*loc, "nics")), domain, bandwidth,
            item.gpu_memory, item.flops, item.speed,
            domains=parts,
            switches=self._parts(item.switches, item.gpus, (*loc, "switches")),
            slices=tuple(item.slices),
            other_nics=tuple(
                Nic(0, nic.bandwidth or 0.0, self._gpu(nic.gpu, item.gpus, (*loc, "other_nics", i)), nic.name or "",
                    network=nic.network)
                for i, nic in enumerate(item.other_nics)
            ),
        )  # fmt: skip

    def _parts(self, listed: Sequence[Sequence[int]], gpus: int, loc: Loc) -> tuple[int, ...]:
        """Number of the part that holds each GPU; GPUs that no part lists are alone; empty when there are no parts."""
        part_of: dict[int, int] = {}
        for number, part in enumerate(listed):
            for gpu in part:
                if part_of.setdefault(self._gpu(gpu, gpus, (*loc, number)), number) != number:
                    raise self._error(f"GPU {gpu} is listed twice", (*loc, number))
        return tuple(part_of.get(gpu, len(listed) + gpu) for gpu in range(gpus)) if listed else ()

    def _gpu(self, gpu: int, gpus: int, loc: Loc) -> int:
        if gpu >= gpus:
            raise self._error(f"the host has GPUs 0 to {gpus - 1}, not {gpu}", loc)
        return gpu

    def _nics(self, item: HostTypeShape, loc: Loc) -> tuple[Nic, ...]:
        if not item.nics:
            self.warnings.append(f"host type {loc[1]} has no NICs, so its hosts reach no other host")
            return ()
        if isinstance(item.nics, NicCount):
            return counted_nics(item.nics.count, item.nics.bandwidth, item.gpus)
        plain = counted_nics(len(item.nics), 1.0, item.gpus)
        for i, nic in enumerate(item.nics):
            for key, gpus in (("gpu", [nic.gpu or 0]), ("also", nic.also)):
                for gpu in gpus:
                    self._gpu(gpu, item.gpus, (*loc, i, key))
        return tuple(
            Nic(
                default.rail if nic.rail is None else nic.rail,
                nic.bandwidth,
                default.gpu if nic.gpu is None else nic.gpu,
                nic.name or "",
                tuple(nic.also),
                nic.plane,
            )
            for nic, default in zip(item.nics, plain, strict=True)
        )

    def _tiers(self) -> tuple[Tier, ...]:
        tiers = []
        for t, entry in enumerate(self.file.tiers):
            item = entry if isinstance(entry, TierItem) else TierItem(name=entry)
            tiers.append(Tier(item.name, item.distance or default_distance(t), item.latency))
        self._index("tier", [tier.name for tier in tiers], "tiers")
        return tuple(tiers)

    # ---- groups ------------------------------------------------------------------------------------------------

    def _parents(self) -> list[int]:
        """Index of each group's parent, -1 at the top; no cycles."""
        parents = []
        for k, group in enumerate(self.file.groups):
            if group.parent is None:
                parents.append(-1)
            else:
                parents.append(self._look_up(group.parent, self.groups, "group", ("groups", k, "parent")))
        for start in range(len(parents)):
            seen, here = [start], parents[start]
            while here >= 0 and here != start and len(seen) <= len(self.tiers):
                seen.append(here)
                here = parents[here]
            if here == start:
                ring = " -> ".join(self.file.groups[k].name for k in [*seen, start])
                raise self._error(f"groups form a cycle: {ring}", ("groups", start, "parent"))
        return parents

    def _groups(self, parents: list[int], hosts: Sequence[Host], types: Sequence[HostType]) -> tuple[Group, ...]:
        tiers = {tier.name: t for t, tier in enumerate(self.tiers)}
        tier_of = [
            self._look_up(group.tier, tiers, "tier", ("groups", k, "tier")) for k, group in enumerate(self.file.groups)
        ]
        for k, parent in enumerate(parents):
            if parent >= 0 and tier_of[parent] <= tier_of[k]:
                above, tier = self.file.groups[parent], self.file.groups[k].tier
                raise self._error(
                    f"parent {above.name} is of tier {above.tier}, which is not above {tier}",
                    ("groups", k, "parent"),
                    hint="list tiers closest to the host first",
                )
        uplinks = Uplinks(self.marked, self.file.groups, parents, hosts, types)
        groups = tuple(
            Group(item.name, tier_of[k], parents[k], item.rails, *uplinks.of(k), self._switches(k))
            for k, item in enumerate(self.file.groups)
        )
        self.assumed += uplinks.assumed()
        self.warnings += uplinks.warnings()
        return groups

    def _switches(self, k: int) -> tuple[str, ...]:
        item = self.file.groups[k]
        if len(item.switches) % item.rails:
            message = f"{len(item.switches)} switches do not make {item.rails} rails"
            raise self._error(message, ("groups", k, "switches"), hint="list as many for each rail, rail 0 first")
        return tuple(item.switches)

    # ---- hosts -------------------------------------------------------------------------------------------------

    def _hosts(self, entries: HostEntries, types: Sequence[HostType]) -> list[Host]:
        hosts: list[Host] = []
        total = 0
        for e, entry in enumerate(self.file.hosts):
            kind = self._type_of(entry, e)
            group = -1
            if entry.group is not None:
                group = self._look_up(entry.group, self.groups, "group", ("hosts", e, "group"))
            attach = self._attach(entry, e, len(types[kind].nics))
            members = entries.names[e]
            total += len(members) * types[kind].gpus
            if total > MAX_COUNT:
                raise self._error(f"more than {MAX_COUNT} GPUs", ("hosts", e))
            if self.groups and group < 0 and not attach:
                self.warnings.append(f"hosts {names.compress(members)} hang from no group, so they reach no other host")
            hosts += [
                Host(name, kind, group, attach, aliases)
                for name, aliases in zip(members, entries.aliases(e), strict=True)
            ]
        rails = 1 + max((nic.rail for kind in types for nic in kind.nics), default=0)
        planes = 1 + max((item.plane for entry in self.file.hosts for item in entry.attach), default=0)
        if len(hosts) * rails * planes > MAX_COUNT:
            raise self._error(
                f"more than {MAX_COUNT} ports: {len(hosts)} hosts, {rails} rails, {planes} planes", ("hosts",)
            )
        return hosts

    def _type_of(self, entry: HostsShape, e: int) -> int:
        if entry.type is not None:
            return self._look_up(entry.type, self.types, "host type", ("hosts", e, "type"))
        if len(self.types) > 1:
            raise self._error("type is missing, and there are several host types", ("hosts", e))
        return 0

    def _attach(self, entry: HostsShape, e: int, nics: int) -> tuple[Attachment, ...]:
        result = []
        for i, item in enumerate(entry.attach):
            loc = ("hosts", e, "attach", i)
            if item.nic >= nics:
                raise self._error(f"the host type has {nics} NICs, none with index {item.nic}", (*loc, "nic"))
            result.append(
                Attachment(item.nic, self._look_up(item.group, self.groups, "group", (*loc, "group")), item.plane)
            )
        return tuple(result)

    def _islands(self, index: Mapping[str, int], gpus: list[int]) -> tuple[tuple[Island, ...], set[tuple[int, int]]]:
        islands, broken, home = [], set[tuple[int, int]](), dict[int, str]()
        self._index("island", [island.name for island in self.file.islands], "islands")
        for i, item in enumerate(self.file.islands):
            members = []
            for name in HostEntries.expand(self.marked, ("islands", i, "hosts"), item.hosts):
                h = self._look_up(name, index, "host", ("islands", i, "hosts"))
                if h in home:
                    raise self._error(f"host {name} is in islands {home[h]} and {item.name}", ("islands", i, "hosts"))
                home[h] = item.name
                members.append(h)
            islands.append(Island(item.name, tuple(members), item.bandwidth))
            broken |= unusable(self.marked, ("islands", i, "unusable"), item.unusable, index, gpus)
        return tuple(islands), broken

    # ---- names -------------------------------------------------------------------------------------------------

    def _index(self, what: str, listed: Sequence[str], section: str) -> dict[str, int]:
        index: dict[str, int] = {}
        for i, name in enumerate(listed):
            if name in index:
                first = self.marked.place((section, index[name]))
                raise self._error(f"{what} {name} is listed twice, first on line {first.line}", (section, i))
            index[name] = i
        return index

    def _look_up(self, name: str, index: Mapping[str, int], what: str, loc: Loc) -> int:
        if name in index:
            return index[name]
        hint = names.closest(name, index) or ("" if index else f"the file lists no {what}s")
        raise self._error(f"{what} {name!r} is not in this file", loc, hint=hint)

    def _error(self, message: str, loc: Loc, *, hint: str = "") -> InputError:
        return self.marked.error(message, loc, hint=hint)


def default_distance(tier: int) -> float:
    """Hop distance of a tier that gives none: 10, 20, 40 ..."""
    return FIRST_DISTANCE * 2.0**tier


def counted_nics(count: int, bandwidth: float, gpus: int) -> tuple[Nic, ...]:
    """`count` NICs on rails 0, 1 ..., spread evenly beside the GPUs."""
    return tuple(Nic(i, bandwidth, i * gpus // count) for i in range(count))


def physical_order(parents: Sequence[int], host_groups: Sequence[int]) -> list[int]:
    """Host indices, groups depth first in listed order and hosts as listed inside each; those without a group last.

    Parameters
    ----------
    parents
        Index of each group's parent, -1 at the top.
    host_groups
        Index of each host's group, -1 without one.
    """
    children: list[list[int]] = [[] for _ in range(len(parents) + 1)]
    for k, parent in enumerate(parents):
        children[parent].append(k)  # -1, the top, is the last list
    rank = [0] * (len(parents) + 1)
    stack, count = children[-1][::-1], 0
    while stack:
        k = stack.pop()
        rank[k] = count
        count += 1
        stack.extend(reversed(children[k]))
    rank[-1] = count
    return sorted(range(len(host_groups)), key=lambda h: rank[host_groups[h]])


def _host_group(host: Host) -> int:
    return host.attach[0].group if host.attach else host.group


def _with_aliases(hosts: Sequence[Host], index: Mapping[str, int]) -> dict[str, int]:
    """Index of hosts by any name; a host's own name wins over another's alias."""
    return {alias: h for h, host in enumerate(hosts) for _, alias in host.aliases} | dict(index)
