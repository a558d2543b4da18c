"""Keep a placement when hosts are lost: move the ranks of lost hosts, whole, onto spare hosts, and nobody else.

Spare hosts are told apart by the bytes x distance that the lost ranks would have there, all lost hosts at once (linear
assignment); the best few places are then priced in full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.cost.price import host_distance, predict
from topoplan.errors import InfeasibleError
from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.problem import RankProblem

PRICED = 6  # places of a lost host that are priced in full
WORK = 1_000_000  # flows priced in all: about a quarter of a second; beyond it bytes x distance decides alone


@dataclass(frozen=True, eq=False)
class Previous:
    """A placement to keep.

    Parameters
    ----------
    host
        [ranks] int64 host of each rank in the fabric of today; hosts that have gone are -1, -2 ...
    local
        [ranks] int64 GPU index in the host.
    spares
        Hosts set aside for this job, used before other free hosts.
    """

    host: IntArray
    local: IntArray
    spares: IntArray


@dataclass(frozen=True, eq=False)
class Replanned:
    """Global GPU of each rank, the ranks that moved, and the hosts that were lost."""

    gpu: IntArray
    moved: IntArray
    lost_hosts: int


def replan_ranks(problem: RankProblem, previous: Previous) -> Replanned:
    """Placement that differs from the previous one only in the ranks of lost hosts.

    A host is lost when one of the GPUs it lent is not usable any more; all its ranks leave it together.

    Raises
    ------
    InfeasibleError
        Fewer free GPUs than ranks to move.
    """
    stays = _stays(problem, previous)
    lost = np.flatnonzero(~stays)
    gpu = np.full(problem.traffic.ranks, -1, np.int64)
    gpu[stays] = problem.fabric.gpu_offset[previous.host[stays]] + previous.local[stays]
    if not len(lost):
        return Replanned(gpu, lost, 0)
    free = _free_gpus(problem, gpu[stays])
    blocks = [lost[previous.host[lost] == h] for h in np.unique(previous.host[lost])]
    if int(free.sum()) < len(lost):
        raise InfeasibleError(
            f"{len(lost)} ranks lost their hosts and {int(free.sum())} GPUs are free: {len(lost) - int(free.sum())} "
            "missing",
            hint="free or repair hosts, widen --hosts, or plan anew with fewer ranks",
        )
    return Replanned(_Move(problem, previous, gpu, free).place(blocks), lost, len(blocks))


def _stays(problem: RankProblem, previous: Previous) -> BoolArray:
    """[ranks] bool whether a rank's host still lends all the GPUs that it lent."""
    fabric = problem.fabric
    known = (previous.host >= 0) & (previous.local < fabric.host_gpus[previous.host])
    usable = np.zeros(len(known), bool)
    at = fabric.gpu_offset[previous.host[known]] + previous.local[known]
    usable[known] = fabric.gpu_free[at] & (problem.free[previous.host[known]] > 0)
    broken = np.unique(previous.host[~usable])
    return usable & ~np.isin(previous.host, broken)


def _free_gpus(problem: RankProblem, taken: IntArray) -> BoolArray:
    """[gpus] bool GPUs that ranks may move to."""
    fabric = problem.fabric
    free = fabric.gpu_free & (problem.free[fabric.gpu_host] > 0)
    free[taken] = False
    if len(taken):  # only hosts that the others can reach
        part = fabric.host_component
        free &= np.isin(part[fabric.gpu_host], np.unique(part[fabric.gpu_host[taken]]))
    return np.asarray(free, bool)


