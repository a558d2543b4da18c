"""Heat maps of link loads: groups of a tier by rail, numbers in the cells, so that no colour has to be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from topoplan.cost.price import near_seconds, uplink_seconds
from topoplan.cost.routes import Loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.reports.amounts import counted, milliseconds, shortened, significant
from topoplan.reports.labels import ink_on, shades
from topoplan.reports.svg import FAINT, MUTED, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS, MOST_COLUMNS = 32, 16  # more groups or rails are folded into runs, the busiest of each shown
MOST_HOSTS = 24  # hosts shown one by one; more are shown by their groups
SHADES = 9
CELL_WIDTH, CELL_HEIGHT, NAME_WIDTH, HEAD = 31.0, 13.0, 88.0, 30.0
_NAME = 17  # characters of a row's name that fit


@dataclass(frozen=True, eq=False)
class Heat:
    """Times of links of one kind.

    Parameters
    ----------
    name
        "NICs", or "leaf uplinks" for each tier.
    rows, columns
        Names of groups or hosts, and of rails; runs of them where there are many.
    ms
        [rows, columns] float64 time of the busiest link of each cell, spread perfectly; nan where there is no link.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    ms: FloatArray

    @property
    def top(self) -> float:
        """The largest finite time."""
        known = self.ms[np.isfinite(self.ms)]
        return float(known.max(initial=0.0))


def heat_maps(fabric: Fabric, loads: Loads) -> list[Heat]:
    """NICs, then the uplinks of each tier, closest first; kinds that carry nothing are left out."""
    port = near_seconds(fabric, loads.scale_up, loads.port)[1].max(0).reshape(len(fabric.hosts), fabric.rails)
    port[fabric.port_bandwidth.reshape(port.shape) <= 0] = np.nan
    found = [_nics(fabric, 1e3 * port)]
    uplink = uplink_seconds(fabric, loads).max(0).reshape(len(fabric.groups), fabric.rails)
    uplink[fabric.uplink_links.reshape(uplink.shape) <= 0] = np.nan
    for tier, entry in enumerate(fabric.tiers):
        here = [k for k, group in enumerate(fabric.groups) if group.tier == tier and np.isfinite(uplink[k]).any()]
        if here:
            rails = max(fabric.groups[k].rails for k in here)
            names = [fabric.groups[k].name for k in here]
            found.append(_heat(f"{entry.name} uplinks", names, 1e3 * uplink[here, :rails]))
    return [heat for heat in found if heat.top > 0]


def _nics(fabric: Fabric, ms: FloatArray) -> Heat:
    """NICs of each host, or the busiest of each of the lowest groups."""
    group = fabric.host_group
    if len(fabric.hosts) <= MOST_HOSTS or (group < 0).any():
        return _heat("NICs", list(fabric.host_names), ms)
    present = np.unique(group)
    rows = np.array([_largest(ms[group == k], 0) for k in present])
    return _heat("NICs", [fabric.groups[k].name for k in present], rows)


def _heat(name: str, rows: list[str], ms: FloatArray) -> Heat:
    columns = [f"rail {rail}" for rail in range(ms.shape[1])] if ms.shape[1] > 1 else ["all rails"]
    down, across = _runs(len(rows), MOST_ROWS), _runs(len(columns), MOST_COLUMNS)
    ms = np.array([_largest(ms[a:b], 0) for a, b in down])
    ms = np.array([_largest(ms[:, a:b], 1) for a, b in across]).T
    return Heat(name, _named(rows, down), _named(columns, across), ms)


def _runs(count: int, most: int) -> list[tuple[int, int]]:
    size = -(-count // most)
    return [(i, min(count, i + size)) for i in range(0, count, size)]


def _named(names: list[str], runs: list[tuple[int, int]]) -> tuple[str, ...]:
    return tuple(names[a] if b - a == 1 else f"{names[a]} … {names[b - 1]}" for a, b in runs)


def _largest(ms: FloatArray, axis: int) -> FloatArray:
    """Largest of the links that exist, nan where none does."""
    filled = np.where(np.isnan(ms), -1.0, ms).max(axis)
    return np.asarray(np.where(filled < 0, np.nan, filled), np.float64)


def heat_svg(heat: Heat, top: float, key: str) -> str:
    """SVG element of a heat map whose darkest cells take `top` ms, the same for all maps of a page."""
    row, column = divmod(int(np.nan_to_num(heat.ms, posinf=0.0).argmax()), len(heat.columns))
    idle = int((heat.ms == 0).sum())
    told = (
        f"{counted(len(heat.rows), 'row')} by {counted(len(heat.columns), 'column')}, ms per step of the busiest "
        f"link of each. Busiest: {heat.rows[row]}, {heat.columns[column]} with {milliseconds(heat.top)}; "
        f"median {milliseconds(float(np.nanmedian(heat.ms)))}; {idle} cells idle."
    )
    size = (NAME_WIDTH + CELL_WIDTH * len(heat.columns) + 4, HEAD + CELL_HEIGHT * len(heat.rows) + 4)
    return draw(key, f"Heat map of {heat.name}", told, (max(size[0], 230.0), size[1]), partial(_paint, heat, top))


def _paint(heat: Heat, top: float, figure: Figure) -> None:
    from matplotlib.collections import PatchCollection  # noqa: PLC0415 - only those who draw pay for it
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    width, height = figure.get_size_inches() * 72
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    colours = shades(SHADES)
    level = _levels(heat.ms, top)
    for shade in range(-1, SHADES):
        cells = [
            Rectangle((NAME_WIDTH + c * CELL_WIDTH, HEAD + r * CELL_HEIGHT), CELL_WIDTH - 1, CELL_HEIGHT - 1)
            for r, c in np.argwhere(level == shade)
        ]
        if cells:
            face = "white" if shade < 0 else colours[shade]
            axes.add_collection(PatchCollection(cells, facecolor=face, edgecolor=FAINT, linewidth=0.4))
    axes.text(2, 9, f"{heat.name}, ms per step", fontsize=8.5, fontweight="bold", va="center")
    for c, name in enumerate(heat.columns):
        at = NAME_WIDTH + (c + 0.5) * CELL_WIDTH
        axes.text(at, HEAD - 6, shortened(name, 9), fontsize=6.5, ha="center", va="center", color=MUTED)
    for r, name in enumerate(heat.rows):
        middle = HEAD + (r + 0.5) * CELL_HEIGHT
        axes.text(2, middle, shortened(name, _NAME), fontsize=7, va="center")
        for c, ms in enumerate(heat.ms[r]):
            ink = MUTED if level[r, c] < 0 else ink_on(colours[level[r, c]])
            axes.text(
                NAME_WIDTH + (c + 0.5) * CELL_WIDTH - 0.5, middle, _text(ms), fontsize=7, ha="center", va="center",
                color=ink,
            )  # fmt: skip


def _levels(ms: FloatArray, top: float) -> IntArray:
    """[rows, columns] int64 shade of each cell, -1 for idle cells and where there is no link; infinite is darkest."""
    share = np.minimum(np.nan_to_num(ms, nan=0.0, posinf=top) / (top or 1.0), 1.0)
    return np.where(share > 0, np.minimum((share * SHADES).astype(np.int64), SHADES - 1), -1)


def _text(ms: float) -> str:
    if np.isnan(ms):
        return ""
    return "∞" if np.isinf(ms) else significant(ms) if ms > 0 else "0"
