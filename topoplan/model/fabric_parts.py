"""What a fabric is described by: tiers, groups, islands, links and hosts; and what must hold among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.host_type import HostType
from topoplan.names import check_name


@dataclass(frozen=True, slots=True)
class Tier:
    """A level of groups; `distance` is the hop weight of two hosts that meet in one group of this tier."""

    name: str
    distance: float
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The hosts under one switch or rail-aligned switch set of a tier.

    Parameters
    ----------
    tier
        Index into `Fabric.tiers`.
    parent
        Index of the group above in `Fabric.groups`, -1 at the top.
    rails
        How many rail switches the group is made of; 1 is a single switch that all rails share.
    uplinks
        Links that leave the group on each rail, `rails` entries; empty at the top.
    link_bandwidth_bytes_per_s
        Of one uplink, each direction.
    switches
        Names of its real switches as `Fabric.links` has them, rail by rail, as many for each, "" for one
        that is absent; empty when unknown.
    """

    name: str
    tier: int
    parent: int = -1
    rails: int = 1
    uplinks: tuple[float, ...] = ()
    link_bandwidth_bytes_per_s: float = 0.0
    switches: tuple[str, ...] = ()

    @property
    def uplink_bandwidth_bytes_per_s(self) -> float:
        """All rails together, each direction."""
        return sum(self.uplinks) * self.link_bandwidth_bytes_per_s


@dataclass(frozen=True, slots=True)
class Island:
    """An NVLink domain wider than a host: indices of its hosts and the bandwidth of one GPU, each direction."""

    name: str
    hosts: tuple[int, ...]
    bandwidth_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Link:
    """Cables between two named switches or groups, where the real graph is known."""

    a: str
    b: str
    count: int
    bandwidth_bytes_per_s: float
    plane: int = 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """NIC `nic` of a host goes to group `group` (index) of plane `plane`."""

    nic: int
    group: int
    plane: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that a launcher starts processes on.

    Parameters
    ----------
    type
        Index into `Fabric.host_types`.
    group
        Index of the group it hangs from, -1 when the fabric has none.
    attach
        Where each NIC goes, when that is not simply `group`.
    aliases
        Its other names as (kind, name) pairs; kinds are fqdn, ip, k8s and the like.
    """

    name: str
    type: int
    group: int = -1
    attach: tuple[Attachment, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


def check_unique(what: str, names: Sequence[str]) -> None:
    """Refuse a name that is listed twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{what} {name} is listed twice", hint=f"every {what} needs a name of its own")
        seen.add(name)


def check_groups(tiers: Sequence[Tier], groups: Sequence[Group]) -> None:
    """Refuse groups without their tier or parent, out of order, or with uplinks that do not fit their rails."""
    for k, group in enumerate(groups):
        if not 0 <= group.tier < len(tiers):
            raise InputError(f"group {group.name}: its tier does not exist")
        if group.parent == k or group.parent >= len(groups):
            raise InputError(f"group {group.name}: its parent does not exist")
        if group.parent >= 0 and groups[group.parent].tier <= group.tier:
            raise InputError(
                f"group {group.name}: its parent {groups[group.parent].name} is not of a tier above it",
                hint="list tiers closest to the host first; groups must not form a cycle",
            )
        if group.parent >= 0 and len(group.uplinks) != group.rails:
            raise InputError(f"group {group.name}: {len(group.uplinks)} uplink counts for {group.rails} rails")
        if any(count < 0 or not np.isfinite(count) for count in group.uplinks):
            raise InputError(f"group {group.name}: an uplink count is below zero")
        if len(group.switches) % group.rails:
            raise InputError(f"group {group.name}: {len(group.switches)} switches do not make {group.rails} rails")


def check_hosts(kinds: Sequence[HostType], hosts: Sequence[Host], groups: int) -> None:
    """Refuse hosts that are named wrongly or twice, and whose type, groups or NICs do not exist."""
    seen: set[str] = set()
    for host in hosts:
        try:
            check_name(host.name)
        except ValueError as error:
            raise InputError(str(error)) from None
        if host.name in seen:
            raise InputError(f"host {host.name} is listed twice", hint="each host belongs to one group")
        seen.add(host.name)
        if not 0 <= host.type < len(kinds):
            raise InputError(f"host {host.name}: its type does not exist")
        if any(not -1 <= g < groups for g in (host.group, *(item.group for item in host.attach))):
            raise InputError(f"host {host.name}: its group does not exist")
        nics = len(kinds[host.type].nics)
        if any(not 0 <= item.nic < nics or item.plane < 0 for item in host.attach):
            raise InputError(f"host {host.name}: attach names a NIC that its type does not have")


def check_members(
    kinds: Sequence[HostType],
    hosts: Sequence[Host],
    islands: Sequence[Island],
    unusable_gpus: Collection[tuple[int, int]],
) -> None:
    """Refuse islands that share hosts, and what names a host or a GPU that does not exist."""
    used = [h for island in islands for h in island.hosts]
    if len(used) != len(set(used)):
        raise InputError("a host is in two islands")
    if any(not 0 <= h < len(hosts) for h in used):
        raise InputError("an island names a host that does not exist")
    for h, gpu in unusable_gpus:
        if not (0 <= h < len(hosts) and 0 <= gpu < kinds[hosts[h].type].gpus):
            raise InputError("an unusable GPU does not exist")
