"""The exposure sweep: the plan's exposed time, and what the order is worth, at any exposure of each axis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from topoplan.reports.amounts import change, milliseconds, percent
from topoplan.reports.svg import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, SKY, VERMILION, draw, safe
from topoplan.reports.view import ReportInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from topoplan.studies.exposure import Sweep

SHARES = (0.0, 0.25, 0.5, 1.0)
WIDTH, HEIGHT = 430.0, 250.0
# colour, dash and marker differ together; lines carry their names besides
_LOOKS = (
    (VERMILION, "-", "o"), (BLUE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D"), (ORANGE, "-", "v"),
    (SKY, "--", "P"),
)  # fmt: skip


def exposure_section(view: ReportInput) -> dict[str, Any] | None:
    """Table and figure; None without axes to vary."""
    sweep = view.exposures
    if sweep is None or not sweep.axes:
        return None
    return {
        "shares": [f"{100 * share:.0f} %" for share in SHARES],
        "rows": [_row(sweep, i) for i in range(len(sweep.axes))],
        "figure": safe(exposure_svg(sweep, "exposure")),
        "compared": sweep.axes[0].linear_ms is not None,
    }


def _row(sweep: Sweep, index: int) -> dict[str, Any]:
    axis = sweep.axes[index]
    cells = []
    for share in SHARES:
        ms, linear = sweep.exposed_ms(axis.name, share), sweep.linear_ms(axis.name, share)
        cells.append((milliseconds(ms), "" if linear is None else percent(change(linear, ms), signed=True)))
    return {
        "name": axis.name,
        "whole": milliseconds(axis.plan_ms),
        "used": percent(axis.used),
        "source": axis.source,
        "cells": cells,
    }


def exposure_svg(sweep: Sweep, key: str) -> str:
    """SVG element: exposed time of the plan over the exposure of one axis at a time."""
    told = "; ".join(
        f"{axis.name} from {milliseconds(sweep.exposed_ms(axis.name, 0.0))} to "
        f"{milliseconds(sweep.exposed_ms(axis.name, 1.0))}, used {percent(axis.used)}"
        for axis in sweep.axes
    )
    text = f"Each line varies one axis from nothing exposed to all: {told}."
    return draw(key, "Exposed time over the exposure of each axis", text, (WIDTH, HEIGHT), partial(_paint, sweep))


def _paint(sweep: Sweep, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter  # noqa: PLC0415 - only those who draw pay for it

    top = max(sweep.exposed_ms(axis.name, 1.0) for axis in sweep.axes) or 1.0
    side = max((0.0, 1.0), key=lambda share: _spread(sweep, share))  # lines that meet cannot be told apart
    heights = _heights(sweep, side, top)
    axes = figure.add_axes((0.16 if side else 0.1, 0.17, 0.74, 0.79))
    for i, axis in enumerate(sweep.axes):
        colour, dash, marker = _LOOKS[i % len(_LOOKS)]
        line = [sweep.exposed_ms(axis.name, share) for share in (0.0, 1.0)]
        axes.plot([0, 1], line, dash, color=colour, clip_on=False)
        used = sweep.exposed_ms(axis.name, axis.used)
        axes.plot([axis.used], [used], marker, color=colour, markeredgecolor=INK, markersize=6, clip_on=False, zorder=3)
        axes.annotate(
            axis.name, (side, heights[axis.name]), (7 if side else -7, 0), textcoords="offset points", va="center",
            ha="left" if side else "right", fontsize=8.5, annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08 * top)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter("{x:,g}")
    if not side:  # names stand where the numbers would
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
        axes.spines[["right", "left"]].set_visible(True)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("exposure of one axis (marker: as planned)")
    axes.set_ylabel("ms exposed per step, all axes")
    axes.grid(color="#e3e7eb", linewidth=0.6)
    axes.tick_params(colors=MUTED)
    axes.set_axisbelow(True)


def _spread(sweep: Sweep, share: float) -> float:
    ends = [sweep.exposed_ms(axis.name, share) for axis in sweep.axes]
    return max(ends) - min(ends)


def _heights(sweep: Sweep, share: float, top: float) -> dict[str, float]:
    """Where the names of the lines stand at one side: at their ends, a line's height apart."""
    heights, at = {}, -top
    for ms, name in sorted((sweep.exposed_ms(axis.name, share), axis.name) for axis in sweep.axes):
        at = max(ms, at + 0.06 * top)
        heights[name] = at
    return heights
