"""The price of a state of blocks, kept up to date move by move.

A state says which group each block sits in. What changes with a move is how many queue pairs leave and enter the
groups concerned; from those counts follow the expected slowest link of each axis (as `topoplan.cost.hashing`), the
busiest uplink and bytes x distance.
"""

from __future__ import annotations

import numpy as np

from topoplan.cost.hashing import HashedFlows, link_distribution
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.blocks import AxisArcs, Blocks

GRID_EXACT = 24  # points one lattice step apart just above the floor of an axis
GRID_WIDE = 24  # and beyond them to this many times the floor, ever wider
GRID_REACH = 30.0


class AxisTable:
    """Log-probability that all links of an uplink are done by each point of a time grid, by its counts; cached."""

    def __init__(self, arcs: AxisArcs, floor_s: float, slowest_link: float) -> None:
        step = arcs.step_bytes / slowest_link
        exact = floor_s + step * np.arange(GRID_EXACT + 1)
        wide = exact[-1] * np.geomspace(1, max(GRID_REACH * max(floor_s, step) / exact[-1], 2.0), GRID_WIDE + 1)[1:]
        self.grid = np.concatenate([exact, wide])
        self.width = np.diff(self.grid, append=self.grid[-1])
        self.floor = floor_s
        self.arcs = arcs
        self._known: dict[tuple[float, ...], FloatArray] = {}

    def row(self, links: float, bandwidth: float, repeat: float, counts: tuple[float, ...]) -> FloatArray:
        """[grid] float64 log P(all `links` links of `repeat` equal uplinks are done by each time)."""
        key = (links, bandwidth, repeat, *counts)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compute(links, bandwidth, counts) * repeat
        return found

    def _compute(self, links: float, bandwidth: float, counts: tuple[float, ...]) -> FloatArray:
        if not any(c > 1e-9 for c in counts):
            return np.zeros(len(self.grid))
        if links <= 0:
            return np.full(len(self.grid), -1e3)
        one = np.ones(1)
        below = link_distribution(
            HashedFlows(
                np.array([counts]), self.arcs.steps, self.arcs.step_bytes, 0 * one, links * one, bandwidth * one
            )
        )[0]
        k = np.floor(self.grid * bandwidth / self.arcs.step_bytes + 1e-9).astype(np.int64)
        return np.asarray(links * np.log(np.maximum(below[np.minimum(k, len(below) - 1)], 1e-300)))

    def seconds(self, log: FloatArray) -> float:
        """Expected slowest link given the summed log-probabilities."""
        return self.floor + float(((1 - np.exp(log)) * self.width).sum())


