from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, ExpertSettings, Job, Parallel
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import InputFile, Plan
from topoplan.model.presets import PRESETS
from topoplan.model.traffic import Traffic

GBIT = 1e9 / 8


def host_type(gpus: int = 8) -> HostType:
    nics = tuple(Nic(i, 400 * GBIT, i) for i in range(gpus))
    return HostType(f"h{gpus}", gpus, nics, gpus, 450e9)


def make_fabric(
    leaves: Sequence[int] = (6, 6, 6),
    *,
    leaves_per_pod: int = 0,
    pods_per_core: int = 0,
    gpus: int = 8,
    oversubscription: float = 2.0,
    broken: Sequence[int] = (),
    routing: str = "ecmp",
    names: Callable[[int], str] = "node-{}".format,
) -> Fabric:
    """Leaves with so many hosts, below one spine, or below pods below cores."""
    tiers = [Tier("leaf", 10.0)]
    groups: list[Group] = []

    def up(links: float) -> tuple[float, ...]:
        return (links / oversubscription,) * gpus

    if not leaves_per_pod:
        tiers.append(Tier("spine", 20.0))
        groups.append(Group("spine", 1))
        parents = [0] * len(leaves)
    else:
        pods = -(-len(leaves) // leaves_per_pod)
        tiers += [Tier("pod", 20.0), Tier("core", 40.0)]
        cores = -(-pods // pods_per_core) if pods_per_core else 1
        groups += [Group(f"core-{c}", 2) for c in range(cores)]
        for p in range(pods):
            inside = sum(leaves[p * leaves_per_pod : (p + 1) * leaves_per_pod])
            groups.append(
                Group(f"pod-{p}", 1, p // pods_per_core if pods_per_core else 0, gpus, up(inside), 400 * GBIT)
            )
        parents = [cores + i // leaves_per_pod for i in range(len(leaves))]
    hosts: list[Host] = []
    for i, count in enumerate(leaves):
        groups.append(Group(f"leaf-{i}", 0, parents[i], gpus, up(count), 400 * GBIT))
        hosts += [Host(names(len(hosts) + k), 0, len(groups) - 1) for k in range(count)]
    unusable = frozenset((h, g) for h in broken for g in range(gpus))
    return Fabric("lab", routing, (host_type(gpus),), tuple(hosts), tuple(tiers), tuple(groups), unusable_gpus=unusable)


def make_job(pp: int = 2, dp: int = 64, ep: int = 32, model: str = "deepseek-v3", **more: object) -> Job:
    parallel = Parallel(pp=pp, dp=dp, ep=ep)
    return Job("pretrain", parallel.world, PRESETS[model], parallel, batch=Batch(4096, 1, 32), **more)  # type: ignore[arg-type]


def expert_settings(layers: int = 4, experts: int = 64) -> ExpertSettings:
    load = np.random.default_rng(1).lognormal(0, 1, (layers, experts))
    return ExpertSettings(3, load, tuple(range(3, 3 + layers)))


@cache
def make_plan() -> tuple[Plan, Job, Traffic, RankPlacement]:
    """Plan of a small MoE job with experts on three leaves, with its traffic and its linear placement."""
    from topoplan.planning.solve import SolveOptions, job_traffic, linear_placement, solve
    from topoplan.solvers.ranks import RankParams

    fabric, job = make_fabric(broken=(3, 10)), make_job(experts=expert_settings())
    inputs = {"fabric": InputFile("fabric.yaml", "ab" * 32), "job": InputFile("job.yaml", "cd" * 32)}
    plan = solve(job, fabric, SolveOptions(params=RankParams(500), inputs=inputs))
    return plan, job, job_traffic(job, fabric), linear_placement(job, fabric)


@pytest.fixture
def example() -> tuple[Plan, Job, Traffic, RankPlacement]:
    return make_plan()


@pytest.fixture
def fabrics() -> Callable[..., Fabric]:
    return make_fabric


@pytest.fixture
def jobs() -> Callable[..., Job]:
    return make_job
