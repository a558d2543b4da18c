"""The fabric painted: boxes of groups, cells of hosts, what runs there, and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.placement import RankPlacement
from topoplan.reports.amounts import counted, shortened
from topoplan.reports.labels import Labels, ink_on
from topoplan.reports.layout import GLYPH, PAD, TITLE, TITLE_SIZE, Box, Cell, Layout
from topoplan.reports.shares import ground, label_shares
from topoplan.reports.svg import FAINT, GREEN, INK, MUTED, VERMILION, printable
from topoplan.units import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN, NAME_SIZE, NAME_HEIGHT, LEGEND_SIZE, LEGEND_LINE = 3.0, 6.5, 11.0, 8.5, 16.0
CAPTION = 20.0  # height of a panel's caption
MOST_KEYS = 24  # labels that get a legend entry each; of more only the ends and every nth
_BOX_FILLS = ("#f4f6f8", "#ffffff", "#f4f6f8", "#ffffff")
_EDGE = "#8a96a3"
_FREE, _USABLE, _BROKEN = "#ffffff", "#a9cce3", "#f6ddd2"
MIN_CROSS = 6.0  # a narrower broken part is only tinted

Rect = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, eq=False)
class Panel:
    """A fabric drawn once: where it is, and what its cells show.

    Parameters
    ----------
    labels
        None where nothing is placed.
    """

    fabric: Fabric
    layout: Layout
    placement: RankPlacement | None
    labels: Labels | None
    caption: str = ""


def paint(
    panels: list[Panel], rows: list[list[tuple[str, str]]], size: tuple[float, float], legend_y: float, figure: Figure
) -> None:
    """Paint panels and, below `legend_y`, rows of legend entries; `size` is width and height in points."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, size[0])
    axes.set_ylim(size[1], 0)
    axes.set_axis_off()
    for number, panel in enumerate(panels):
        if panel.caption:
            top = min([box.y for box in panel.layout.boxes] + [cell.y for cell in panel.layout.cells])
            axes.text(MARGIN, top - 6, panel.caption, size=10, weight="bold", color=INK)
        _paint_boxes(axes, panel)
        _paint_cells(axes, panel, number)
    _paint_legend(axes, rows, legend_y)


# ---- boxes -----------------------------------------------------------------------------------------------------


def _paint_boxes(axes: Axes, panel: Panel) -> None:
    boxes = panel.layout.boxes
    for edge, line, islands in ((_EDGE, 0.8, False), (GREEN, 1.6, True)):
        here = [box for box in boxes if (box.group < 0) == islands]
        fills = [_BOX_FILLS[min(box.depth, len(_BOX_FILLS) - 1)] for box in here]
        _rectangles(axes, [(box.x, box.y, box.width, box.height) for box in here], fills, edge, line)
    for box in boxes:
        if not box.titled:
            continue
        room = int((box.width - 2 * PAD) / (GLYPH * TITLE_SIZE))
        name = shortened(printable(box.name), room)
        axes.text(box.x + PAD, box.y + TITLE - 4, name, size=TITLE_SIZE, color=INK, weight="bold")
        for note in _box_notes(panel, box):
            if len(name) * 1.1 + len(note) + 1 <= room:  # bold is wider
                axes.text(box.x + box.width - PAD, box.y + TITLE - 4, note, size=TITLE_SIZE, color=MUTED, ha="right")
                break


def _box_notes(panel: Panel, box: Box) -> list[str]:
    """Hosts used, or without a placement the rails, planes and uplinks: in full, then shorter."""
    if panel.placement is not None:
        return [f"{int(np.isin(box.hosts, panel.placement.host).sum())}/{len(box.hosts)}"]
    if box.group < 0:
        gpus = int(panel.fabric.host_gpus[list(box.hosts)].sum())
        return [f"NVLink island of {gpus} GPUs", f"{gpus} GPUs"]
    group = panel.fabric.groups[box.group]
    planes = f"{box.planes} planes x " if box.planes > 1 else ""
    rails = f"{planes}{counted(group.rails, 'rail')}" if group.rails > 1 else planes.removesuffix(" x ")
    if group.parent < 0:
        return [rails] if rails else []
    up = f"{planes}{rate_text(group.uplink_bandwidth_bytes_per_s)} up".replace(" planes", "")
    return [f"{rails}, {up}", up] if rails else [up]


