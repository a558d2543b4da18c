"""Show what the real cables of a fabric make of a placement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import render
from topoplan.errors import InputError

if TYPE_CHECKING:
    from topoplan.cost.exact import ExactPrice
    from topoplan.model.job import Job
    from topoplan.model.placement import RankPlacement


def record(price: ExactPrice) -> dict[str, Any]:
    """Plain data of a price; times that are not finite become null."""
    return {
        "busiest_links": [{"link": load.link, "bytes": load.bytes, "ms": _finite(load.ms)} for load in price.links],
        "tier_ms": _finite(price.tier_ms),
        "ideal_ms": _finite(price.ideal_ms),
        "exact_ideal_ms": _finite(price.exact_ms),
        "unreachable_bytes": price.unreachable_bytes,
    }


def brief(job: Job | None, placement: RankPlacement | None, hosts: tuple[str, ...] | None = None) -> None:
    """Print the comparison where the fabric lists its cables; say so where they cannot be used."""
    if job is None or placement is None or not placement.fabric.links:
        return
    from topoplan.planning.score import exact_links  # noqa: PLC0415 - only fabrics with cables need it
    from topoplan.reports.real_cables import cable_summary  # noqa: PLC0415

    try:
        price = exact_links(job, placement, hosts)
    except InputError as error:
        render.note(f"real cables are not priced: {error}")
        return
    click.echo(cable_summary(price))


def show(price: ExactPrice) -> None:
    """Print the busiest real links beside the figure of the tiers."""
    from topoplan.reports.real_cables import cable_summary  # noqa: PLC0415 - help stays quick

    rows = [[load.link.removeprefix("link "), f"{load.bytes / 1e9:,.2f}", f"{load.ms:,.2f}"] for load in price.links]
    rows.append(["busiest uplink when each tier is one sum", "", f"{price.tier_ms:,.2f}"])
    render.table("busiest real links, all axes together, equal-cost multipath", ["link", "GB", "ms"], rows)
    click.echo(cable_summary(price))


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
