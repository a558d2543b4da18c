"""What a fabric is, in numbers, for people and for `show -o json`."""

from __future__ import annotations

from typing import Any

import numpy as np

from topoplan.model.fabric import Fabric
from topoplan.units import format_bandwidth


def fabric_summary(fabric: Fabric) -> dict[str, Any]:
    """Counts of a fabric; the keys are a contract of `show FABRIC -o json`."""
    names = fabric.host_names
    return {
        "name": fabric.name,
        "hosts": len(fabric.hosts),
        "gpus": fabric.gpus,
        "nics": int(sum(len(fabric.host_types[host.type].nics) for host in fabric.hosts)),
        "islands": int(fabric.gpu_island.max()) + 1,
        "groups": {tier.name: sum(g.tier == t for g in fabric.groups) for t, tier in enumerate(fabric.tiers)},
        "links": int(sum(link.count for link in fabric.links)),
        "unavailable": [names[h] for h in np.flatnonzero(fabric.free_gpus == 0)],
        "assumed": list(fabric.assumed),
        "warnings": list(fabric.warnings),
        "routing": fabric.routing,
        "free_gpus": int(fabric.free_gpus.sum()),
    }


def group_rows(fabric: Fabric) -> list[list[str]]:
    """A row for each group, the tree walked from the top: name (indented), hosts, GPUs free and broken, uplinks."""
    children: dict[int, list[int]] = {}
    for k, group in enumerate(fabric.groups):
        children.setdefault(group.parent, []).append(k)
    rows: list[list[str]] = []
    todo = [(k, 0) for k in reversed(children.get(-1, []))]
    while todo:
        k, depth = todo.pop()
        rows.append(_group_row(fabric, k, depth))
        todo += [(child, depth + 1) for child in reversed(children.get(k, []))]
    return rows


def _group_row(fabric: Fabric, k: int, depth: int) -> list[str]:
    group = fabric.groups[k]
    hosts = np.flatnonzero(fabric.host_ancestor[group.tier] == k)
    free, total = int(fabric.free_gpus[hosts].sum()), int(fabric.host_gpus[hosts].sum())
    nics = float(fabric.port_bandwidth.reshape(-1, fabric.rails)[hosts].sum())
    up = group.uplink_bandwidth_bytes_per_s
    links = f"{sum(group.uplinks):g} x {format_bandwidth(group.link_bandwidth_bytes_per_s)}" if up else "-"
    ratio = f"{nics / up:.2g}:1" if up else "-"
    return ["  " * depth + group.name, str(len(hosts)), str(free), str(total - free), links, ratio]
