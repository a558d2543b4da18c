"""Price of whole states of blocks: where each block sits -> exposed time, busiest uplink, bytes x distance.

Rails are taken alike: counts of queue pairs are those of an average rail. The planner steers by these prices and judges
the result by `topoplan.cost.price`, which looks at each rail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.cost.hashing import HashedFlows, expected_slowest
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.solvers.ranks.blocks import Blocks


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
        return (self.fabric.group_rails == 1).astype(np.int64)

    @cached_property
    def links(self) -> FloatArray:
        """[groups] float64 links of an average rail's uplink."""
        links = self.fabric.uplink_links.reshape(-1, self.fabric.rails)
        mean = links.sum(1) / np.maximum(self.fabric.group_rails, 1)
        return np.where(self.shared == 1, links[:, 0], mean)

    @cached_property
    def repeat(self) -> FloatArray:
        """[groups] float64 uplinks of a group that are alike."""
        return np.where(self.shared == 1, 1.0, float(self.fabric.rails))

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
        """[groups] float64 hop-bytes that one byte a rail adds by leaving the group."""
        distance = [*(tier.distance for tier in self.fabric.tiers), self.fabric.top_distance]
        tier = np.array([group.tier for group in self.fabric.groups], np.int64)
        return np.diff(distance)[tier] * self.fabric.rails

    # ---- columns: (axis, size class) ---------------------------------------------------------------------------

    @cached_property
    def column_axis(self) -> list[int]:
        """Axis (index into blocks.axes) of each column."""
        return [a for a, arcs in enumerate(self.blocks.axes) for _ in arcs.steps]

    @cached_property
    def column_bytes(self) -> FloatArray:
        """[columns] float64 bytes of a queue pair of each column, all planes together."""
        return np.array(
            [arcs.step_bytes * int(s) * self.fabric.planes for arcs in self.blocks.axes for s in arcs.steps]
        )

    # ---- prices ------------------------------------------------------------------------------------------------

    def counts(self, group: IntArray) -> FloatArray:
        """[columns, 2, groups] float64 queue pairs a rail that leave and enter each group; `group` [blocks] int64."""
        result = []
        for arcs in self.blocks.axes:
            a, b = group[arcs.src], group[arcs.dst]
            table = np.zeros((len(arcs.steps), 2, self.groups))
            for ancestors in self.fabric.group_ancestor:
                ga, gb = ancestors[a], ancestors[b]
                cross = ga != gb
                for end, at in enumerate((ga, gb)):
                    live = np.flatnonzero(cross & (at >= 0))
                    for c in range(len(arcs.steps)):
                        table[c, end] += np.bincount(at[live], arcs.pairs[live, c], self.groups)
            result.append(table)
        return np.concatenate(result) if result else np.zeros((0, 2, self.groups))

    def parts(self, group: IntArray) -> tuple[float, float, float]:
        """Exposed ms, busiest uplink s, and the hop-bytes above those inside leaves, of a state."""
        counts = self.counts(group)
        load = np.zeros((len(self.blocks.axes), 2, self.groups))
        np.add.at(load, self.column_axis, counts * self.column_bytes[:, None, None] * self.per_byte)
        hops = float((counts[:, 0] * self.column_bytes[:, None] * self.climb).sum())
        exposed, first = 0.0, 0
        for a, arcs in enumerate(self.blocks.axes):
            floor = float(self.floors_s[arcs.index])
            part = counts[first : first + len(arcs.steps)]
            first += len(arcs.steps)
            seconds = self._hashed_seconds(a, part, floor) if self.hashed else max(floor, float(load[a].max()))
            exposed += 1e3 * float(self.exposure[arcs.index]) * seconds
        return exposed, float(load.sum(0).max(initial=0.0)), hops

    def _hashed_seconds(self, a: int, counts: FloatArray, floor: float) -> float:
        arcs = self.blocks.axes[a]
        rows = (counts * self.scale).reshape(len(arcs.steps), -1).T
        key = np.column_stack([rows.round(6), np.tile(self.links, 2), np.tile(self.bandwidth, 2)])
        key, index = np.unique(key[rows.sum(1) > 0], axis=0, return_inverse=True)
        if not len(key):
            return floor
        repeat = np.bincount(index, np.tile(self.repeat, 2)[rows.sum(1) > 0], len(key))
        n = len(arcs.steps)
        flows = HashedFlows(key[:, :n], arcs.steps, arcs.step_bytes, np.zeros(len(key)), key[:, n], key[:, n + 1])
        return expected_slowest(flows, floor, repeat)
