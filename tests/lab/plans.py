"""Seeded random plans for the lab's hosts, and the probe that tells where a rank landed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement

GPUS = 2
SEEDS = (0, 1, 2)
# RANK, LOCAL_RANK and CUDA_VISIBLE_DEVICES come from topoplan's files; `probe` takes the launcher's own rank.
SAY = 'HOST=$(uname -n) LOCAL_RANK=${LOCAL_RANK:-} CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-}"'


def probe(rank_variable: str, then: str = ":") -> list[str]:
    """A command that prints one line: the rank by the launcher's own variable, the host, and what the files set."""
    return ["sh", "-c", f'echo "RANK=${{{rank_variable}}} {SAY}; {then}']


def cluster(names: Iterable[str], gpus: int = GPUS) -> Fabric:
    """Hosts of `gpus` GPUs under one switch."""
    kind = HostType("box", gpus, tuple(Nic(g, 25e6, g, f"mlx5_{g}") for g in range(gpus)), gpus, 1e9)
    return Fabric("lab", "ecmp", (kind,), tuple(Host(name, 0) for name in names))


def any_order(names: Iterable[str], seed: int) -> RankPlacement:
    """Every rank on any GPU of any host, two GPUs left free."""
    fabric = cluster(names)
    return RankPlacement(fabric, np.random.default_rng(seed).permutation(fabric.gpus)[:-2])


def shuffled_hosts(names: Iterable[str], seed: int) -> RankPlacement:
    """Consecutive ranks on every host, whole, in the order of its GPUs; hosts in random order."""
    fabric = cluster(names)
    hosts = np.random.default_rng(seed).permutation(len(fabric.hosts))
    return RankPlacement(fabric, (hosts[:, None] * GPUS + np.arange(GPUS)).ravel())


def shuffled_gpus(names: Iterable[str], seed: int, spares: int = 0) -> RankPlacement:
    """Consecutive ranks on hosts, whole, their GPUs in random order; hosts in random order, the last ones left free."""
    rng = np.random.default_rng(seed)
    fabric = cluster(names)
    hosts = rng.permutation(len(fabric.hosts))[: len(fabric.hosts) - spares]
    return RankPlacement(fabric, np.concatenate([host * GPUS + rng.permutation(GPUS) for host in hosts]))
