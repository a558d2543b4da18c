"""Groups that NVLink should serve stay whole: tensor, expert and context groups inside one NVLink domain each.

An axis is kept whole where all its groups fit: no larger than an island's usable GPUs, and enough islands for all of
them. Axes are taken in the order of their exposed bytes, each together with those before it. That is a rule, not a
price: placements that split such a group are not considered, whatever they cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from topoplan.model.capability import Freedom
from topoplan.model.fabric import BoolArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.orders import one_component, usable_hosts
from topoplan.solvers.ranks.problem import RankProblem

KEPT = ("tp", "ep", "cp")  # axes whose groups NVLink should serve; dp and pp are meant to leave it
POOLS = 4  # groups of a tier whose islands are filled


@dataclass(frozen=True, eq=False)
class Whole:
    """The rule for a problem: which ranks stay together, and placements that keep it."""

    problem: RankProblem

    @cached_property
    def gpus(self) -> IntArray:
        """Usable GPUs in physical order; inside an island those of its fullest hosts first."""
        problem = self.problem
        hosts = one_component(problem, usable_hosts(problem))
        place = np.full(len(problem.fabric.hosts), -1, np.int64)
        place[hosts] = np.arange(len(hosts))
        gpu = np.flatnonzero(problem.fabric.gpu_free & (place[problem.fabric.gpu_host] >= 0))
        host, island = problem.fabric.gpu_host[gpu], problem.fabric.gpu_island[gpu]
        values, index = np.unique(island, return_inverse=True)
        first = np.full(len(values), len(place), np.int64)
        np.minimum.at(first, index, place[host])
        return np.asarray(gpu[np.lexsort((gpu, place[host], -problem.free[host], island, first[index]))], np.int64)

    @cached_property
    def rooms(self) -> IntArray:
        """[islands] int64 usable GPUs of each NVLink domain that has any, in the order of `gpus`."""
        return _runs(self.problem.fabric.gpu_island[self.gpus])

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """Axes that are kept whole, the one with most exposed bytes first."""
        return tuple(a for a, kept in self._tried.items() if kept)

    @cached_property
    def _tried(self) -> dict[int, bool]:
        traffic, largest = self.problem.traffic, int(self.rooms.max(initial=0))
        wanted = [a for a, name in enumerate(traffic.axes) if name in KEPT and len(traffic.by_axis[a])]
        wanted.sort(key=lambda a: -float(traffic.exposure[a] * traffic.bytes[traffic.by_axis[a]].sum()))
        tried: dict[int, bool] = {}
        for a in wanted:
            kept = [b for b, good in tried.items() if good]
            fits = _known_size(traffic, a) <= largest
            tried[a] = fits and bool((self._packed(together(traffic, [*kept, a]), self.rooms) >= 0).all())
        return tried

    def splits(self, gpu: IntArray, axes: tuple[int, ...] | None = None) -> int:
        """Flows of the kept axes (or of `axes`) that leave their NVLink domain; 0 exactly where no group is split."""
        island, traffic = self.problem.fabric.gpu_island, self.problem.traffic
        flows = [traffic.by_axis[a] for a in (self.axes if axes is None else axes)]
        return sum(int((island[gpu[traffic.src[f]]] != island[gpu[traffic.dst[f]]]).sum()) for f in flows)

    def placements(self) -> Iterator[tuple[str, IntArray]]:
        """Name and GPU of each rank of placements that split no kept group, on the closest islands that hold them.

        Of axes whose groups do not all fit, as many groups are whole as do.
        """
        largest, traffic = int(self.rooms.max(initial=0)), self.problem.traffic
        kept = list(self.axes)
        fit = [*kept, *(a for a in self._tried if a not in kept and _known_size(traffic, a) <= largest)]
        labels = {tuple(axes): together(traffic, axes) for axes in (fit, kept) if axes}
        for where, inside in self._pools():
            gpus = self.gpus[inside]
            for order, chosen in (("", gpus), ("fullest ", self._fullest(gpus))):
                for axes, label in labels.items():
                    placed = self._placed(label, chosen)
                    if not self.splits(placed) and self._expressible(placed):
                        names = " ".join(traffic.axes[a] for a in axes)
                        yield f"whole {names} groups on {order}islands{where}", placed

    def _pools(self) -> Iterator[tuple[str, BoolArray]]:
        """Name and [usable GPUs] bool of groups that hold the job, by tier, least room to spare first; then all."""
        fabric, host = self.problem.fabric, self.problem.fabric.gpu_host[self.gpus]
        for ancestors in fabric.host_ancestor:
            group = ancestors[host]
            room = np.bincount(group[group >= 0], minlength=len(fabric.groups))
            fits = [k for k in np.argsort(room, kind="stable").tolist() if room[k] >= self.problem.traffic.ranks]
            for k in fits[:POOLS]:
                yield f" of {fabric.groups[k].name}", group == k
        yield "", np.ones(len(host), bool)

    def notes(self, gpu: IntArray) -> list[str]:
        """What to say of groups that a placement splits though an island would hold one, or that no island holds."""
        fabric, traffic = self.problem.fabric, self.problem.traffic
        largest, said = int(self.rooms.max(initial=0)), []
        for a in self._tried:
            if (_known_size(traffic, a) > largest and not fabric.islands) or not self.splits(gpu, (a,)):
                continue  # that groups wider than a host leave it goes without saying
            label = together(traffic, [a])
            size, groups = int(np.bincount(label).max()), _torn(label, fabric.gpu_island[gpu])
            name, count = traffic.axes[a], len(np.unique(label))
            if size > largest:
                if fabric.islands:
                    said.append(
                        f"{name} groups of {size} ranks span NVLink domains: the largest has {largest} usable GPUs"
                    )
                continue
            held = int((self.rooms // size).sum())
            if a in self.axes:
                why = "the launchers or the ranks that stay leave no other choice"
            elif held < count:
                why = f"the usable NVLink domains hold {held} of them whole ({_listed(self.rooms)} usable GPUs)"
            else:
                others = ", ".join(traffic.axes[b] for b in self.axes) or "other groups"
                why = f"keeping {others} whole leaves no room for it"
            said.append(f"{groups} of {count} {name} groups ({size} ranks) are split over NVLink domains: {why}")
        return said

    # ---- packing -----------------------------------------------------------------------------------------------

    def _fullest(self, gpus: IntArray) -> IntArray:
        island = self.problem.fabric.gpu_island[gpus]
        values, index, count = np.unique(island, return_inverse=True, return_counts=True)
        first = np.full(len(values), len(gpus), np.int64)
        np.minimum.at(first, index, np.arange(len(gpus)))
        return np.asarray(gpus[np.lexsort((np.arange(len(gpus)), first[index], -count[index]))], np.int64)

    def _packed(self, label: IntArray, rooms: IntArray) -> IntArray:
        """[labels] island that takes each set of ranks, in rank order where sets are alike; -1 where none does.

        Sets of one size (and single ranks) are packed wherever that is possible at all; sets of several sizes by best
        fit, largest first, which may miss a packing.
        """
        size = np.bincount(label)
        left, home = rooms.copy(), np.full(len(size), -1, np.int64)
        sizes = np.unique(size)[::-1]
        for wanted in sizes.tolist():
            sets = np.flatnonzero(size == wanted)
            # the first in the order of islands, smaller ones where least room is left
            order = np.arange(len(left)) if wanted == sizes[0] else np.argsort(left, kind="stable")
            slots = np.repeat(order, left[order] // wanted)[: len(sets)]
            home[sets[: len(slots)]] = slots
            left -= wanted * np.bincount(slots, minlength=len(left))
        return home

    def _placed(self, label: IntArray, gpus: IntArray) -> IntArray:
        """[ranks] GPU of each rank, sets of ranks packed on the islands of `gpus`, those without one in pieces."""
        rooms = _runs(self.problem.fabric.gpu_island[gpus])
        island = self._packed(label, rooms)[label]
        torn = np.flatnonzero(island < 0)
        if len(torn):  # largest remainders first: few pieces
            left = rooms - np.bincount(island[island >= 0], minlength=len(rooms))
            order = np.argsort(-left, kind="stable")
            island[torn] = np.repeat(order, left[order])[: len(torn)]
        order = np.lexsort((np.arange(len(label)), island))
        start = np.concatenate([[0], np.cumsum(rooms)])[:-1]
        nth = np.arange(len(label)) - np.searchsorted(island[order], island[order])
        gpu = np.empty(len(label), np.int64)
        gpu[order] = gpus[start[island[order]] + nth]
        return gpu

    def _expressible(self, gpu: IntArray) -> bool:
        """Whether launchers that give consecutive ranks to a host can make it."""
        if self.problem.capability.freedom >= Freedom.RANKS:
            return True
        host = self.problem.fabric.gpu_host[gpu]
        return int((np.diff(host) != 0).sum()) + 1 == len(np.unique(host))


def together(traffic: Traffic, axes: list[int]) -> IntArray:
    """[ranks] int64 set of ranks that flows of these axes join, numbered by first rank; ranks without flows alone."""
    flows = np.concatenate([np.zeros(0, np.int64), *(traffic.by_axis[a] for a in axes)])
    ends = (traffic.src[flows], traffic.dst[flows])
    graph = coo_array((np.ones(len(flows), np.int8), ends), (traffic.ranks, traffic.ranks))
    label = connected_components(graph, directed=False)[1]
    _, first, index = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[index], np.int64)


def _known_size(traffic: Traffic, axis: int) -> int:
    """Ranks of a group of an axis as its collectives say, 1 where they do not: then only its flows tell."""
    return max((c.groups.shape[1] for c in traffic.collectives if c.axis == traffic.axes[axis]), default=1)


def _runs(values: IntArray) -> IntArray:
    """Lengths of the runs of equal values."""
    edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]])) if len(values) else np.zeros(1)
    return np.asarray(np.diff(edges), np.int64)


def _torn(label: IntArray, island: IntArray) -> int:
    """Sets of ranks that are in more than one island."""
    pairs = np.unique(np.column_stack([label, island]), axis=0)
    return int((np.bincount(pairs[:, 0]) > 1).sum())


def _listed(rooms: IntArray) -> str:
    size, count = np.unique(rooms, return_counts=True)
    return ", ".join(f"{c} x {s}" for s, c in zip(size[::-1].tolist(), count[::-1].tolist(), strict=True))
