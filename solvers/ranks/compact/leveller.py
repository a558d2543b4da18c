"""Swaps that take load off the busiest uplinks at little cost in bytes x distance."""

from __future__ import annotations

import math

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.bounds.boundary import Graph
from topoplan.solvers.ranks.compact.hops import COOL_EVERY, Layout, Swapper

PRICE = 4.0  # bytes x distance, over the longest distance, that a byte above the limit is worth; assumed


def uplink_bytes(graph: Graph, bundle: IntArray, count: int) -> FloatArray:
    """[count] float64 bytes, both ways together, over each bundle of uplinks; `bundle` [blocks] int64 of each block."""
    a, b = bundle[graph.u], bundle[graph.v]
    across = a != b
    return np.asarray(sum(np.bincount(end[across], graph.weight[across], count) for end in (a, b)), float)


class Leveller(Swapper):
    """Anneals bytes x distance and, priced high, what uplinks carry above a limit.

    Parameters
    ----------
    above
        [tiers, places] int64 uplink bundle that a place's bytes leave by on each tier, numbered over all tiers.
    seconds
        [bundles] float64 seconds that a byte between the bundle's group and others (either way) takes.
    """

    def __init__(self, layout: Layout, place: IntArray, seed: int, above: IntArray, seconds: FloatArray) -> None:
        super().__init__(layout, place, seed)
        self._above: list[list[int]] = above.T.tolist()
        self._room: list[float] = np.divide(1.0, seconds, out=np.full(len(seconds), np.inf), where=seconds > 0).tolist()
        load = sum((uplink_bytes(layout.graph, tier[place], len(seconds)) for tier in above), np.zeros(len(seconds)))
        self.load: list[float] = load.tolist()
        self._price = PRICE * float(layout.apart.max())

    @property
    def busiest_s(self) -> float:
        """Seconds of the busiest uplink bundle, spread perfectly."""
        return max(load / room for load, room in zip(self.load, self._room, strict=True))

    def level(self, proposals: int, start: float, end: float, limit_s: float) -> None:
        """Try so many swaps while the temperature falls; uplinks above `limit_s` seconds are paid for."""
        draw, at, apart, near, blocks = self.rng.random, self.at, self._apart, self._near, len(self.at)
        limit = [limit_s * room for room in self._room]
        span, temperature = math.log(end / start), start
        for step in range(proposals):
            if not step % COOL_EVERY:
                temperature = start * math.exp(span * step / proposals)
            x = self._movable[int(draw() * len(self._movable))]
            here, there = at[x], at[near[x][int(draw() * len(near[x]))][0]]
            others = self._members.get((there, self._kind[x])) if there != here else None
            if not others:
                continue
            y = others[int(draw() * len(others))]
            to, off = apart[there], apart[here]
            change = self._joined.get(x * blocks + y, 0.0) * off[there]
            for z, w in near[x]:
                change += w * (to[at[z]] - off[at[z]])
            for z, w in near[y]:
                change += w * (off[at[z]] - to[at[z]])
            # nothing makes good for more than the load it takes away: skip what no relief could pay
            if change > self._price * limit[0] and change > 50 * temperature:
                continue
            loads = self._shifted(x, y)
            total = change + self._price * sum(
                max(0.0, self.load[k] + more - limit[k]) - max(0.0, self.load[k] - limit[k]) for k, more in loads
            )
            if total <= 0 or draw() < math.exp(-total / temperature):
                self._move(x, y)
                self.value += change
                for k, more in loads:
                    self.load[k] += more

    def _shifted(self, x: int, y: int) -> list[tuple[int, float]]:
        """Bundles whose load a swap of x and y changes, and by how many bytes."""
        at, above = self.at, self._above
        result = []
        for a, b in zip(above[at[x]], above[at[y]], strict=True):
            if a == b:
                continue
            first = second = 0.0
            tier = above[at[x]].index(a)
            for block, other, sign in ((x, y, 1.0), (y, x, -1.0)):
                for z, w in self._near[block]:
                    if z == other:
                        continue
                    k = above[at[z]][tier]
                    # x leaves a: what it sent inside a now crosses, what it sent outside no longer does
                    first += sign * w * (1 if k == a else -1)
                    second += sign * w * (-1 if k == b else 1)
            result += [(a, first), (b, second)]
        return result
