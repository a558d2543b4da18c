"""The fabric drawn: groups as boxes in boxes, hosts as cells coloured by what runs there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.placement import RankPlacement
from topoplan.reports.amounts import counted
from topoplan.reports.fabric_paint import (
    CAPTION,
    LEGEND_LINE,
    MARGIN,
    Panel,
    legend_entries,
    legend_rows,
    paint,
    tips_of,
)
from topoplan.reports.labels import Labels, rank_labels, stage_labels
from topoplan.reports.layout import lay_out
from topoplan.reports.svg import draw, printable


def fabric_svg(
    fabric: Fabric,
    placement: RankPlacement | None = None,
    stages: IntArray | None = None,
    *,
    labels: Labels | None = None,
    key: str = "fabric",
    background: str = "none",
) -> str:
    """SVG element of a fabric, and of where a job runs on it.

    Parameters
    ----------
    stages
        [ranks] int64 pipeline rank of each rank; without it hosts are coloured by rank number.
    labels
        Colours hosts by something else, such as expert groups.
    key
        Prefix of the ids, unique in a page.
    background
        "none" for a page of ours, a colour such as "white" for a file that others embed.
    """
    if placement is not None and labels is None:
        labels = _default_labels(placement, stages)
    caption = "" if placement is not None else _caption(fabric)
    layout = lay_out(fabric).moved(MARGIN, MARGIN + (CAPTION if caption else 0))
    panel = Panel(fabric, layout, placement, labels, caption)
    return _svg([panel], key, _title(panel), describe(panel), background)


def compare_svg(
    panels: Sequence[tuple[str, RankPlacement]],
    stages: IntArray | None = None,
    *,
    key: str = "fabric",
    background: str = "none",
) -> str:
    """SVG element of several placements of one job on one fabric, under each other, each with its caption."""
    drawn, y = [], MARGIN
    for caption, placement in panels:
        layout = lay_out(placement.fabric).moved(MARGIN, y + CAPTION)
        labels = _default_labels(placement, stages)
        drawn.append(Panel(placement.fabric, layout, placement, labels, printable(caption)))
        y += CAPTION + layout.height + CAPTION / 2
    description = " ".join(f"{panel.caption}: {describe(panel)}" for panel in drawn)
    return _svg(drawn, key, "; ".join(panel.caption for panel in drawn), description, background)


def _default_labels(placement: RankPlacement, stages: IntArray | None) -> Labels:
    # one stage says nothing about where ranks went
    return stage_labels(stages) if stages is not None and stages.max() > 0 else rank_labels(placement.ranks)


def _title(panel: Panel) -> str:
    if panel.labels is None:
        return f"Fabric {panel.fabric.name}"
    return f"Fabric {panel.fabric.name}: hosts coloured by {panel.labels.noun}"


def _caption(fabric: Fabric) -> str:
    """Name and size of a fabric, above it where nothing is placed."""
    broken = fabric.gpus - int(fabric.free_gpus.sum())
    lost = f" ({broken:,} broken or unavailable)" if broken else ""
    return printable(f"{fabric.name}: {counted(len(fabric.hosts), 'host')}, {counted(fabric.gpus, 'GPU')}{lost}")


def _network(fabric: Fabric) -> str:
    """Rails, planes and islands in words, "" for a plain network."""
    words = [
        counted(number, what)
        for number, what in ((fabric.rails, "rail"), (fabric.planes, "plane"), (len(fabric.islands), "NVLink island"))
        if number > (what != "NVLink island")
    ]
    return f", with {', '.join(words)}" if words else ""


def describe(panel: Panel) -> str:
    """What the figure shows, in words."""
    fabric = panel.fabric
    tiers = " in ".join(
        counted(sum(g.tier == t for g in fabric.groups), f"{tier.name} group") for t, tier in enumerate(fabric.tiers)
    )
    text = f"{counted(len(fabric.hosts), 'host')}" + (f" in {tiers}" if tiers else "")
    text += _network(fabric)
    broken = int((fabric.free_gpus == 0).sum())
    text += f", {broken} of them broken or unavailable" if broken else ""
    if panel.placement is not None and panel.labels is not None:
        used = len(np.unique(panel.placement.host))
        text += f"; {used:,} hosts carry {counted(panel.placement.ranks, 'rank')}"
        text += f" of {counted(len(panel.labels.names), panel.labels.noun)}" if panel.labels.noun != "ranks" else ""
    return printable(text + ".")


def reading_help(fabric: Fabric) -> str:
    """How to read the figure, in one or two sentences."""
    layout = lay_out(fabric)
    tiers = ", ".join(tier.name for tier in reversed(fabric.tiers))
    boxes = f"Boxes from outside in: {tiers}{', NVLink island' if fabric.islands else ''}. " if layout.boxes else ""
    if layout.summary:
        runs = ", or several (+) beside each other" if any(cell.name.endswith("+") for cell in layout.cells) else ""
        cells = f"A cell is a group of hosts{runs}, filled by the share of its GPUs that each colour has"
    else:
        cells = "A cell is a host, filled by the share of its GPUs that each colour has"
    counts = "; figures at the right of names are hosts used of hosts there" if layout.boxes or layout.summary else ""
    planes = " NICs reach several groups; a host is drawn in that of its first." if fabric.planes > 1 else ""
    titled = all(box.titled for box in layout.boxes)
    nameless = "" if titled else " The smallest boxes have no room for their names."
    return f"{boxes}{cells}{counts}.{planes}{nameless}"


def _svg(panels: list[Panel], key: str, title: str, description: str, background: str = "none") -> str:
    width = max(panel.layout.width for panel in panels) + 2 * MARGIN
    entries = legend_entries(panels[0])
    width = max(width, 320.0)  # room for a legend beside a tiny fabric
    bottom = panels[-1].layout
    below = max([box.y + box.height for box in bottom.boxes] + [cell.y + bottom.detail.height for cell in bottom.cells])
    rows = legend_rows(entries, width)
    height = below + 6 + LEGEND_LINE * len(rows) + MARGIN
    painter = partial(paint, panels, rows, (width, height), below + 6)
    tips = {f"{kind}-{i}": texts for i, panel in enumerate(panels) for kind, texts in tips_of(panel).items()}
    return draw(key, title, description, (width, height), painter, tips, background)