# ---- cells -----------------------------------------------------------------------------------------------------


def tips_of(panel: Panel) -> dict[str, list[str]]:
    """Tips of the artists of a panel, by the beginning of their gid."""
    tips = {"cells": ground(panel.layout, panel.fabric).tips}
    if panel.placement is not None and panel.labels is not None:
        tips["shares"] = [share.tip for share in label_shares(panel.layout, panel.placement, panel.labels)]
    return tips


def _paint_cells(axes: Axes, panel: Panel, number: int) -> None:
    layout = panel.layout
    rects = [_bar(layout, cell) for cell in layout.cells]
    broken = ground(layout, panel.fabric).broken
    fills = [_BROKEN if part == 1 else _FREE if panel.labels else _USABLE for part in broken]
    _rectangles(axes, rects, fills, _EDGE, 0.5, f"cells-{number}")
    if panel.placement is not None and panel.labels is not None:
        _paint_shares(axes, panel, rects, number)
    # the broken part of a cell that stands for many GPUs is at its right end
    parts = [(x + w * (1 - part), y, w * part, h) for (x, y, w, h), part in zip(rects, broken, strict=True) if part]
    _rectangles(axes, parts, [_BROKEN] * len(parts), "none", 0.0)
    _paint_crosses(axes, [rect for rect in parts if rect[2] >= MIN_CROSS])
    if layout.detail.named:
        _paint_names(axes, panel)
        if panel.labels is None:
            _paint_gpus(axes, panel, rects, broken)


def _paint_gpus(axes: Axes, panel: Panel, rects: Sequence[Rect], broken: FloatArray) -> None:
    """Write the usable GPUs of each cell into its usable part, where it fits."""
    for cell, (x, y, width, height), part in zip(panel.layout.cells, rects, broken, strict=True):
        hosts = list(cell.hosts)
        free, gpus = int(panel.fabric.free_gpus[hosts].sum()), int(panel.fabric.host_gpus[hosts].sum())
        text = counted(gpus, "GPU") if free == gpus else f"{free:,} of {gpus:,}"
        room = width * (1 - part)
        if len(text) * GLYPH * NAME_SIZE <= room - 1:
            axes.text(x + room / 2, y + height / 2 + 0.36 * NAME_SIZE, text, size=NAME_SIZE, color=INK, ha="center")


def _bar(layout: Layout, cell: Cell) -> Rect:
    """Rectangle of a cell that is coloured: below its name, where it has one."""
    top = NAME_HEIGHT if layout.detail.named else 0.0
    return cell.x, cell.y + top, layout.detail.width, layout.detail.height - top


def _paint_shares(axes: Axes, panel: Panel, rects: list[Rect], number: int) -> None:
    """Fill each cell from the left, as wide as the share of its GPUs that each label has."""
    assert panel.placement is not None
    assert panel.labels is not None
    labels, size = panel.labels, panel.layout.detail.label_size
    bars: list[Rect] = []
    fills = []
    for share in label_shares(panel.layout, panel.placement, labels):
        x, y, width, height = rects[share.cell]
        bars.append((x + share.start * width, y, share.width * width, height))
        fills.append(labels.colours[share.label])
        text = labels.names[share.label]
        if size and len(text) * GLYPH * size <= bars[-1][2] - 0.5:
            middle = bars[-1][0] + bars[-1][2] / 2
            axes.text(middle, y + height / 2 + 0.36 * size, text, size=size, color=ink_on(fills[-1]), ha="center")
    _rectangles(axes, bars, fills, "none", 0.0, f"shares-{number}")


def _paint_crosses(axes: Axes, rects: list[Rect]) -> None:
    from matplotlib.collections import LineCollection  # noqa: PLC0415 - only those who draw pay for it

    inset = 1.5
    lines = []
    for x, y, width, height in rects:
        left, right, top, low = x + inset, x + width - inset, y + inset, y + height - inset
        lines += [[(left, top), (right, low)], [(left, low), (right, top)]]
    axes.add_collection(LineCollection(lines, colors=VERMILION, linewidths=1.1, clip_on=False))


