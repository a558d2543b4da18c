"""Small jobs and fabrics whose steps can be worked out by hand."""

from dataclasses import replace

import numpy as np

from topoplan.cost.step import step_time
from topoplan.model.compute import Compute
from topoplan.model.demand import traffic_of
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel, Routing
from topoplan.model.step import StepTime
from topoplan.planning.step import stages_of

GPU_PEAK = 989e12
DENSE = ModelShape("dense", 8, 1024, 8, 8, 128, 4096, 256, gated=False)
MOE = ModelShape("moe", 8, 1024, 8, 8, 128, 4096, 256, expert_ffn=512, routing=Routing(16, 2))


def fabric(
    hosts: int = 4, gpus: int = 8, nic: float = 50e9, nvlink: float = 450e9, other: tuple[Nic, ...] = ()
) -> Fabric:
    nics = tuple(Nic(i, nic, i) for i in range(gpus))
    kind = HostType("h", gpus, nics, gpus, nvlink, 80e9, GPU_PEAK, other_nics=other)
    return Fabric(
        "f", "adaptive", (kind,), tuple(Host(f"n{h}", 0, 0) for h in range(hosts)), (Tier("leaf", 10.0),),
        (Group("leaf", 0),),
    )  # fmt: skip


def job(model: ModelShape = DENSE, compute: Compute | None = None, micro_batches: int = 8, **parallel: int) -> Job:
    layout = Parallel(**parallel)
    batch = Batch(2048, 1, micro_batches)
    return Job("j", layout.world, model, layout, batch=batch, compute=compute or Compute(mfu=0.5))


def step(what: Job, where: Fabric | None = None, scale: float = 1.0) -> StepTime:
    where = where or fabric(-(-what.ranks // 8))
    stages = stages_of(what)
    assert stages is not None
    traffic = traffic_of(what, stages.first, 8)
    return step_time(what, where, traffic, np.arange(what.ranks), stages.first, scale)


def exposing(what: Job, **shares: float) -> Job:
    return replace(what, exposure=shares)
