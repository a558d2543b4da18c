"""Show the time of a step on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from topoplan.cli import render
from topoplan.units import format_bytes

if TYPE_CHECKING:
    from topoplan.model.step import Memory, StepTime

COLUMNS = ("order", "step ms", "compute", "bubble", "exposed", "optimizer", "storage", "MFU")
AXIS_COLUMNS = ("axis, at rates that links reach", "work ms", "overlapped", "exposed", "share")

NOTE = (
    "A step has each order's own exposures, at rates that links reach; the prices of orders above are at line rate, "
    "every one with the shares that hosts in physical order expose."
)


def show(
    steps: Mapping[str, StepTime], memory: Memory | None = None, plain_s: Mapping[str, float] | None = None
) -> None:
    """Print what a step is made of for each order, and for the first what each axis hides.

    Parameters
    ----------
    plain_s
        Further orders of which nothing but the seconds of a step is known.
    """
    first = next(iter(steps.values()))
    rows = [_row(name, step) for name, step in steps.items()]
    rows += [(name, *_ms(seconds), *("",) * (len(COLUMNS) - 2)) for name, seconds in (plain_s or {}).items()]
    click.echo()
    render.table(f"one step, schedule {first.schedule}", COLUMNS, rows)
    if first.axes:
        axes = (
            (axis.name, *_ms(axis.work_s, axis.overlapped_s, axis.exposed_s), _share(axis.exposure, axis.stated))
            for axis in first.axes
        )
        click.echo()
        render.table("", AXIS_COLUMNS, axes)
        render.wrapped(NOTE, 0)
    if memory is not None:
        parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in memory.parts.items() if size > 0)
        click.echo(f"memory of the fullest GPU, pipeline rank {memory.rank}: {format_bytes(memory.total)} ({parts})")
    for flow in first.storage:
        time = "its time is unknown: hosts have no front-end NICs here" if flow.seconds is None else _each(flow.seconds)
        often = "every step" if flow.steps == 1 else f"every {flow.steps} steps"
        click.echo(f"{flow.name} over the {flow.network} network, {format_bytes(flow.total_bytes)} {often}: {time}")


def _row(name: str, step: StepTime) -> tuple[str, ...]:
    parts = (step.total_s, step.compute_s, step.bubble_s, step.exposed_s, step.optimizer_s, step.storage_s)
    return (name, *_ms(*parts), "-" if step.mfu is None else f"{100 * step.mfu:.1f} %")


def _ms(*seconds: float) -> tuple[str, ...]:
    return tuple(f"{1e3 * value:,.1f}" for value in seconds)


def _share(exposure: float, stated: bool) -> str:
    return f"{100 * exposure:.0f} %{' stated' if stated else ''}"


def _each(seconds: float) -> str:
    return f"{seconds:,.3g} s of its slowest link"
