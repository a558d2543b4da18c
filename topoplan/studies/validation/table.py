"""All rows of the validation table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from topoplan.studies.validation import collectives, kernels, training
from topoplan.studies.validation.row import Row

HEAD = ("prediction", "from", "points", "error", "target", "verdict")


def rows() -> list[Row]:
    """Every row; the same in every run."""
    parts = (
        kernels.low_latency,
        kernels.normal,
        kernels.published,
        collectives.one_host,
        collectives.link_rates,
        collectives.inside,
        collectives.many_hosts,
        training.steps,
    )
    return [row for make in parts for row in make()]


def cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """A row as text, under `HEAD`."""
    target = "-" if row.target is None else f"{100 * row.target:.0f} %"
    error = f"{100 * row.error:.1f} % {row.measure}"
    return row.subject, row.basis, str(row.points), error, target, row.verdict


def plain(row: Row) -> dict[str, object]:
    """A row as plain data; the error to a tenth of a per mille, so that it is the same on every machine."""
    return {**asdict(row), "error": round(float(row.error), 4), "verdict": row.verdict}


def markdown(found: list[Row]) -> str:
    """The table, its summary and its notes as Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in found]
    return "\n".join([*lines, "", summary(found) + ".", "", *(f"- {line}" for line in notes(found))]) + "\n"


def notes(found: list[Row]) -> Iterator[str]:
    """What rows say about their error."""
    said = dict.fromkeys(row.note for row in found if row.note)
    for note in said:
        mine = [row for row in found if row.note == note]
        more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
        yield f"{mine[0].subject}{more}: {note}"


def summary(found: list[Row]) -> str:
    """How many rows keep their target."""
    judged = [row for row in found if row.target is not None]
    kept = sum(row.verdict == "ok" for row in judged)
    return f"{kept} of {len(judged)} rows with a target keep it; {len(found) - len(judged)} rows have none"
