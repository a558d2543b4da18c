"""Placements with few bytes x distance: bands of the grid, expert groups exchanged as units, single blocks swapped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from topoplan.cost.price import host_distance
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.bounds.boundary import Graph
from topoplan.solvers.ranks.compact.bands import Effort, cut_tree
from topoplan.solvers.ranks.compact.cliques import Seats, cliques
from topoplan.solvers.ranks.compact.hops import Layout, Swapper
from topoplan.solvers.ranks.compact.leveller import Leveller
from topoplan.solvers.ranks.compact.levels import levels_of
from topoplan.solvers.ranks.compact.relief import Relief
from topoplan.solvers.ranks.orders import grid_strides
from topoplan.solvers.ranks.problem import Progress, Watch
from topoplan.solvers.ranks.steering.blocks import Blocks

HEATS = ((1.0, 0.02), (1.0, 0.02), (0.3, 0.02))  # of exchanging cliques, in turn; assumed, tuned on m8k
POLISH = (0.2, 0.03)  # temperatures of swapping blocks over the median price of an edge; assumed, tuned on d8k and m8k
AGAIN = (0.1, 0.02)  # exchange of the best state after it was polished
POLISHED = 3  # states that single swaps improve, or as many as there are cuts
LOWER = (0.95, 0.88)  # limits tried, over the busiest uplink met
LEVEL = (0.3, 0.03)  # temperatures of levelling over the median price of an edge; assumed, tuned on m8k
RELIEVED = (0.9, 0.8)  # limits that expert groups are divided for, over the busiest uplink met
KEPT = 2  # states after divisions that single swaps level
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
        np.fill_diagonal(apart, self.tree[0][0])
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

    @cached_property
    def relief(self) -> Relief | None:
        """What divides expert groups anew, where they are cliques and hosts of one kind stand on a plain tree."""
        distance, levels = self.tree
        if self.seats is None or self.fabric.islands or len(np.unique(self.kind[: self.blocks.used])) > 1:
            return None
        above, seconds = self.uplinks()
        first = np.unique(self.group, return_index=True)[1]
        tiers = []
        for t, part in enumerate(levels):
            if part.max() > 0:
                bundle = above[t][np.unique(part[first], return_index=True)[1]]
                tiers.append((part[first], distance[t + 1] - distance[t], seconds[bundle]))
        found = Relief(self.seats, tiers)
        return found if tiers and found.complete else None

    def sizes(self) -> list[int]:
        """Lengths of the axes of the grid of blocks, fastest first; expert groups are one axis."""
        steps = np.concatenate([np.abs(arcs.dst - arcs.src) for arcs in self.blocks.axes])
        strides = grid_strides(steps, self.blocks.used)
        members = self.seats.members if self.seats else np.zeros((0, 1), np.int64)
        width = members.shape[1]
        if width > 1 and (np.diff(members, axis=1) == 1).all():
            strides = [1, width, *(s for s in strides if s > width and s % width == 0)]
        return [b // a for a, b in zip(strides, [*strides[1:], self.blocks.used], strict=True)]

    def banded(self, effort: Effort) -> IntArray:
        """[blocks] int64 group of each block when the grid is cut to the tree of groups; spare blocks stay."""
        used = self.blocks.used
        slot = cut_tree(self.graph, self.sizes(), [part[:used] for part in self.tree[1]], effort)
        return np.concatenate([self.group[slot], self.group[used:]])

    def uplinks(self) -> tuple[IntArray, FloatArray]:
        """Bundle of uplinks above each group on each tier [tiers, groups] int64, and seconds [bundles] a byte takes.

        Bytes count in both directions together; a tier without a group there is a bundle that takes no time.
        """
        fabric = self.fabric
        capacity = (fabric.uplink_links * fabric.uplink_link_bandwidth).reshape(-1, fabric.rails).sum(1)
        first = np.unique(self.group, return_index=True)[1]
        above: list[IntArray] = []
        seconds: list[float] = []
        for ancestors in fabric.host_ancestor:
            groups, bundle = np.unique(ancestors[self.place[first]], return_inverse=True)
            above.append(bundle + len(seconds))
            seconds += [0.5 / capacity[g] if g >= 0 and capacity[g] > 0 else 0.0 for g in groups.tolist()]
        return np.array(above, np.int64), np.array(seconds)

    # ---- search ------------------------------------------------------------------------------------------------

    def search(self, moves: int, watch: Watch, give: float = 0.0, starts: int = 1, tries: int = 0) -> IntArray:
        """[blocks] int64 host of each block in the best state found with so many swaps.

        Parameters
        ----------
        give
            Share of the bytes x distance that may be given up for a less busy uplink.
        starts
            Cuts of the grid that expert groups are exchanged from.
        tries
            Exchanges after each new division of expert groups among groups.
        """
        best, least, done = self.group, self.layout.hops(self.group), 0
        ends: list[tuple[float, IntArray]] = []
        for state, cost, end in self._states(moves, starts):
            done += cost
            hops = self.layout.hops(state)
            if hops < least:
                best, least = state, hops
            if end:
                ends.append((hops, state))
            if not watch(Progress("bytes x distance", min(1.0, done / max(moves, 1)), self._whole(least), 0.0)):
                return self.hosts(best)
        if give > 0 and self.unit > 0:
            ends.sort(key=lambda item: item[0])
            limit = self._whole(least) * (1 + give) - self._whole(0.0)
            anew = self._relieved(best, limit, moves // 16, tries, watch)
            others = anew or [state for _, state in ends[: starts // 2]]
            best = self._levelled([best, *others], limit, moves // 40, watch)
        return self.hosts(best)

    def _relieved(self, state: IntArray, limit: float, moves: int, tries: int, watch: Watch) -> list[IntArray]:
        """States with the least busy uplinks after expert groups were divided anew, below a limit where any is."""
        relief = self.relief if tries else None
        if relief is None:
            return []
        begun, seeds, found = relief.busiest_s(state), range(self.seed, self.seed + tries), list[IntArray]()
        for low in RELIEVED:
            for new in relief.states(state, low * begun, moves, seeds):
                found.append(new)
                share = len(found) / (tries * len(RELIEVED))
                if not watch(Progress("shares of expert groups", share, self._whole(limit), 0.0)):
                    return []
            if not found:  # what cannot be divided for one limit cannot be for another
                break
        below = [x for x in found if self.layout.hops(x) <= limit] or sorted(found, key=self.layout.hops)[:1]
        return sorted(below, key=relief.busiest_s)[:KEPT]

    def _levelled(self, states: list[IntArray], limit: float, moves: int, watch: Watch) -> IntArray:
        """The state with the least busy uplink whose extra bytes x distance stay below a limit."""
        above, seconds = self.uplinks()
        best, least = states[0], math.inf
        for i, state in enumerate(states):
            if not watch(Progress("busiest uplink", i / len(states), self._whole(limit), 0.0)):
                break
            leveller = Leveller(self.layout, state, self.seed, above, seconds)
            begun = leveller.busiest_s
            for lower in (1.0, *LOWER):
                if lower < 1:
                    leveller.level(moves, LEVEL[0] * self.unit, LEVEL[1] * self.unit, lower * begun)
                if leveller.busiest_s < least and leveller.value <= limit:
                    best, least = np.array(leveller.at, np.int64), leveller.busiest_s
        return best

    def _whole(self, extra: float) -> float:
        return extra + self.tree[0][0] * float(self.graph.weight.sum())

    def _states(self, moves: int, starts: int) -> Iterator[tuple[IntArray, int, bool]]:
        """States to choose from, the swaps that each took, and whether nothing more is done to it alone."""
        begun, share = [self.group], moves // 8
        alike = len(np.unique(self.kind[: self.blocks.used])) == 1
        for i in range(starts if self.seats else 1):
            start = self.banded(Effort(seed=self.seed + i)) if alike else self.group
            begun.append(start)
            yield start, 0, False
            if self.seats:
                heat = HEATS[i % len(HEATS)]
                begun.append(self.seats.exchange(start, share, self.seed + i, heat))
                yield begun[-1], share, False
        begun.sort(key=self.layout.hops)
        polished = []
        for i, state in enumerate(begun[: max(POLISHED, starts)]):
            last = state
            for last, cost in self._polished(state, moves // 16, self.seed + i):
                yield last, cost, False
            polished.append(last)
            yield last, 0, True
        best = min(polished, key=self.layout.hops)
        if self.seats:
            best = self.seats.exchange(best, share, self.seed, AGAIN)
            yield best, share, False
        last = best
        for last, cost in self._polished(best, moves // 8, self.seed):
            yield last, cost, False
        yield last, 0, True

    def _polished(self, state: IntArray, moves: int, seed: int) -> Iterator[tuple[IntArray, int]]:
        """The state after single swaps, slice by slice, and the swaps of each slice."""
        if self.unit <= 0 or not moves:
            return
        swapper = Swapper(self.layout, state, seed)
        slices = max(1, moves // SLICE)
        heats = np.geomspace(POLISH[0] * self.unit, POLISH[1] * self.unit, slices + 1).tolist()
        for start, end in pairwise(heats):
            swapper.run(moves // slices, start, end)
            yield np.array(swapper.at, np.int64), moves // slices

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
