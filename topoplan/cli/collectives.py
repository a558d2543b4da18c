"""Show how the axes of a job communicate in a placement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import render

if TYPE_CHECKING:
    from topoplan.cost.collectives.timing import Timing
    from topoplan.planning.collectives import AxisCollective

# lines of a cell are set below each other: all fits into 80 columns
COLUMNS = ("axis", "collective,\nsize", "groups,\ncalls", "cheapest", "next best", "hashed,\nmean", "95 of\n100")


def records(found: tuple[AxisCollective, ...]) -> list[dict[str, Any]]:
    """Plain data of collectives; times that are not finite become null."""
    return [_record(one) for one in found]


def show(found: tuple[AxisCollective, ...]) -> None:
    """Print a table of collectives, and what of each does not fit one."""
    from topoplan.reports.collective_section import NOTE, collective_rows  # noqa: PLC0415 - help stays quick

    if not found:
        return
    rows = collective_rows(found)
    cells = [
        (row.axis, _joined((row.op, row.size)), _joined((row.ranks, row.calls)), _joined(row.best),
         _joined(row.runner_up), _joined(row.expected), _joined(row.p95))
        for row in rows
    ]  # fmt: skip
    click.echo()
    render.table("how each axis communicates", COLUMNS, cells, left=2)
    for row in rows:
        for line in (f"order of hosts {row.order}", *row.notes):
            render.wrapped(f"  {row.axis}: {line}", 6)
    render.wrapped(NOTE, 0)


def _joined(cell: tuple[str, str]) -> str:
    return "\n".join(filter(None, cell))


def _record(one: AxisCollective) -> dict[str, Any]:
    spread, rate, incast = one.hashing, one.rate, one.incast
    return {
        "axis": one.axis,
        "op": one.op,
        "groups": one.groups,
        "group_size": one.size,
        "calls": one.calls,
        "call_bytes": one.call_bytes,
        "copies": one.copies,
        "cheapest": _timing(one.best),
        "runner_up": _timing(one.runner_up),
        "with_sharp": _timing(one.with_sharp),
        "ways": [_timing(way) for way in one.ways],
        "efficiency": None
        if rate is None
        else {
            "link": rate.link,
            "traffic": rate.traffic,
            "share": rate.share,
            "source": rate.source,
            "assumed": rate.assumed,
        },
        "order": one.order,
        "why": one.why,
        "hashing": {
            "perfect_ms": _ms(spread.perfect_s),
            "expected_ms": _ms(spread.expected_s),
            "p95_ms": _ms(spread.p95_s),
        },
        "incast": None
        if incast is None
        else {"senders": incast.senders, "in_bytes": incast.in_bytes, "over_mean": incast.over_mean},
    }


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {"algorithm": timing.algorithm, "ms": _ms(timing.seconds), "slowest_link": timing.slowest}


def _ms(seconds: float) -> float | None:
    return 1e3 * seconds if seconds < float("inf") else None
