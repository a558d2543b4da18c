"""What a fabric is, in numbers, for people and for `show -o json`."""

from __future__ import annotations

from typing import Any

import numpy as np

from topoplan.model.fabric import Fabric


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
        "rails": fabric.rails,
        "planes": fabric.planes,
        "host_types": {kind.name: int((fabric.host_type == k).sum()) for k, kind in enumerate(fabric.host_types)},
    }
