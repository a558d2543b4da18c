"""The price of a state of blocks, kept up to date move by move.

A state says which group each block sits in. What changes with a move is how many queue pairs leave and enter the
groups concerned; from those counts follow the expected slowest link of each axis (as `topoplan.cost.hashing`), the
busiest uplink and bytes x distance.
"""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.steering.blocks import Blocks
from topoplan.solvers.ranks.steering.pricer import Pricer


class Steering:
    """Objective of a state, with O(neighbours) updates for swaps of blocks.

    Parameters
    ----------
    place
        [blocks] int64 host of each block; only its group matters.
    objective
        exposed_ms, busiest_uplink or hop_bytes; the other two break ties.
    """

    def __init__(self, pricer: Pricer, place: IntArray, objective: str) -> None:
        fabric, self.pricer, self.hashed = pricer.fabric, pricer, pricer.hashed
        self.groups = pricer.groups
        self.group: list[int] = fabric.host_group[place].tolist()
        self.ancestors: list[list[int]] = fabric.group_ancestor.T.tolist()
        axes = pricer.blocks.axes
        self.tables = pricer.tables
        self.axes = pricer.axis_parts
        self._axis_of_part = {part: a for a, parts in enumerate(self.axes) for part in parts}
        self.exposure = [1e3 * float(pricer.exposure[axes[parts[0]].index]) for parts in self.axes]
        self._share = np.array([arcs.rails for arcs in axes], float) / max(fabric.rails, 1)
        self.first_column = np.cumsum([0, *(len(arcs.steps) for arcs in axes)]).tolist()
        self.neighbours = _neighbours(pricer.blocks, self.first_column)
        self._end = [
            [(float(pricer.links[k]), float(pricer.bandwidth[k]), float(repeat[k])) for k in range(self.groups)]
            for repeat in pricer.repeat
        ]
        self._recount()
        parts = self._components()
        self.weights = _weights(objective, parts)
        self.value = self._value(parts)

    def _recount(self) -> None:
        pricer, width = self.pricer, 2 * self.groups
        self.count: list[float] = (pricer.counts(np.array(self.group)) * pricer.scale).ravel().tolist()
        seconds = pricer.column_bytes[:, None] * np.tile(pricer.per_byte / pricer.scale, 2)
        self._seconds: list[float] = seconds.ravel().tolist()  # of one queue pair of a column on an uplink
        up_only = np.concatenate([pricer.climb / pricer.scale, np.zeros(self.groups)])
        hops = (pricer.column_bytes * pricer.column_rails)[:, None] * up_only
        self._hops: list[float] = hops.ravel().tolist()
        self._part_of = [a for a in pricer.column_axis for _ in range(width)]
        self._scale: list[float] = np.tile(pricer.scale, 2 * len(pricer.column_axis)).tolist()
        self.load = np.zeros((len(self.tables), width))
        self.hops = 0.0
        for key, amount in enumerate(self.count):
            self.load[self._part_of[key], key % width] += amount * self._seconds[key]
            self.hops += amount * self._hops[key]
        self.log = [
            np.sum([self._row(part, end) for part in parts for end in range(width)], axis=0) for parts in self.axes
        ]
        self.times = [self.tables[parts[0]].seconds(log) for parts, log in zip(self.axes, self.log, strict=True)]

    def _row(self, part: int, end: int) -> FloatArray:
        width, links = 2 * self.groups, self._end[part][end % self.groups]
        # counts drift by rounding; a thousandth of a queue pair is nothing
        columns = range(self.first_column[part], self.first_column[part + 1])
        counts = [round(self.count[c * width + end], 3) for c in columns]
        return self.tables[part].row(*links, tuple(counts))

    # ---- objective ---------------------------------------------------------------------------------------------

    def _components(self) -> tuple[float, float, float]:
        times = self.times
        if not self.hashed:
            worst = self.load.max(1, initial=0.0).tolist()
            times = [max(self.tables[parts[0]].floor, *(worst[part] for part in parts)) for parts in self.axes]
        exposed = sum(e * t for e, t in zip(self.exposure, times, strict=True))
        return exposed, float((self._share @ self.load).max(initial=0.0)), self.hops

    def _value(self, parts: tuple[float, float, float]) -> float:
        return sum(w * x for w, x in zip(self.weights, parts, strict=True))

    # ---- moves -------------------------------------------------------------------------------------------------

    def swap(self, pairs: list[tuple[int, int]]) -> float:
        """Swap the groups of the blocks of each pair and return the change of the objective.

        No block may be in two pairs. The same call again undoes it.
        """
        moved = [x for pair in pairs for x in pair]
        change: dict[int, float] = {}
        done: set[int] = set()
        for x in moved:
            self._crossings(x, -1.0, done, change)
            done.add(x)
        for x, y in pairs:
            self.group[x], self.group[y] = self.group[y], self.group[x]
        done.clear()
        for x in moved:
            self._crossings(x, 1.0, done, change)
            done.add(x)
        self._apply(change)
        before, self.value = self.value, self._value(self._components())
        return self.value - before

    def _crossings(self, x: int, sign: float, done: set[int], change: dict[int, float]) -> None:
        """Add `sign` times what block x sends and gets over uplinks, but for blocks `done`.

        Keys of `change` are (column * 2 + way) * groups + group.
        """
        groups, group, ancestors = self.groups, self.group, self.ancestors
        here = group[x]
        mine = ancestors[here]
        for z, column, out, back in self.neighbours[x]:
            there = group[z]
            if there == here or z in done:
                continue
            up = column * 2 * groups
            down = up + groups
            for a, b in zip(mine, ancestors[there], strict=True):
                if a == b:
                    if a >= 0:
                        break
                    continue
                if a >= 0:
                    change[up + a] = change.get(up + a, 0.0) + sign * out
                    change[down + a] = change.get(down + a, 0.0) + sign * back
                if b >= 0:
                    change[down + b] = change.get(down + b, 0.0) + sign * out
                    change[up + b] = change.get(up + b, 0.0) + sign * back

    def _apply(self, change: dict[int, float]) -> None:
        width = 2 * self.groups
        live = [(key, amount * self._scale[key]) for key, amount in change.items() if abs(amount) > 1e-9]
        touched = sorted({(self._part_of[key], key % width) for key, _ in live})
        if self.hashed:
            for part, end in touched:
                a = self._axis_of_part[part]
                self.log[a] = self.log[a] - self._row(part, end)
        for key, amount in live:
            self.count[key] += amount
            self.load[self._part_of[key], key % width] += amount * self._seconds[key]
            self.hops += amount * self._hops[key]
        if self.hashed:
            for part, end in touched:
                a = self._axis_of_part[part]
                self.log[a] = self.log[a] + self._row(part, end)
            for a in {self._axis_of_part[part] for part, _ in touched}:
                self.times[a] = self.tables[self.axes[a][0]].seconds(self.log[a])


