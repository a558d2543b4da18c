"""Figures of a study: small multiples of exposed time, fronts of bandwidth against time, and what failures cost."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from topoplan.reports.amounts import counted, milliseconds, shortened
from topoplan.reports.svg import BLUE, FAINT, GREEN, INK, MUTED, ORANGE, PURPLE, SKY, VERMILION, YELLOW, draw
from topoplan.studies.fronts import Front, bandwidth, described, short
from topoplan.units import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from topoplan.studies.model import Value
    from topoplan.studies.table import Table

MOST_PANELS = 12
MOST_LINES = 6  # of a panel: as many as the palette tells apart
MOST_TICKS = 12
MOST_LETTERS = 30  # of a line beside a dot
MOST_LOSSES = 36  # rows of failures
WIDE = 4.0  # times the shortest that the longest may be before times are drawn on a logarithmic scale
# colour, marker and dash differ together: lines are told apart without colour too
_LOOKS = (
    (BLUE, "o", "-"), (ORANGE, "s", "--"), (VERMILION, "^", ":"), (GREEN, "D", "-."), (PURPLE, "v", "-"),
    (SKY, "P", "--"),
)  # fmt: skip
_LOOK_OF = {"plan": 0, "linear": 1, "random": 2, "strings": 3}
_GRID = "#e3e7eb"


@dataclass(frozen=True, eq=False)
class Panel:
    """One small multiple: a line for each order over the values of one parameter.

    Parameters
    ----------
    axis
        Name of the parameter.
    values
        Its values, in the order they are drawn.
    lines
        Exposed ms at each value by order, nan where there is no price.
    """

    title: str
    axis: str
    values: tuple[Value, ...]
    lines: dict[str, tuple[float, ...]]


def panels(table: Table) -> list[Panel]:
    """Panels of the parameter that takes most values, numbers before texts; none where nothing is varied.

    One panel for each job and each combination of the other parameters, at most `MOST_PANELS`.
    """
    rows = [row for row in table.rows if row.healthy]
    values = {key: list(dict.fromkeys(row.varied[key] for row in rows if key in row.varied)) for key in table.varied}
    several = [key for key in table.varied if len(values[key]) > 1]
    if not several:
        return []
    axis = max(several, key=lambda key: (_numeric(values[key]), len(values[key])))
    ordered = tuple(sorted(values[axis], key=_number)) if _numeric(values[axis]) else tuple(values[axis])
    grouped: dict[str, dict[str, dict[Value, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if axis in row.varied:
            where = ", ".join((described(row, "job", [axis]), described(row, "fabric", [axis])))
            ms = row.ms if math.isfinite(row.ms) else math.nan
            grouped[where][row.scenario.order][row.varied[axis]] = ms
    return [
        Panel(
            title, short(axis), ordered,
            {order: tuple(at.get(value, math.nan) for value in ordered)
             for order, at in list(lines.items())[:MOST_LINES]},
        )
        for title, lines in list(grouped.items())[:MOST_PANELS]
    ]  # fmt: skip


def _numeric(values: list[Value]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _number(value: Value) -> float:
    return float(value)


def panels_svg(drawn: list[Panel], key: str) -> str:
    """SVG element of small multiples on one scale of time."""
    across = min(3, len(drawn))
    down = -(-len(drawn) // across)
    size = (max(460.0, 330.0 * across), 46 + 205.0 * down)
    told = "; ".join(f"{panel.title}: {_told(panel)}" for panel in drawn)
    title = f"Exposed communication over {drawn[0].axis}"
    return draw(
        key, title, f"{counted(len(drawn), 'panel')} on one scale. {told}.", size, partial(_paint, drawn, across)
    )


def _told(panel: Panel) -> str:
    """Ends of the lines of a panel in words."""
    said = []
    for order, ms in panel.lines.items():
        known = [(value, t) for value, t in zip(panel.values, ms, strict=True) if math.isfinite(t)]
        if known:
            (a, first), (b, last) = known[0], known[-1]
            said.append(f"{order} {milliseconds(first)} at {a} to {milliseconds(last)} at {b}")
    return ", ".join(said) or "no price"


def _paint(drawn: list[Panel], across: int, figure: Figure) -> None:
    down = -(-len(drawn) // across)
    width, height = figure.get_size_inches() * 72
    known = [t for p in drawn for ms in p.lines.values() for t in ms if math.isfinite(t) and t > 0] or [1.0]
    for i, panel in enumerate(drawn):
        column, row = i % across, i // across
        box_w, box_h = width / across, (height - 40) / down
        left, bottom = column * box_w + 54, height - 34 - (row + 1) * box_h + 40
        axes = figure.add_axes((left / width, bottom / height, (box_w - 68) / width, (box_h - 66) / height))
        _panel(axes, panel, (min(known), max(known)))
        axes.set_title(shortened(panel.title, int((box_w - 40) / 4.6)), loc="left", fontsize=8.5)
    handles = {
        label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()), list(handles), loc="upper left", bbox_to_anchor=(0.02, 1), frameon=False,
        ncols=len(handles), fontsize=8.5, borderaxespad=0.3, handlelength=3.2,
    )  # fmt: skip


def _panel(axes: Axes, panel: Panel, extent: tuple[float, float]) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415 - only those who draw pay for it

    numeric = _numeric(list(panel.values))
    x = [_number(value) for value in panel.values] if numeric else [float(i) for i in range(len(panel.values))]
    for i, (order, ms) in enumerate(panel.lines.items()):
        colour, marker, dash = _LOOKS[_LOOK_OF.get(order, 4 + i % 2)]
        front = 3 if order == "plan" else 2
        axes.plot(
            x, ms, marker=marker, linestyle=dash if numeric else "none", color=colour, markersize=4.5, label=order,
            zorder=front, markerfacecolor=colour if order == "plan" else "white", clip_on=False,
        )  # fmt: skip
    low, top = extent
    if top > WIDE * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.25, top * 1.25)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, top * 1.06)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    if not numeric or len(x) <= MOST_TICKS:
        every = -(-len(x) // MOST_TICKS)
        texts = [shortened(f"{v:g}" if isinstance(v, int | float) else str(v), 14) for v in panel.values]
        axes.set_xticks(x[::every], texts[::every])
    if not numeric:
        axes.set_xlim(-0.5, len(x) - 0.5)
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(panel.axis)
    axes.set_ylabel("ms per step")
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)


# ---- fronts ------------------------------------------------------------------------------------------------------


def front_svg(front: Front, key: str) -> str:
    """SVG element of bandwidth a GPU against exposed time: all choices, those that no other beats, and the knee."""
    points = [front.rows[i] for i in front.best]
    told = "; ".join(
        f"{described(row, 'fabric')}: {rate_text(bandwidth(row))}, {milliseconds(row.ms)}" for row in points
    )
    bend = "" if front.knee is None else f" Knee: {described(front.rows[front.knee], 'fabric')}."
    text = f"{counted(len(front.rows), 'choice')}, of which {len(points)} are beaten by no other: {told}.{bend}"
    return draw(key, f"Bandwidth against exposed time for {front.job}", text, (560, 280), partial(_paint_front, front))


def _paint_front(front: Front, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.115, 0.165, 0.86, 0.72))
    x = [bandwidth(row) * 8e-9 for row in front.rows]
    y = [row.ms for row in front.rows]
    axes.plot(x, y, "o", color=FAINT, markersize=6, label="beaten by another")
    best = list(front.best)
    axes.plot(
        [x[i] for i in best], [y[i] for i in best],
        "-o", color=BLUE, markersize=6, linewidth=1.2, label="beaten by none",
    )  # fmt: skip
    if front.knee is not None:
        axes.plot(
            [x[front.knee]], [y[front.knee]],
            "D", color=YELLOW, markersize=9, markeredgecolor=INK, markeredgewidth=0.8, label="knee",
        )  # fmt: skip
    for i, text in _told_apart(front).items():
        right = x[i] > (min(x) + 2 * max(x)) / 3  # no room beyond the last dots
        axes.annotate(
            text, (x[i], y[i]), (-5 if right else 5, 4), textcoords="offset points", fontsize=7, color=INK,
            ha="right" if right else "left", va="bottom",
        )  # fmt: skip
    axes.margins(0.12, 0.14)
    axes.set_ylim(0, 1.12 * max(y))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("Gb/s of NICs and uplinks a GPU")
    axes.set_ylabel("ms exposed per step")
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=3, borderaxespad=0.1, fontsize=8.5)


def _told_apart(front: Front) -> dict[int, str]:
    """Labels of the ends of a front and of its knee: what differs among them, a line each."""
    named = sorted({front.best[0], front.best[-1], *([] if front.knee is None else [front.knee])})
    parts = {i: described(front.rows[i], "fabric").split(", ") for i in named}
    shared = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set(parts[named[0]][:1])
    return {
        i: "\n".join(shortened(part, MOST_LETTERS) for part in ([p for p in own if p not in shared] or own[:1]))
        for i, own in parts.items()
    }


# ---- failures ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Losses:
    """What failures cost one job on one fabric in one order.

    Parameters
    ----------
    of
        Job, fabric and order, in words.
    cases
        Per cent more exposed time of each case, by what failed and what was done.
    """

    of: str
    cases: dict[str, list[float]]


def losses(table: Table) -> list[Losses]:
    """Costs of failures, those of planned orders first; none where nothing is broken."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in table.rows:
        if row.healthy or not row.outcome.ok or not row.outcome.before_ms:
            continue
        failure = row.scenario.failure
        what = f"{failure.count} {failure.kind}{'s' if failure.count > 1 else ''}, {row.scenario.after}"
        of = (row.scenario.order, described(row, "job"), described(row, "fabric"))
        found.setdefault(of, {}).setdefault(what, []).append(100 * (row.ms / row.outcome.before_ms - 1))
    ordered = sorted(found, key=lambda of: of[0] != "plan")  # stable: as the study has them
    return [Losses(f"{job}, {fabric}, {order} order", found[order, job, fabric]) for order, job, fabric in ordered]


