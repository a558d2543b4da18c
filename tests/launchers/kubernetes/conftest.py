"""Placements to write Kubernetes jobs for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from topoplan.model.fabric import Fabric, Island
from topoplan.model.placement import RankPlacement


@pytest.fixture
def torn(fabric_of: Callable[..., Fabric]) -> RankPlacement:
    """Ranks that come back to hosts that they had left; a partial host; GPUs swapped; one k8s alias."""
    fabric = fabric_of(["h0", "h1", "h10", "h6"], aliases={"h10": {"k8s": "pool-7.lab"}})
    hosts, gpus = ["h6", "h1", "h10", "h6", "h10", "h0", "h1"], [1, 0, 1, 0, 0, 0, 1]
    return RankPlacement.from_hosts(fabric, hosts, gpus)


@pytest.fixture
def nvl(fabric_of: Callable[..., Fabric]) -> RankPlacement:
    """Two hosts of an NVLink island wider than them, and one outside of it."""
    fabric = fabric_of(["t1", "t2", "t3", "t4"], gpus=4)
    wide = Fabric("nvl", "ecmp", fabric.host_types, fabric.hosts, islands=(Island("rack", (0, 1, 2), 9e11),))
    return RankPlacement.from_hosts(wide, [host for host in ("t2", "t4", "t1") for _ in range(4)], [0, 1, 2, 3] * 3)