def _neighbours(blocks: Blocks, first_column: list[int]) -> list[list[tuple[int, int, float, float]]]:
    """Of each block: (other block, column, queue pairs a rail to it, and from it)."""
    joined: dict[tuple[int, int, int], list[float]] = {}
    for a, arcs in enumerate(blocks.axes):
        pairs = arcs.pairs.tolist()
        for i, (x, z) in enumerate(zip(arcs.src.tolist(), arcs.dst.tolist(), strict=True)):
            for c, count in enumerate(pairs[i]):
                if count:
                    joined.setdefault((x, first_column[a] + c, z), [0.0, 0.0])[0] += count
                    joined.setdefault((z, first_column[a] + c, x), [0.0, 0.0])[1] += count
    result: list[list[tuple[int, int, float, float]]] = [[] for _ in range(blocks.count)]
    for (x, column, z), (out, back) in sorted(joined.items()):
        result[x].append((z, column, out, back))
    return result


def _weights(objective: str, reference: tuple[float, float, float]) -> tuple[float, ...]:
    """Weights of (exposed ms, busiest uplink s, hop-bytes): the wanted one in full, the others as tie-breakers."""
    share = {"exposed_ms": (1, 1e-4, 1e-5), "busiest_uplink": (1e-4, 1, 1e-3), "hop_bytes": (1e-6, 1e-4, 1)}[objective]
    return tuple(s / x if x > 0 else 0.0 for s, x in zip(share, reference, strict=True))
