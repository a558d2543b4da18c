"""What is worth buying: the points that no other beats in both price and time, and the knee among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from topoplan.studies.table import Row, Table

_LEAST = 3  # points of a front that has a knee


@dataclass(frozen=True, eq=False)
class Front:
    """Choices of one job: network bandwidth of a GPU against exposed time.

    Parameters
    ----------
    job
        Name of the job, with its varied parameters.
    rows
        All choices, the best order of each, by bandwidth.
    best
        Indices of `rows` that no other beats: less bandwidth or less time.
    knee
        Index of the row beyond which bandwidth buys least; None where fewer than three choices are left.
    """

    job: str
    rows: tuple[Row, ...]
    best: tuple[int, ...]
    knee: int | None


def pareto(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Indices of points that no other beats, both numbers being better when smaller, by the first number.

    Of equal points the first stands for all.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (*points[i], i)):
        if not found or points[i][1] < points[found[-1]][1]:
            found.append(i)
    return tuple(found)


def knee(points: Sequence[tuple[float, float]]) -> int | None:
    """Index of the point of a front, by its first number, farthest below the line between its ends.

    Both numbers are scaled to the front's extent first. Source: Satopaa et al., Finding a Kneedle in a Haystack, ICDCS
    workshops 2011, for a convex falling curve. None for fewer than three points, or where none is below the line.
    """
    if len(points) < _LEAST:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    below = [1 - (x - x0) / (x1 - x0) - (y - y1) / (y0 - y1) for x, y in points]
    most = max(below)
    return below.index(most) if most > 1e-9 else None


def bandwidth(row: Row) -> float:
    """Bytes/s of NICs and uplinks a GPU, each direction: what a network's price grows with."""
    return row.outcome.nic_bytes_per_s + row.outcome.uplink_bytes_per_s


def fronts(table: Table) -> tuple[Front, ...]:
    """Front of each job over the fabrics on which nothing is broken.

    Only fabrics of the same kinds of hosts are held against each other, and only where their bandwidths differ.
    """
    best: dict[tuple[str, tuple[str, ...]], dict[str, Row]] = defaultdict(dict)
    for row in table.rows:
        if row.healthy and row.outcome.ok:
            here = best[described(row, "job"), _hosts(row)]
            name = described(row, "fabric")
            if name not in here or row.ms < here[name].ms:
                here[name] = row
    return tuple(
        _front(job, list(rows.values()))
        for (job, _), rows in best.items()
        if len({bandwidth(row) for row in rows.values()}) > 1
    )


def _hosts(row: Row) -> tuple[str, ...]:
    """Kinds of hosts of a row's fabric."""
    fabric = row.scenario.fabric.fabric
    return () if fabric is None else tuple(kind.name for kind in fabric.host_types)


def _front(job: str, rows: list[Row]) -> Front:
    rows.sort(key=lambda row: (bandwidth(row), row.ms))
    points = [(bandwidth(row), row.ms) for row in rows]
    best = pareto(points)
    bend = knee([points[i] for i in best])
    return Front(job, tuple(rows), best, None if bend is None else best[bend])


def described(row: Row, what: str, without: Sequence[str] = ()) -> str:
    """Name of a row's fabric or job with what is varied of it: "pods, oversubscription 4"."""
    varied = [
        f"{short(key)} {value}"
        for key, value in row.varied.items()
        if key.startswith(f"{what}.") and key not in without
    ]
    return ", ".join([row.fabric if what == "fabric" else row.job, *varied])


def short(key: str) -> str:
    """Name of a varied parameter for people: ``job.parallel.pp`` is pp, ``fabric.oversubscription.leaf`` of leaf."""
    what, _, rest = key.partition(".")
    return rest.rpartition(".")[2] if what == "job" else rest.removesuffix(".top").replace(".", " of ")
