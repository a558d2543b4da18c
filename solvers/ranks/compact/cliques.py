"""Expert groups as units: which clique of blocks goes where, and which of its blocks goes to which part of a split one.

Blocks of a clique talk to each other alike, so a placement is first a set of *seats*, one a clique: how many of its
blocks sit in each group. Exchanging two cliques' seats changes only what cliques send each other, and the least of
that, over all ways to match the blocks of two cliques, is a transport distance between the seats. Giving cliques to
seats is then a quadratic assignment on a graph many times smaller than that of the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.bounds.boundary import Graph
from topoplan.solvers.ranks.compact.hops import Layout, Swapper
from topoplan.solvers.ranks.steering.blocks import Blocks

LARGEST_CLIQUE = 64  # blocks; wider expert groups are not kept together
NEAREST_SEATS = 8  # seats beside a seat that a clique may move to
ROUNDS = 2  # passes over split cliques

# [places] int64 group of each place, and [groups] float64 price of a group's uplink
Steps = Sequence[tuple[IntArray, FloatArray]]


def cliques(blocks: Blocks) -> list[list[int]]:
    """Sets of blocks joined by edges of at least half the largest weight (expert groups), of one size above 1."""
    if not len(blocks.bytes):
        return []
    heavy = blocks.bytes >= blocks.bytes.max() / 2
    ends = (blocks.src[heavy], blocks.dst[heavy])
    count, label = connected_components(coo_array((np.ones(heavy.sum()), ends), (blocks.count, blocks.count)), False)
    size = np.bincount(label, minlength=count)
    wanted = int(size.max())
    if not 1 < wanted <= LARGEST_CLIQUE or (size[label[: blocks.used]] != wanted).any():
        return []
    order = np.argsort(label[: blocks.used], kind="stable")
    result: list[list[int]] = order.reshape(-1, wanted).tolist()
    return result


class Seats:
    """Seats of cliques in a placement.

    Parameters
    ----------
    layout
        The blocks; its graph holds what they send each other.
    members
        [cliques, size] int64 blocks of each clique.
    steps
        For each level of groups, closest first: the level's group of each place [places] int64, and what the distance
        grows by when two places are in different ones.
    """

    def __init__(self, layout: Layout, members: IntArray, steps: list[tuple[IntArray, float]]) -> None:
        self.layout, self.members, self.steps = layout, members, steps
        self.graph = _between(layout.graph, members)

    def counts(self, place: IntArray) -> IntArray:
        """[cliques, places] int64 blocks of each clique in each place."""
        seats = place[self.members]
        counts = np.zeros((len(seats), len(self.layout.apart)), np.int64)
        np.add.at(counts, (np.arange(len(seats))[:, None], seats), 1)
        return counts

    def distances(self, mine: IntArray, other: IntArray, tolls: Steps = ()) -> FloatArray:
        """[cliques, cliques] float64 least extra distance between the blocks of two cliques matched one to one.

        Parameters
        ----------
        mine, other
            [cliques, places] int64 blocks of each clique in each place.
        tolls
            What else it costs to leave a group or to enter it.
        """
        total = np.zeros((len(mine), len(other)))
        for group, price in (*((part, np.full(part.max() + 1, step / 2)) for part, step in self.steps), *tolls):
            for g in np.flatnonzero(price).tolist():  # blocks that find no partner in their own group leave it
                held, wanted = (counts[:, group == g].sum(1) for counts in (mine, other))
                total += price[g] * np.abs(held[:, None] - wanted[None, :])
        return total

    def adopt(self, place: IntArray, counts: IntArray) -> IntArray:
        """Place of each block after cliques took other seats, each one near its own; `counts` [cliques, places] int64.

        As many blocks are in each place as before.
        """
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import, and for expert groups alone

        _, seat = linear_sum_assignment(self.distances(self.counts(place), counts))
        place = place.copy()
        for members, wanted in zip(self.members, counts[seat], strict=True):
            leaving = []
            left = wanted.copy()
            for x in members.tolist():
                if left[place[x]] > 0:
                    left[place[x]] -= 1
                else:
                    leaving.append(x)
            place[leaving] = np.repeat(np.arange(len(left)), left)
        return place

    def exchange(
        self, place: IntArray, proposals: int, seed: int, heat: tuple[float, float], tolls: Steps = ()
    ) -> IntArray:
        """Place of each block after cliques were given to seats anew and split cliques were matched.

        Parameters
        ----------
        heat
            Temperature at the start and at the end, over the median price of a link between two cliques.
        tolls
            What else it costs to leave a group or to enter it.
        """
        counts = self.counts(place)
        apart = self.distances(counts, counts, tolls)
        if not apart.any() or not len(self.graph.u):
            return place
        np.fill_diagonal(apart, 0.0)
        count = len(self.members)
        kind = self.layout.kind[self.members].max(1)
        nearest = np.argsort(apart + np.eye(count) * 1e-9, axis=1, kind="stable")[:, :NEAREST_SEATS].tolist()
        seats = Layout(self.graph, kind, apart)
        unit = float(np.median(self.graph.weight)) * float(np.median(apart[apart > 0]))
        swapper = Swapper(seats, np.arange(count), seed, nearest)
        swapper.run(proposals, heat[0] * unit, heat[1] * unit)
        moved = place.copy()
        moved[self.members] = place[self.members][swapper.at]
        return self.match(moved)

    def match(self, place: IntArray) -> IntArray:
        """Place of each block after each split clique has shared out its places among its blocks anew."""
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import, and for expert groups alone

        place = place.copy()
        graph, apart = self.layout.graph, self.layout.apart
        ends = np.concatenate([graph.u, graph.v])
        order = np.argsort(ends, kind="stable")
        other = np.concatenate([graph.v, graph.u])[order]
        weight = np.tile(graph.weight, 2)[order]
        first = np.searchsorted(ends[order], np.arange(graph.count + 1))
        owner = np.empty(graph.count, np.int64)
        owner[self.members] = np.arange(len(self.members))[:, None]
        split = np.flatnonzero(place[self.members].min(1) != place[self.members].max(1))
        for _ in range(ROUNDS):
            for k in split.tolist():
                members = self.members[k]
                offered = place[members]
                price = np.zeros((len(members), len(members)))
                for row, x in enumerate(members.tolist()):
                    near = slice(first[x], first[x + 1])
                    outside = owner[other[near]] != k
                    price[row] = weight[near][outside] @ apart[place[other[near][outside]]][:, offered]
                rows, columns = linear_sum_assignment(price)
                place[members[rows]] = offered[columns]
        return place


def _between(graph: Graph, members: IntArray) -> Graph:
    """Graph of the cliques: bytes between two of them for each block, as if all matched alike."""
    owner = np.empty(graph.count, np.int64)
    owner[members] = np.arange(len(members))[:, None]
    a, b = owner[graph.u], owner[graph.v]
    across = np.flatnonzero(a != b)
    low, high = np.minimum(a, b)[across], np.maximum(a, b)[across]
    key, where = np.unique(low * len(members) + high, return_inverse=True)
    weight = np.bincount(where, graph.weight[across], len(key)) / members.shape[1]
    return Graph(len(members), key // len(members), key % len(members), weight, np.zeros(len(key), np.int64))
