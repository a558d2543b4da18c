"""The time of a step, drawn: what it is made of one after the other, and what each pipeline rank does when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from topoplan.model.fabric import FloatArray
from topoplan.reports.amounts import counted, milliseconds, one_unit
from topoplan.reports.svg import BLUE, FAINT, GREEN, INK, MUTED, ORANGE, PURPLE, SKY, VERMILION, YELLOW, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

    from topoplan.model.plan import Plan
    from topoplan.model.step import Interval
    from topoplan.studies.exposure import Sweep

WIDTH, ROW, NAME = 560.0, 21.0, 96.0
MOST_STAGES = 16  # pipeline ranks drawn; of more, evenly chosen ones with the first and the last
_GRID = "#e3e7eb"
COMPUTE, BUBBLE, OPTIMIZER, STORAGE = "compute", "waiting in pipeline", "optimizer", "storage"
# Fill and pattern differ together: parts are told apart without colour too. Rows carry their names besides.
_LOOKS = {
    COMPUTE: (SKY, ""), "forward": (SKY, ""), "backward": (BLUE, ""), "weights": (GREEN, ""), "both": (BLUE, "...."),
    BUBBLE: ("white", "///"), OPTIMIZER: (YELLOW, "xx"), STORAGE: (FAINT, "||"),
    "ep": (VERMILION, ""), "pp": (PURPLE, "\\\\"), "dp": (ORANGE, "//"), "edp": (ORANGE, "xx"), "tp": (GREEN, ".."),
    "cp": (YELLOW, "\\\\"),
}  # fmt: skip
_OTHER = (MUTED, "--")


@dataclass(frozen=True, slots=True)
class Bar:
    """Part of a step.

    Parameters
    ----------
    start_ms, shown_ms
        Where it begins in the step, and how much longer the step is for it.
    hidden_ms
        Of an axis: communication behind compute, None where that is not known.
    """

    name: str
    start_ms: float
    shown_ms: float
    hidden_ms: float | None = None


def step_bars(plan: Plan, sweep: Sweep | None = None) -> list[Bar]:
    """Compute, waiting, axes, optimizer, storage, in this order; axes alone where compute is unknown."""
    parts: list[tuple[str, float, float | None]] = []
    if plan.step is not None:
        step = plan.step
        parts = [(COMPUTE, 1e3 * step.compute_s, None), (BUBBLE, 1e3 * step.bubble_s, None)]
        parts += [(axis.name, 1e3 * axis.exposed_s, 1e3 * axis.overlapped_s) for axis in step.axes]
        parts += [(OPTIMIZER, 1e3 * step.optimizer_s, None), (STORAGE, 1e3 * step.storage_s, None)]
    elif plan.prediction is not None:
        whole = {axis.name: axis.plan_ms for axis in sweep.axes} if sweep is not None else {}
        parts = [(n, ms, _rest(whole[n], ms) if n in whole else None) for n, ms in plan.prediction.axes.items()]
    bars, start = [], 0.0
    for name, shown, hidden in parts:
        if shown > 0 or (hidden or 0) > 0:
            bars.append(Bar(name, start, shown, hidden))
            start += shown
    return bars


def _rest(whole: float, part: float) -> float:
    """Whole less part, without what rounding leaves."""
    return whole - part if whole - part > 1e-9 * whole else 0.0


def step_svg(bars: Sequence[Bar], key: str) -> str:
    """SVG element of a step as stairs, each part where the ones before it end."""
    total = bars[-1].start_ms + bars[-1].shown_ms
    told = "; ".join(f"{bar.name} {milliseconds(bar.shown_ms)}{_behind(bar)}" for bar in bars)
    title = "What a step is made of" if bars[0].name == COMPUTE else "Exposed communication of a step"
    size = (WIDTH, 44 + ROW * len(bars))
    return draw(key, title, f"{milliseconds(total)} in all: {told}.", size, partial(_stairs, bars, total))


def _behind(bar: Bar) -> str:
    return f" and {milliseconds(bar.hidden_ms)} behind compute" if bar.hidden_ms else ""


def _stairs(bars: Sequence[Bar], total: float, figure: Figure) -> None:
    height = figure.get_size_inches()[1] * 72
    axes = figure.add_axes((NAME / WIDTH, 34 / height, (WIDTH - NAME - 130) / WIDTH, (height - 40) / height))
    computed = bars[0].name == COMPUTE
    text = one_unit([bar.shown_ms for bar in bars] + [bar.hidden_ms or 0.0 for bar in bars], "ms")
    for row, bar in enumerate(bars):
        colour, hatch = _LOOKS.get(bar.name, _OTHER)
        if computed and bar.hidden_ms:  # beside compute, from the start of the step
            axes.barh(row, min(bar.hidden_ms, total), 0.3, color="white", edgecolor=colour, hatch="....", linewidth=0.7)
        axes.barh(
            row, bar.shown_ms, 0.68, bar.start_ms, color=colour, edgecolor=INK, hatch=hatch or None, linewidth=0.6
        )
        end = bar.start_ms + bar.shown_ms
        if row + 1 < len(bars):
            axes.plot([end, end], [row, row + 1], color=MUTED, linewidth=0.6, linestyle=":")
        shown = f"{text(bar.shown_ms)}" + (f" + {text(bar.hidden_ms)} hidden" if bar.hidden_ms else "")
        axes.annotate(
            shown, (end, row), (5, 0), textcoords="offset points", va="center", fontsize=7.5, annotation_clip=False
        )
    label = "ms since the step began" if computed else "ms exposed, one axis after the other"
    _frame(axes, [bar.name for bar in bars], total, label)


def _frame(axes: Axes, names: Sequence[str], total: float, label: str = "ms since the step began") -> None:
    axes.set_yticks(range(len(names)), list(names), fontsize=8.5, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, total or 1.0)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(label)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)


# ---- what each pipeline rank does when ---------------------------------------------------------------------------


def timeline_svg(timeline: Sequence[Interval], key: str) -> str:
    """SVG element of the pipeline: a row a rank, time to the right; gaps are waiting."""
    stages = sorted({item.stage for item in timeline})
    kinds = list(dict.fromkeys(item.what for item in timeline))
    total = 1e3 * max(item.end_s for item in timeline)
    busy = {s: sum(1e3 * (i.end_s - i.start_s) for i in timeline if i.stage == s) for s in stages}
    idle = max(stages, key=lambda s: total - busy[s])
    told = (
        f"{counted(len(stages), 'pipeline rank')}, {milliseconds(total)}; parts: {', '.join(kinds)}. "
        f"Rank {idle} waits longest, {milliseconds(total - busy[idle])}."
    )
    shown = _some(stages)
    size = (WIDTH, 66 + 17.0 * len(shown))
    return draw(key, "Timeline of a step by pipeline rank", told, size, partial(_gantt, timeline, shown, kinds, total))


def _some(stages: Sequence[int]) -> list[int]:
    if len(stages) <= MOST_STAGES:
        return list(stages)
    last = len(stages) - 1
    return [stages[round(i * last / (MOST_STAGES - 1))] for i in range(MOST_STAGES)]


def _gantt(
    timeline: Sequence[Interval], shown: Sequence[int], kinds: Sequence[str], total: float, figure: Figure
) -> None:
    from matplotlib.patches import Patch, PathPatch  # noqa: PLC0415 - only those who draw pay for it

    height = figure.get_size_inches()[1] * 72
    axes = figure.add_axes((60 / WIDTH, 34 / height, (WIDTH - 76) / WIDTH, (height - 60) / height))
    handles = []
    row_of = {stage: row for row, stage in enumerate(shown)}
    for kind in kinds:
        colour, hatch = _LOOKS.get(kind, _OTHER)
        spans = [
            (1e3 * i.start_s, 1e3 * i.end_s, row_of[i.stage]) for i in timeline if i.what == kind and i.stage in row_of
        ]
        outline = _outline(np.array(spans).reshape(-1, 3))
        # not add_patch: it would look for the extent of every box
        axes.add_artist(PathPatch(outline, facecolor=colour, edgecolor="white", linewidth=0.15, hatch=hatch or None))
        handles.append(Patch(facecolor=colour, edgecolor=INK, hatch=hatch or None, linewidth=0.5, label=kind))
    _frame(axes, [f"rank {stage}" for stage in shown], total)
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.02, 1), frameon=False, ncols=len(handles), fontsize=8,
        borderaxespad=0.2,
    )  # fmt: skip


def _outline(spans: FloatArray) -> Path:
    """All boxes of a kind as one path, which is quick to draw and small; `spans` [boxes, 3] start, end and row."""
    from matplotlib.path import Path  # noqa: PLC0415 - only those who draw pay for it

    start, end, row = spans.T
    low, high = row - 0.4, row + 0.4
    corners = np.stack([[start, low], [end, low], [end, high], [start, high], [start, low]])  # [5, 2, boxes]
    codes = np.array([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], np.uint8)
    return Path(corners.transpose(2, 0, 1).reshape(-1, 2), np.tile(codes, len(spans)))
