"""Split a model's layers into pipeline stages so that the costliest pipeline rank is as cheap as possible.

With virtual stages a rank runs several: virtual stage s belongs to rank s % pp, and what counts is the sum of its
stages. Layers of a model are nearly all alike, which makes that exact: the few layers before and after the longest run
of equal layers are laid out in every possible way, and the equal ones are then dealt out one by one to the rank that
is cheapest with one more, which no other dealing of equal parts beats.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import Stages

ODD_LAYERS = 12  # layers outside the longest run up to which every layout is tried: 2^11 of them
SAME = 1e-12  # relative difference of costs that are called equal


def layer_costs(model: ModelShape, sequence: int) -> FloatArray:
    """[layers] float64 forward FLOPs of a token in each layer; the output matrix counts with the last layer."""
    cost = np.array([model.layer_flops(layer, sequence) for layer in range(model.layers)])
    cost[-1] += 2 * model.embedding_weights
    return cost


def split_layers(cost: FloatArray, pp: int, vpp: int = 1) -> Stages:
    """Contiguous stages, pp x vpp of them, whose costliest rank (the sum of its virtual stages) is least.

    Exact with vpp 1 (dynamic programming), and with virtual stages where at most ODD_LAYERS layers stand outside the
    longest run of equal ones, as in every model of one or two kinds of layers with a short first run; beyond that the
    exact split into single stages is improved layer by layer. Among the best, the costliest virtual stage is least;
    with vpp 1 earlier stages are as full as the optimum allows.

    Parameters
    ----------
    cost
        [layers] float64, above zero.

    Raises
    ------
    InfeasibleError
        Fewer layers than stages.
    """
    layers, stages = len(cost), pp * vpp
    if layers < stages:
        raise InfeasibleError(f"{layers} layers cannot fill {stages} pipeline stages", hint="lower pp or vpp")
    first = _single(cost, stages)
    if vpp > 1:
        start, end = _longest_run(cost)
        if layers - (end - start) <= ODD_LAYERS:
            first = min((first, *_dealt(cost, start, end, pp, vpp)), key=lambda cuts: _key(cost, cuts, pp))
        else:
            first = _shifted(cost, first, pp)
    total = np.concatenate([[0.0], np.cumsum(cost)])
    return Stages(tuple(first), tuple(float(total[b] - total[a]) for a, b in itertools.pairwise(first)))


def rank_costs(stages: Stages, pp: int) -> FloatArray:
    """[pp] float64 cost of each pipeline rank: the sum of its virtual stages."""
    return np.asarray(np.reshape(stages.cost, (-1, pp)).sum(0), np.float64)


def _key(cost: FloatArray, first: list[int], pp: int) -> tuple[float, float]:
    """Costliest rank and costliest stage, rounded so that sums in another order are equal."""
    stage = np.add.reduceat(cost, first[:-1])
    unit = float(cost.sum()) * SAME
    return round(float(stage.reshape(-1, pp).sum(0).max()) / unit), round(float(stage.max()) / unit)


def _single(cost: FloatArray, stages: int) -> list[int]:
    """First layer of each stage, then the number of layers, when the costliest stage counts."""
    layers = len(cost)
    total = np.concatenate([[0.0], np.cumsum(cost)])
    # best[k][i]: least possible costliest stage when the first i layers make k stages
    best = np.full((stages + 1, layers + 1), np.inf)
    best[0, 0] = 0.0
    for k in range(1, stages + 1):
        for i in range(k, layers + 1):
            best[k, i] = np.maximum(best[k - 1, k - 1 : i], total[i] - total[k - 1 : i]).min()
    first, limit = [0], best[stages, layers] * (1 + SAME)
    for k in range(1, stages):
        room = layers - (stages - k)  # later stages need a layer each
        first.append(min(room, int(np.searchsorted(total, total[first[-1]] + limit, side="right")) - 1))
    return [*first, layers]


# ---- virtual stages ----------------------------------------------------------------------------------------------


def _longest_run(cost: FloatArray) -> tuple[int, int]:
    """First layer of the longest run of equal costs, and the one behind it."""
    change = np.flatnonzero(np.abs(np.diff(cost)) > SAME * np.abs(cost[1:])) + 1
    edges = np.concatenate([[0], change, [len(cost)]])
    longest = int(np.diff(edges).argmax())
    return int(edges[longest]), int(edges[longest + 1])


def _dealt(cost: FloatArray, start: int, end: int, pp: int, vpp: int) -> Iterator[list[int]]:
    """Best cuts for every layout of the layers before `start` and from `end` on; layers between cost the same."""
    stages, equal = pp * vpp, float(cost[start])
    for head in _compositions(start):
        for tail in _compositions(len(cost) - end):
            counts = [*head, *[0] * (stages - len(head) - len(tail)), *tail]
            if head and tail and len(head) + len(tail) == stages + 1:
                # one stage holds the end of the head, all equal layers and the start of the tail
                counts = [*head[:-1], head[-1] + end - start + tail[0], *tail[1:]]
                yield np.cumsum([0, *counts]).tolist()
            elif len(counts) == stages:
                dealt = _deal(cost, counts, len(head), len(tail), end - start, pp, equal)
                if dealt:
                    yield dealt


def _compositions(layers: int) -> Iterator[list[int]]:
    """Every way to cut a row of layers into parts: the lengths of the parts, none for no layer."""
    if not layers:
        yield []
    for length in range(1, layers + 1):
        for rest in _compositions(layers - length):
            yield [length, *rest]


def _deal(
    cost: FloatArray, counts: list[int], head: int, tail: int, equal: int, pp: int, each: float
) -> list[int] | None:
    """Cuts once `equal` layers of cost `each` are dealt to the stages between head and tail; None for too few layers.

    Parameters
    ----------
    counts
        [stages] layers of head and tail in each stage. The last stage of the head and the first of the tail may take
        equal layers too, those between must have one.
    """
    stages = len(counts)
    opened = range(max(head - 1, 0), min(stages - tail + 1, stages))
    inside = range(head, stages - tail)
    if len(inside) > equal or not opened:
        return None
    edges = np.cumsum([0, *counts])
    odd = np.concatenate([cost[: sum(counts[:head])], cost[len(cost) - sum(counts[stages - tail :]) :]])
    whole = np.concatenate([[0.0], np.cumsum(odd)])
    stage = [float(whole[b] - whole[a]) + each * (s in inside) for s, (a, b) in enumerate(itertools.pairwise(edges))]
    load = np.reshape(stage, (-1, pp)).sum(0).tolist()
    dealt = [int(s in inside) for s in range(stages)]
    ranks = sorted({s % pp for s in opened})
    for _ in range(equal - len(inside)):
        rank = min(ranks, key=load.__getitem__)
        s = min((s for s in opened if s % pp == rank), key=stage.__getitem__)
        load[rank] += each
        stage[s] += each
        dealt[s] += 1
    return [int(x) for x in np.cumsum([0, *(a + b for a, b in zip(counts, dealt, strict=True))])]


def _shifted(cost: FloatArray, first: list[int], pp: int) -> list[int]:
    """Cuts moved by a layer while that helps."""
    best, now = list(first), _key(cost, first, pp)
    while True:
        moved = [
            [*best[:s], best[s] + step, *best[s + 1 :]]
            for s in range(1, len(best) - 1)
            for step in (-1, 1)
            if best[s - 1] < best[s] + step < best[s + 1]
        ]
        found = min(moved, key=lambda cuts: _key(cost, cuts, pp), default=best)
        if _key(cost, found, pp) >= now:
            return best
        best, now = found, _key(cost, found, pp)
