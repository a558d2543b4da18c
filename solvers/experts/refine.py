"""Swaps of replicas between heavy and light GPUs, for all rows at once."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.pack import HUGE, Packing, swap

WARM_UP = 8  # rounds that level all pairs of GPUs; later ones only touch GPUs above the goal


def balance_by_swaps(packing: Packing, goal: FloatArray, rounds: int, patience: int) -> None:
    """Pair the heaviest GPU with the lightest, the second with the second ..., and make the best swap of each pair.

    The best swap of a pair is the one that comes closest to levelling it, unless it would put an expert twice on a GPU.
    A row is left when its largest GPU meets its goal, or when `patience` rounds, each with other partners, gained
    nothing.

    Parameters
    ----------
    goal
        [rows] float64 load over speed that need not be improved on.
    """
    gpus, places = packing.size.shape[1:]
    if gpus < 2:
        return
    half, speed = gpus // 2, packing.speed
    limit = goal.astype(np.float32)
    active, idle = np.arange(len(limit)), np.zeros(len(limit), np.int64)
    for step in range(rounds):
        time = packing.total[active] / speed
        active = active[open_ := (time.max(1) > limit[active]) & (idle[active] < patience)]
        if not active.size:
            return
        time, at = time[open_], np.arange(len(active))[:, None]
        order = np.argsort(time, axis=1, kind="stable")
        turn = (np.arange(half) + idle[active][:, None]) % half
        heavy, light = order[:, : gpus - half - 1 : -1], order[at, turn]
        t, u = time[at, heavy], time[at, light]
        r, k = np.nonzero(t > (u if step < WARM_UP else np.maximum(u, limit[active][:, None])))
        row, p, q = active[r], heavy[r, k], light[r, k]
        gap = t[r, k] - u[r, k]
        most = gap * speed[q]  # what q may gain before it is as busy as p is now
        ideal = most * speed[p] / (speed[p] + speed[q])
        here, there = packing.size[row, p], packing.size[row, q]
        mine, theirs = packing.expert[row, p], packing.expert[row, q]
        if packing.host is not None:
            here = np.where(_kept(packing, row, mine, packing.host[p], packing.host[q]), HUGE, here)
            there = np.where(_kept(packing, row, theirs, packing.host[q], packing.host[p]), HUGE, there)
        gain = here[:, :, None] - there[:, None, :]
        off = np.abs(gain - ideal[:, None, None]).reshape(len(row), places * places)
        best, n = off.argmin(1), np.arange(len(row))
        a, b = np.divmod(best, places)
        moved = gain.reshape(len(row), -1)[n, best]
        helps = (moved > np.float32(1e-4) * ideal) & (moved < np.float32(0.9999) * most)
        helps &= ~(theirs == mine[n, a][:, None]).any(1) & ~(mine == theirs[n, b][:, None]).any(1)
        if packing.host is not None:
            helps[helps] = _one_each(packing, row[helps], p[helps], q[helps], mine[n, a][helps], theirs[n, b][helps])
        swap(packing, *(v[helps] for v in (row, p, a, q, b)))
        idle[active] += 1
        idle[row[helps]] = 0


def _kept(packing: Packing, row: IntArray, expert: IntArray, here: IntArray, there: IntArray) -> BoolArray:
    """[n, places] bool experts that cannot change hosts, as hosts would then hold their copies unevenly."""
    assert packing.shut is not None
    return np.asarray((here != there)[:, None] & packing.shut[row[:, None], there[:, None], expert], np.bool_)


def _one_each(packing: Packing, row: IntArray, p: IntArray, q: IntArray, mine: IntArray, theirs: IntArray) -> BoolArray:
    """[n] bool swaps to make so that no host gets a copy of the same expert from two of them."""
    assert packing.host is not None
    assert packing.shut is not None
    hosts, experts = packing.shut.shape[1:]
    away = packing.host[p] != packing.host[q]
    base = row * hosts
    keys = [(base + packing.host[to]) * experts + expert for to, expert in ((q, mine), (p, theirs))]
    made = np.zeros(hosts * experts * (int(row.max(initial=-1)) + 1), np.int64)
    np.add.at(made, np.concatenate(keys), np.tile(away, 2))
    return np.asarray(~away | ((made[keys[0]] < 2) & (made[keys[1]] < 2)), np.bool_)
