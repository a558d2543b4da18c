"""Price of whole states of blocks: where each block sits -> exposed time, busiest uplink, bytes x distance.

Rails that carry the same are priced once. The planner steers by these prices and judges the result by
`topoplan.cost.price`, which looks at each flow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betainc

from topoplan.cost.hashing import HashedFlows, link_distribution
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.steering.blocks import AxisArcs, Blocks

GRID_EXACT = 24  # points one lattice step apart just above the floor of an axis
GRID_WIDE = 24  # and beyond them to this many times the floor, ever wider
GRID_REACH = 30.0
DENSE = 16  # pairs of groups for each arc up to which all pairs are counted


class AxisTable:
    """Log-probability that all links of an uplink are done by each point of a time grid, by its counts; cached."""

    def __init__(self, arcs: AxisArcs, floor_s: float, slowest_link: float) -> None:
        step = arcs.step_bytes / slowest_link
        exact = floor_s + step * np.arange(GRID_EXACT + 1)
        wide = exact[-1] * np.geomspace(1, max(GRID_REACH * max(floor_s, step) / exact[-1], 2.0), GRID_WIDE + 1)[1:]
        self.grid = np.concatenate([exact, wide])
        width = np.diff(self.grid)
        # between lattice points nothing changes; beyond them the mean of both ends of a step stands for the step
        self.width = np.append(width, 0.0)
        self.width[GRID_EXACT:-1] /= 2
        self.width[GRID_EXACT + 1 :] += width[GRID_EXACT:] / 2
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
        k = np.floor(self.grid * bandwidth / self.arcs.step_bytes + 1e-9).astype(np.int64)
        present = [c for c, count in enumerate(counts) if count > 1e-9]
        if len(present) == 1:
            # flows of one size: binomial, by the incomplete beta function, as counts may be averages
            count = counts[present[0]]
            whole = k // int(self.arcs.steps[present[0]])
            few = np.minimum(whole, max(count - 1e-9, 0.0))
            below = np.where(whole >= count, 1.0, betainc(np.maximum(count - few, 1e-9), few + 1, 1 - 1 / links))
            return np.asarray(links * np.log(np.maximum(below, 1e-300)))
        one = np.ones(1)
        below = link_distribution(
            HashedFlows(
                np.array([counts]), self.arcs.steps, self.arcs.step_bytes, 0 * one, links * one, bandwidth * one
            )
        )[0]
        return np.asarray(links * np.log(np.maximum(below[np.minimum(k, len(below) - 1)], 1e-300)))

    def seconds(self, log: FloatArray) -> float:
        """Expected slowest link given the summed log-probabilities."""
        return self.floor + float(((1 - np.exp(log)) * self.width).sum())


def _summed(key: IntArray, pairs: FloatArray, size: int) -> tuple[IntArray, list[FloatArray]]:
    """Distinct keys below `size`, ascending, and of each column of `pairs` [arcs, classes] the sums by key."""
    if size > DENSE * len(key):
        keys, where = np.unique(key, return_inverse=True)
        return keys, [np.asarray(np.bincount(where, column, len(keys)), float) for column in pairs.T]
    keys = np.flatnonzero(np.bincount(key, minlength=size))  # no sorting
    return keys, [np.asarray(np.bincount(key, column, size), float)[keys] for column in pairs.T]


@dataclass(frozen=True, eq=False)
class Pricer:
    """Prices states of contracted job `blocks`.

    Parameters
    ----------
    floors_s
        [axes of the traffic] float64 seconds of each axis's NVLinks and NICs, which no state changes.
    exposure
        [axes of the traffic] float64.
    """

    fabric: Fabric
    blocks: Blocks
    floors_s: FloatArray
    exposure: FloatArray

    # ---- the fabric, one rail of it ----------------------------------------------------------------------------

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.fabric.groups)

    @cached_property
    def hashed(self) -> bool:
        """Whether flows are hashed onto links."""
        return self.fabric.routing != "adaptive"

    @cached_property
    def shared(self) -> IntArray:
        """[groups] int64 1 where all rails share one uplink."""
        return np.asarray(self.fabric.group_rails == 1, np.int64)

    @cached_property
    def links(self) -> FloatArray:
        """[groups] float64 links of an average rail's uplink."""
        links = self.fabric.uplink_links.reshape(-1, self.fabric.rails)
        mean = links.sum(1) / np.maximum(self.fabric.group_rails, 1)
        return np.where(self.shared == 1, links[:, 0], mean)

    @cached_property
    def repeat(self) -> FloatArray:
        """[arcs of blocks.axes, groups] float64 uplinks of a group that carry the same."""
        rails = np.array([arcs.rails for arcs in self.blocks.axes], float)
        return np.where(self.shared == 1, 1.0, rails[:, None])

    @cached_property
    def scale(self) -> FloatArray:
        """[groups] float64 rails whose queue pairs meet on one uplink."""
        return np.where(self.shared == 1, float(self.fabric.rails), 1.0)

    @cached_property
    def bandwidth(self) -> FloatArray:
        """[groups] float64 bytes/s of a link."""
        return self.fabric.uplink_link_bandwidth.reshape(-1, self.fabric.rails)[:, 0]

    @cached_property
    def per_byte(self) -> FloatArray:
        """[groups] float64 seconds of a group's uplinks for one byte a rail, spread perfectly."""
        capacity = self.links * self.bandwidth
        return np.divide(self.scale, capacity, out=np.zeros(self.groups), where=capacity > 0)

    @cached_property
    def climb(self) -> FloatArray:
        """[groups] float64 hop-bytes that one byte adds by leaving the group."""
        distance = [*(tier.distance for tier in self.fabric.tiers), self.fabric.top_distance]
        tier = np.array([group.tier for group in self.fabric.groups], np.int64)
        return np.asarray(np.diff(distance)[tier])

    # ---- columns: (axis, size class) ---------------------------------------------------------------------------

    @cached_property
    def column_axis(self) -> list[int]:
        """Arcs (index into blocks.axes) of each column."""
        return [a for a, arcs in enumerate(self.blocks.axes) for _ in arcs.steps]

    @cached_property
    def column_bytes(self) -> FloatArray:
        """[columns] float64 bytes of a queue pair of each column, all planes together."""
        return np.array(
            [arcs.step_bytes * int(s) * self.fabric.planes for arcs in self.blocks.axes for s in arcs.steps]
        )

    @cached_property
    def column_rails(self) -> FloatArray:
        """[columns] float64 rails that each column stands for."""
        return np.array([self.blocks.axes[a].rails for a in self.column_axis], float)

    @cached_property
    def axis_parts(self) -> list[list[int]]:
        """Arcs (indices into blocks.axes) of each axis of the traffic that has any, by kind of rail."""
        axes = [arcs.index for arcs in self.blocks.axes]
        return [[i for i, a in enumerate(axes) if a == axis] for axis in sorted(set(axes))]

    # ---- prices ------------------------------------------------------------------------------------------------

    def counts(self, group: IntArray) -> FloatArray:
        """[columns, 2, groups] float64 queue pairs a rail that leave and enter each group; `group` [blocks] int64."""
        width = self.groups + 1  # the last one is that of hosts without a group
        group = np.where(group < 0, self.groups, group)
        result = []
        for arcs in self.blocks.axes:
            key, pairs = _summed(group[arcs.src] * width + group[arcs.dst], arcs.pairs, width * width)
            a, b = key // width, key % width
            table = np.zeros((len(arcs.steps), 2, self.groups))
            for ancestors in self.fabric.group_ancestor:
                ga, gb = ancestors[a], ancestors[b]
                for end, at in enumerate((ga, gb)):
                    live = np.flatnonzero((ga != gb) & (at >= 0))
                    for c in range(len(arcs.steps)):
                        table[c, end] += np.bincount(at[live], pairs[c][live], self.groups)
            result.append(table)
        return np.concatenate(result) if result else np.zeros((0, 2, self.groups))

    def parts(self, group: IntArray) -> tuple[float, float, float]:
        """Exposed ms, busiest uplink s (an average rail's), and the hop-bytes above those inside leaves, of a state."""
        counts = self.counts(group)
        seconds = counts * self.column_bytes[:, None, None] * self.per_byte
        load = np.zeros((len(self.blocks.axes), 2, self.groups))
        np.add.at(load, self.column_axis, seconds)
        share = self.column_rails / self.fabric.rails
        hops = float((counts[:, 0] * (self.column_bytes * self.column_rails)[:, None] * self.climb).sum())
        exposed = 0.0
        for parts in self.axis_parts:
            arcs = self.blocks.axes[parts[0]]
            spread = max(float(self.floors_s[arcs.index]), float(load[parts].max()))
            slowest = self._hashed_seconds(parts, counts) if self.hashed else spread
            exposed += 1e3 * float(self.exposure[arcs.index]) * slowest
        return exposed, float((seconds * share[:, None, None]).sum(0).max(initial=0.0)), hops

    @cached_property
    def tables(self) -> list[AxisTable]:
        """Of each axis: what is known of its slowest link."""
        top = float(self.bandwidth[self.bandwidth > 0].max(initial=1.0))
        return [AxisTable(arcs, float(self.floors_s[arcs.index]), top) for arcs in self.blocks.axes]

    def _hashed_seconds(self, parts: list[int], counts: FloatArray) -> float:
        """Expected slowest link of an axis whose arcs are `parts`, given the counts of all columns."""
        table = self.tables[parts[0]]
        log = np.zeros(len(table.grid))
        for a in parts:
            rows = (counts[np.array(self.column_axis) == a] * self.scale).reshape(len(self.blocks.axes[a].steps), -1).T
            ends = np.column_stack([np.tile(x, 2) for x in (self.links, self.bandwidth, self.repeat[a])])
            live = rows.sum(1) > 0
            keys = np.column_stack([ends, rows.round(3)])[live].tolist()
            for (links, bandwidth, repeat, *pairs), times in Counter(map(tuple, keys)).items():
                log += times * self.tables[a].row(links, bandwidth, repeat, tuple(pairs))
        return table.seconds(log)
