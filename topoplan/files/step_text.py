"""The time of a step and its memory as plan.json holds them, both ways; the timeline is left out: it is made again."""

from __future__ import annotations

from typing import Any

from topoplan.files.plan_shape import MemoryRecord, StepRecord
from topoplan.model.step import AxisTime, Memory, StepTime, StorageFlow


def step_record(step: StepTime) -> dict[str, Any]:
    """JSON data; milliseconds with 12 significant digits."""
    return {
        "schedule": step.schedule,
        "total_ms": _ms(step.total_s),
        "compute_ms": _ms(step.compute_s),
        "bubble_ms": _ms(step.bubble_s),
        "exposed_ms": _ms(step.exposed_s),
        "optimizer_ms": _ms(step.optimizer_s),
        "storage_ms": _ms(step.storage_s),
        "mfu": None if step.mfu is None else _rounded(step.mfu),
        "axes": {
            axis.name: {
                "work_ms": _ms(axis.work_s),
                "overlapped_ms": _ms(axis.overlapped_s),
                "exposed_ms": _ms(axis.exposed_s),
                "window_ms": _ms(axis.window_s),
                "stated": axis.stated,
            }
            for axis in step.axes
        },
        "storage": [
            {
                "name": flow.name,
                "network": flow.network,
                "bytes": _rounded(flow.total_bytes),
                "ms": None if flow.seconds is None else _ms(flow.seconds),
                "steps": flow.steps,
            }
            for flow in step.storage
        ],
    }


def step_of_record(record: StepRecord) -> StepTime:
    """The way back."""
    return StepTime(
        record.schedule,
        record.compute_ms / 1e3,
        record.bubble_ms / 1e3,
        record.optimizer_ms / 1e3,
        tuple(
            AxisTime(name, axis.work_ms / 1e3, axis.exposed_ms / 1e3, axis.window_ms / 1e3, axis.stated)
            for name, axis in record.axes.items()
        ),
        tuple(
            StorageFlow(flow.name, flow.network, flow.bytes, None if flow.ms is None else flow.ms / 1e3, flow.steps)
            for flow in record.storage
        ),
        record.storage_ms / 1e3,
        record.mfu,
    )


def memory_record(memory: Memory) -> dict[str, Any]:
    """JSON data, bytes."""
    parts = {name: _rounded(size) for name, size in memory.parts.items()}
    return {"rank": memory.rank, "total": _rounded(memory.total), **parts, "recompute": memory.recompute}


def memory_of_record(record: MemoryRecord) -> Memory:
    """The way back."""
    return Memory(
        record.rank, record.weights, record.gradients, record.optimizer, record.experts, record.activations,
        record.recompute,
    )  # fmt: skip


def _ms(seconds: float) -> float:
    return _rounded(1e3 * seconds)


def _rounded(value: float) -> float:
    return float(f"{value:.12g}") or 0.0
