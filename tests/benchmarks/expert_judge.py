"""An independent judge of expert maps: loads, bounds, duplicates, moves and remote hosts by plain counting.

Shares no code with topoplan's solver or cost model. Slots are numbered GPU by GPU, as many on each.
"""

from __future__ import annotations

import itertools

import numpy as np

from tests.benchmarks.expert_cases import Floats, Ints


def largest(tokens: Floats, p2l: Ints, gpus: int, weights: Floats | None = None) -> Floats:
    """[layers] float64 tokens of the busiest GPU, copies used evenly or by weights [layers, slots]."""
    found = []
    for layer, (row, held) in enumerate(zip(tokens, p2l, strict=True)):
        share = np.ones(len(held)) if weights is None else weights[layer]
        total = np.bincount(held, share, len(row))
        assert (total > 0).all(), f"layer {layer}: an expert has no slot"
        found.append((row[held] * share / total[held]).reshape(gpus, -1).sum(1).max())
    return np.array(found)


def bound(tokens: Floats, slots: int, gpus: int) -> Floats:
    """[layers] float64 below which no even use of copies brings the busiest GPU: the mean, or the largest copy."""
    return np.array([max(row.sum() / gpus, _largest_copy(row, slots), row.max() / gpus) for row in tokens])


def _largest_copy(row: Floats, slots: int) -> float:
    """Least possible load of the largest copy: bisection on the level at which `slots` copies are enough."""
    low, high = row.sum() / slots / 2, float(row.max())
    for _ in range(60):
        middle = (low + high) / 2
        enough = np.maximum(1, np.ceil(row / middle - 1e-12)).sum() <= slots
        low, high = (low, middle) if enough else (middle, high)
    return high


def grouped_bound(tokens: Floats, slots: int, gpus: int, hosts: int, groups: int) -> Floats:
    """The same where groups of experts stay whole on a host: the best of all ways to deal the groups out."""
    ways = list(_deals(tuple(range(groups)), groups // hosts))
    found = []
    for row in tokens:
        parts = row.reshape(groups, -1)
        worst = {
            some: float(bound(parts[list(some)].reshape(1, -1), slots // hosts, gpus // hosts)[0])
            for some in {some for way in ways for some in way}
        }
        found.append(min(max(worst[some] for some in way) for way in ways))
    return np.array(found)


def _deals(left: tuple[int, ...], size: int) -> list[tuple[tuple[int, ...], ...]]:
    """All ways to split into sets of `size`."""
    if not left:
        return [()]
    found = []
    for others in itertools.combinations(left[1:], size - 1):
        some = (left[0], *others)
        rest = tuple(x for x in left if x not in some)
        found += [(some, *way) for way in _deals(rest, size)]
    return found


def duplicates(p2l: Ints, gpus: int) -> int:
    """Slots whose expert the same GPU holds already, over all layers."""
    held = np.sort(p2l.reshape(len(p2l), gpus, -1), axis=2)
    return int((held[:, :, 1:] == held[:, :, :-1]).sum())


def moved(old: Ints, new: Ints, gpus: int) -> float:
    """Share of slots with an expert that their GPU did not hold."""
    fresh = 0
    for a, b in zip(old.reshape(-1, old.shape[1] // gpus), new.reshape(-1, new.shape[1] // gpus), strict=True):
        fresh += sum((np.bincount(b, minlength=4096) - np.bincount(a, minlength=4096)).clip(0))
    return fresh / new.size


# ---- traces ----------------------------------------------------------------------------------------------------


def nearest(row: Ints, experts: int, gpus: int, hosts: int) -> Floats:
    """[gpus, slots] float64 weights of each source: a copy on its own GPU, else on its host, else any."""
    at = np.repeat(np.arange(gpus), len(row) // gpus)
    host = at // (gpus // hosts)
    weights = np.ones((gpus, len(row)))
    for source in range(gpus):
        for near in (host == source // (gpus // hosts), at == source):
            has = np.zeros(experts, bool)
            has[row[near]] = True
            weights[source] = np.where(has[row], near, weights[source])
    return weights


def largest_nearest(tokens: Floats, p2l: Ints, gpus: int, hosts: int) -> Floats:
    """[layers] float64 tokens of the busiest GPU where sources, all alike, take the nearest copy."""
    found = []
    for row, held in zip(tokens, p2l, strict=True):
        weights = nearest(held, len(row), gpus, hosts)
        total = np.zeros((gpus, len(row)))
        np.add.at(total.T, held, weights.T)
        on = (weights / total[:, held]).mean(0) * row[held]
        found.append(on.reshape(gpus, -1).sum(1).max())
    return np.array(found)


def ride(
    p2l: Ints, ids: Ints, source: Floats, gpus: int, hosts: int, weights: Floats | str, seed: int = 3
) -> tuple[float, float]:
    """Remote hosts a token and mean / largest GPU load, means over layers, every token sent by lot.

    Parameters
    ----------
    weights
        [hosts, layers, slots] of each source host, "even" or "nearest".
    """
    rng = np.random.default_rng(seed)
    start = (source * gpus).astype(np.int64)
    remote, balance = [], []
    for layer, row in enumerate(p2l):
        at = np.repeat(np.arange(gpus), len(row) // gpus)
        if isinstance(weights, str):
            each = nearest(row, 256, gpus, hosts) if weights == "nearest" else np.ones((gpus, len(row)))
        else:
            each = np.repeat(weights[:, layer], gpus // hosts, axis=0)
        gpu = at[_draw(row, ids[layer], each[start], rng)]
        visited = np.zeros((len(start), hosts), bool)
        np.put_along_axis(visited, gpu // (gpus // hosts), True, axis=1)
        visited[np.arange(len(start)), start // (gpus // hosts)] = False
        count = np.bincount(gpu.ravel(), minlength=gpus)
        remote.append(visited.sum(1).mean())
        balance.append(count.mean() / count.max())
    return float(np.mean(remote)), float(np.mean(balance))


def _draw(row: Ints, ids: Ints, weights: Floats, rng: np.random.Generator) -> Ints:
    """[tokens, top_k] int64 slot drawn for each choice by the weights [tokens, slots] of its source."""
    copies = np.bincount(row)
    slots = np.full((len(copies), copies.max()), -1, np.int64)
    for expert in range(len(copies)):
        slots[expert, : copies[expert]] = np.flatnonzero(row == expert)
    mine = slots[ids]  # [tokens, top_k, copies]
    chance = np.where(mine >= 0, np.take_along_axis(weights[:, None, :], np.maximum(mine, 0), 2), 0.0)
    steps = np.cumsum(chance, axis=2)
    lot = rng.random(ids.shape)[..., None] * steps[..., -1:]
    pick = np.minimum((lot >= steps).sum(2), copies[ids] - 1)
    return np.take_along_axis(mine, pick[..., None], 2)[..., 0]
