"""Refine a plan of hosts GPU by GPU, where launchers can express it and where single GPUs can make a difference.

Ranks that fill like hosts evenly load every NIC alike, and then the order of GPUs inside a host is worth nothing. It is
worth something where NICs or rails carry unlike amounts, hosts are free in part, NVLink joins only some GPUs of a host,
or the traffic was measured and does not know what a host is. There, ranks swap GPUs (or take a free one beside) while
a smooth stand-in for the price falls; whether the result is taken, the real price says.
"""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np

from topoplan.cost.price import host_distance, predict
from topoplan.cost.routes import Routes
from topoplan.model.capability import Freedom
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.contraction import floors_s, price
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.luck import luck_ms
from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, RankSolution, Watch, keep_going
from topoplan.solvers.ranks.replan import key_of
from topoplan.solvers.ranks.solve import rate

WORTH = 1e-3  # share of the objective below which a gain is not worth an unusual order; assumed
EVEN = 1e-3  # a NIC that is busier than the mean of its host's by less is called even
POWER = 8  # of the norm that stands for the slowest link: high enough to follow it, low enough to see the next
TRIES = 5  # proposals paid for out of one of `RankParams.proposals`
WORK = 3_000_000  # flows priced in full for swaps that all hosts make alike: about a second
REPORT_EVERY = 250
PHASE = "GPUs"
USUAL = 50  # flows of the two ranks of a swap that one proposal pays for


