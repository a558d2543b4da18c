"""A Fabric as cables between hosts and switches, for formats that know no groups.

Where the fabric names the switches of its leaf groups and the links between switches, these are the cables. Otherwise
each group becomes a switch for each rail it keeps apart ("leaf-0-r3"), or one switch, with its uplinks to its parent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric


class Cable(NamedTuple):
    """`cables` cables alike between `a` and the switch `b`; `nic` is that of host `a`, -1 between switches."""

    a: str
    b: str
    nic: int
    plane: int
    cables: int
    bandwidth_bytes_per_s: float


def cables(fabric: Fabric) -> list[Cable]:
    """All cables: those of hosts in the order of hosts and NICs, then those between switches.

    Uplinks that are no whole number end with one slower cable.

    Raises
    ------
    InputError
        A host without a group, or a switch that would be called like a host.
    """
    real = _real_leaves(fabric)
    found = [cable for h in range(len(fabric.hosts)) for cable in _host_cables(fabric, h, real)]
    found += _link_cables(fabric) if real else _uplink_cables(fabric)
    clash = {cable.b for cable in found} & fabric.host_index.keys()
    if clash:
        raise InputError(f"{min(clash)} is a host and a switch: this format cannot tell them apart")
    return found


def _real_leaves(fabric: Fabric) -> bool:
    """Whether the real switches of all groups that hosts hang from are known, one for each rail, and have links."""
    used = {fabric.hosts[h].group for h in range(len(fabric.hosts))} | {
        item.group for host in fabric.hosts for item in host.attach
    }
    linked = {name for link in fabric.links for name in (link.a, link.b)}
    groups = [fabric.groups[k] for k in sorted(used - {-1})]
    names = [name for group in groups for name in group.switches]
    return (
        bool(fabric.links)
        and all(len(group.switches) == group.rails and all(group.switches) for group in groups)
        and len(set(names)) == len(names)
        and set(names) <= linked
    )


def switch_name(fabric: Fabric, group: int, rail: int, real: bool) -> str:
    """Name of the switch of a group that serves a rail."""
    about = fabric.groups[group]
    at = min(rail, about.rails - 1)
    if real:
        return about.switches[at]
    return about.name if about.rails == 1 else f"{about.name}-r{at}"


def _host_cables(fabric: Fabric, h: int, real: bool) -> Iterator[Cable]:
    host = fabric.hosts[h]
    attached: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for item in host.attach:
        if item.group >= 0:
            attached[item.nic].append((item.plane, item.group))
    for nic, about in enumerate(fabric.host_types[host.type].nics):
        ends = sorted(attached[nic]) or [(0, host.group)]
        for plane, group in ends:
            if group < 0:
                raise InputError(
                    f"host {host.name} hangs from no group: this format has no network to put it in",
                    hint="give the fabric groups, or write a format of hosts",
                )
            switch = switch_name(fabric, group, about.rail, real)
            yield Cable(host.name, switch, nic, plane, 1, about.bandwidth_bytes_per_s / len(ends))


def _link_cables(fabric: Fabric) -> Iterator[Cable]:
    for link in fabric.links:
        yield Cable(link.a, link.b, -1, link.plane, link.count, link.bandwidth_bytes_per_s)


def _uplink_cables(fabric: Fabric) -> Iterator[Cable]:
    for k, group in enumerate(fabric.groups):
        for rail, links in enumerate(group.uplinks if group.parent >= 0 else ()):
            here, above = (switch_name(fabric, g, rail, False) for g in (k, group.parent))
            speed = group.link_bandwidth_bytes_per_s
            if int(links):
                yield Cable(here, above, -1, 0, int(links), speed)
            if links - int(links) > 1e-9:
                yield Cable(here, above, -1, 0, 1, speed * (links - int(links)))
