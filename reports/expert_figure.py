"""Balance of an expert map: layer by layer beside what its bound allows, and GPU by GPU, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.reports.amounts import counted
from topoplan.reports.labels import shades
from topoplan.reports.svg import BLUE, MUTED, ORANGE, PURPLE, draw
from topoplan.reports.tables import ExpertRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 880.0, 250.0
HEAT_WIDTH, HEAT_TOP, HEAT_BOTTOM = 430.0, 62.0, 40.0  # room above the cells for a legend of two rows, below for ticks
LOW_ROW, HIGH_ROW, HEAT_ROOM = 4.6, 22.0, 140.0  # of a layer; few layers are drawn high enough to be told apart
MOST_COLUMNS, MOST_ROWS = 32, 64  # of a heat map; more than these share a cell, which shows the busiest
STEPS = (0.8, 0.95, 1.05, 1.2, 1.5, 2.0, 3.0)  # of the mean GPU, between the shades of a heat map
_SHADE_NAMES = ("below 0.8", "0.8-0.95", "0.95-1.05", "1.05-1.2", "1.2-1.5", "1.5-2", "2-3", "3 and more")


def balance_svg(rows: Sequence[ExpertRow], key: str, before: Sequence[float] = (), name: str = "before") -> str:
    """SVG element of the balancedness of each layer; rows without one are left out.

    Parameters
    ----------
    before
        Balancedness of each row before planning; empty where it is not known.
    name
        What was before, for the legend.
    """
    known = [row for row in rows if row.balancedness is not None]
    worst = min(known, key=lambda row: row.balancedness or 0.0)
    description = (
        f"Mean over largest load of a GPU for {counted(len(known), 'layer')}; 1 is perfect. "
        f"Lowest: layer {worst.layer} with {worst.balancedness:.3f}."
    )
    if len(before):
        description += f" {name.capitalize()}: {min(before):.3f} to {max(before):.3f}."
    earlier = list(zip((row.layer for row in rows), before, strict=True)) if len(before) else []
    paint = partial(_paint, known, earlier, name)
    return draw(key, "Balancedness of each layer", description, (WIDTH, HEIGHT), paint)


def _paint(rows: list[ExpertRow], before: list[tuple[int, float]], name: str, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.062, 0.18, 0.925, 0.7))
    layers = [row.layer for row in rows]
    if before:
        axes.plot(*zip(*before, strict=True), "x", color=PURPLE, markersize=5, markeredgewidth=1.4, label=name)
    bounded = [row for row in rows if row.possible is not None]
    axes.plot(
        [row.layer for row in bounded], [row.possible or 0.0 for row in bounded],
        "_", color=ORANGE, markersize=11, markeredgewidth=2.6, label="highest possible (bound)",
    )  # fmt: skip
    values = [row.balancedness or 0.0 for row in rows]
    axes.plot(layers, values, "o", color=BLUE, markersize=4.5, label="this map")
    low = min([*values, *(value for _, value in before)])
    bottom = max(0.0, low - 0.25 * (1 - low) - 0.01)
    axes.set_ylim(bottom, 1 + 0.06 * (1 - bottom))
    axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(bottom, 1.0) if bottom <= tick <= 1 + 1e-9])
    axes.set_xlim(min(layers) - 0.8, max(layers) + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layer of the model")
    axes.set_ylabel("mean / max GPU load")
    _grid(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=3, borderaxespad=0.1, fontsize=8.5)


def _grid(axes: Axes) -> None:
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)


# ---- GPUs ------------------------------------------------------------------------------------------------------


def heat_svg(name: str, load: FloatArray, layers: Sequence[int], key: str) -> str:
    """SVG element of the load of each GPU in each layer.

    Parameters
    ----------
    name
        What the loads are of.
    load
        [layers, gpus] float64 relative to an even one.
    layers
        Model layer of each row.
    """
    description = (
        f"Load of {counted(load.shape[1], 'GPU')} in {counted(len(layers), 'layer')}, 1 is the mean GPU of the layer: "
        f"{float(load.min()):.2f} to {float(load.max()):.2f}."
    )
    rows = min(len(layers), MOST_ROWS)
    height = HEAT_TOP + HEAT_BOTTOM + rows * min(HIGH_ROW, max(LOW_ROW, HEAT_ROOM / rows))
    size = (HEAT_WIDTH, height)
    return draw(
        key, f"Load of each GPU, {name}", description, size, partial(_paint_heat, name, load, list(layers), height)
    )


def _paint_heat(name: str, load: FloatArray, layers: list[int], height: float, figure: Figure) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.11, HEAT_BOTTOM / height, 0.87, 1 - (HEAT_TOP + HEAT_BOTTOM) / height))
    colours, cells = shades(len(STEPS) + 1), _cells(load)
    for level, colour in enumerate(colours):
        _fill(axes, np.digitize(cells, STEPS) == level, colour)
    rows, columns = cells.shape
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    _ticks(axes, load.shape[1], columns, layers, rows)
    axes.set_xlabel("GPU of the expert-parallel group")
    axes.set_ylabel("layer of the model")
    handles = [Patch(facecolor=c, edgecolor=MUTED, linewidth=0.4) for c in colours]
    half = len(handles) // 2
    order = [k for pair in zip(range(half), range(half, len(handles)), strict=True) for k in pair]  # rows, not columns
    figure.legend(
        [handles[k] for k in order], [_SHADE_NAMES[k] for k in order], loc="upper left", bbox_to_anchor=(0.1, 1),
        frameon=False, ncols=half, fontsize=8, columnspacing=1.2, handlelength=1.3, borderaxespad=0.1,
        title=f"{name}: GPU load over the layer's mean", title_fontsize=8, alignment="left",
    )  # fmt: skip


def _cells(load: FloatArray) -> FloatArray:
    """Busiest of the layers and GPUs that share each cell."""
    rows, columns = (_starts(n, most) for n, most in zip(load.shape, (MOST_ROWS, MOST_COLUMNS), strict=True))
    return np.asarray(np.maximum.reduceat(np.maximum.reduceat(load, rows, 0), columns, 1), np.float64)


def _starts(items: int, most: int) -> IntArray:
    """[cells] int64 first item of each of at most `most` cells of equal size."""
    return np.arange(0, items, -(-items // most))


def _fill(axes: Axes, on: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], colour: str) -> None:
    """Rectangles of the cells that are on, neighbours of a row joined, as one path: the page stays small."""
    from matplotlib.patches import PathPatch  # noqa: PLC0415 - only those who draw pay for it
    from matplotlib.path import Path  # noqa: PLC0415

    corners = []
    for y, row in enumerate(on):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
        for x, end in edges.reshape(-1, 2).tolist():
            corners += [(x, y), (end, y), (end, y + 1), (x, y + 1), (x, y)]
    if corners:
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * (len(corners) // 5)
        axes.add_patch(PathPatch(Path(np.array(corners, float), codes), facecolor=colour, linewidth=0))


def _ticks(axes: Axes, gpus: int, columns: int, layers: list[int], rows: int) -> None:
    wide, tall = -(-gpus // columns), -(-len(layers) // rows)
    at = sorted({round(x) for x in np.linspace(0, columns - 1, min(columns, 5))})
    axes.set_xticks([x + 0.5 for x in at], [str(x * wide) for x in at])
    down = sorted({round(y) for y in np.linspace(0, rows - 1, min(rows, 6))})
    axes.set_yticks([y + 0.5 for y in down], [str(layers[y * tall]) for y in down])


def sharing(gpus: int, layers: int) -> str:
    """What a cell of the heat map stands for, where it is not one GPU of one layer; "" where it is."""
    wide, tall = -(-gpus // MOST_COLUMNS), -(-layers // MOST_ROWS)
    if wide == 1 and tall == 1:
        return ""
    return f"A cell is the busiest of {counted(wide, 'GPU')} and {counted(tall, 'layer')}."
