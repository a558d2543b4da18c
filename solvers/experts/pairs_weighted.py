"""What the largest GPU cannot go below where GPUs have two slots each and copies may get any share of the tokens.

Take the few heaviest experts H and say that no GPU has more than T. A GPU that holds copies of two experts of H ties
them; a part K of H that is tied together and has c copies is on n <= c - |K| + 1 GPUs, as in any connected graph. Their
other 2 n - c slots hold lighter experts. Where these get x further copies in all, at most 2 x slots hold one that is
elsewhere too; all others hold a whole expert. So a part needs

    n T >= load(K) + the lightest 2 n - c - 2 x lighter experts,

which gives the least c of each part. T is refuted where for every x and every way of parting H the parts need more
copies than there are. What is left out (that no two parts have the same lighter experts, say) only lowers the bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from topoplan.model.fabric import FloatArray

MOST_HEAVY = 6  # experts that are parted in all ways: 203 of them
HALVINGS = 20
SAFE = 1e-9  # comparisons give way by this share, so that rounding never makes a bound too high


def weighted_pairs_bound(load: FloatArray, gpus: int, low: FloatArray, high: FloatArray) -> FloatArray:
    """[rows] float64 load that the largest of `gpus` GPUs with two slots each cannot go below, between low and high.

    Parameters
    ----------
    load
        [rows, experts] float64.
    low, high
        [rows] float64 a bound to start from, and a value that was reached.
    """
    bound = low.copy()
    for k, row in enumerate(load):
        order = np.sort(row)[::-1]
        # an expert lighter than the mean GPU needs no second copy
        heavy = min(int((order > order.sum() / gpus).sum()), MOST_HEAVY)
        for count in range(1, heavy + 1):
            bound[k] = _least(
                order[:count], order[: count - 1 : -1], 2 * gpus - len(row), float(bound[k]), float(high[k])
            )
    return bound


def _least(heavy: FloatArray, lighter: FloatArray, extra: int, low: float, high: float) -> float:
    """The highest load found that is refuted, by halving; `low` where none is.

    Parameters
    ----------
    heavy
        [n] float64 loads of the heaviest experts.
    lighter
        [experts - n] float64 the others, lightest first.
    extra
        Copies beyond one of each expert.
    """
    sums = np.concatenate([[0.0], lighter.cumsum()])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if high - low < low * 1e-5:
            break
        if _possible(heavy, sums, extra, middle * (1 + SAFE)):
            high = middle
        else:
            low = middle
    return low


def _possible(heavy: FloatArray, sums: FloatArray, extra: int, top: float) -> bool:
    """Whether some way of parting the heavy experts needs no more copies than there are."""
    slots = len(heavy) + extra
    for taken in range(extra + 1):  # further copies that lighter experts get
        need = {}
        whole_left = False
        for members in _subsets(len(heavy)):
            total, tied = float(heavy[list(members)].sum()), len(members) - 1
            need[members] = _copies(total, tied, sums, slots, top, taken)
            whole_left |= need[members] - 2 * tied > 2 * taken
        if any(sum(need[part] for part in parts) <= slots - taken for parts in _partings(len(heavy))):
            return True
        if not whole_left:
            break  # more of such copies only leave fewer for the heavy experts
    return False


def _copies(total: float, tied: int, sums: FloatArray, slots: int, top: float, taken: int) -> int:
    """Least copies of a part of the heavy experts; more than `slots` where there are not enough."""
    for copies in range(max(tied + 1, int(np.ceil(total / top)) + tied), slots + 1):
        for gpus in range(copies - tied, int(np.ceil(total / top)) - 1, -1):
            whole = max(2 * gpus - copies - 2 * taken, 0)
            if whole < len(sums) and gpus * top >= total + sums[whole]:
                return copies
    return slots + 1


@cache
def _subsets(count: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(i for i in range(count) if bits >> i & 1) for bits in range(1, 2**count))


@cache
def _partings(count: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """All ways of parting so many experts."""

    def ways(rest: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
        if not rest:
            yield ()
            return
        first, others = rest[0], rest[1:]
        for bits in range(2 ** len(others)):
            part = (first, *(e for i, e in enumerate(others) if bits >> i & 1))
            for tail in ways(tuple(e for i, e in enumerate(others) if not bits >> i & 1)):
                yield (part, *tail)

    return tuple(ways(tuple(range(count))))