def failures_svg(found: list[Losses], key: str) -> str:
    """SVG element of what each kind of failure costs, a dot a case."""
    told = "; ".join(
        f"{of.of}: " + ", ".join(f"{name} {counted(len(loss), 'case')}, at worst {max(loss):+.1f} %"
                                 for name, loss in of.cases.items())
        for of in found
    )  # fmt: skip
    size = (620.0, 62.0 + 22 * sum(1 + len(of.cases) for of in found))
    return draw(
        key, "What failures cost", f"Exposed time more than before, in per cent. {told}.", size, partial(_dots, found)
    )


def _dots(found: list[Losses], figure: Figure) -> None:
    width, height = figure.get_size_inches() * 72
    axes = figure.add_axes((0.25, 42 / height, 0.72, (height - 56) / height))
    names: dict[int, str] = {}
    at = 0
    for of in found:
        axes.text(
            -0.25 / 0.72, at, shortened(of.of, int(width / 4.6)), transform=axes.get_yaxis_transform(), va="center",
            fontsize=8.5, color=INK, weight="bold", zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        for row, (name, loss) in enumerate(of.cases.items(), at + 1):
            names[row] = name
            colour, marker = (BLUE, "o") if name.endswith("replan") else (ORANGE, "s")
            axes.plot(loss, [row] * len(loss), marker, color=colour, markersize=5, alpha=0.55, markeredgewidth=0)
            axes.plot([max(loss)], [row], "|", color=INK, markersize=11)
        at += 1 + len(of.cases)
    axes.set_yticks(list(names), list(names.values()), fontsize=8)
    axes.set_ylim(at - 0.4, -0.6)
    axes.axvline(0, color=MUTED, linewidth=0.7)
    if max(max(loss) for of in found for loss in of.cases.values()) < 1:
        axes.set_xlim(right=1)
    axes.set_xlabel("% more exposed time than before (bar: the worst case)")
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def shown_losses(found: list[Losses]) -> list[Losses]:
    """The first of them, whole, as many as a figure has room for; at least one."""
    rows, shown = 0, list[Losses]()
    for of in found:
        rows += len(of.cases)
        if shown and rows > MOST_LOSSES:
            break
        shown.append(of)
    return shown
