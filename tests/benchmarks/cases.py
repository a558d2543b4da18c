"""Jobs and fabrics to plan: real models on three-tier fabrics with broken and taken hosts.

Fabrics have 32 hosts of 8 GPUs a leaf, 8 leaves a pod, rails of 400 Gb/s, 1:1 leaves and 4:1 pods:
clean is whole leaves, frag3 has 0 to 6 of 32 hosts broken in each leaf, frag has 6 to 29 of 32 free (a shared cluster).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, Job, Parallel
from topoplan.model.presets import PRESETS

GPUS, HOSTS, LEAVES = 8, 32, 8
NIC, NVLINK = 50e9, 450e9
LEAF_LINKS, POD_LINKS = 32.0, 64.0  # a rail: 1:1 above the hosts of a leaf, 4:1 above the leaves of a pod


@dataclass(frozen=True)
class Case:
    """A job on a kind of fabric."""

    name: str
    model: str
    parallel: Parallel
    batch: Batch
    kind: str
    routing: str = "ecmp"
    exposed_dp: float = 1.0

    def job(self) -> Job:
        """The job; `exposed_dp` is the share of data-parallel traffic that backward does not hide."""
        exposure = {"dp": self.exposed_dp} if self.exposed_dp < 1 else {}
        return Job(
            self.name, self.parallel.world, PRESETS[self.model], self.parallel, batch=self.batch, exposure=exposure
        )

    def fabric(self, seed: int) -> Fabric:
        """Just as many hosts as the job needs, leaf after leaf."""
        leaf = leaves(self.parallel.world // GPUS, self.kind, seed)
        pods, count = int(leaf.max()) // LEAVES + 1, int(leaf.max()) + 1
        groups = [Group("core", 2)]
        groups += [Group(f"pod-{p}", 1, 0, GPUS, (POD_LINKS,) * GPUS, NIC) for p in range(pods)]
        groups += [Group(f"leaf-{k}", 0, 1 + k // LEAVES, GPUS, (LEAF_LINKS,) * GPUS, NIC) for k in range(count)]
        kind = HostType("hgx", GPUS, tuple(Nic(i, NIC, i) for i in range(GPUS)), GPUS, NVLINK)
        hosts = tuple(Host(f"node-{h}", 0, 1 + pods + int(k)) for h, k in enumerate(leaf))
        tiers = (Tier("leaf", 10.0), Tier("pod", 20.0), Tier("core", 40.0))
        return Fabric(f"{self.kind}-{seed}", self.routing, (kind,), hosts, tiers, tuple(groups))


def leaves(hosts: int, kind: str, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[hosts] int64 leaf of each host."""
    rng, sizes = np.random.default_rng([seed, 2026]), [0]
    while sum(sizes) < hosts:
        free = {"clean": HOSTS, "frag3": HOSTS - int(rng.integers(0, 7)), "frag": int(rng.integers(6, 30))}[kind]
        sizes.append(min(free, hosts - sum(sizes)))
    return np.repeat(np.arange(len(sizes) - 1), sizes[1:])


_GPT = ("gpt-3-175b", Parallel(tp=8, pp=8, dp=16), Batch(2048, 1, 96))
_QWEN = ("qwen3-235b-a22b", Parallel(tp=4, pp=8, dp=32, ep=32), Batch(4096, 1, 64))
_DEEPSEEK = ("deepseek-v3", Parallel(pp=16, dp=128, ep=64), Batch(4096, 1, 60))
_LLAMA = ("llama-3.1-405b", Parallel(tp=8, pp=16, dp=64), Batch(8192, 1, 32))
_DEEPSEEK_8K = ("deepseek-v3", Parallel(pp=16, dp=512, ep=64), Batch(4096, 1, 30))
_LLAMA_64K = ("llama-3.1-405b", Parallel(tp=8, pp=16, dp=512), Batch(8192, 1, 16))

CASES = (
    Case("gpt3-1k frag", *_GPT, "frag"),
    Case("gpt3-1k clean, adaptive", *_GPT, "clean", "adaptive"),
    Case("qwen3-1k frag", *_QWEN, "frag"),
    Case("deepseek-2k frag", *_DEEPSEEK, "frag"),
    Case("deepseek-2k frag3", *_DEEPSEEK, "frag3"),
    Case("deepseek-2k frag3, adaptive", *_DEEPSEEK, "frag3", "adaptive"),
    Case("llama405-8k frag3", *_LLAMA, "frag3"),
    Case("llama405-8k frag3, dp 5 % exposed", *_LLAMA, "frag3", exposed_dp=0.05),
    Case("deepseek-8k frag3", *_DEEPSEEK_8K, "frag3"),
    Case("llama405-64k frag3", *_LLAMA_64K, "frag3"),
)
