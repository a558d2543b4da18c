"""Balance of an expert map, layer by layer, beside what its bound allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from topoplan.reports.amounts import counted
from topoplan.reports.svg import BLUE, ORANGE, draw
from topoplan.reports.tables import ExpertRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 880.0, 230.0


def balance_svg(rows: Sequence[ExpertRow], key: str) -> str:
    """SVG element of the balancedness of each layer; rows without one are left out."""
    known = [row for row in rows if row.balancedness is not None]
    worst = min(known, key=lambda row: row.balancedness or 0.0)
    description = (
        f"Mean over largest load of a GPU for {counted(len(known), 'layer')}; 1 is perfect. "
        f"Lowest: layer {worst.layer} with {worst.balancedness:.3f}."
    )
    return draw(key, "Balancedness of each layer", description, (WIDTH, HEIGHT), partial(_paint, known))


def _paint(rows: list[ExpertRow], figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.062, 0.19, 0.925, 0.69))
    layers = [row.layer for row in rows]
    bounded = [row for row in rows if row.possible is not None]
    axes.plot(
        [row.layer for row in bounded], [row.possible or 0.0 for row in bounded],
        "_", color=ORANGE, markersize=11, markeredgewidth=2.6, label="highest possible (bound)",
    )  # fmt: skip
    values = [row.balancedness or 0.0 for row in rows]
    axes.plot(layers, values, "o", color=BLUE, markersize=4.5, label="this map")
    low = min(values)
    bottom = max(0.0, low - 0.25 * (1 - low) - 0.01)
    axes.set_ylim(bottom, 1 + 0.06 * (1 - bottom))
    axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(bottom, 1.0) if bottom <= tick <= 1 + 1e-9])
    axes.set_xlim(min(layers) - 0.8, max(layers) + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layer of the model")
    axes.set_ylabel("mean / max GPU load")
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=2, borderaxespad=0.1, fontsize=8.5)
