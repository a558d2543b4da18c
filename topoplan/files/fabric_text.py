"""Fabric -> canonical Fabric YAML, which reads back to an equal Fabric."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from topoplan import names
from topoplan.files import emit
from topoplan.files.fabric_yaml import counted_nics, default_distance, physical_order
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Link, Nic, Tier
from topoplan.units import format_bandwidth, format_flops, format_seconds, format_size

Entry = dict[str, emit.Value]  # one mapping of the file


def format_fabric(fabric: Fabric) -> str:
    """Canonical YAML text of a fabric, the same bytes for equal fabrics."""
    sections: Entry = {"apiVersion": "topoplan/v1", "kind": "Fabric", "name": fabric.name, "routing": fabric.routing}
    order = physical_order([group.parent for group in fabric.groups], fabric.host_group.tolist())
    if order != list(range(len(order))):
        sections["host_order"] = "listed"
    sections["host_types"] = {kind.name: _host_type(kind) for kind in fabric.host_types}
    sections["tiers"] = [_tier(t, tier) for t, tier in enumerate(fabric.tiers)]
    sections["groups"] = [_group(fabric, group) for group in fabric.groups]
    sections["hosts"] = [
        _hosts(fabric, list(run))
        for _, run in groupby(
            fabric.hosts, key=lambda host: (host.type, host.group, host.attach, [kind for kind, _ in host.aliases])
        )
    ]
    sections["islands"] = [_island(fabric, island) for island in fabric.islands]
    sections["links"] = [_link(link) for link in fabric.links]
    sections["unavailable"] = _unavailable(fabric)
    sections["assumed"] = list(fabric.assumed)
    sections["warnings"] = list(fabric.warnings)
    return emit.document(sections)


def _island(fabric: Fabric, island: Island) -> Entry:
    members = _pattern([fabric.host_names[h] for h in island.hosts])
    return {
        "name": island.name,
        "hosts": members,
        "bandwidth": format_bandwidth(island.bandwidth_bytes_per_s, bits=False),
    }


def _link(link: Link) -> Entry:
    entry: Entry = {"a": link.a, "b": link.b, "count": link.count}
    entry["bandwidth"] = format_bandwidth(link.bandwidth_bytes_per_s)
    return entry | {"plane": link.plane} if link.plane else entry


def _host_type(kind: HostType) -> Entry:
    entry: Entry = {"gpus": kind.gpus}
    whole = kind.scale_up_gpus == kind.gpus and kind.scale_up_bandwidth_bytes_per_s > 0
    scale_up: Entry = {
        "domain": "host" if whole else "none" if kind.scale_up_gpus == 1 else f"{kind.scale_up_gpus} GPUs"
    }
    if kind.domains:
        scale_up["domains"] = _parts(kind.domains)
    if kind.scale_up_bandwidth_bytes_per_s > 0:
        scale_up["bandwidth"] = format_bandwidth(kind.scale_up_bandwidth_bytes_per_s, bits=False)
    entry["scale_up"] = scale_up
    if kind.nics:
        entry["nics"] = _nics(kind)
    if kind.other_nics:
        entry["other_nics"] = [_other_nic(nic) for nic in kind.other_nics]
    if kind.switches:
        entry["switches"] = _parts(kind.switches)
    if kind.slices:
        entry["slices"] = list(kind.slices)
    if kind.gpu_memory_bytes is not None:
        entry["gpu_memory"] = format_size(kind.gpu_memory_bytes)
    if kind.flops_per_s is not None:
        entry["flops"] = format_flops(kind.flops_per_s)
    if kind.speed != 1:
        entry["speed"] = kind.speed
    return entry


def _nics(kind: HostType) -> emit.Value:
    first = kind.nics[0].bandwidth_bytes_per_s
    if kind.nics == counted_nics(len(kind.nics), first, kind.gpus):
        return {"count": len(kind.nics), "bandwidth": format_bandwidth(first)}
    return [_nic(nic) for nic in kind.nics]


def _nic(nic: Nic) -> Entry:
    entry: Entry = {"name": nic.name} if nic.name else {}
    entry |= {"rail": nic.rail, "gpu": nic.gpu}
    if nic.also:
        entry["also"] = list(nic.also)
    if nic.plane:
        entry["plane"] = nic.plane
    return entry | {"bandwidth": format_bandwidth(nic.bandwidth_bytes_per_s)}


def _other_nic(nic: Nic) -> Entry:
    entry: Entry = {"name": nic.name} if nic.name else {}
    entry |= {"network": nic.network, "gpu": nic.gpu}
    if nic.bandwidth_bytes_per_s > 0:
        entry["bandwidth"] = format_bandwidth(nic.bandwidth_bytes_per_s)
    return entry


def _parts(labels: Sequence[int]) -> list[list[int]]:
    """GPUs of each label, labels being numbered from 0."""
    return [[gpu for gpu, label in enumerate(labels) if label == part] for part in range(max(labels) + 1)]


def _tier(t: int, tier: Tier) -> emit.Value:
    entry: Entry = {"name": tier.name}
    if tier.distance != default_distance(t):
        entry["distance"] = tier.distance
    if tier.latency_s is not None:
        entry["latency"] = format_seconds(tier.latency_s)
    return entry if len(entry) > 1 else tier.name


def _group(fabric: Fabric, group: Group) -> Entry:
    entry: Entry = {"name": group.name, "tier": fabric.tiers[group.tier].name}
    if group.parent >= 0:
        entry["parent"] = fabric.groups[group.parent].name
    if group.rails != 1:
        entry["rails"] = group.rails
    if group.parent >= 0 and group.link_bandwidth_bytes_per_s > 0:
        link = format_bandwidth(group.link_bandwidth_bytes_per_s)
        total = float(sum(group.uplinks))
        if total >= 1 and total.is_integer() and set(group.uplinks) == {total / group.rails}:
            entry["uplink"] = f"{int(total)} x {link}"
        else:
            entry["uplink"] = link
            entry["rail_links"] = list(group.uplinks)
    if group.switches:
        entry["switches"] = list(group.switches)
    return entry


def _hosts(fabric: Fabric, run: Sequence[Host]) -> Entry:
    """One entry for consecutive hosts that differ in their names alone."""
    host = run[0]
    entry: Entry = {"names": names.compress([host.name for host in run]), "type": fabric.host_types[host.type].name}
    if host.group >= 0:
        entry["group"] = fabric.groups[host.group].name
    if host.attach:
        entry["attach"] = [_attachment(fabric, item) for item in host.attach]
    if host.aliases:
        entry["aliases"] = {
            kind: _pattern([host.aliases[i][1] for host in run]) for i, (kind, _) in enumerate(host.aliases)
        }
    return entry


def _attachment(fabric: Fabric, item: Attachment) -> Entry:
    entry: Entry = {"nic": item.nic, "group": fabric.groups[item.group].name}
    return entry | {"plane": item.plane} if item.plane else entry


def _pattern(listed: Sequence[str]) -> emit.Value:
    """Host list, or a list of texts where a name (an IPv6 address) cannot stand in one."""
    return list(listed) if any(":" in name for name in listed) else names.compress(listed)


def _unavailable(fabric: Fabric) -> emit.Value:
    """Broken hosts as one list, then those with some broken GPUs."""
    broken: dict[int, list[int]] = {}
    for h, gpu in sorted(fabric.unusable_gpus):
        broken.setdefault(h, []).append(gpu)
    whole = [fabric.host_names[h] for h, gpus in broken.items() if len(gpus) == fabric.host_gpus[h]]
    parts = [
        f"{fabric.host_names[h]}:{gpu}" for h, gpus in broken.items() if len(gpus) < fabric.host_gpus[h] for gpu in gpus
    ]
    return ", ".join(([names.compress(whole)] if whole else []) + parts)
