"""GPUs with two slots each: the best packing is known, so only the copies are searched, and the bound can be tighter.

With given copies, pairing the largest replica with the smallest, the second largest with the second smallest and so on
makes the largest pair as small as can be (any other pairing holds a pair of two that are both at least as large).
"""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.replicate import greedy_copies

SHIFTS = 12  # most copies shifted in a row
HALVINGS = 8
DONORS = 8  # experts that may give a copy away in one step: those whose replicas grow least
RECEIVERS = 3
PRICES = np.array([1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0])  # of a further copy; the best is taken
SAFE = 1e-9  # comparisons of sizes give way by this share, so that rounding never makes a bound too high


def in_pairs(slots: IntArray, speed: FloatArray) -> bool:
    """Whether every GPU has two slots and all are equally fast."""
    return bool((slots == 2).all() and (speed == speed[0]).all() and len(slots) > 1)


def fold(size: FloatArray) -> FloatArray:
    """[rows, pairs] float64 sums of the best pairing of sorted [rows, 2 x pairs] replicas, largest replica last."""
    half = size.shape[1] // 2
    return np.asarray(size[:, :half] + size[:, : half - 1 : -1], np.float64)


def shift_copies(load: FloatArray, gpus: int) -> IntArray:
    """Copies for two slots a GPU: greedy ones, then one copy at a time goes where the largest pair gains most.

    A copy goes to the larger or the smaller replica of the largest pair, or to the lightest expert, whose halves are
    better partners.

    Parameters
    ----------
    load
        [rows, experts] float64.

    Returns
    -------
    copies
        [rows, experts] int64, each row sums to 2 x gpus, at most one a GPU.
    """
    copies = greedy_copies(load, 2 * gpus, 1.0, gpus)
    value = _largest_pair(_replicas(load, copies)[0])
    todo = np.arange(len(load))
    for _ in range(SHIFTS):
        if not todo.size or 2 * gpus == load.shape[1]:
            break
        tried = _shifts(load[todo], copies[todo], gpus)
        rows, ways, experts = tried.shape
        flat = tried.reshape(-1, experts)
        reached = _largest_pair(_replicas(np.repeat(load[todo], ways, axis=0), flat)[0]).reshape(rows, ways)
        best = reached.argmin(1)
        gains = reached[np.arange(rows), best] < value[todo] * (1 - SAFE)
        copies[todo[gains]] = tried[gains, best[gains]]
        value[todo[gains]] = reached[gains, best[gains]]
        todo = todo[gains]
    return copies


def pair_up(load: FloatArray, copies: IntArray) -> tuple[IntArray, FloatArray]:
    """The best pairing of given copies, and where it would put an expert twice on a GPU, the best exchange of that.

    Parameters
    ----------
    load
        [rows, experts] float64.
    copies
        [rows, experts] int64, each row sums to an even number.

    Returns
    -------
    expert
        [rows, pairs, 2] int64; an expert is twice in a pair only where no other pair can take it.
    value
        [rows] float64 sum of the largest pair.
    """
    size, expert = _replicas(load, copies)
    order = np.argsort(size, axis=1, kind="stable")
    size, expert = np.take_along_axis(size, order, 1), np.take_along_axis(expert, order, 1)
    half = size.shape[1] // 2
    pairs = np.stack([expert[:, :half], expert[:, : half - 1 : -1]], 2)
    sizes = np.stack([size[:, :half], size[:, : half - 1 : -1]], 2)
    for row, twice in np.argwhere(pairs[:, :, 0] == pairs[:, :, 1]).tolist():
        others = (pairs[row] != pairs[row, twice, 0]).all(1)
        if others.any():
            at = int(np.where(others, sizes[row].max(1), np.inf).argmin())
            for table in (pairs[row], sizes[row]):
                table[twice, 1], table[at, 0] = table[at, 0], table[twice, 1]
    return pairs, np.asarray(sizes.sum(2).max(1), np.float64)


def _largest_pair(size: FloatArray) -> FloatArray:
    """[rows] float64 value of the best pairing of [rows, slots] replicas, two alike in the middle kept apart.

    They are most likely copies of one expert, so each takes the next larger or smaller replica instead.
    """
    size = np.sort(size, axis=1)
    half = size.shape[1] // 2
    middle = size[:, half - 1]
    apart = np.where(middle == size[:, half], middle + size[:, min(half + 1, size.shape[1] - 1)], 0.0)
    return np.asarray(np.maximum(fold(size).max(1), apart), np.float64)


