"""The price of a state of blocks, kept up to date move by move.

A state says which group each block sits in. What changes with a move is how many queue pairs leave and enter the
groups concerned; from those counts follow the expected slowest link of each axis (as `topoplan.cost.hashing`), the
busiest uplink and bytes x distance.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

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
        self._paths: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
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
        self._rows = [[self._row(part, end) for end in range(width)] for part in range(len(self.tables))]
        self.log = [np.sum([row for part in parts for row in self._rows[part]], axis=0) for parts in self.axes]
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

        No block may be in two pairs.
        """
        moved = [x for pair in pairs for x in pair]
        change: dict[int, float] = defaultdict(float)
        self._crossings(moved, -1.0, change)
        self._exchange(pairs)
        self._crossings(moved, 1.0, change)
        self._last = _Undo(pairs, self.value, self.hops, list(self.log), list(self.times))
        self._apply(change, self._last)
        self.value = self._value(self._components())
        return self.value - self._last.value

    def undo(self) -> None:
        """Take the last swap back, once."""
        last = self._last
        self._exchange(last.pairs)
        self.value, self.hops, self.log, self.times = last.value, last.hops, last.log, last.times
        for key, count in last.counts:
            self.count[key] = count
        for part, end, load, row in last.ends:
            self.load[part, end] = load
            self._rows[part][end] = row

    def _exchange(self, pairs: list[tuple[int, int]]) -> None:
        group = self.group
        for x, y in pairs:
            group[x], group[y] = group[y], group[x]

    def _crossings(self, moved: list[int], sign: float, change: dict[int, float]) -> None:
        """Add `sign` times what the blocks `moved` send and get over uplinks, to each other once.

        Keys of `change` are (column * 2 + way) * groups + group.
        """
        group, neighbours, paths = self.group, self.neighbours, self._paths
        width = 2 * self.groups
        done: set[int] = set()
        for x in moved:
            here = group[x]
            for z, column, out, back in neighbours[x]:
                there = group[z]
                if there == here or z in done:
                    continue
                path = paths.get((here, there)) or self._path(here, there)
                first, sent, got = column * width, sign * out, sign * back
                for key in path[0]:
                    change[first + key] += sent
                for key in path[1]:
                    change[first + key] += got
            done.add(x)

    def _path(self, here: int, there: int) -> tuple[list[int], list[int]]:
        """Keys (way * groups + group) of the uplinks that flows from one group to another cross, and those back."""
        out, back = [], []
        for a, b in zip(self.ancestors[here], self.ancestors[there], strict=True):
            if a != b:
                out += [a] * (a >= 0) + [self.groups + b] * (b >= 0)
                back += [self.groups + a] * (a >= 0) + [b] * (b >= 0)
            elif a >= 0:
                break  # groups are a tree
        self._paths[here, there] = out, back
        return out, back

    def _apply(self, change: dict[int, float], undo: _Undo) -> None:
        """Make the change of counts, and keep in `undo` what it replaces."""
        width, rows, parts = 2 * self.groups, self._rows, self._part_of
        live = [(key, amount * self._scale[key]) for key, amount in change.items() if abs(amount) > 1e-9]
        touched = sorted({(parts[key], key % width) for key, _ in live})
        undo.ends = [(part, end, float(self.load[part, end]), rows[part][end]) for part, end in touched]
        undo.counts = [(key, self.count[key]) for key, _ in live]
        for key, amount in live:
            self.count[key] += amount
            self.load[parts[key], key % width] += amount * self._seconds[key]
            self.hops += amount * self._hops[key]
        if not self.hashed:
            return
        axes = {self._axis_of_part[part] for part, _ in touched}
        for a in axes:
            self.log[a] = self.log[a].copy()
        for part, _, _, row in undo.ends:
            self.log[self._axis_of_part[part]] -= row
        for part, end in touched:
            rows[part][end] = row = self._row(part, end)
            self.log[self._axis_of_part[part]] += row
        for a in axes:
            self.times[a] = self.tables[self.axes[a][0]].seconds(self.log[a])


@dataclass(slots=True)
class _Undo:
    """What a swap replaced: counts by key, and of each end of an uplink (part, end) its load and log-probabilities."""

    pairs: list[tuple[int, int]]
    value: float
    hops: float
    log: list[FloatArray]
    times: list[float]
    counts: list[tuple[int, float]] = field(default_factory=list)
    ends: list[tuple[int, int, float, FloatArray]] = field(default_factory=list)


def _neighbours(blocks: Blocks, first_column: list[int]) -> list[list[tuple[int, int, float, float]]]:
    """Of each block: (other block, column, queue pairs a rail to it, and from it), by block and column."""
    columns = first_column[-1]
    keys, sent, got = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0)]
    for a, arcs in enumerate(blocks.axes):
        for c, pairs in enumerate(arcs.pairs.T):
            live = np.flatnonzero(pairs)
            x, z, mine = arcs.src[live], arcs.dst[live], first_column[a] + c
            keys += [(x * columns + mine) * blocks.count + z, (z * columns + mine) * blocks.count + x]
            sent += [pairs[live], np.zeros(len(live))]
            got += [np.zeros(len(live)), pairs[live]]
    key, where = np.unique(np.concatenate(keys), return_inverse=True)
    out, back = (np.bincount(where, np.concatenate(side), len(key)).tolist() for side in (sent, got))
    pair, other = np.divmod(key, blocks.count)
    owner, column = np.divmod(pair, max(columns, 1))
    joined = list(zip(other.tolist(), column.tolist(), out, back, strict=True))
    ends = np.searchsorted(owner, np.arange(blocks.count + 1)).tolist()
    return [joined[i:j] for i, j in pairwise(ends)]


def _weights(objective: str, reference: tuple[float, float, float]) -> tuple[float, ...]:
    """Weights of (exposed ms, busiest uplink s, hop-bytes): the wanted one in full, the others as tie-breakers."""
    share = {"exposed_ms": (1, 1e-4, 1e-5), "busiest_uplink": (1e-4, 1, 1e-3), "hop_bytes": (1e-6, 1e-4, 1)}[objective]
    return tuple(s / x if x > 0 else 0.0 for s, x in zip(share, reference, strict=True))
