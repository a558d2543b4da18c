"""Boxes of a fabric on a page: groups inside groups, hosts as cells; pure geometry, no drawing.

Lengths are points. A fabric of up to `MOST_CELLS` hosts shows each host, as large as the page allows, the lowest groups
without their names where many are small; a larger one shows a cell for each of its lowest groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from topoplan.model.below import below
from topoplan.model.fabric import Fabric, IntArray

MOST_CELLS = 2_000  # hosts drawn one by one; more would be smaller than 9 points
MOST_SUMMARIES = 600  # cells of a summary that fill a page
FEWEST_SUMMARIES = 32  # fewer groups than this are cut into runs of hosts, to show how ranks spread inside
WIDEST, TALLEST = 900.0, 700.0  # a printed page with room for a caption
PAD, GAP, CELL_GAP, TITLE = 5.0, 7.0, 1.5, 13.0
TITLE_SIZE = 7.5
TIGHT = 2.0  # around the cells of a box without a title, and between such boxes
GLYPH = 0.62  # width of a character over the font size; assumed, on the safe side for digits and lower case


@dataclass(frozen=True, slots=True)
class Detail:
    """How large a cell is, the size of its label (0 for none), and whether it carries a name."""

    width: float
    height: float
    label_size: float
    named: bool
    gap: float = 1.5


DETAILS = (Detail(58, 30, 8.5, True), Detail(26, 17, 8, False), Detail(16, 12, 6.5, False), Detail(9, 9, 0, False))
SUMMARIES = (Detail(84, 30, 7, True, 5), Detail(66, 24, 7, True, 4))


@dataclass(frozen=True, slots=True)
class Cell:
    """One host, or several shown together.

    Parameters
    ----------
    hosts
        Their indices.
    """

    name: str
    hosts: tuple[int, ...]
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A group or island around its cells and inner boxes.

    Parameters
    ----------
    group
        -1 for an island.
    hosts
        All below it.
    planes
        Groups that it stands for: one in each plane, where the same hosts hang from several.
    titled
        Whether there is room for its name.
    """

    name: str
    group: int
    hosts: tuple[int, ...]
    depth: int
    x: float
    y: float
    width: float
    height: float
    planes: int = 1
    titled: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes (outer ones first) and cells, all of one size, inside width x height."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    cells: tuple[Cell, ...]
    detail: Detail
    summary: bool = False

    def moved(self, x: float, y: float) -> Layout:
        """The same, shifted."""
        boxes = tuple(replace(box, x=box.x + x, y=box.y + y) for box in self.boxes)
        cells = tuple(replace(cell, x=cell.x + x, y=cell.y + y) for cell in self.cells)
        return replace(self, boxes=boxes, cells=cells)

    def cell_of_host(self, hosts: int) -> IntArray:
        """[hosts] int64 cell that shows each host."""
        table = np.zeros(hosts, np.int64)
        for index, cell in enumerate(self.cells):
            table[list(cell.hosts)] = index
        return table


@dataclass(frozen=True, slots=True)
class _Node:
    """A group before it has a place; the root has no name."""

    name: str
    group: int
    children: tuple[_Node, ...] = ()
    cells: tuple[Cell, ...] = ()
    planes: int = 1

    def all_cells(self) -> Iterator[Cell]:
        yield from self.cells
        for child in self.children:
            yield from child.all_cells()

    @property
    def hosts(self) -> tuple[int, ...]:
        return tuple(host for cell in self.all_cells() for host in cell.hosts)

    def leaves(self) -> Iterator[_Node]:
        if self.cells:
            yield self
        for child in self.children:
            yield from child.leaves()


def lay_out(fabric: Fabric) -> Layout:
    """Layout of a fabric: the largest cells that keep it within a page."""
    root = _tree(fabric)
    summary = len(fabric.hosts) > MOST_CELLS
    details = SUMMARIES if summary else DETAILS
    root = _summary(root) if summary else root
    tries = [(detail, False) for detail in details] + [(detail, True) for detail in details[-2:] if not summary]
    for detail, tight in tries:
        found = replace(_packed(root, detail, tight), summary=summary)
        if found.height <= TALLEST:
            break
    return found


# ---- the tree of groups ----------------------------------------------------------------------------------------


def _tree(fabric: Fabric) -> _Node:
    """Groups that hold hosts, as the fabric nests them, islands inside a group as its innermost boxes."""
    hosts_of: dict[int, list[int]] = {}
    for host, group in enumerate(fabric.host_group):
        hosts_of.setdefault(int(group), []).append(host)
    below: dict[int, list[int]] = {}
    for k, group_ in enumerate(fabric.groups):
        below.setdefault(group_.parent, []).append(k)
    island_of = {host: i for i, island in enumerate(fabric.islands) for host in island.hosts}
    names, planes = _over_planes(fabric)

    def node(k: int) -> _Node:
        inner = tuple(child for child in map(node, below.get(k, [])) if child.children or child.cells)
        islands, loose = _islands(fabric, hosts_of.get(k, []), island_of)
        cells = tuple(Cell(fabric.host_names[h], (h,)) for h in loose)
        return _Node(names[k] if k >= 0 else "", k, inner + islands, cells, planes[k] if k >= 0 else 1)

    return node(-1)


