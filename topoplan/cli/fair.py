"""Show what orders take when flows share links fairly."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import render

if TYPE_CHECKING:
    from topoplan.cost.fair import FairPrice


def record(price: FairPrice) -> dict[str, Any]:
    """Plain data of a price; times that are unknown or not finite become null."""
    return {
        "exposed_ms": _finite(price.exposed_ms),
        "axes": {name: _finite(ms) for name, ms in price.axes.items()},
        "together_ms": _finite(price.together_ms),
        "axes_together": {name: _finite(ms) for name, ms in price.together.items()},
    }


def show(prices: Mapping[str, FairPrice], axes: list[str]) -> None:
    """Print the times of each order beside each other."""
    click.echo()
    render.table(
        "every flow followed to its end, links shared fairly (max-min), uplinks spread perfectly",
        ["order", "in turn ms", *(f"{a} ms" for a in axes), "at once ms"],
        [
            [name, *map(_cell, (price.exposed_ms, *(price.axes[a] for a in axes), price.together_ms))]
            for name, price in prices.items()
        ],
    )
    unknown = [name for name, price in prices.items() if isnan(price.exposed_ms) or isnan(price.together_ms)]
    if unknown:
        render.note(
            f"--fair: not all is known of {', '.join(unknown)}: too many unlike flows to follow each (a few thousand"
            " can be; flows that cross like links count once)"
        )


def _cell(ms: float) -> str:
    return "-" if isnan(ms) else f"{ms:,.2f}"


def _finite(value: float) -> float | None:
    return float(f"{value:.12g}") if isfinite(value) else None  # more digits would show the rounding of sums
