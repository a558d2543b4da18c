"""Job -> canonical Job YAML, which reads back to an equal Job when its arrays stand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import pairwise

from topoplan.files import emit
from topoplan.model.compute import Compute, Storage
from topoplan.model.job import CustomAxis, CustomCollective, ExpertSettings, Job, ModelShape
from topoplan.model.presets import PRESETS
from topoplan.units import format_flops, format_seconds

Entry = dict[str, emit.Value]


def format_job(job: Job, *, traffic: str = "traffic.npz", load: str = "load.npy") -> str:
    """Canonical YAML text of a job, the same bytes for equal jobs.

    Parameters
    ----------
    traffic, load
        Paths of the arrays as the text names them, relative to where it will stand.
    """
    sections: Entry = {"apiVersion": "topoplan/v1", "kind": "Job", "name": job.name}
    if job.model is not None:
        sections["model"] = job.model.name if PRESETS.get(job.model.name) == job.model else _model(job.model)
    if job.parallel is not None:
        sections["parallel"] = asdict(job.parallel)
    else:
        sections["ranks"] = job.ranks
    sections["order"] = job.order
    if job.batch is not None:
        sections["batch"] = asdict(job.batch)
    sections["exposure"] = {axis: float(share) for axis, share in job.exposure.items()}
    if job.experts is not None:
        sections["experts"] = _experts(job.experts, load)
    if job.traffic is not None:
        sections["traffic"] = traffic
    if job.compute is not None:
        sections["compute"] = _compute(job.compute)
    if job.schedule:
        sections["schedule"] = job.schedule
    if job.storage is not None:
        sections["storage"] = _storage(job.storage)
    sections["axes"] = [_axis(axis) for axis in job.axes]
    return emit.document(sections)


def _model(model: ModelShape) -> Entry:
    """All dimensions that differ from their defaults."""
    entry: Entry = {}
    for field in fields(model):
        value = getattr(model, field.name)
        if field.name == "routing" and value is not None:
            entry["routing"] = asdict(value)
        elif value is not None and value != field.default:
            entry[field.name] = value
    return entry


def _compute(compute: Compute) -> Entry:
    entry: Entry = {}
    if compute.mfu is not None:
        entry["mfu"] = float(compute.mfu)
    if compute.step_time_s is not None:
        entry["step_time"] = format_seconds(compute.step_time_s)
    if compute.flops_per_s is not None:
        entry["flops"] = format_flops(compute.flops_per_s)
    entry["precision"] = compute.precision
    if compute.recompute:
        entry["recompute"] = compute.recompute
    return entry | {"fused_attention": compute.fused_attention, "overlap": list(compute.overlap)}


def _storage(storage: Storage) -> Entry:
    return {
        "network": storage.network,
        "checkpoint_every": storage.checkpoint_every,
        "checkpoint": float(storage.checkpoint_bytes),
        "data": float(storage.bytes_per_token),
    }


def _experts(experts: ExpertSettings, load: str) -> Entry:
    entry: Entry = {"slots_per_gpu": experts.slots_per_gpu}
    if experts.load is not None:
        entry["load"] = load
    if experts.moe_layers:
        entry["moe_layers"] = _ranges(experts.moe_layers)
    return entry


def _ranges(numbers: Sequence[int]) -> str:
    """Text such as "0, 3-60"."""
    starts = [0] + [i + 1 for i, (a, b) in enumerate(pairwise(numbers)) if b != a + 1]
    runs = [numbers[a:b] for a, b in zip(starts, [*starts[1:], len(numbers)], strict=True)]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _axis(axis: CustomAxis) -> Entry:
    return {"name": axis.name, "size": axis.size, "collectives": [_collective(item) for item in axis.collectives]}


def _collective(item: CustomCollective) -> Entry:
    entry: Entry = {"op": item.op, "bytes": float(item.size_bytes), "per": item.count}
    return entry | {"overlap": float(item.overlap)} if item.overlap else entry
