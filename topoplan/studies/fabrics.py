"""Variants of a fabric: parameters of the catalogue, and changes that make sense of any fabric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from topoplan import names, units
from topoplan.errors import InputError
from topoplan.files.shapes import MAX_COUNT
from topoplan.model.fabric import ROUTINGS, Fabric, FloatArray, Group
from topoplan.names import closest
from topoplan.planning.hosts import named_hosts
from topoplan.studies.model import Value

_TIER = "oversubscription."  # before the name of a tier
TOP = "top"  # means the highest tier that has uplinks, whatever its name


def changed(fabric: Fabric, changes: Mapping[str, Value]) -> Fabric:
    """Fabric with some things changed; NICs first, so that an oversubscription counts the new ones.

    Uplinks keep their bandwidth when NICs change, unless the oversubscription of their tier is given too.

    Raises
    ------
    InputError
        An unknown change, or a value that it cannot take.
    """
    for key in sorted(changes, key=lambda key: (key.startswith(_TIER), key)):
        change = _CHANGES.get(key)
        if change is not None:
            fabric = change(fabric, changes[key])
        elif key.startswith(_TIER):
            fabric = _oversubscribed(fabric, key.removeprefix(_TIER), changes[key])
        else:
            known = [*_CHANGES, *(_TIER + tier.name for tier in fabric.tiers[:-1])]
            raise InputError(
                f"nothing called {key!r} can be varied",
                hint=closest(key, known) or f"of any fabric: {', '.join(known)}; else parameters of the catalogue",
            )
    return fabric


def is_change(key: str) -> bool:
    """Whether a parameter changes any fabric, rather than being one of the catalogue's."""
    return key in _CHANGES or key.startswith(_TIER)


def without_hosts(fabric: Fabric, hosts: Sequence[int]) -> Fabric:
    """Fabric with all GPUs of some hosts (indices) unusable."""
    lost = {(h, g) for h in hosts for g in range(int(fabric.host_gpus[h]))}
    return replace(fabric, unusable_gpus=fabric.unusable_gpus | lost) if lost else fabric


def without_links(fabric: Fabric, lost: Sequence[tuple[int, int]]) -> Fabric:
    """Fabric with one link fewer for each (group, rail) of `lost`, never below none."""
    groups = list(fabric.groups)
    for k, rail in lost:
        links = list(groups[k].uplinks)
        links[rail] = max(0.0, links[rail] - 1)
        groups[k] = replace(groups[k], uplinks=tuple(links))
    return replace(fabric, groups=tuple(groups)) if lost else fabric


def _routing(fabric: Fabric, value: Value) -> Fabric:
    if value not in ROUTINGS:
        raise InputError(f"routing {value!r} is not one of {', '.join(ROUTINGS)}")
    return replace(fabric, routing=str(value))


def _nic_bandwidth(fabric: Fabric, value: Value) -> Fabric:
    bandwidth = _bandwidth("nic_bandwidth", value)
    kinds = tuple(
        replace(kind, nics=tuple(replace(nic, bandwidth_bytes_per_s=bandwidth) for nic in kind.nics))
        for kind in fabric.host_types
    )
    return replace(fabric, host_types=kinds)


def _scale_up_bandwidth(fabric: Fabric, value: Value) -> Fabric:
    bandwidth = _bandwidth("scale_up_bandwidth", value)
    kinds = tuple(
        replace(kind, scale_up_bandwidth_bytes_per_s=bandwidth) if kind.scale_up_gpus > 1 else kind
        for kind in fabric.host_types
    )
    islands = tuple(replace(island, bandwidth_bytes_per_s=bandwidth) for island in fabric.islands)
    return replace(fabric, host_types=kinds, islands=islands)


def _bandwidth(key: str, value: Value) -> float:
    try:
        return units.parse_bandwidth(value)
    except ValueError as error:
        raise InputError(f"{key}: {error}") from None


def _unavailable(fabric: Fabric, value: Value) -> Fabric:
    """Further hosts down: a list of names, or a number of hosts in physical order from the last one."""
    if isinstance(value, bool | float):
        raise InputError(f"unavailable is {value!r}, not a list of hosts nor a number of them")
    if isinstance(value, int):
        up = np.flatnonzero(fabric.free_gpus)
        if not 0 <= value < len(up):
            raise InputError(f"unavailable is {value}, not 0 to {len(up) - 1} hosts")
        return without_hosts(fabric, up[len(up) - value :].tolist())
    try:
        listed = tuple(names.expand(value)) if value else ()
    except ValueError as error:
        raise InputError(f"unavailable: {error}") from None
    return without_hosts(fabric, np.flatnonzero(named_hosts(fabric, listed, "unavailable")).tolist())


_CHANGES: dict[str, Callable[[Fabric, Value], Fabric]] = {
    "routing": _routing,
    "nic_bandwidth": _nic_bandwidth,
    "scale_up_bandwidth": _scale_up_bandwidth,
    "unavailable": _unavailable,
}


def _oversubscribed(fabric: Fabric, tier: str, value: Value) -> Fabric:
    """Uplinks of every group of a tier that carry the NICs below / `value`, in links as fast as they are now."""
    known = [item.name for item in fabric.tiers]
    if tier == TOP and TOP not in known:
        with_uplinks = {group.tier for group in fabric.groups if group.parent >= 0}
        tier = known[max(with_uplinks)] if with_uplinks else tier
    if tier not in known:
        raise InputError(
            f"the fabric has no tier {tier!r}",
            hint=closest(tier, known) or f"its tiers: {', '.join(known) or 'none'}",
        )
    if isinstance(value, bool | str) or not 0 < value <= MAX_COUNT:
        raise InputError(f"oversubscription of {tier} is {value!r}, not a number above 0")
    below, level = nics_below(fabric), known.index(tier)
    groups = tuple(
        _with_ratio(group, below[k], float(value)) if group.tier == level and group.parent >= 0 else group
        for k, group in enumerate(fabric.groups)
    )
    if not any(group.tier == level and group.parent >= 0 for group in fabric.groups):
        raise InputError(f"no group of tier {tier} has anything above it: there is no uplink to change")
    return replace(fabric, groups=groups)


def _with_ratio(group: Group, below: FloatArray, ratio: float) -> Group:
    link = group.link_bandwidth_bytes_per_s or float(below.max(initial=0.0))
    total = below[: group.rails] if group.rails > 1 else below.sum(keepdims=True)
    uplinks = tuple(float(part) for part in total / ratio / link) if link else group.uplinks
    return replace(group, uplinks=uplinks, link_bandwidth_bytes_per_s=link)


def nics_below(fabric: Fabric) -> FloatArray:
    """[groups, rails] float64 bytes/s of all NICs below each group; those of several planes are split evenly."""
    table = np.zeros((len(fabric.groups), fabric.rails))
    rail = np.tile(np.arange(fabric.rails), len(fabric.hosts))
    for reached in fabric.port_group:
        for ancestors in fabric.group_ancestor:
            group = ancestors[reached]
            inside = group >= 0
            part = fabric.port_bandwidth[inside] / fabric.planes
            np.add.at(table, (group[inside], rail[inside]), part)
    return table
