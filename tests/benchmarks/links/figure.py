"""The figure of the links benchmark: what the plan gains by oversubscription, and measured against predicted times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.links.cells import HOSTS, NAMES, OVER, RACKS
from tests.benchmarks.links.summary import Point, Row
from topoplan.reports.svg import BLUE, GREEN, INK, MUTED, ORANGE, SKY, VERMILION, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (880.0, 400.0)
_GRID = "#e3e7eb"
# colour and marker differ together: lines are told apart without colour too
_OF_NAMES = {"contiguous": (GREEN, "o"), "random": (ORANGE, "s"), "interleaved": (VERMILION, "^")}
_DASH = {"openmpi": "-", "gloo": ":"}
_OF_BOTTLENECK = {"NIC": (SKY, "x", "held back by a NIC"), "uplink": (BLUE, "o", "held back by an uplink")}


def figure_svg(measured: list[Row], compared: list[Point]) -> str:
    """SVG element, with what it shows in words."""
    told = []
    for names in NAMES:
        gain = [row.gain for row in measured if row.cell.names == names and row.cell.over == max(OVER)]
        if gain:
            told.append(f"{names} names at {max(OVER)}:1: {min(gain):.2f} to {max(gain):.2f} times")
    bound = [point.ratio for point in compared if point.bottleneck == "uplink"]
    text = (
        f"Left, default order over plan: {'; '.join(told)}. Right, measured over predicted times of axes that "
        f"an uplink holds back: {min(bound):.2f} to {max(bound):.2f}."
    )
    paint = partial(_paint, measured, compared)
    return draw("links", "What placement gains on shaped links", text, SIZE, paint, background="#ffffff")


def _paint(measured: list[Row], compared: list[Point], figure: Figure) -> None:
    width, height = SIZE
    top = 1.06 * max(row.gain for row in measured)
    for i, (hosts, racks) in enumerate((hosts, racks) for hosts in HOSTS for racks in RACKS):
        left, bottom = 48 + 225 * (i % 2), 44 + 178 * (1 - i // 2)
        axes = figure.add_axes((left / width, bottom / height, 180 / width, 122 / height))
        _gains(axes, [row for row in measured if (row.cell.hosts, row.cell.racks) == (hosts, racks)], top)
        axes.set_title(f"{hosts} hosts, {racks} racks", loc="left", fontsize=8.5)
        if i % 2 == 0:
            axes.set_ylabel("default order / plan")
        if i // 2:
            axes.set_xlabel("oversubscription of uplinks")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.03, 1), frameon=False, ncols=3, fontsize=8, handlelength=3,
        borderaxespad=0.2, columnspacing=1.2,
    )  # fmt: skip
    axes = figure.add_axes((545 / width, 44 / height, 318 / width, 300 / height))
    _against(axes, compared)


def _gains(axes: Axes, measured: list[Row], top: float) -> None:
    axes.axhline(1, color=MUTED, linewidth=0.8)
    for names, (colour, marker) in _OF_NAMES.items():
        for transport, dash in _DASH.items():
            gain = {row.cell.over: row.gain for row in measured
                    if row.cell.names == names and row.transport == transport}  # fmt: skip
            axes.plot(
                range(len(OVER)), [gain.get(over, float("nan")) for over in OVER], marker=marker, linestyle=dash,
                color=colour, markersize=4.5, markerfacecolor=colour if transport == "openmpi" else "white",
                label=f"{names}, {'Open MPI' if transport == 'openmpi' else transport}",
            )  # fmt: skip
    axes.set_xticks(range(len(OVER)), [f"{over}:1" for over in OVER])
    axes.set_xlim(-0.2, len(OVER) - 0.8)
    axes.set_ylim(0, top)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _against(axes: Axes, compared: list[Point]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    times = [ms for point in compared for ms in (point.predicted_ms, point.measured_ms)]
    low, high = min(times) / 1.2, max(times) * 1.2
    line = [low, high]
    axes.fill_between(
        line, [0.8 * x for x in line], [1.2 * x for x in line], color=_GRID, linewidth=0, label="within 20 %"
    )
    axes.plot(line, line, color=MUTED, linewidth=0.8)
    for bottleneck, (colour, marker, label) in _OF_BOTTLENECK.items():
        some = [point for point in compared if point.bottleneck == bottleneck]
        axes.plot(
            [point.predicted_ms for point in some], [point.measured_ms for point in some], marker, color=colour,
            markersize=4, alpha=0.6, markeredgewidth=0.9 if marker == "x" else 0, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([10, 20, 50, 100, 200, 500, 1000]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:,g}")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_title("ms of an axis in a step", loc="left", fontsize=8.5, color=INK)
    axes.set_xlabel("predicted")
    axes.set_ylabel("measured")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