def refine_gpus(
    problem: RankProblem, solution: RankSolution, params: RankParams | None = None, watch: Watch = keep_going
) -> RankSolution:
    """The solution, or one that differs in single GPUs: never worse in the objective, and not for luck alone.

    Launchers that only order hosts leave no choice; those that order GPUs, swaps inside a host; others, any.
    """
    params, free = params or RankParams(), problem.capability.freedom
    gpu = solution.gpu
    anywhere = free >= Freedom.RANKS and _ragged(problem, gpu)
    if free < Freedom.GPUS or not (anywhere or _uneven(problem, gpu)):
        return solution
    gpu = _alike(problem, gpu)
    key = key_of(problem.objective)
    value, bound = key(solution.prediction)[0], solution.certificate.get(problem.objective)

    def told(progress: Progress) -> bool:
        return watch(Progress(progress.phase, progress.done, value, bound.lower_bound if bound else 0.0))

    gpu = _Search(problem, gpu, anywhere, params.seed).run(params.proposals // TRIES, told)
    found = problem.once(price, gpu)
    gain, least = value - key(found)[0], WORTH * value
    if problem.objective == "exposed_ms":
        known = problem.once(floors_s, solution.gpu)
        least = max(least, luck_ms(problem.fabric, problem.traffic, solution.prediction, found, known))
    return rate(problem, gpu, f"{solution.method}, by GPU") if gain > least else solution


def _ragged(problem: RankProblem, gpu: IntArray) -> bool:
    """Whether exchanges between hosts may gain: hosts are in use in part, or the traffic was measured."""
    fabric = problem.fabric
    hosts, used = np.unique(fabric.gpu_host[gpu], return_counts=True)
    return bool((used < fabric.host_gpus[hosts]).any() or len(np.unique(used)) > 1 or not problem.traffic.collectives)


def _uneven(problem: RankProblem, gpu: IntArray) -> bool:
    """Whether the order of GPUs inside hosts may gain: some axis's slowest NIC is busier than its host's mean."""
    fabric, traffic = problem.fabric, problem.traffic
    rails = fabric.rails
    capacity = fabric.port_bandwidth.reshape(-1, rails)
    for a, flows in enumerate(traffic.flows):
        routes = Routes.of_axis(fabric, traffic, gpu, a)
        out, host = routes.outside, fabric.gpu_host
        if (host[routes.src[out]] == host[routes.dst[out]]).any():
            return True  # NVLink does not join the whole host
        for port in (routes.out_port, routes.in_port):
            load = np.bincount(port[out], flows.bytes[out], capacity.size).reshape(capacity.shape)
            seconds = np.divide(load, capacity, out=np.zeros(load.shape), where=capacity > 0).max(1)
            mean = np.divide(load.sum(1), capacity.sum(1), out=np.zeros(len(load)), where=capacity.sum(1) > 0)
            if seconds.max(initial=0.0) > mean.max(initial=0.0) * (1 + EVEN):
                return True
    return False


def _alike(problem: RankProblem, gpu: IntArray) -> IntArray:
    """GPU of each rank after swaps of two GPU indices, on all hosts at once, one after the other where they pay."""
    fabric, traffic = problem.fabric, problem.traffic
    usable, hosts = fabric.gpu_free, np.unique(fabric.gpu_host[gpu])
    if not usable[np.isin(fabric.gpu_host, hosts)].all():
        return gpu
    pairs = list(combinations(range(int(fabric.host_gpus[hosts].min())), 2))
    if len(pairs) * len(traffic.src) > WORK:
        return gpu
    key = key_of(problem.objective)
    best, price = gpu, key(predict(fabric, traffic, gpu))
    for i, j in pairs:
        local = fabric.gpu_local[best]
        swapped = best + np.where(local == i, j - i, 0) + np.where(local == j, i - j, 0)
        found = key(predict(fabric, traffic, swapped))
        if found < price:
            best, price = swapped, found
    return best


class _Search:
    """Seconds of every link by axis, kept up to date swap by swap."""

    def __init__(self, problem: RankProblem, gpu: IntArray, anywhere: bool, seed: int) -> None:
        self.fabric, self.traffic, self.gpu = problem.fabric, problem.traffic, gpu.copy()
        self.anywhere, self.rng = anywhere, random.Random(seed)  # noqa: S311 - a search, not a secret
        fabric, traffic = self.fabric, self.traffic
        rule = Whole(problem)
        self.kept = np.isin(traffic.axis, rule.axes)
        self.per_byte = _per_byte(fabric)
        live = np.concatenate([np.zeros(0, np.int64), *traffic.by_axis])
        self.flows = _by_rank(traffic, live)
        self.weight = np.array(traffic.exposure, float)
        self.busy = np.bincount(*self._links(live), len(traffic.axes) * len(self.per_byte)).astype(float)
        self.unit = np.maximum(self.busy.reshape(len(traffic.axes), -1).max(1, initial=0.0), 1e-300)
        self.total = ((self.busy.reshape(len(self.unit), -1) / self.unit[:, None]) ** POWER).sum(1)
        self.hops = self._hops(live)
        self.share = (1e-3, 1.0) if problem.objective == "hop_bytes" else (1.0, 1e-4)
        self.start = (max(self._time(self.total), 1e-300), max(self.hops, 1e-300))
        hosts = np.isin(np.arange(len(fabric.hosts)), fabric.gpu_host[gpu]) & (problem.free > 0)
        self.slots = np.flatnonzero(fabric.gpu_free & hosts[fabric.gpu_host])
        self.rank_at = np.full(fabric.gpus, -1, np.int64)
        self.rank_at[gpu] = np.arange(len(gpu))

    def run(self, proposals: int, watch: Watch) -> IntArray:
        """[ranks] int64 GPU of each rank after about so many proposals; those of ranks with many flows count more."""
        spent, told = 0.0, 0.0
        while spent < proposals:
            if spent >= told:
                told = spent + REPORT_EVERY
                if not watch(Progress(PHASE, spent / proposals, 0.0, 0.0)):
                    break
            pair = self._propose()
            spent += 1 + (self._try(*pair) / USUAL if pair else 0.0)
        return self.gpu

    def _propose(self) -> tuple[int, int] | None:
        """Two GPUs whose ranks change places: mostly one end of a flow over a busy link, and one that may take it."""
        rank = self._hot() if self.rng.random() < 0.8 else self.rng.randrange(len(self.gpu))
        at = int(self.gpu[rank])
        first, last = 0, len(self.slots)
        if not self.anywhere or self.rng.random() < 0.3:
            host = int(self.fabric.gpu_host[at])
            first, last = np.searchsorted(self.slots, self.fabric.gpu_offset[host : host + 2]).tolist()
        to = int(self.slots[self.rng.randrange(first, last)])
        return None if to == at else (at, to)

    def _hot(self) -> int:
        """A rank whose flows cross the busiest link of an axis, axes by their share of the time."""
        times = (self.weight * self.unit * self.total ** (1 / POWER)).tolist()
        if sum(times) <= 0:
            return self.rng.randrange(len(self.gpu))
        axis = self.rng.choices(range(len(times)), times)[0]
        width, links = len(self.per_byte), self.fabric
        link = int(self.busy[axis * width : (axis + 1) * width].argmax())
        near = 2 * links.gpus + 2 * len(links.port_bandwidth)
        if link < 2 * links.gpus:
            gpus = [link % links.gpus]
        elif link < near:
            host = (link - 2 * links.gpus) % len(links.port_bandwidth) // links.rails
            gpus = list(range(int(links.gpu_offset[host]), int(links.gpu_offset[host + 1])))
        else:
            return self.rng.randrange(len(self.gpu))
        ranks = [int(r) for r in self.rank_at[gpus] if r >= 0]
        return self.rng.choice(ranks) if ranks else self.rng.randrange(len(self.gpu))

    def _try(self, a: int, b: int) -> int:
        """Exchange what GPUs a and b hold if that lowers the value and splits no kept group; the flows looked at."""
        ranks = [(int(self.rank_at[g]), other) for g, other in ((a, b), (b, a)) if self.rank_at[g] >= 0]
        flows = np.unique(np.concatenate([self.flows[rank] for rank, _ in ranks]))
        torn, hops = self._torn(flows), self._hops(flows)
        key, seconds = self._links(flows)
        for rank, to in ranks:
            self.gpu[rank] = to
        key = np.concatenate([key, (moved := self._links(flows))[0]])
        keys, where = np.unique(key, return_inverse=True)
        change = np.bincount(where, np.concatenate([-seconds, moved[1]]), len(keys))
        axis = keys // len(self.per_byte)
        unit, was = self.unit[axis], self.busy[keys]
        now = np.maximum(was + change, 0.0)
        step = np.bincount(axis, (now / unit) ** POWER - (was / unit) ** POWER, len(self.unit))
        total, farther = np.maximum(self.total + step, 0.0), self.hops + self._hops(flows) - hops
        better = self._value(total, farther) < self._value(self.total, self.hops) * (1 - 1e-12)
        if better and self._torn(flows) <= torn:
            self.busy[keys], self.total, self.hops = now, total, farther
            self.rank_at[[a, b]] = self.rank_at[[b, a]]
        else:
            for rank, to in ranks:
                self.gpu[rank] = a + b - to
        return len(flows)

    def _time(self, total: FloatArray) -> float:
        return float((self.weight * self.unit * total ** (1 / POWER)).sum())

    def _value(self, total: FloatArray, hops: float) -> float:
        return self.share[0] * self._time(total) / self.start[0] + self.share[1] * hops / self.start[1]

    def _links(self, flows: IntArray) -> tuple[IntArray, FloatArray]:
        """Keys (axis x links + link) of the links that flows cross, and their seconds there, spread perfectly."""
        fabric, traffic = self.fabric, self.traffic
        routes = Routes.of(fabric, self.gpu[traffic.src[flows]], self.gpu[traffic.dst[flows]])
        ports, near = len(fabric.port_bandwidth), 2 * (fabric.gpus + len(fabric.port_bandwidth))
        inside, out = np.flatnonzero(routes.inside), routes.outside
        parts = [
            (inside, routes.src[inside]),
            (inside, fabric.gpus + routes.dst[inside]),
            (out, 2 * fabric.gpus + routes.out_port[out]),
            (out, 2 * fabric.gpus + ports + routes.in_port[out]),
        ]
        share = np.ones(4)
        for _, _, index, up, down in routes.climbs:
            for start, uplink in ((near, up), (near + len(fabric.uplink_links), down)):
                known = uplink >= 0
                parts.append((index[known], start + uplink[known]))
                share = np.append(share, 1 / fabric.planes)
        index, link = (np.concatenate(column) for column in zip(*parts, strict=True))
        portion = np.repeat(share, [len(part[0]) for part in parts])
        key = traffic.axis[flows[index]].astype(np.int64) * len(self.per_byte) + link
        return key, traffic.bytes[flows[index]] * portion * self.per_byte[link]

    def _hops(self, flows: IntArray) -> float:
        fabric, traffic = self.fabric, self.traffic
        src, dst = self.gpu[traffic.src[flows]], self.gpu[traffic.dst[flows]]
        out = fabric.gpu_island[src] != fabric.gpu_island[dst]
        apart = host_distance(fabric, fabric.gpu_host[src[out]], fabric.gpu_host[dst[out]])
        return float((traffic.bytes[flows][out] * apart).sum())

    def _torn(self, flows: IntArray) -> int:
        """Flows of kept axes between NVLink domains."""
        kept = flows[self.kept[flows]]
        island = self.fabric.gpu_island[self.gpu]
        return int((island[self.traffic.src[kept]] != island[self.traffic.dst[kept]]).sum())


def _per_byte(fabric: Fabric) -> FloatArray:
    """[links] float64 seconds of a byte on NVLinks out and in, NICs out and in, uplinks up and down."""
    uplink = fabric.uplink_links * fabric.uplink_link_bandwidth
    capacity = np.concatenate([np.tile(x, 2) for x in (fabric.gpu_scale_up, fabric.port_bandwidth, uplink)])
    live = capacity > 0
    # a link that is not there is a thousand times slower than the slowest: dear, but still a number
    return np.where(live, 1 / np.where(live, capacity, 1.0), 1e3 / capacity[live].min(initial=1.0))


def _by_rank(traffic: Traffic, live: IntArray) -> list[IntArray]:
    """Live flows that each rank sends or gets."""
    rank = np.concatenate([traffic.src[live], traffic.dst[live]])
    flow = np.concatenate([live, live])
    order = np.argsort(rank, kind="stable")
    return np.split(flow[order], np.searchsorted(rank[order], np.arange(1, traffic.ranks)))
