"""Refine a placement of blocks by annealed swaps."""

from __future__ import annotations

import math
import random

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.problem import Progress, Watch
from topoplan.solvers.ranks.steer import Steering

START, END = 3e-5, 1e-7  # temperature as a share of the objective's starting value; assumed, tuned on d1k and m8k
NEAR = 0.8  # share of proposals that bring a block beside one it talks to
REPORT_EVERY = 500


def anneal(
    state: Steering, place: IntArray, size_class: IntArray, proposals: int, seed: int, watch: Watch
) -> tuple[IntArray, float]:
    """Swap blocks of equal size class between groups.

    Parameters
    ----------
    place
        [blocks] int64 host of each block at the start.
    size_class
        [blocks] int64; only blocks of one class may swap (their hosts have equally many usable GPUs).

    Returns
    -------
    Host of each block in the best state met, and its objective relative to the start (1 is no gain).
    """
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    host = place.tolist()
    classes = size_class.tolist()
    movable = [x for x in range(len(host)) if state.neighbours[x]]
    by_group: dict[tuple[int, int], list[int]] = {}
    for x in range(len(host)):
        by_group.setdefault((state.group[x], classes[x]), []).append(x)
    slot = {x: i for members in by_group.values() for i, x in enumerate(members)}
    start = state.value
    best, best_host, log_ratio = start, list(host), math.log(END / START)
    for step in range(proposals if movable and len(by_group) > 1 else 0):
        if step % REPORT_EVERY == 0 and not watch(Progress("refine", step / proposals, best / start, 0.0)):
            break
        x = movable[rng.randrange(len(movable))]
        if rng.random() < NEAR:
            beside = state.neighbours[x][rng.randrange(len(state.neighbours[x]))][0]
            there = by_group.get((state.group[beside], classes[x]))
            y = there[rng.randrange(len(there))] if there else x
        else:
            y = rng.randrange(len(host))
        if classes[x] != classes[y] or state.group[x] == state.group[y]:
            continue
        delta = state.swap(x, y)
        heat = start * START * math.exp(log_ratio * step / proposals)
        if delta > 0 and rng.random() >= math.exp(-delta / heat):
            state.swap(x, y)
            continue
        host[x], host[y] = host[y], host[x]
        # swap() has already exchanged the groups: put each block into the other's list
        gx, gy = by_group[state.group[y], classes[y]], by_group[state.group[x], classes[x]]
        gx[slot[x]], gy[slot[y]] = y, x
        slot[x], slot[y] = slot[y], slot[x]
        if state.value < best - 1e-12:
            best, best_host = state.value, list(host)
    return np.array(best_host, dtype=place.dtype), best / start
