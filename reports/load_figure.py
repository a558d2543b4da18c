"""Loads of links before and after, as sorted curves: the left end is the link that sets the time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from topoplan.model.fabric import FloatArray
from topoplan.reports.amounts import counted, milliseconds
from topoplan.reports.loads import LinkClass
from topoplan.reports.svg import BLUE, MUTED, ORANGE, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 430.0, 230.0
MOST_POINTS = 240  # of a curve; more than a page can tell apart
# drawn in this order: what comes first is wide and pale, so that equal curves stay visible
_LOOKS = {"linear": (ORANGE, 4.0), "plan": (BLUE, 1.6)}


def load_svg(kind: LinkClass, key: str) -> str:
    """SVG element of the loads of one kind of link, a curve a placement."""
    busiest = "; ".join(f"{name} {milliseconds(float(ms.max()))}" for name, ms in kind.ms.items())
    title = f"Load of {kind.name}"
    description = (
        f"Time per step of {counted(len(kind.names), 'link')} that carry bytes, busiest first. Busiest link: {busiest}."
    )
    return draw(key, title, description, (WIDTH, HEIGHT), partial(_paint, kind))


def _paint(kind: LinkClass, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.14, 0.19, 0.81, 0.69))
    finite = {name: np.where(np.isfinite(ms), ms, 0.0) for name, ms in kind.ms.items()}
    top = max(float(ms.max()) for ms in finite.values()) or 1.0
    for name, ms in finite.items():
        _curve(axes, name, ms)
    axes.set_ylim(0, top * 1.12)
    axes.set_xlim(0.5, len(kind.names) + 0.5)
    ticks = _ticks(len(kind.names))
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{kind.name}, busiest first")
    axes.set_ylabel("ms per step")
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=2, borderaxespad=0.1, fontsize=8.5)


def _curve(axes: Axes, name: str, ms: FloatArray) -> None:
    colour, width = _LOOKS.get(name, (MUTED, 1.6))
    ordered = np.sort(ms)[::-1]
    at = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), MOST_POINTS)).round().astype(int))
    axes.step(at + 1, ordered[at], where="mid", color=colour, linewidth=width, label=name, solid_capstyle="butt")
    if len(ordered) <= 40:
        axes.plot(at + 1, ordered[at], "o", color=colour, markersize=width + 1.4, clip_on=False)


def _ticks(links: int) -> list[int]:
    """A few whole numbers from 1 to the number of links."""
    if links <= 8:
        return list(range(1, links + 1))
    return sorted({1, *(round(links * i / 4) for i in range(1, 5))})