def _paint_names(axes: Axes, panel: Panel) -> None:
    detail = panel.layout.detail
    room = int((detail.width - 2) / (GLYPH * NAME_SIZE))
    for cell in panel.layout.cells:
        note = ""
        if panel.layout.summary and panel.placement is not None:
            note = f"{int(np.isin(cell.hosts, panel.placement.host).sum())}/{len(cell.hosts)}"
            axes.text(cell.x + detail.width, cell.y + NAME_HEIGHT - 3, note, size=NAME_SIZE, color=MUTED, ha="right")
        name = shortened(printable(cell.name), room - len(note) - bool(note))
        axes.text(cell.x, cell.y + NAME_HEIGHT - 3, name, size=NAME_SIZE, color=INK)


def _rectangles(
    axes: Axes, rects: Sequence[Rect], fills: Sequence[str], edge: str, line: float, gid: str | None = None
) -> None:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415 - only those who draw pay for it

    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in rects]
    drawn = PolyCollection(corners, facecolors=list(fills), edgecolors=edge, linewidths=line, clip_on=False, gid=gid)
    axes.add_collection(drawn)


# ---- legend ----------------------------------------------------------------------------------------------------


def legend_entries(panel: Panel) -> list[tuple[str, str]]:
    """(text, colour) of each entry; a colour of an edge stands for boxes."""
    entries: list[tuple[str, str]] = []
    fabric, labels = panel.fabric, panel.labels
    if labels is None or panel.placement is None:
        entries.append(("usable GPUs" if panel.layout.summary else "usable host", _USABLE))
    else:
        entries += _label_entries(labels)
        if panel.placement.ranks < int(fabric.free_gpus.sum()):
            entries.append(("not used", _FREE))
    if not fabric.gpu_free.all():
        entries.append(("broken or unavailable", _BROKEN))
    if any(box.group < 0 for box in panel.layout.boxes):
        entries.append(("NVLink island", GREEN))
    return entries


def _label_entries(labels: Labels) -> list[tuple[str, str]]:
    """All labels, every nth of many, or one entry where colours repeat and only the numbers tell labels apart."""
    if len(set(labels.colours)) < len(labels.names):
        return [(f"{labels.noun} by number, colours repeat", labels.colours[0])]
    step = -(-len(labels.names) // MOST_KEYS)
    return [
        (labels.names[i] if i else f"{labels.noun} {labels.names[i]}", labels.colours[i])
        for i in range(0, len(labels.names), step)
    ]


def _entry_width(text: str) -> float:
    return 14 + len(text) * GLYPH * LEGEND_SIZE + 10


def legend_rows(entries: list[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    """Entries in rows that are no wider than `width` points."""
    rows: list[list[tuple[str, str]]] = [[]]
    x = MARGIN
    for text, colour in entries:
        if rows[-1] and x + _entry_width(text) > width:
            rows.append([])
            x = MARGIN
        rows[-1].append((text, colour))
        x += _entry_width(text)
    return rows


def _paint_legend(axes: Axes, rows: list[list[tuple[str, str]]], top: float) -> None:
    swatches: list[Rect] = []
    fills = []
    for i, row in enumerate(rows):
        x, y = MARGIN, top + i * LEGEND_LINE + 3
        for text, colour in row:
            swatches.append((x, y, 10.0, 10.0))
            fills.append(colour)
            axes.text(x + 14, y + 8.5, text, size=LEGEND_SIZE, color=INK)
            x += _entry_width(text)
    _rectangles(axes, swatches, fills, FAINT, 0.5)
    islands = [rect for rect, fill in zip(swatches, fills, strict=True) if fill == GREEN]
    _rectangles(axes, islands, [_FREE] * len(islands), GREEN, 1.6)
    _paint_crosses(axes, [rect for rect, fill in zip(swatches, fills, strict=True) if fill == _BROKEN])
