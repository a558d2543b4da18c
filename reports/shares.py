"""What each cell of a fabric figure holds: pure data that the figure draws and its tips tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.placement import RankPlacement
from topoplan.reports.amounts import counted, ranges
from topoplan.reports.labels import Labels
from topoplan.reports.layout import Layout


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a cell that one label has.

    Parameters
    ----------
    start, width
        As shares of the cell, from its left.
    tip
        What to say when the pointer rests on it.
    """

    cell: int
    label: int
    start: float
    width: float
    tip: str


@dataclass(frozen=True, eq=False)
class Ground:
    """What is under the shares: share of the GPUs of each cell that is broken ([cells] float64), and tips."""

    broken: FloatArray
    tips: list[str]


def label_shares(layout: Layout, placement: RankPlacement, labels: Labels) -> list[Share]:
    """Shares of all cells, cell by cell, each as wide as its share of the GPUs of the cell."""
    fabric = placement.fabric
    cell_of = layout.cell_of_host(len(fabric.hosts))
    gpus = np.bincount(cell_of, fabric.host_gpus, len(layout.cells))
    ranks = np.flatnonzero(labels.of_rank >= 0)
    key = cell_of[placement.host[ranks]] * len(labels.names) + labels.of_rank[ranks]
    order = np.argsort(key, kind="stable")
    pairs, first, number = np.unique(key[order], return_index=True, return_counts=True)
    found: list[Share] = []
    start = dict.fromkeys(range(len(layout.cells)), 0.0)
    for pair, begin, count in zip(pairs.tolist(), first.tolist(), number.tolist(), strict=True):
        cell, label = divmod(pair, len(labels.names))
        width = count / float(gpus[cell])
        tip = _tip(layout, cell, labels, label, ranks[order[begin : begin + count]])
        found.append(Share(cell, label, start[cell], width, tip))
        start[cell] += width
    return found


def _tip(layout: Layout, cell: int, labels: Labels, label: int, ranks: IntArray) -> str:
    what = "" if labels.noun == "ranks" else f"{labels.noun} {labels.names[label]}, "
    named = counted(len(ranks), "rank") if layout.summary else f"ranks {ranges(ranks.tolist())}"
    return f"{layout.cells[cell].name}: {what}{named}"


def ground(layout: Layout, fabric: Fabric) -> Ground:
    """What is under the shares of each cell."""
    cell_of = layout.cell_of_host(len(fabric.hosts))
    gpus = np.bincount(cell_of, fabric.host_gpus, len(layout.cells))
    free = np.bincount(cell_of, fabric.free_gpus, len(layout.cells))
    inside = {host: box.name for box in layout.boxes for host in box.hosts}  # the innermost comes last
    where = [f" in {inside[cell.hosts[0]]}" if cell.hosts[0] in inside else "" for cell in layout.cells]
    tips = [
        f"{cell.name}{box}: {'broken or unavailable' if f == 0 else _usable(int(f), int(g))}"
        for cell, box, f, g in zip(layout.cells, where, free, gpus, strict=True)
    ]
    return Ground(np.asarray(1 - free / gpus, np.float64), tips)


def _usable(free: int, gpus: int) -> str:
    return counted(gpus, "GPU") if free == gpus else f"{free} of {counted(gpus, 'GPU')} usable"
