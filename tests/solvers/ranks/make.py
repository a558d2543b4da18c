"""Small fabrics with unequal leaves, and jobs with the structure of training: rings, cliques, pipelines."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.traffic import Traffic

NIC, NVLINK = 50e9, 450e9


def make_fabric(leaves: list[int], per_pod: int = 2, gpus: int = 2, routing: str = "ecmp") -> Fabric:
    """(hosts of each leaf, leaves of a pod, GPUs of a host, routing) -> fabric with pods below one core."""
    kind = HostType("box", gpus, tuple(Nic(i, NIC, i) for i in range(gpus)), gpus, NVLINK)
    pods = -(-len(leaves) // per_pod)
    groups = [Group("core", 2)]
    groups += [Group(f"pod-{p}", 1, 0, gpus, (float(per_pod),) * gpus, NIC) for p in range(pods)]
    groups += [
        Group(f"leaf-{k}", 0, 1 + k // per_pod, gpus, (4.0 if size > 3 else 2.0,) * gpus, NIC)
        for k, size in enumerate(leaves)
    ]
    group = np.repeat(np.arange(len(leaves)), leaves)
    hosts = tuple(Host(f"n{i}", 0, 1 + pods + int(k)) for i, k in enumerate(group))
    tiers = (Tier("leaf", 10.0), Tier("pod", 20.0), Tier("core", 40.0))
    return Fabric("f", routing, (kind,), hosts, tiers, tuple(groups))


def _flows(ranks: int, flows: list[tuple[int, int, float, int]], axes: int) -> Traffic:
    src, dst, size, axis = zip(*flows, strict=True) if flows else ((), (), (), ())
    names = tuple(f"a{i}" for i in range(axes))
    ends = (np.array(src, np.int32), np.array(dst, np.int32))
    return Traffic(ranks, names, *ends, np.array(size, float), np.array(axis, np.int8), np.ones(axes), np.zeros(axes))


def random_job(ranks: int, flows: int, seed: int) -> Traffic:
    """(ranks, flows, seed) -> flows between random ranks on two axes, some from a rank to itself, some empty."""
    rng = np.random.default_rng(seed)
    size = np.where(rng.random(flows) < 0.1, 0.0, rng.integers(1, 4, flows) * 1e9)
    ends = rng.integers(0, ranks, (flows, 2))
    axis = rng.integers(0, 2, flows)
    return _flows(ranks, [(int(s), int(d), float(b), int(a)) for (s, d), b, a in zip(ends, size, axis, strict=True)], 2)


def grid_job(tp: int, dp: int, pp: int, ep: int = 0, dp_bytes: float = 4e9) -> Traffic:
    """(tp, dp, pp, ep) -> tensor rings, data-parallel rings, pipelines, all-to-all of ep ranks (0: none)."""
    ranks, flows = tp * dp * pp, []
    for r in range(ranks):
        t, d = r % tp, r // tp % dp
        for axis, size, stride, index, amount in ((0, tp, 1, t, 9e9), (1, dp, tp, d, dp_bytes)):
            near = r + stride * ((index + 1) % size - index)
            flows += [(r, near, amount, axis), (near, r, amount, axis)] if size > 1 else []
        if r + tp * dp < ranks:
            flows += [(r, r + tp * dp, 1e9, 2), (r + tp * dp, r, 1e9, 2)]
        if ep:
            base = r // ep * ep
            flows += [(r, base + i, 2e9, 3) for i in range(ep) if base + i != r]
    return _flows(ranks, flows, 4)
