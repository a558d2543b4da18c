"""Relieve the busiest uplinks: divide expert groups among groups anew, then exchange them where busy uplinks cost more.

Single swaps level what a division allows (`leveller`), but do not change which groups share split expert groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.compact.cliques import Seats
from topoplan.solvers.ranks.compact.leveller import PRICE, uplink_bytes
from topoplan.solvers.ranks.compact.splits import Tree

HEAT = (2.0, 0.02)  # of exchanging cliques after a division, as `Seats.exchange` has it; assumed, tuned on m8k
TOLL = 2.0  # price of an uplink above the limit, over the longest distance; assumed, tuned on m8k


@dataclass(frozen=True, eq=False)
class Relief:
    """Divides cliques so that no uplink carries much more than a limit.

    Parameters
    ----------
    tiers
        For each tier, closest first: its part of each place [places] int64, what the distance grows by between two,
        and seconds [parts] float64 that a byte over a part's uplink takes, either way, 0 where it has none.
    """

    seats: Seats
    tiers: list[tuple[IntArray, float, FloatArray]]

    def busy_s(self, place: IntArray) -> list[FloatArray]:
        """For each tier, seconds [parts] float64 of each part's uplink, spread perfectly."""
        graph = self.seats.layout.graph
        return [uplink_bytes(graph, part[place], len(seconds)) * seconds for part, _, seconds in self.tiers]

    def busiest_s(self, place: IntArray) -> float:
        """Seconds of the busiest uplink, spread perfectly."""
        return max(float(busy.max()) for busy in self.busy_s(place))

    @cached_property
    def _inside(self) -> FloatArray:
        """[pairs] float64 bytes between two blocks of a clique, of those that send any."""
        graph, members = self.seats.layout.graph, self.seats.members
        owner = np.full(len(self.seats.layout.kind), -1)
        owner[members] = np.arange(len(members))[:, None]
        return np.asarray(graph.weight[owner[graph.u] == owner[graph.v]])

    @property
    def complete(self) -> bool:
        """Whether all blocks of a clique talk to each other: not so in a ring."""
        count, width = self.seats.members.shape
        return bool(len(self._inside) == count * width * (width - 1) // 2)

    def divided(self, place: IntArray, limit_s: float) -> IntArray | None:
        """Place of each block after cliques were divided anew; None where no division is found."""
        counts, width = self.seats.counts(place), self.seats.members.shape[1]
        pair_bytes = float(self._inside.mean())
        over = PRICE * float(self.seats.layout.apart.max())
        half, room = [], []
        for (part, step, seconds), busy in zip(self.tiers, self.busy_s(place), strict=True):
            held = np.stack([counts[:, part == k].sum(1) for k in range(len(seconds))])
            pairs = (held * (width - held)).sum(1)
            timed = seconds > 0
            # what else than cliques goes over an uplink; any clique may come to any group, so on average
            other_s = float((busy - pairs * pair_bytes * seconds)[timed].mean()) if timed.any() else 0.0
            most = np.full(len(seconds), np.inf)
            most[timed] = (limit_s - other_s) / (seconds[timed] * pair_bytes)
            half.append(step / 2)
            room.append(most.tolist())

        def price(tier: int, part: int, pairs: int) -> float:
            return float(half[tier] * pairs + over * max(0.0, pairs - room[tier][part]))

        split = Tree([part for part, *_ in self.tiers], counts.sum(0), width, price).divide()
        if split is None:
            return None
        whole = (counts.sum(0) - split.sum(0)) // width
        seats = np.concatenate([split, np.repeat(np.diag(np.full(len(whole), width)), whole, axis=0)])
        return self.seats.match(self.seats.adopt(place, seats))

    def states(self, place: IntArray, limit_s: float, proposals: int, seeds: range) -> Iterator[IntArray]:
        """Place of each block after a new division and, for each seed, exchanges of cliques."""
        start = self.divided(place, limit_s)
        if start is None:
            return
        toll = TOLL * float(self.seats.layout.apart.max())
        tolls = [
            (part, np.where(busy > limit_s, toll, 0.0))
            for (part, *_), busy in zip(self.tiers, self.busy_s(start), strict=True)
        ]
        for seed in seeds:
            yield self.seats.exchange(start, proposals, seed, HEAT, tolls)