def _over_planes(fabric: Fabric) -> tuple[list[str], list[int]]:
    """Name of each group with those of other planes that the same hosts hang from, and how many these are."""
    alike: dict[tuple[int, bytes], list[str]] = {}
    keys = [(group.tier, hosts.tobytes()) for group, hosts in zip(fabric.groups, below(fabric).hosts, strict=True)]
    for key, group in zip(keys, fabric.groups, strict=True):
        alike.setdefault(key, []).append(group.name)
    if fabric.planes == 1:
        return [group.name for group in fabric.groups], [1] * len(fabric.groups)
    return [" + ".join(alike[key]) for key in keys], [len(alike[key]) for key in keys]


def _islands(fabric: Fabric, hosts: list[int], island_of: dict[int, int]) -> tuple[tuple[_Node, ...], list[int]]:
    """Boxes of the islands that lie wholly in these hosts, and the hosts outside them."""
    here = set(hosts)
    whole = [i for i in sorted({island_of[h] for h in hosts if h in island_of}) if here >= set(fabric.islands[i].hosts)]
    nodes = tuple(
        _Node(fabric.islands[i].name, -1, (), tuple(Cell(fabric.host_names[h], (h,)) for h in fabric.islands[i].hosts))
        for i in whole
    )
    inside = {h for i in whole for h in fabric.islands[i].hosts}
    return nodes, [h for h in hosts if h not in inside]


def _summary(root: _Node) -> _Node:
    """Tree with at most `MOST_SUMMARIES` cells, and not many fewer where hosts allow."""
    if len(list(root.leaves())) >= FEWEST_SUMMARIES:
        root = _folded(root)
        while _count(root) > MOST_SUMMARIES and _count(_folded(root)) >= FEWEST_SUMMARIES:
            root = _folded(root)
    cells = _count(root)
    return root if cells <= MOST_SUMMARIES else _cut(root, ceil(cells / (MOST_SUMMARIES / 2)))


def _count(node: _Node) -> int:
    return sum(1 for _ in node.all_cells())


def _folded(node: _Node) -> _Node:
    """Tree whose lowest groups are cells of the groups above them."""
    lowest = [child for child in node.children if not child.children]
    cells = node.cells + tuple(Cell(child.name, child.hosts) for child in lowest)
    return replace(node, children=tuple(_folded(child) for child in node.children if child.children), cells=cells)


def _cut(node: _Node, size: int) -> _Node:
    """Tree with `size` neighbouring cells made one."""
    runs = [node.cells[i : i + size] for i in range(0, len(node.cells), size)]
    cells = (
        Cell(run[0].name if len(run) == 1 else f"{run[0].name}+", tuple(h for cell in run for h in cell.hosts))
        for run in runs
    )
    return replace(node, children=tuple(_cut(child, size) for child in node.children), cells=tuple(cells))


# ---- packing ---------------------------------------------------------------------------------------------------


def _packed(root: _Node, detail: Detail, tight: bool = False) -> Layout:
    largest = max(len(node.cells) for node in root.leaves())
    return _pack(root, WIDEST, detail, _columns(largest, detail), 0, tight)


def _columns(cells: int, detail: Detail) -> int:
    """Columns of the largest group: about twice as wide as high, without a ragged last row if possible."""
    fits = int(WIDEST - 8 * PAD) // int(detail.width + detail.gap)
    wanted = min(fits, max(1, ceil(sqrt(2 * cells * detail.height / detail.width))))
    near = [c for c in range(max(1, wanted - 2), min(fits, wanted + 2) + 1) if cells % c == 0]
    return min(near, key=lambda c: abs(c - wanted)) if near else wanted


def _pack(node: _Node, room: float, detail: Detail, columns: int, depth: int, tight: bool) -> Layout:
    boxed = node.name != ""
    titled = not (tight and node.cells and not node.children)
    pad, title = (PAD, TITLE) if titled else (TIGHT, TIGHT)
    inside = room - 2 * pad if boxed else room
    parts = [_pack(child, inside, detail, columns, depth + boxed, tight) for child in node.children]
    if node.cells:
        parts.insert(0, _grid(node.cells, detail, columns))
    # boxes without titles stand closer
    inner = _shelves(
        parts, inside, detail, GAP if any(box.titled for part in parts for box in part.boxes) else 2 * TIGHT
    )
    if not boxed:
        return inner
    width = (max(inner.width, 9 * GLYPH * TITLE_SIZE) if titled else inner.width) + 2 * pad
    height = inner.height + title + pad
    box = Box(node.name, node.group, node.hosts, depth, 0.0, 0.0, width, height, node.planes, titled)
    inner = inner.moved(pad, title)
    return Layout(width, height, (box, *inner.boxes), inner.cells, detail)


def _grid(cells: tuple[Cell, ...], detail: Detail, columns: int) -> Layout:
    step_x, step_y = detail.width + detail.gap, detail.height + CELL_GAP
    placed = tuple(replace(cell, x=i % columns * step_x, y=i // columns * step_y) for i, cell in enumerate(cells))
    width = min(len(cells), columns) * step_x - detail.gap
    return Layout(width, ceil(len(cells) / columns) * step_y - CELL_GAP, (), placed, detail)


def _shelves(parts: list[Layout], room: float, detail: Detail, gap: float) -> Layout:
    """Parts side by side, in rows, in their order."""
    x = y = row = width = 0.0
    placed = []
    for part in parts:
        if x and x + part.width > room:
            x, y, row = 0.0, y + row + gap, 0.0
        placed.append(part.moved(x, y))
        width, row, x = max(width, x + part.width), max(row, part.height), x + part.width + gap
    boxes = tuple(itertools.chain.from_iterable(part.boxes for part in placed))
    cells = tuple(itertools.chain.from_iterable(part.cells for part in placed))
    return Layout(width, y + row, boxes, cells, detail)