class _Move:
    """Find places for blocks of ranks among free GPUs."""

    def __init__(self, problem: RankProblem, previous: Previous, gpu: IntArray, free: BoolArray) -> None:
        self.problem, self.previous, self.gpu, self.free = problem, previous, gpu.copy(), free.copy()
        self.prices = WORK // max(1, len(problem.traffic.src))  # left to ask for
        self.host = np.where(gpu >= 0, problem.fabric.gpu_host[gpu], -1)

    def place(self, blocks: list[IntArray]) -> IntArray:
        """[ranks] GPU of each rank once all blocks have a place."""
        room = self._room()
        order = np.argsort([-len(block) for block in blocks], kind="stable")
        whole = [blocks[i] for i in order]
        hosts = self._hosts(room, max(len(block) for block in blocks), len(blocks))
        split = []
        if len(hosts) >= len(whole):
            cost = np.array([self._costs(block, hosts) for block in whole])
            for block, c in zip(whole, _cheapest(cost), strict=True):
                self._put(block, int(hosts[c]))
            for block, row in zip(whole, cost, strict=True):
                self._reconsider(block, hosts[np.argsort(row, kind="stable")])
        else:
            split = whole
        for block in split:
            self._scatter(block)
        return self.gpu

    def _room(self) -> IntArray:
        fabric = self.problem.fabric
        return np.bincount(fabric.gpu_host, self.free, len(fabric.hosts)).astype(np.int64)

    def _hosts(self, room: IntArray, size: int, count: int) -> IntArray:
        """Hosts that hold a whole block: spares of the job if they suffice, else idle hosts, else any."""
        used = np.isin(np.arange(len(room)), self.host)
        fits = np.flatnonzero(room >= size)
        kept = np.intersect1d(fits, self.previous.spares)
        idle = fits[~used[fits]]
        return next((hosts for hosts in (kept, idle, fits) if len(hosts) >= count), fits)

    def _costs(self, block: IntArray, hosts: IntArray) -> FloatArray:
        """[hosts] float64 bytes x distance of a block's flows with ranks that have a place."""
        fabric, traffic = self.problem.fabric, self.problem.traffic
        inside = np.zeros(traffic.ranks, bool)
        inside[block] = True
        out = np.flatnonzero(inside[traffic.src] != inside[traffic.dst])
        other = np.where(inside[traffic.src[out]], traffic.dst[out], traffic.src[out])
        known = self.host[other] >= 0
        peers, where = np.unique(self.host[other[known]], return_inverse=True)
        amount = np.bincount(where, traffic.bytes[out[known]], len(peers))
        # hosts under the same groups cost the same
        _, first, kind = np.unique(fabric.host_ancestor[:, hosts], axis=1, return_index=True, return_inverse=True)
        islands = fabric.gpu_island[fabric.gpu_offset[:-1]]
        if fabric.islands:
            first, kind = np.arange(len(hosts)), np.arange(len(hosts))
        cost = np.empty(len(first))
        for i, h in enumerate(hosts[first]):
            distance = host_distance(fabric, np.full(len(peers), h), peers)
            if fabric.islands:
                distance = np.where(islands[peers] == islands[h], 0.0, distance)
            cost[i] = (amount * distance).sum()
        return np.asarray(cost[kind.ravel()], np.float64)

    def _put(self, block: IntArray, host: int) -> None:
        """Ranks keep their GPU index where it is free, else take the next free ones."""
        fabric = self.problem.fabric
        start = int(fabric.gpu_offset[host])
        open_gpus = (start + np.flatnonzero(self.free[start : int(fabric.gpu_offset[host + 1])])).tolist()
        wanted = (start + self.previous.local[block]).tolist()
        kept = set(wanted) & set(open_gpus)
        rest = iter(g for g in open_gpus if g not in kept)
        self.gpu[block] = [g if g in kept else next(rest) for g in wanted]
        self.free[self.gpu[block]] = False
        self.host[block] = host

    def _reconsider(self, block: IntArray, hosts: IntArray) -> None:
        """Price the best places of a block in full, one of each set of groups, and take the best."""
        fabric = self.problem.fabric
        room = self._room()
        now = int(self.host[block[0]])
        seen, tried = set(), [now]
        for h in hosts.tolist():
            chain = tuple(fabric.host_ancestor[:, h].tolist())
            if chain not in seen and room[h] >= len(block) and len(tried) < min(PRICED, self.prices):
                tried.append(h)
            seen.add(chain)
        if len(tried) < 2:
            return
        prices = []
        self.prices -= len(tried)
        for h in tried:
            self.free[self.gpu[block]] = True
            self._put(block, h)
            prices.append(self._price())
        self.free[self.gpu[block]] = True
        self._put(block, tried[prices.index(min(prices))])

    def _price(self) -> tuple[float, ...]:
        return key_of(self.problem.objective)(predict(self.problem.fabric, self.problem.traffic, self.gpu))

    def _scatter(self, block: IntArray) -> None:
        """Too few whole hosts: share the ranks out over the nearest hosts with room, as few as it takes."""
        left = block
        while len(left):
            room = self._room()
            hosts = np.flatnonzero(room)
            most = np.minimum(room[hosts], len(left))
            cost = self._costs(left, hosts)
            h = int(hosts[np.lexsort((hosts, cost, -most))[0]])
            self._put(left[: room[h]], h)
            left = left[room[h] :]


def _cheapest(cost: FloatArray) -> list[int]:
    """Column for each row of `cost` [rows, columns], all different, of least cost together."""
    if len(cost) == 1:
        return [int(cost[0].argmin())]
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import; mostly one host is lost

    columns: list[int] = linear_sum_assignment(cost)[1].tolist()
    return columns


def key_of(objective: str) -> Callable[[Prediction], tuple[float, ...]]:
    """Function that tells placements apart by an objective, then by the others."""

    def key(price: Prediction) -> tuple[float, ...]:
        values = {
            "exposed_ms": price.exposed_ms,
            "busiest_uplink": price.busiest_uplink_ms,
            "hop_bytes": price.hop_bytes,
        }
        return (values.pop(objective), *values.values())

    return key
