"""Balance with copies that the nearest rule loads alike.

Where sources are alike and take a copy on their own host, else any, the copies of an expert get equal parts when every
host that has any has as many as the others: each copy serves its part of its own host and of the hosts without. Then
even use and the nearest copy put the same load on every GPU, and one plan is good for both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.balance import Best, Tries, balance_rows
from topoplan.solvers.experts.by_host import pack_by_host
from topoplan.solvers.experts.pack import Packing
from topoplan.solvers.experts.problem import ExpertParams
from topoplan.solvers.experts.replicate import greedy_copies

PARTS = 32
# (power of the load, PARTS-th parts of the further copies that go to the lightest experts): the first ones leave fewest
# rows of lognormal, zipf and hot loads unfinished
FIRST = ((0.8, 3), (0.8, 6))
WAYS = tuple((alpha, part) for alpha in (1.0, 0.9, 0.8, 0.7) for part in (0, 1, 3, 4, 5, 8))
# Assumed: balance that may be given up for copies that the nearest rule loads alike. Chance adds 1 % and more to the
# largest of 32 GPUs where a batch brings each 32,000 choices (4,096 tokens a GPU, 8 experts each).
EVENLY = 5e-3
PATIENT = 3  # times as many rounds of swaps, with all partners, where that does not do


def balance_evenly(
    load: FloatArray, slots: IntArray, speed: FloatArray, goal: FloatArray, hosts: IntArray, params: ExpertParams
) -> tuple[IntArray, FloatArray]:
    """As `balance_rows`, with as many copies of an expert on each host that has any, unless that costs `EVENLY`.

    At most one copy a host is tried first: engines that take the first of several copies on a host load these unevenly.

    Parameters
    ----------
    hosts
        [hosts, gpus of a host] int64; all GPUs have as many slots and the same speed.
    """
    total, places = int(slots.sum()), int(slots[0])
    best, fine = Best.start(len(load), len(slots), places), params.for_places(places)
    limit, most = goal * (1 + fine.enough), goal * (1 + EVENLY)

    def start(size: FloatArray, copies: IntArray) -> tuple[IntArray, Packing]:
        return pack_by_host(size, copies, places, speed, hosts)

    quick = Tries(load, goal, fine, start)
    patient = replace(fine, rounds=PATIENT * fine.rounds, patience=max(fine.patience, len(slots) // 2))
    single = even_copies(load, total, FIRST[:1], hosts, len(hosts))[:, 0]
    row = np.flatnonzero((single.max(1) <= len(hosts)) & (_least(load, single, places) <= limit * speed[0]))
    if row.size:
        best.keep(*quick.pack(row, single[row]))
    for way in FIRST:
        todo = best.unfinished(limit)
        if todo.size:
            best.keep(*quick.pack(todo, even_copies(load[todo], total, (way,), hosts)[:, 0]))
    for level, tries in ((limit, quick), (most, replace(quick, params=patient))):
        todo = best.unfinished(level)
        if todo.size and fine.plans:
            best.keep(*tries.pack_best(todo, even_copies(load[todo], total, WAYS, hosts)))
    todo = best.unfinished(most)
    if todo.size:
        expert, value = balance_rows(load[todo], slots, speed, goal[todo], params)
        worth = value * (1 + EVENLY) < best.value[todo]
        best.keep(todo[worth], expert[worth], value[worth])
    return best.expert, best.value


def even_counts(hosts: int, gpus: int) -> IntArray:
    """[n] int64 numbers of copies that hosts can hold alike, ascending, on as many hosts as can be.

    Parameters
    ----------
    hosts, gpus
        Number of hosts, and of GPUs of all of them.
    """
    count = np.arange(1, gpus + 1)
    return np.asarray(count[count % -(-count // hosts) == 0], np.int64)


def even_copies(
    load: FloatArray, slots: int, ways: tuple[tuple[float, int], ...], hosts: IntArray, most: int | None = None
) -> IntArray:
    """Copies as `greedy_copies` hands them out, in numbers that hosts can hold alike.

    Parameters
    ----------
    load, slots
        As for `greedy_copies`.
    ways
        Power of the load, and `PARTS`-th parts of the further copies that go to the lightest experts instead.
    hosts
        [hosts, gpus of a host] int64.
    most
        Most copies of an expert; None for as many as there are GPUs.

    Returns
    -------
    copies
        [rows, ways, experts] int64, each sums to `slots`; where that cannot be in such numbers, in others.
    """
    gpus = hosts.size
    rows, experts = load.shape
    allowed = even_counts(len(hosts), gpus)
    allowed = allowed[allowed <= (most or gpus)]
    step = np.zeros(gpus + 1, np.int64)  # further copies to the next number, 0 where there is none
    step[allowed[:-1]] = np.diff(allowed)
    extra = slots - experts
    light = [min(extra * part // PARTS, experts) if gpus > 1 else 0 for _, part in ways]
    width = min(extra + 1, experts)  # lighter experts never come to their second copy
    top = np.argpartition(-load, width - 1, axis=1)[:, :width]
    top.sort(axis=1)  # ties go to the lower expert, whatever the partition did
    heavy = np.take_along_axis(load, top, 1)
    key = np.concatenate([heavy**alpha for alpha, _ in ways])
    left = np.repeat([extra - waste for waste in light], rows)
    count, row = np.ones(key.shape, np.int64), np.arange(len(key))
    share = key.copy() if step[1] else np.full(key.shape, -1.0)
    for _ in range(extra):
        e = share.argmax(1)
        n = count[row, e]
        more = np.where((share[row, e] >= 0) & (step[n] <= left), step[n], 0)
        n = n + more
        count[row, e] = n
        left -= more
        share[row, e] = np.where((more > 0) & (step[n] > 0), key[row, e] / n, -1.0)
    copies = np.ones((len(ways), rows, experts), np.int64)
    np.put_along_axis(copies, np.broadcast_to(top, (len(ways), *top.shape)), count.reshape(len(ways), *top.shape), 2)
    order = np.argsort(load, axis=1, kind="stable")
    for way, waste in enumerate(light):
        np.put_along_axis(copies[way], order[:, :waste], 2, 1)
    odd = copies.sum(2) != slots
    for way, (alpha, _) in enumerate(ways):
        if odd[way].any():
            copies[way, odd[way]] = greedy_copies(load[odd[way]], slots, alpha, gpus)
    return copies.transpose(1, 0, 2)


def _least(load: FloatArray, copies: IntArray, places: int) -> FloatArray:
    """[rows] float64 load that the largest GPU has at least, whatever the packing.

    Any k replicas are on at most k GPUs, whose other places hold no less than the smallest replicas do.
    """
    rows, slots = len(load), int(copies[0].sum())
    size = np.repeat((load / copies).ravel(), copies.ravel()).reshape(rows, slots)
    size.sort(axis=1)
    total = np.concatenate([np.zeros((rows, 1)), size.cumsum(1)], axis=1)
    count = np.arange(1, slots // places + 1)
    return np.asarray(((total[:, -1:] - total[:, slots - count] + total[:, count * (places - 1)]) / count).max(1))


def evenly(expert: IntArray, host: IntArray, experts: int) -> BoolArray:
    """[rows] bool whether all hosts with copies of an expert have as many, for every expert.

    Parameters
    ----------
    expert
        [rows, slots] int64, -1 for none.
    host
        [slots] int64 host of each slot.
    """
    rows, hosts = len(expert), int(host.max()) + 1
    key = (np.arange(rows)[:, None] * hosts + host) * experts + expert
    count = np.bincount(key[expert >= 0], minlength=rows * hosts * experts).reshape(rows, hosts, experts)
    return np.asarray(((count == 0) | (count == count.max(1, keepdims=True))).all((1, 2)), np.bool_)
