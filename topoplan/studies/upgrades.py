"""Changes of a fabric that a planner asks about: bought, configured otherwise, or broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from topoplan.model.fabric import Fabric, Group, IntArray
from topoplan.studies.fabrics import nics_below, without_hosts
from topoplan.units import rate_text

FASTER = 2.0  # a generation of NICs and switches: 100, 200, 400, 800 Gb/s
_FULL = 1e-9  # bandwidth that misses 1:1 by less than this share does not miss it


@dataclass(frozen=True, eq=False)
class Change:
    """A fabric beside the one that there is.

    Parameters
    ----------
    name
        What is changed, in a few words.
    how
        What exactly, with numbers.
    loses_hosts
        Whether a placement may stand on hosts that are gone.
    inside_hosts
        Whether other GPUs or hosts are needed, which no bill of a network lists.
    """

    name: str
    how: str
    fabric: Fabric
    loses_hosts: bool = False
    inside_hosts: bool = False


def upgrades(fabric: Fabric, host: IntArray) -> list[Change]:
    """What is worth asking about a fabric on whose hosts `host` ([ranks] int64) a job runs.

    Faster NICs, with and without faster uplinks; faster NVLink; adaptive routing; each tier 1:1; one more switch above
    the lowest tier with uplinks; and the loss of the lowest group that the job uses most. What would change nothing is
    left out.
    """
    found = [
        *_faster(fabric),
        *_faster_inside(fabric),
        *_adaptive(fabric),
        *(change for tier in range(len(fabric.tiers)) for change in _one_to_one(fabric, tier)),
        *_one_more(fabric),
        *_broken(fabric, host),
    ]
    return [change for change in found if change.fabric is not fabric]


def _faster(fabric: Fabric) -> Iterator[Change]:
    speeds = sorted({nic.bandwidth_bytes_per_s for kind in fabric.host_types for nic in kind.nics})
    if not speeds:
        return
    kinds = tuple(
        replace(
            kind,
            nics=tuple(replace(nic, bandwidth_bytes_per_s=FASTER * nic.bandwidth_bytes_per_s) for nic in kind.nics),
        )
        for kind in fabric.host_types
    )
    nics = replace(fabric, host_types=kinds)
    shown = ", ".join(f"{rate_text(speed)} to {rate_text(FASTER * speed)}" for speed in speeds)
    yield Change("NICs twice as fast", f"{shown}; uplinks as they are", nics)
    if any(group.uplinks for group in fabric.groups):
        groups = tuple(
            replace(group, link_bandwidth_bytes_per_s=FASTER * group.link_bandwidth_bytes_per_s)
            for group in fabric.groups
        )
        yield Change("NICs and uplinks twice as fast", f"{shown}; every uplink too", replace(nics, groups=groups))


def _faster_inside(fabric: Fabric) -> Iterator[Change]:
    speeds = sorted({float(speed) for speed in fabric.gpu_scale_up if speed > 0})
    if not speeds or len(np.unique(fabric.gpu_island)) == fabric.gpus:
        return
    kinds = tuple(
        replace(kind, scale_up_bandwidth_bytes_per_s=FASTER * kind.scale_up_bandwidth_bytes_per_s)
        for kind in fabric.host_types
    )
    islands = tuple(
        replace(island, bandwidth_bytes_per_s=FASTER * island.bandwidth_bytes_per_s) for island in fabric.islands
    )
    shown = ", ".join(f"{rate_text(speed)} to {rate_text(FASTER * speed)}" for speed in speeds)
    yield Change(
        "NVLink twice as fast", f"{shown} a GPU", replace(fabric, host_types=kinds, islands=islands), inside_hosts=True
    )


def _adaptive(fabric: Fabric) -> Iterator[Change]:
    if fabric.routing != "adaptive" and fabric.groups:
        how = f"{fabric.routing} to adaptive: flows spread over all links instead of hashed onto them"
        yield Change("Adaptive routing", how, replace(fabric, routing="adaptive"))


def _one_to_one(fabric: Fabric, tier: int) -> Iterator[Change]:
    below, worst = nics_below(fabric), 1.0
    groups = list(fabric.groups)
    for k, group in enumerate(fabric.groups):
        if group.tier != tier or group.parent < 0 or not group.link_bandwidth_bytes_per_s:
            continue
        total = below[k, : group.rails] if group.rails > 1 else below[k].sum(keepdims=True)
        have = np.array(group.uplinks)
        need = np.maximum(have, total / group.link_bandwidth_bytes_per_s)
        short = need > have * (1 + _FULL)
        if short.any():
            worst = max(worst, float((need[short] / np.maximum(have[short], _FULL)).max()))
            groups[k] = replace(group, uplinks=tuple(need.tolist()))
    if worst > 1:
        name = fabric.tiers[tier].name
        yield Change(f"1:1 {name}", f"{worst:.3g}:1 at worst to 1:1 above every {name}", _regrouped(fabric, groups))


def _one_more(fabric: Fabric) -> Iterator[Change]:
    """One more switch above each group of the lowest tier with uplinks: a cable more for each that it has to one."""
    lowest = min((group.tier for group in fabric.groups if any(group.uplinks)), default=-1)
    if lowest < 0:
        return
    groups, cables = list(fabric.groups), set[float]()
    for k, group in enumerate(fabric.groups):
        if group.tier == lowest and group.parent >= 0:
            each = _links_to_one(fabric, group)
            cables.add(each)
            groups[k] = replace(group, uplinks=tuple(links + each if links else 0.0 for links in group.uplinks))
    above, below = _tier_above(fabric, lowest), fabric.tiers[lowest].name
    many = "/".join(f"{each:g}" for each in sorted(cables))
    yield Change(
        f"One more {above} switch",
        f"{many} more {'link' if many == '1' else 'links'} on each rail of every {below}",
        _regrouped(fabric, groups),
    )


def _links_to_one(fabric: Fabric, group: Group) -> float:
    """Links of a rail to one switch above; 1 where the switches above are not named."""
    parent = fabric.groups[group.parent]
    switches = sum(map(bool, parent.switches)) / max(1, parent.rails)
    return max(1.0, round(max(group.uplinks) / switches)) if switches >= 1 else 1.0


def _tier_above(fabric: Fabric, tier: int) -> str:
    parents = [fabric.groups[group.parent].tier for group in fabric.groups if group.tier == tier and group.parent >= 0]
    return fabric.tiers[min(parents)].name


def _broken(fabric: Fabric, host: IntArray) -> Iterator[Change]:
    """The lowest group that holds most ranks, lost with all its hosts; with several planes hosts keep the others."""
    if not fabric.tiers or fabric.planes > 1:
        return
    group = fabric.host_ancestor[0]
    inside = group[host]
    inside = inside[inside >= 0]
    if not len(inside):
        return
    worst = int(np.bincount(inside).argmax())
    hosts = np.flatnonzero(group == worst)
    tier, name = fabric.tiers[0].name, fabric.groups[worst].name
    used = len(np.intersect1d(hosts, host))
    rails = fabric.groups[worst].rails
    what = name if rails == 1 else f"all {rails} switches of {name}"
    how = f"{what} down, with {len(hosts)} hosts of which the job uses {used}"
    yield Change(f"One broken {tier}", how, without_hosts(fabric, hosts.tolist()), loses_hosts=True)


def _regrouped(fabric: Fabric, groups: list[Group]) -> Fabric:
    """With other groups; the real cables are those of before, so they are left out."""
    return replace(fabric, groups=tuple(groups), links=())