class Steering:
    """Objective of a state, with O(neighbours) updates for swaps of two blocks.

    Parameters
    ----------
    place
        [blocks] int64 host of each block; only its group matters.
    floors_s
        [axes of the traffic] float64 seconds of each axis's NVLinks and NICs.
    objective
        exposed_ms, busiest_uplink or hop_bytes; the other two break ties.
    """

    def __init__(
        self,
        fabric: Fabric,
        blocks: Blocks,
        place: IntArray,
        floors_s: FloatArray,
        exposure: FloatArray,
        objective: str,
    ) -> None:
        self.fabric, self.blocks = fabric, blocks
        self.hashed = fabric.routing != "adaptive"
        self.group: list[int] = fabric.host_group[place].tolist()
        self.ancestors: list[list[int]] = fabric.group_ancestor.T.tolist()
        self.groups = len(fabric.groups)
        links, rails = fabric.uplink_links.reshape(-1, fabric.rails), fabric.group_rails
        shared = rails == 1
        self.links = np.where(shared, links[:, 0], links.sum(1) / np.maximum(rails, 1))  # of one rail's uplink
        self.repeat = np.where(shared, 1, fabric.rails)
        self.scale = np.where(shared, fabric.rails, 1)  # queue pairs of all rails on a shared uplink
        self.bandwidth = fabric.uplink_link_bandwidth.reshape(-1, fabric.rails)[:, 0]
        capacity = self.links * self.bandwidth
        self.per_byte = np.divide(self.scale, capacity, out=np.zeros(self.groups), where=capacity > 0)
        distance = [tier.distance for tier in fabric.tiers]
        step_up = np.diff([*distance, fabric.top_distance])
        tier = np.array([group.tier for group in fabric.groups], np.int64)
        self.climb = step_up[tier] * fabric.rails  # hop-bytes of one byte a rail that leaves the group
        self._columns(floors_s, exposure)
        self._adjacency()
        self._recount()
        self.reference = self._components()
        self.weights = _weights(objective, self.reference)
        self.value = self._value(self.reference)

    def _columns(self, floors_s: FloatArray, exposure: FloatArray) -> None:
        axes = self.blocks.axes
        top = float(self.bandwidth[self.bandwidth > 0].max(initial=1.0))
        self.tables = [AxisTable(arcs, float(floors_s[arcs.index]), top) for arcs in axes]
        self.exposure = [1e3 * float(exposure[arcs.index]) for arcs in axes]
        self.column_axis = [a for a, arcs in enumerate(axes) for _ in arcs.steps]
        self.first_column = np.cumsum([0, *(len(arcs.steps) for arcs in axes)]).tolist()
        self.column_bytes = [arcs.step_bytes * int(s) * self.fabric.planes for arcs in axes for s in arcs.steps]

    def _adjacency(self) -> None:
        self.neighbours: list[list[tuple[int, int, float, float]]] = [[] for _ in range(self.blocks.count)]
        joined: dict[tuple[int, int, int], list[float]] = {}
        for a, arcs in enumerate(self.blocks.axes):
            for i, (x, z) in enumerate(zip(arcs.src.tolist(), arcs.dst.tolist(), strict=True)):
                for c, count in enumerate(arcs.pairs[i].tolist()):
                    if count:
                        column = self.first_column[a] + c
                        joined.setdefault((x, z, column), [0.0, 0.0])[0] += count
                        joined.setdefault((z, x, column), [0.0, 0.0])[1] += count
        for (x, z, column), (out, back) in sorted(joined.items()):
            self.neighbours[x].append((z, column, out, back))

    # ---- counts ------------------------------------------------------------------------------------------------

    def _crossings(self, x: int, here: int, sign: float, skip: int, change: dict[int, float]) -> None:
        """Add `sign` times what block x in group `here` sends and gets; keys are (column * 2 + way) * groups + k."""
        groups, group, ancestors = self.groups, self.group, self.ancestors
        mine = ancestors[here]
        for z, column, out, back in self.neighbours[x]:
            there = group[z]
            if there == here or z == skip:
                continue
            up, down = column * 2 * groups, (column * 2 + 1) * groups
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

    def _recount(self) -> None:
        change: dict[int, float] = {}
        for x in range(self.blocks.count):
            self._crossings(x, self.group[x], 0.5, -1, change)  # each pair is met from both ends
        self.count = np.zeros(len(self.column_axis) * 2 * self.groups)
        for key, amount in change.items():
            self.count[key] = amount
        self.log = [np.zeros(len(table.grid)) for table in self.tables]
        self.load = np.zeros((len(self.tables), 2 * self.groups))
        self.hops = 0.0
        for key in range(len(self.count)):
            self._spread(key, float(self.count[key]))
        for a in range(len(self.tables)):
            for end in range(2 * self.groups):
                self.log[a] = self.log[a] + self._row(a, end)

    def _spread(self, key: int, amount: float) -> None:
        """Account `amount` queue pairs (a rail) to the loads of its uplink and to bytes x distance."""
        column, end = divmod(key, 2 * self.groups)
        size = amount * self.column_bytes[column]
        k = end % self.groups
        self.load[self.column_axis[column], end] += size * self.per_byte[k]
        if end < self.groups:
            self.hops += size * self.climb[k]

    def _row(self, a: int, end: int) -> FloatArray:
        k = end % self.groups
        first, last = self.first_column[a], self.first_column[a + 1]
        scale = float(self.scale[k])
        # counts drift by rounding; a thousandth of a queue pair is nothing
        counts = tuple(round(float(self.count[c * 2 * self.groups + end]) * scale, 3) for c in range(first, last))
        return self.tables[a].row(float(self.links[k]), float(self.bandwidth[k]), float(self.repeat[k]), counts)

    # ---- objective ---------------------------------------------------------------------------------------------

    def _components(self, log: list[FloatArray] | None = None) -> tuple[float, float, float]:
        if self.hashed:
            times = [table.seconds(x) for table, x in zip(self.tables, log or self.log, strict=True)]
        else:
            times = [
                max(table.floor, float(x.max(initial=0.0))) for table, x in zip(self.tables, self.load, strict=True)
            ]
        exposed = sum(e * t for e, t in zip(self.exposure, times, strict=True))
        return exposed, float(self.load.sum(0).max(initial=0.0)), self.hops

    def _value(self, parts: tuple[float, float, float]) -> float:
        return sum(w * x for w, x in zip(self.weights, parts, strict=True))

    def swap(self, x: int, y: int) -> float:
        """Swap the groups of blocks x and y and return the change of the objective; `swap(x, y)` again undoes it."""
        p, q = self.group[x], self.group[y]
        change: dict[int, float] = {}
        self._crossings(x, p, -1.0, -1, change)
        self._crossings(y, q, -1.0, x, change)
        self.group[x], self.group[y] = q, p
        self._crossings(x, q, 1.0, -1, change)
        self._crossings(y, p, 1.0, x, change)
        self._apply({key: amount for key, amount in change.items() if abs(amount) > 1e-9})
        before, self.value = self.value, self._value(self._components())
        return self.value - before

    def _apply(self, change: dict[int, float]) -> None:
        width = 2 * self.groups
        touched = sorted({(self.column_axis[key // width], key % width) for key in change})
        if self.hashed:
            for a, end in touched:
                self.log[a] = self.log[a] - self._row(a, end)
        for key, amount in change.items():
            self.count[key] += amount
            self._spread(key, amount)
        if self.hashed:
            for a, end in touched:
                self.log[a] = self.log[a] + self._row(a, end)


def _weights(objective: str, reference: tuple[float, float, float]) -> tuple[float, float, float]:
    """Weights of (exposed ms, busiest uplink s, hop-bytes): the wanted one in full, the others as tie-breakers."""
    share = {"exposed_ms": (1, 1e-4, 1e-5), "busiest_uplink": (1e-4, 1, 1e-3), "hop_bytes": (1e-6, 1e-4, 1)}[objective]
    return tuple(s / x if x > 0 else 0.0 for s, x in zip(share, reference, strict=True))  # type: ignore[return-value]
