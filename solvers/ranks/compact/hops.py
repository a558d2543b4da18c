"""Bytes x distance of blocks in groups, and annealed swaps that lower it: a move costs its neighbours, nothing more."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.bounds.boundary import Graph

COOL_EVERY = 256  # proposals at one temperature


@dataclass(frozen=True, eq=False)
class Layout:
    """Blocks that may change places, and the extra distance between the places.

    Parameters
    ----------
    graph
        Blocks and the bytes between them; blocks beyond `graph.count` are empty.
    kind
        [blocks] int64; only blocks of one kind may swap.
    apart
        [places, places] float64 what the distance between two groups adds to that inside one; 0 on the diagonal.
    """

    graph: Graph
    kind: IntArray
    apart: FloatArray

    def hops(self, place: IntArray) -> float:
        """Bytes x extra distance when block x is in group place[x]."""
        return float((self.graph.weight * self.apart[place[self.graph.u], place[self.graph.v]]).sum())


class Swapper:
    """Anneals a state of a layout by swaps of two blocks.

    Parameters
    ----------
    place
        [blocks] int64 group of each block at the start.
    beside
        Of each group, the groups that a block may join to be near one there; by default only that group itself.
    """

    def __init__(self, layout: Layout, place: IntArray, seed: int, beside: list[list[int]] | None = None) -> None:
        self._beside = beside
        self.rng = random.Random(seed)  # noqa: S311 - a search, not a secret
        self.at: list[int] = place.tolist()
        self.value = layout.hops(place)
        self._apart: list[list[float]] = layout.apart.tolist()
        self._kind: list[int] = layout.kind.tolist()
        self._near: list[list[tuple[int, float]]] = [[] for _ in self.at]
        self._joined: dict[int, float] = {}
        graph = layout.graph
        for x, z, w in zip(graph.u.tolist(), graph.v.tolist(), graph.weight.tolist(), strict=True):
            self._near[x].append((z, w))
            self._near[z].append((x, w))
            self._joined[x * len(self.at) + z] = self._joined[z * len(self.at) + x] = 2 * w
        self._members: dict[tuple[int, int], list[int]] = {}
        self._slot: list[int] = []
        for x, key in enumerate(zip(self.at, self._kind, strict=True)):
            group = self._members.setdefault(key, [])
            self._slot.append(len(group))
            group.append(x)
        self._movable = [x for x in range(len(self.at)) if self._near[x]]

    def run(self, proposals: int, start: float, end: float) -> None:
        """Try so many swaps, each beside a neighbour, while the temperature (in bytes x distance) falls."""
        if not self._movable:
            return
        draw, at, apart, near, blocks = self.rng.random, self.at, self._apart, self._near, len(self.at)
        movable, kinds, members, joined = self._movable, self._kind, self._members, self._joined
        beside = self._beside
        span, temperature = math.log(end / start), start
        for step in range(proposals):
            if not step % COOL_EVERY:
                temperature = start * math.exp(span * step / proposals)
            x = movable[int(draw() * len(movable))]
            mine = near[x]
            here, there = at[x], at[mine[int(draw() * len(mine))][0]]
            if beside is not None:
                near_there = beside[there]
                there = near_there[int(draw() * len(near_there))]
            if there == here:
                continue
            others = members.get((there, kinds[x]))
            if not others:
                continue
            y = others[int(draw() * len(others))]
            to, off = apart[there], apart[here]
            # the pair itself stays as far apart as it was
            change = joined.get(x * blocks + y, 0.0) * off[there]
            for z, w in mine:
                g = at[z]
                change += w * (to[g] - off[g])
            for z, w in near[y]:
                g = at[z]
                change += w * (off[g] - to[g])
            if change <= 0 or draw() < math.exp(-change / temperature):
                self._move(x, y)
                self.value += change

    def _move(self, x: int, y: int) -> None:
        at, slot = self.at, self._slot
        first, second = (self._members[at[z], self._kind[z]] for z in (x, y))
        i, j = slot[x], slot[y]
        first[i], second[j], slot[x], slot[y] = y, x, j, i
        at[x], at[y] = at[y], at[x]