def _replicas(load: FloatArray, copies: IntArray) -> tuple[FloatArray, IntArray]:
    """Size float64 and expert int64 of each replica, [rows, slots], ordered by expert."""
    rows, experts = load.shape
    key = np.repeat(np.arange(rows * experts), copies.ravel())
    return (load / copies).ravel()[key].reshape(rows, -1), (key % experts).reshape(rows, -1)


def _shifts(load: FloatArray, copies: IntArray, gpus: int) -> IntArray:
    """[rows, DONORS * RECEIVERS, experts] int64 copies after each shift; unchanged where a shift is not possible."""
    rows, experts = load.shape
    row = np.arange(rows)
    size, expert = _replicas(load, copies)
    order = np.argsort(size, axis=1, kind="stable")
    pair = fold(np.take_along_axis(size, order, 1)).argmax(1)
    receivers = np.stack([expert[row, order[row, -1 - pair]], expert[row, order[row, pair]], load.argmin(1)], 1)
    grown = np.where(copies > 1, load / np.maximum(copies - 1, 1), np.inf)
    few = min(DONORS, experts)
    donors = np.argpartition(grown, few - 1, axis=1)[:, :few]
    donors.sort(axis=1)
    tried = np.repeat(copies[:, None, None], few, axis=1).repeat(RECEIVERS, axis=2)
    r, d, k = np.ix_(row, np.arange(few), np.arange(RECEIVERS))
    give, take = donors[r, d], receivers[r, k]
    possible = (copies[r, give] > 1) & (copies[r, take] < gpus) & (give != take)
    tried[r, d, k, give] -= possible
    tried[r, d, k, take] += possible
    return tried.reshape(rows, -1, experts)


def pairs_bound(load: FloatArray, gpus: int, low: FloatArray, high: FloatArray) -> FloatArray:
    """[rows] float64 load that the largest of `gpus` GPUs with two slots each cannot go below, between low and high.

    Say no GPU has more than T. For any x up to T / 2, a replica above T - x shares its GPU with one below x, and no
    two of them share a GPU: there are at most as many of the former as of the latter. That count is a sum over experts
    that depends on each expert's copies alone, so the least it can be is bounded by putting a price on copies
    (Lagrangian relaxation); T is refuted where even that is above zero. T is found by halving.

    Parameters
    ----------
    load
        [rows, experts] float64.
    low, high
        [rows] float64 a bound to start from, and a value that was reached.
    """
    low, high = low.copy(), high.copy()
    refuted = _refuted(load, gpus, high * (1 - 1e-6))  # most often the value is the best there is
    low = np.where(refuted, high * (1 - 1e-6), low)
    todo = np.flatnonzero(~refuted & (high > low))
    for _ in range(HALVINGS):
        if not todo.size:
            break
        middle = (low[todo] + high[todo]) / 2
        no = _refuted(load[todo], gpus, middle)
        low[todo[no]], high[todo[~no]] = middle[no], middle[~no]
    return low


def _refuted(load: FloatArray, gpus: int, most: FloatArray) -> BoolArray:
    """[rows] bool whether no placement keeps every GPU of a row at or below `most`."""
    extra = 2 * gpus - load.shape[1]
    result = np.zeros(len(load), bool)
    small = np.sort(load, axis=1)
    ranks = np.unique(np.minimum(np.geomspace(1, gpus, 14).astype(np.int64), load.shape[1] - 1))
    least = np.maximum(np.ceil(load / most[:, None] * (1 - SAFE)), 1.0)
    for size in (most, *small[:, ranks].T, *(small[:, ranks] / 2).T):
        x = np.clip(size, most * SAFE, most / 2)[:, None]
        above, below = (most[:, None] - x) * (1 + SAFE), x * (1 + SAFE)
        fit = np.maximum(np.ceil(load / above * (1 - SAFE)), least)  # copies after which none is above T - x
        tiny = np.maximum(np.floor(load / below) + 1, least)  # copies after which all are below x
        crowded = np.where(load / least > above, least, 0.0)
        for price in PRICES:
            cost = np.minimum(crowded + price * (least - 1), price * (fit - 1))
            cost = np.minimum(cost, price * (tiny - 1) - tiny)
            result |= cost.sum(1) - price * extra > SAFE
    return result
