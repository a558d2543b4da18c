"""Tables and figure of the links benchmark for the README and docs/measured.md, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.links.cells import TRANSPORTS, all_cells
from tests.benchmarks.links.figure import figure_svg
from tests.benchmarks.links.summary import BUSY, Point, Row, launch_errors, points, rows
from tests.pages import DOCS, README, ROOT, write_part

FIGURE = Path("topoplan/examples/links.svg")
PAGE, PART = DOCS / "measured.md", "links benchmark"
EVEN = 0.01  # predicted difference that is none
NO_BREAK = "\u00a0"  # a cell's name stays on a line however wide the table is
FASTER, BEHIND, ERROR = 1.5, 0.05, 0.2  # the targets
HEAD = (
    "| hosts x racks, names, uplinks | Open MPI: default | strings | linear | plan | default / plan "
    "| gloo: default | numbers | linear | plan | default / plan |\n" + "|---" * 11 + "|\n"
)
PREDICTED_HEAD = (
    "| axis | held back by | transport | cells x orders | measured / predicted: median | least | most | within 20 % |\n"
    + "|---" * 8
    + "|\n"
)


def write_pages(results: Mapping[str, Any]) -> None:
    """Replace what stands between the markers of both pages, and draw the figure."""
    (ROOT / FIGURE).write_text(figure_svg(rows(results), points(results)) + "\n")
    write_part(README, PART, times(results))
    write_part(PAGE, PART, ratios(results))


def times(results: Mapping[str, Any]) -> str:
    """Markdown of verdicts, figure and every cell's times, which browsers fold."""
    measured, compared = rows(results), points(results)
    alt = (
        "Default order over plan by oversubscription, for each number of hosts and racks; measured over predicted times"
    )
    return "\n".join(
        [
            *verdicts(measured, compared),
            *_idle(results),
            f"\n![{alt}]({FIGURE})\n",
            f"<details><summary>All {len({row.cell for row in measured})} cells: ms of a step</summary>\n",
            HEAD + gains(measured),
            "</details>\n",
        ]
    )


def ratios(results: Mapping[str, Any]) -> str:
    """Markdown of measured over predicted times, an axis at a time."""
    return PREDICTED_HEAD + predictions(points(results))


def verdicts(measured: list[Row], compared: list[Point]) -> list[str]:
    """Targets kept or missed, and where."""
    worst = [row for row in measured if row.cell.over == 4 and row.cell.names == "interleaved"]
    least, most = min(worst, key=lambda row: row.gain), max(worst, key=lambda row: row.gain)
    behind = max(measured, key=lambda row: row.behind)
    bound = [point for point in compared if point.bottleneck == "uplink"]
    far = max(bound, key=lambda point: abs(point.ratio - 1))
    off = sum(abs(point.ratio - 1) > ERROR for point in bound)
    late = sum(row.behind > BEHIND for row in measured)
    slow = sum(row.gain < FASTER for row in worst)
    even = [row for row in measured if abs(row.predicted_gain - 1) <= EVEN]
    return [
        f"- Uplinks 4:1, names interleaved: the plan is {least.gain:.2f} ({_where(least)}) to {most.gain:.2f} times "
        f"({_where(most)}) as fast as the default order; target {FASTER}: {_kept(slow, len(worst))}.",
        f"- Slower than the best order tried: at worst {behind.behind:.1%} ({_where(behind)}); target 5 %: "
        f"{_kept(late, len(measured))}.",
        f"- Axes that an uplink holds back: predicted within {abs(far.ratio - 1):.1%} at worst ({far.axis} of "
        f"{far.order}, {_where(far)}); target 20 %: {_kept(off, len(bound))}.",
        f"- In {len(even)} of {len(measured)} cases (cells x transports) the plan is worth nothing, as predicted: "
        f"default / plan is {min(row.gain for row in even):.2f} to {max(row.gain for row in even):.2f}, "
        f"{np.median([row.gain for row in even]):.2f} in the median; what differs from 1 there is noise."
        if even
        else "- In no case was the plan predicted to be worth nothing.",
    ]


def _where(what: Row | Point) -> str:
    return f"{_name(what.transport)}, {what.cell}"


def _name(transport: str) -> str:
    return "Open MPI" if transport == "openmpi" else transport


def _kept(misses: int, cases: int) -> str:
    return f"kept in all {cases}" if not misses else f"MISSED in {misses} of {cases}"


def _idle(results: Mapping[str, Any]) -> list[str]:
    """Whether processors held the links back."""
    idle, error = map(np.array, launch_errors(results))
    busy = idle < BUSY
    said = f"- Processors, shared with other work: idle for {np.median(idle):.0%} of a launch (median)"
    if not busy.any() or busy.all():
        return [f"{said}, {idle.min():.0%} at least."]
    return [
        f"{said}; in {busy.sum()} of {len(busy)} with such axes others left less than {BUSY:.0%} idle, and these "
        f"were {np.median(error[busy]):.1%} off the prediction, the rest {np.median(error[~busy]):.1%} (median)."
    ]


def gains(measured: list[Row]) -> str:
    """Rows of the table of times, a line a cell."""
    found = {(row.cell, row.transport): row for row in measured}
    lines = []
    for cell in all_cells():
        both = [found.get((cell, transport)) for transport in TRANSPORTS]
        if any(both):
            cells = [str(cell).replace(" ", NO_BREAK)]
            for row, orders in zip(both, (("numbers", "strings"), ("strings", "numbers")), strict=True):
                for order in (*orders, "linear", "plan"):
                    text = f"{row.ms[order]:,.0f}" if row else "-"
                    cells.append(f"**{text}**" if order == "plan" else text)
                cells.append(f"{row.gain:.2f}" if row else "-")
            lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def predictions(compared: list[Point]) -> str:
    """Rows of the table of errors, a line an axis, bottleneck and transport."""
    lines = []
    for axis in dict.fromkeys(point.axis for point in compared):
        for bottleneck in ("uplink", "NIC"):
            for transport in TRANSPORTS:
                some = [p for p in compared if (p.axis, p.bottleneck, p.transport) == (axis, bottleneck, transport)]
                if some:
                    ratio = np.array([point.ratio for point in some])
                    within = f"{(np.abs(ratio - 1) <= ERROR).sum()} of {len(ratio)}"
                    cells = [axis, bottleneck, _name(transport), str(len(ratio))]
                    cells += [f"{x:.3f}" for x in (np.median(ratio), ratio.min(), ratio.max())]
                    lines.append(f"| {' | '.join([*cells, within])} |\n")
    return "".join(lines)
