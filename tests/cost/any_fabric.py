"""Fabrics of every shape that routes tell apart, for property tests of prices."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.model.traffic import Traffic


def any_fabric(seed: int) -> Fabric:
    """Two or three tiers, rails or none, one or two planes, mixed hosts (some without NICs on a rail, some with two
    NICs a GPU), hosts that hang from a pod or from nothing, islands, uplinks without links."""
    rng = np.random.default_rng(seed)
    rails, planes, tiers = int(rng.choice([1, 2, 4])), int(rng.choice([1, 1, 2])), int(rng.integers(2, 4))
    kinds = [HostType("all", rails, tuple(Nic(r, 50e9, r) for r in range(rails)), rails, 450e9)]
    kinds.append(HostType("pairs", 2 * rails, tuple(Nic(r, 25e9, 2 * r) for r in range(rails)), 2, 200e9))
    if rails > 1:
        kinds.append(HostType("few", rails, (Nic(rails - 1, 50e9, 0),), 1, 64e9))
        if rng.random() < 0.3:
            both = tuple(Nic(r, 50e9 / (1 + r % 2), r - r % 2) for r in range(rails))
            kinds.append(HostType("two", rails, both, rails, 450e9))
    groups = [Group("core", tiers - 1)]
    pods = [0]
    if tiers == 3:
        wide = int(rng.choice([1, rails]))
        groups += [Group(f"pod-{p}", 1, 0, wide, tuple(rng.integers(1, 9, wide).tolist()), 50e9) for p in range(2)]
        pods = [1, 2]
    leaves = []
    for pod in pods:
        for _ in range(int(rng.integers(1, 4))):
            wide = int(rng.choice([1, rails]))
            leaves.append(len(groups))
            links = tuple(float(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 9, wide))
            groups.append(Group(f"leaf-{len(groups)}", 0, pod, wide, links, 50e9))
    places = [*leaves, *leaves, pods[0], -1] if rng.random() < 0.3 else leaves
    hosts = []
    for h in range(int(rng.integers(3, 12))):
        kind = int(rng.integers(0, len(kinds)))
        group = int(rng.choice(places))
        attach = tuple(
            Attachment(nic, int(rng.choice(leaves)), plane)
            for nic in range(len(kinds[kind].nics))
            for plane in range(planes)
        )
        hosts.append(Host(f"n{h}", kind, group, attach if planes > 1 else ()))
    islands = (Island("rack", (0, 1), 900e9),) if rng.random() < 0.2 else ()
    tier_list = tuple(Tier(name, 10.0 * 2**t) for t, name in enumerate(("leaf", "pod", "core")[:tiers]))
    routing = str(rng.choice(["ecmp", "adaptive"]))
    return Fabric("any", routing, tuple(kinds), tuple(hosts), tier_list, tuple(groups), islands)


def any_traffic(ranks: int, seed: int, axes: int = 2) -> Traffic:
    """Flows between random ranks, a few sizes on each axis; some carry nothing, some go nowhere."""
    rng = np.random.default_rng(seed)
    flows = int(rng.integers(1, 12 * ranks))
    size = rng.choice(np.append(rng.integers(1, 9, int(rng.integers(1, 4))) * 1e8, 0.0), flows)
    ends = rng.integers(0, ranks, (2, flows)).astype(np.int32)
    return Traffic(
        ranks,
        tuple(f"a{k}" for k in range(axes)),
        ends[0],
        ends[1],
        size.astype(np.float64),
        np.sort(rng.integers(0, axes, flows)).astype(np.int8),
        np.ones(axes),
        np.arange(axes, dtype=np.float64),
    )
