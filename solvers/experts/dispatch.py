"""How an expert's tokens are spread over its copies, where the engine can follow weights."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.pack import HUGE, Packing
from topoplan.solvers.experts.problem import ExpertParams
from topoplan.solvers.experts.refine import balance_by_swaps

SWEEPS = 100
STILL = 1e-6  # share of the largest GPU's load that a sweep must gain to go on


def balance_with_weights(
    load: FloatArray, expert: IntArray, speed: FloatArray, goal: FloatArray, params: ExpertParams
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Spread tokens, swap replicas of the sizes that gives, and spread again, as long as it helps.

    Parameters
    ----------
    load, expert, speed, goal
        As for `spread_tokens`.

    Returns
    -------
    expert, tokens, value
        As there; the places may have changed GPUs.
    """
    expert = expert.copy()
    tokens, value = spread_tokens(load, expert, speed, goal, params.weighted_tolerance)
    for _ in range(params.weighted_rounds):
        todo = np.flatnonzero(value > goal * (1 + params.weighted_tolerance))
        if not todo.size:
            break
        unit = goal[todo, None]
        packing = Packing(
            expert=expert[todo],
            size=np.where(expert[todo] >= 0, tokens[todo] / unit[:, :, None], HUGE).astype(np.float32),
            total=(tokens[todo].sum(2) / unit).astype(np.float32),
            speed=speed.astype(np.float32),
        )
        balance_by_swaps(packing, np.full(len(todo), 1 + params.weighted_tolerance), params.rounds, params.patience)
        poured, reached = spread_tokens(load[todo], packing.expert, speed, goal[todo], params.weighted_tolerance)
        better = reached < value[todo]
        if not better.any():
            break
        expert[todo[better]], tokens[todo[better]] = packing.expert[better], poured[better]
        value[todo[better]] = reached[better]
    return expert, tokens, value


def spread_tokens(
    load: FloatArray, expert: IntArray, speed: FloatArray, goal: FloatArray, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """Spread each expert's tokens over its copies so that the busiest GPU has as little as the placement allows.

    One replicated expert after the other, heaviest first, is poured over its GPUs to the level that the others leave:
    each step lowers the sum of squares of the loads, whose least value also has the least largest load (the loads that
    can be reached form the base of a polymatroid). Rows go on until they meet their goal or stand still.

    Parameters
    ----------
    load
        [rows, experts] float64.
    expert
        [rows, gpus, places] int64, -1 where there is no place.
    speed
        [gpus] float64.
    goal
        [rows] float64 load over speed that need not be improved on.
    tolerance
        How far above its goal a row may stop.

    Returns
    -------
    tokens
        [rows, gpus, places] float64 tokens of each copy.
    value
        [rows] float64 load over speed of the largest GPU.
    """
    rows, _, places = expert.shape
    flat = expert.reshape(rows, -1)
    copies = _count(flat, load.shape[1])
    share = np.where(flat >= 0, np.take_along_axis(load / copies, np.maximum(flat, 0), 1), 0.0)
    total = share.reshape(expert.shape).sum(2)
    cell, weight = _replicas(load, flat, copies)
    fast = np.append(speed, 1.0)  # last: no copy
    total = np.concatenate([total, np.full((rows, 1), float(HUGE))], axis=1)
    value, todo = (total[:, :-1] / speed).max(1), np.arange(rows)
    tokens = np.concatenate([share, np.zeros((rows, 1))], axis=1)
    for _ in range(SWEEPS):
        todo = todo[value[todo] > goal[todo] * (1 + tolerance)]
        if not todo.size:
            break
        for k in range(cell.shape[1]):
            _pour(total, tokens, fast, todo, cell[todo, k], weight[todo, k], places)
        now = (total[todo, :-1] / speed).max(1)
        gained = now < value[todo] * (1 - STILL)
        value[todo] = now
        todo = todo[gained]
    return tokens[:, :-1].reshape(expert.shape), value


def _pour(
    total: FloatArray,
    tokens: FloatArray,
    speed: FloatArray,
    row: IntArray,
    cell: IntArray,
    load: FloatArray,
    places: int,
) -> None:
    """Pour an expert of each row anew over the cells [rows, copies] of its copies; the last cell is none."""
    gpu, at = cell // places, row[:, None]
    base = total[at, gpu] - tokens[at, cell]
    order = np.argsort(base / speed[gpu], axis=1)
    low, fast = np.take_along_axis(base, order, 1), np.take_along_axis(speed[gpu], order, 1)
    level = (load[:, None] + low.cumsum(1)) / fast.cumsum(1)
    deep = (level > low / fast).sum(1)  # holds for the first ones up to the last that gets anything
    height = np.take_along_axis(level, np.maximum(deep - 1, 0)[:, None], 1)
    poured = np.where(base < HUGE, np.maximum(0.0, height * speed[gpu] - base), 0.0)
    total[at, gpu] = base + poured
    tokens[at, cell] = poured


def _count(flat: IntArray, experts: int) -> IntArray:
    """[rows, experts] int64 copies."""
    rows = len(flat)
    key = (np.arange(rows)[:, None] * (experts + 1) + flat)[flat >= 0]
    return np.asarray(np.bincount(key, minlength=rows * (experts + 1)).reshape(rows, -1)[:, :experts], np.int64)


def _replicas(load: FloatArray, flat: IntArray, copies: IntArray) -> tuple[IntArray, FloatArray]:
    """Cells [rows, replicated experts, most copies] int64 (past the last where fewer) and loads, heaviest first."""
    rows, cells = flat.shape
    many = int((copies > 1).sum(1).max())
    heavy = np.argsort(np.where(copies > 1, -load, np.inf), axis=1, kind="stable")[:, :many]
    cell = np.full((rows, many, int(copies.max())), cells, np.int64)
    order = np.argsort(flat, axis=1, kind="stable")
    start = np.concatenate([np.zeros((rows, 1), np.int64), copies.cumsum(1)], axis=1) + (flat < 0).sum(1)[:, None]
    count = np.take_along_axis(copies, heavy, 1)
    first = np.take_along_axis(start, heavy, 1)
    reach = np.arange(cell.shape[2])
    at = np.minimum(first[:, :, None] + reach, cells - 1)
    found = np.take_along_axis(order, at.reshape(rows, -1), 1).reshape(at.shape)
    real = (reach < count[:, :, None]) & (count > 1)[:, :, None]
    cell[real] = found[real]
    return cell, np.where(count > 1, np.take_along_axis(load, heavy, 1), 0.0)
