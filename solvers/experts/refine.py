"""Swaps of replicas between heavy and light GPUs, for all rows at once."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts.pack import Packing, swap

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
        gain = packing.size[row, p][:, :, None] - packing.size[row, q][:, None, :]
        off = np.abs(gain - ideal[:, None, None]).reshape(len(row), places * places)
        best, n = off.argmin(1), np.arange(len(row))
        a, b = np.divmod(best, places)
        moved = gain.reshape(len(row), -1)[n, best]
        mine, theirs = packing.expert[row, p], packing.expert[row, q]
        helps = (moved > np.float32(1e-4) * ideal) & (moved < np.float32(0.9999) * most)
        helps &= ~(theirs == mine[n, a][:, None]).any(1) & ~(mine == theirs[n, b][:, None]).any(1)
        swap(packing, *(v[helps] for v in (row, p, a, q, b)))
        idle[active] += 1
        idle[row[helps]] = 0
