"""Profiles of graphs made of cells: the least sum over all ways to spread n vertices over a chain or ring of cells."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from topoplan.model.fabric import FloatArray, IntArray

MAX_RING_WORK = 10_000_000  # cells x first x total x last; a larger ring is opened at its lightest link
PEELED = 3  # perfect matchings taken out of one pair of cells

Links = dict[tuple[int, int], float]


def join(profiles: list[FloatArray], size: int) -> FloatArray:
    """Profile of disjoint graphs: the min-plus convolution of theirs, up to `size`."""
    total = np.zeros(1)
    for profile in profiles:
        wide = np.full(min(size, len(total) + len(profile) - 2) + 1, np.inf)
        for n, value in enumerate(profile[: len(wide)]):
            end = min(len(wide), n + len(total))
            wide[n:end] = np.minimum(wide[n:end], total[: end - n] + value)
        total = wide
    return total


def matched_weight(cells: IntArray, u: IntArray, v: IntArray, weight: FloatArray) -> Links:
    """Of each pair of equally large cells joined by a perfect matching: the weight of the matchings found."""
    size = np.bincount(cells)
    first = np.searchsorted(np.sort(cells), np.arange(len(size) + 1))
    place = np.empty(len(cells), np.int64)
    order = np.argsort(cells, kind="stable")
    place[order] = np.arange(len(cells)) - first[cells[order]]
    a, b = cells[u], cells[v]
    swap = a > b
    low, high = np.where(swap, b, a), np.where(swap, a, b)
    x, y = place[np.where(swap, v, u)], place[np.where(swap, u, v)]
    across = np.flatnonzero((low != high) & (size[low] == size[high]))
    across = across[np.argsort(low[across] * len(size) + high[across], kind="stable")]
    key = low[across] * len(size) + high[across]
    pairs, start = np.unique(key, return_index=True)
    ends = np.append(start, len(key))
    result: Links = {}
    for i, pair in enumerate(pairs.tolist()):
        edges = across[ends[i] : ends[i + 1]]
        m = int(size[pair // len(size)])
        found = _matchings(x[edges], y[edges], weight[edges], m) if len(edges) >= m else 0.0
        if found > 0:
            result[pair // len(size), pair % len(size)] = found
    return result


def _matchings(x: IntArray, y: IntArray, weight: FloatArray, m: int) -> float:
    """Total weight of perfect matchings peeled off a bipartite graph of m + m vertices."""
    if len(x) == m:
        perfect = len(np.unique(x)) == m and len(np.unique(y)) == m
        return float(weight.min()) if perfect else 0.0
    left, total = weight.copy(), 0.0
    for _ in range(PEELED):
        best = 0.0
        for least in np.unique(left[left > 0])[::-1]:
            keep = np.flatnonzero(left >= least)
            if len(keep) < m:
                continue
            match = maximum_bipartite_matching(csr_array((np.ones(len(keep)), (x[keep], y[keep])), (m, m)))
            if (match >= 0).all():  # match[column] is its row
                best = float(least)
                left[keep[match[y[keep]] == x[keep]]] -= best
                break
        if best <= 0:
            break
        total += best
    return total


def best_chain(inside: list[FloatArray], links: Links, size: int) -> FloatArray:
    """Least of the cells' profiles and the links' weight x |difference| over all spreads of n <= size vertices."""
    order, between, closing = _chain(len(inside), links)
    widest = max(len(profile) for profile in inside)
    work = len(inside) * len(inside[order[0]]) * (size + 1) * widest
    ring = closing > 0 and work <= MAX_RING_WORK
    firsts = len(inside[order[0]]) if ring else 1
    # state[f, n, x]: least so far with n vertices spread, x of them in the last cell, f in the first one (rings only)
    start = inside[order[0]]
    state = np.full((firsts, size + 1, len(start)), np.inf)
    for x, value in enumerate(start):
        if x <= size:
            state[x if ring else 0, x, x] = value
    for cell, weight in zip(order[1:], between, strict=True):
        profile = inside[cell]
        near = _spread(state, weight, len(profile))
        state = np.full((firsts, size + 1, len(profile)), np.inf)
        for x, value in enumerate(profile):
            if x <= size:
                state[:, x:, x] = near[:, : size + 1 - x, x] + value
    if ring:
        last = np.arange(state.shape[2])
        state = state + closing * np.abs(last[None, None, :] - np.arange(firsts)[:, None, None])
    return np.asarray(state.min((0, 2)))


def _spread(state: FloatArray, weight: float, width: int) -> FloatArray:
    """Least over y of state[.., y] + weight x |x - y|, for x < width."""
    old = state.shape[2]
    if width > old:
        state = np.concatenate([state, np.full((*state.shape[:2], width - old), np.inf)], axis=2)
    slope = weight * np.arange(state.shape[2])
    up = np.minimum.accumulate(state - slope, axis=2) + slope
    down = np.minimum.accumulate((state + slope)[:, :, ::-1], axis=2)[:, :, ::-1] - slope
    return np.asarray(np.minimum(up, down)[:, :, :width])


def _chain(cells: int, links: Links) -> tuple[list[int], list[float], float]:
    """Order of the cells in a chain, weight between each and the next, and of the link that closes a ring (or 0).

    The heaviest links are taken first as long as they make chains; the rest is left out, which only lowers the bound.
    """
    at: list[list[tuple[int, float]]] = [[] for _ in range(cells)]
    root = list(range(cells))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    closing, taken = 0.0, 0
    for (a, b), weight in sorted(links.items(), key=lambda item: (-item[1], item[0])):
        if len(at[a]) > 1 or len(at[b]) > 1:
            continue
        if find(a) == find(b):
            if taken == cells - 1 and cells > 2:
                closing = weight
            continue
        root[find(a)] = find(b)
        at[a].append((b, weight))
        at[b].append((a, weight))
        taken += 1
    order: list[int] = []
    between: list[float] = []
    seen = [False] * cells
    for end in sorted(range(cells), key=lambda i: (len(at[i]), i)):
        if seen[end]:
            continue
        if order:
            between.append(0.0)
        here, weight = end, 0.0
        while True:
            seen[here] = True
            order.append(here)
            onward = [(b, w) for b, w in at[here] if not seen[b]]
            if not onward:
                break
            here, weight = onward[0]
            between.append(weight)
    return order, between, closing
