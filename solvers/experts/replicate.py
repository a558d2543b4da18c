"""How many copies each expert gets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray

MOST_PARTITIONED = 8  # further copies up to which every plan is listed: 66 plans
PLAN_ALPHAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


def greedy_copies(load: FloatArray, slots: int, alpha: float, cap: int) -> IntArray:
    """Hand out copies one by one to the expert with the largest load ** alpha / copies.

    Parameters
    ----------
    load
        [rows, experts] float64.
    slots
        Copies in all, at least one an expert.
    alpha
        1 makes the largest replica as small as can be; less favours light experts; 0 copies all alike.
    cap
        Most copies of an expert (the GPUs that can hold one each). Where the slots need more, all are copied alike.

    Returns
    -------
    copies
        [rows, experts] int64, each row sums to `slots`.
    """
    rows, experts = load.shape
    if slots >= cap * experts:
        return np.tile(slots // experts + (np.arange(experts) < slots % experts), (rows, 1))
    extra = slots - experts
    width = min(extra + 1, experts) if alpha > 0 else experts  # lighter experts never come to their second copy
    top = np.argpartition(-load, width - 1, axis=1)[:, :width]
    top.sort(axis=1)  # ties go to the lower expert, whatever the partition did
    key = np.take_along_axis(load, top, 1) ** alpha
    share, count, row = key.copy(), np.ones(key.shape, np.int64), np.arange(rows)
    for _ in range(extra):
        e = share.argmax(1)
        n = count[row, e] + 1
        count[row, e] = n
        share[row, e] = np.where(n < cap, key[row, e] / n, -1.0)
    copies = np.ones((rows, experts), np.int64)
    np.put_along_axis(copies, top, count, 1)
    return copies


def copy_plans(load: FloatArray, slots: int, cap: int) -> IntArray:
    """Many ways to hand out the same number of copies, for rows where greedy copies do not pack well.

    Besides ever flatter splits of the heavy experts, some plans waste copies on the lightest experts: their replicas
    are next to nothing, while a further copy of a heavy expert may be one more block than there are GPUs for.

    Parameters
    ----------
    load, slots, cap
        As for `greedy_copies`.

    Returns
    -------
    copies
        [rows, plans, experts] int64, each sums to `slots`; a single plan where there is no choice.
    """
    rows, experts = load.shape
    extra = slots - experts
    if extra <= 0 or slots >= cap * experts:
        return greedy_copies(load, slots, 1.0, cap)[:, None]
    order = np.argsort(-load, axis=1, kind="stable")
    if extra <= MOST_PARTITIONED:
        plans = np.array(_partition_plans(extra, experts, cap), np.int64)
        by_rank = np.broadcast_to(plans, (rows, *plans.shape))
    else:
        sorted_load = np.take_along_axis(load, order, 1)
        wasted = sorted({min(extra * share // 8, experts) for share in (0, 1, 2, 4)})
        by_rank = np.stack([_wasteful_copies(sorted_load, slots, a, cap, w) for a in PLAN_ALPHAS for w in wasted], 1)
    copies = np.empty_like(by_rank)
    np.put_along_axis(copies, np.broadcast_to(order[:, None], copies.shape), by_rank, 2)
    return copies


@cache
def _partition_plans(extra: int, experts: int, cap: int) -> list[list[int]]:
    """Every plan that gives heavier experts at least as many copies as lighter ones, the wasted ones aside."""
    return [
        [1 + p for p in parts] + [1] * (experts - len(parts) - wasted) + [2] * wasted
        for wasted in range(min(extra, experts) + 1)
        for parts in _partitions(extra - wasted, cap - 1)
        if len(parts) + wasted <= experts
    ]


def _partitions(total: int, largest: int) -> Iterator[list[int]]:
    """Non-increasing positive integers of at most `largest` that sum to `total`."""
    if not total:
        yield []
    for first in range(min(total, largest), 0, -1):
        for rest in _partitions(total - first, first):
            yield [first, *rest]


def _wasteful_copies(load: FloatArray, slots: int, alpha: float, cap: int, wasted: int) -> IntArray:
    """Greedy copies, but one more for each of the `wasted` lightest experts (last columns) where the cap allows."""
    plain = greedy_copies(load, slots, alpha, cap)
    copies = greedy_copies(load, slots - wasted, alpha, cap)
    copies[:, load.shape[1] - wasted :] += 1
    return np.where((copies.max(1) <= cap)[:, None], copies, plain)
