"""Whether a job fits into the memory of its GPUs, and what would."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from topoplan.cost.hardware import Gpu
from topoplan.cost.memory import LEAST_STATE_BYTES, least_memory, memory_of
from topoplan.cost.work import Work
from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import BoolArray, Fabric
from topoplan.model.job import Job
from topoplan.model.step import Memory
from topoplan.planning.step import stages_of
from topoplan.units import format_bytes

_NAMED = 3  # layouts that a refusal names


def check_memory(job: Job, fabric: Fabric, allowed: BoolArray | None = None) -> None:
    """Refuse a job that no usable GPU can hold, even with all activations recomputed and gradients in BF16.

    Nothing is checked where the memory of a usable GPU is unknown, and for jobs that bring their own traffic. `allowed`
    [hosts] bool narrows the hosts.

    Raises
    ------
    InfeasibleError
        With what the fullest rank needs, part by part, and layouts of as many ranks that would fit.
    """
    size, work = memory_size(fabric, allowed), _work(job)
    if size is None or work is None:
        return
    need = least_memory(work)
    if need.total <= size:
        return
    raise InfeasibleError(
        f"rank {need.rank} of the pipeline needs {format_bytes(need.total)} of memory at the least, a GPU has "
        f"{format_bytes(size)}: {memory_words(need)}, gradients in BF16",
        hint=f"{_what_fits(job, size)}; --ignore-memory plans it all the same",
    )


def memory_notes(job: Job, fabric: Fabric, allowed: BoolArray | None = None) -> list[str]:
    """What to warn of where a job that says how it recomputes fits only if it recomputes or shards more."""
    size, work = memory_size(fabric, allowed), _work(job)
    if size is None or work is None or job.compute is None:
        return []
    need = memory_of(work)
    if need.total <= size:
        return []
    return [
        f"memory: rank {need.rank} of the pipeline needs {format_bytes(need.total)} of {format_bytes(size)}: "
        f"{memory_words(need)}, gradients in FP32"
    ]


def memory_of_job(job: Job) -> Memory | None:
    """Memory of the fullest GPU; None for jobs that bring their own traffic."""
    work = _work(job)
    return None if work is None else memory_of(work)


def memory_size(fabric: Fabric, allowed: BoolArray | None = None) -> float | None:
    """Bytes of the largest usable GPU; None where one is unknown, or cut into slices."""
    usable = fabric.free_gpus > 0 if allowed is None else (fabric.free_gpus > 0) & allowed
    kinds = [fabric.host_types[t] for t in np.unique(fabric.host_type[usable])]
    sizes = [kind.gpu_memory_bytes for kind in kinds if kind.gpu_memory_bytes is not None and not kind.slices]
    return max(sizes) if sizes and len(sizes) == len(kinds) else None


def memory_words(memory: Memory) -> str:
    """The parts in words, largest first."""
    parts = sorted(memory.parts.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts if size > 0)
    return f"{listed} (recompute {memory.recompute})"


def _work(job: Job) -> Work | None:
    stages = stages_of(job)
    return None if stages is None or job.axes else Work(job, stages.first, Gpu())


def _what_fits(job: Job, size: float) -> str:
    fitting = [words for words, other in _others(job) if _fits(other, size)]
    if not fitting:
        assert job.model is not None
        least = math.ceil(job.model.parameters * LEAST_STATE_BYTES / size)
        if least > job.ranks:
            return f"take more GPUs: weights, gradients and optimizer states alone fill {least:,} of them"
        return "no layout of as many ranks with one key changed fits: change several"
    return f"what would fit: {', or '.join(fitting[:_NAMED])}"


def _fits(job: Job, size: float) -> bool:
    work = _work(job)
    return work is not None and least_memory(work).total <= size


def _others(job: Job) -> Iterator[tuple[str, Job]]:
    """Jobs of as many ranks with one thing changed, least changed first, and the change in words."""
    p, batch = job.parallel, job.batch
    assert p is not None
    assert batch is not None
    changes: list[tuple[str, dict[str, int]]] = [(f"zero: {zero}", {"zero": zero}) for zero in range(p.zero + 1, 4)]
    for factor in (2, 4, 8):
        if p.dp % factor == 0:
            for axis in ("tp", "pp", "cp"):
                wider = getattr(p, axis) * factor
                changes.append((f"{axis}: {wider} with dp: {p.dp // factor}", {axis: wider, "dp": p.dp // factor}))
        if p.ep > 1 or (job.model is not None and job.model.routing is not None):
            changes.append((f"ep: {p.ep * factor}", {"ep": p.ep * factor}))
    for words, change in changes:
        try:
            parallel = replace(p, **change)
            # the same tokens a step
            micro_batches = batch.micro_batches * (p.dp // parallel.dp)
            other = replace(job, parallel=parallel, batch=replace(batch, micro_batches=micro_batches))
            if job.model is not None and job.model.routing is not None and job.model.routing.experts % parallel.ep:
                continue
            stages_of(other)
        except (InputError, InfeasibleError):
            continue
        yield words, other
    if job.schedule == "dualpipe":  # which holds two stages a rank
        yield "schedule: zb-h1", replace(job, schedule="zb-h1")
    if batch.micro_batch > 1:
        smaller = replace(batch, micro_batch=1, micro_batches=batch.micro_batches * batch.micro_batch)
        yield "micro_batch: 1", replace(job, batch=smaller)
