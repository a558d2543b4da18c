"""Placements with few bytes x distance: bands of the grid, expert groups exchanged as units, single blocks swapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from topoplan.cost.price import host_distance
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.bands import cut_tree
from topoplan.solvers.ranks.blocks import Blocks
from topoplan.solvers.ranks.boundary import Graph
from topoplan.solvers.ranks.cliques import Seats, cliques
from topoplan.solvers.ranks.hops import Layout, Swapper
from topoplan.solvers.ranks.levels import levels_of
from topoplan.solvers.ranks.orders import grid_strides
from topoplan.solvers.ranks.problem import Progress, Watch

EXCHANGES = ((1.0, 0.02), (1.0, 0.02), (0.1, 0.02))  # temperatures of exchanging cliques; assumed, tuned on m8k
POLISH = (0.2, 0.03)  # temperatures of swapping blocks over the median price of an edge; assumed, tuned on d8k and m8k
AGAIN = (0.1, 0.02)  # exchange of the best state after it was polished
SLICE = 50_000  # swaps between two looks at the watch


@dataclass(frozen=True, eq=False)
class Compactor:
    """Looks for few bytes x distance.

    Parameters
    ----------
    place
        [blocks] int64 host of each block; the first `blocks.used` hosts are taken, the others are spare.
    kind
        [blocks] int64 kind of each host; blocks only swap within a kind.
    scale
        What the bytes of an axis (index in the traffic) count, where not 1.
    """

    fabric: Fabric
    blocks: Blocks
    place: IntArray
    kind: IntArray
    seed: int
    scale: dict[int, float] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        """Bytes between blocks, those of each axis times its scale."""
        return Graph.of(self.blocks, self.scale)

    @cached_property
    def group(self) -> IntArray:
        """[blocks] int64 closest group of each block's host, numbered from 0."""
        return np.asarray(np.unique(self.tree[1][0], return_inverse=True)[1], np.int64)

    @cached_property
    def tree(self) -> tuple[list[float], list[IntArray]]:
        """Distances and levels of the hosts."""
        return levels_of(self.fabric, self.place)

    @cached_property
    def layout(self) -> Layout:
        """Blocks and the extra distance between groups."""
        host = self.place[np.unique(self.group, return_index=True)[1]]
        apart: FloatArray = host_distance(self.fabric, host[:, None], host[None, :])
        np.fill_diagonal(apart, apart.diagonal().min(initial=0.0))
        return Layout(self.graph, self.kind, np.maximum(apart - self.tree[0][0], 0.0))

    @cached_property
    def seats(self) -> Seats | None:
        """Expert groups, where there are any that hosts of one kind can hold."""
        found = cliques(self.blocks)
        if not found:
            return None
        first = np.unique(self.group, return_index=True)[1]
        distance, levels = self.tree
        steps = [(part[first], distance[t + 1] - distance[t]) for t, part in enumerate(levels) if part.max() > 0]
        members = np.array(found, np.int64)
        alike = (self.kind[members] == self.kind[members[:, :1]]).all()
        return Seats(self.layout, members, steps) if alike else None

    def sizes(self) -> list[int]:
        """Lengths of the axes of the grid of blocks, fastest first; expert groups are one axis."""
        steps = np.concatenate([np.abs(arcs.dst - arcs.src) for arcs in self.blocks.axes])
        strides = grid_strides(steps, self.blocks.used)
        members = self.seats.members if self.seats else np.zeros((0, 1), np.int64)
        width = members.shape[1]
        if width > 1 and (np.diff(members, axis=1) == 1).all():
            strides = [1, width, *(s for s in strides if s > width and s % width == 0)]
        return [b // a for a, b in zip(strides, [*strides[1:], self.blocks.used], strict=True)]

    def banded(self) -> IntArray:
        """[blocks] int64 group of each block when the grid is cut to the tree of groups; spare blocks stay."""
        used = self.blocks.used
        slot = cut_tree(self.graph, self.sizes(), [part[:used] for part in self.tree[1]])
        return np.concatenate([self.group[slot], self.group[used:]])

    # ---- search ------------------------------------------------------------------------------------------------

    def search(self, moves: int, watch: Watch) -> IntArray:
        """[blocks] int64 host of each block in the best state found with so many swaps."""
        best, value = self.group, self.layout.hops(self.group)
        done = 0
        for state, share in self._states(moves):
            done += share
            if (hops := self.layout.hops(state)) < value:
                best, value = state, hops
            if not watch(Progress("bytes x distance", min(1.0, done / max(moves, 1)), self._whole(value), 0.0)):
                break
        return self.hosts(best)

    def _whole(self, extra: float) -> float:
        return extra + self.tree[0][0] * float(self.graph.weight.sum())

    def _states(self, moves: int) -> Iterator[tuple[IntArray, int]]:
        """States to choose from, and the swaps that each took."""
        start = self.group
        if len(np.unique(self.kind[: self.blocks.used])) == 1:
            start = self.banded()
            yield start, 0
        begun = [start]
        share = moves // 8
        if self.seats:
            for i, heat in enumerate(EXCHANGES):
                begun.append(self.seats.exchange(start, share, self.seed + i, heat))
                yield begun[-1], share
        begun.sort(key=self.layout.hops)
        polished = []
        for i, state in enumerate(begun[:2]):
            for polish in self._polished(state, share, self.seed + i):
                yield polish, share
                last = polish
            polished.append(last)
        best = min(polished, key=self.layout.hops)
        if self.seats:
            best = self.seats.exchange(best, share, self.seed, AGAIN)
            yield best, share
        for polish in self._polished(best, share, self.seed + 2):
            yield polish, share

    def _polished(self, state: IntArray, moves: int, seed: int) -> Iterator[IntArray]:
        """The state after single swaps, slice by slice."""
        unit = self.unit
        swapper = Swapper(self.layout, state, seed)
        if unit <= 0:
            yield state
            return
        slices = max(1, moves // SLICE)
        heats = np.geomspace(POLISH[0] * unit, POLISH[1] * unit, slices + 1).tolist()
        for start, end in pairwise(heats):
            swapper.run(moves // slices, start, end)
            yield np.array(swapper.at, np.int64)

    @cached_property
    def unit(self) -> float:
        """Median bytes of an edge x the smallest extra distance: what one misplaced edge costs."""
        apart = self.layout.apart
        if not len(self.graph.weight) or not apart.any():
            return 0.0
        return float(np.median(self.graph.weight) * apart[apart > 0].min())

    def hosts(self, state: IntArray) -> IntArray:
        """[blocks] int64 host of each block: those of a group get the group's hosts of their kind, in order."""
        result = np.empty(len(self.place), np.int64)
        by_block = np.lexsort((np.arange(len(state)), self.kind, state))
        by_host = np.lexsort((np.arange(len(state)), self.kind, self.group))
        result[by_block] = self.place[by_host]
        return result
