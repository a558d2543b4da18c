"""How unequal groups share expert groups: which leaf holds how many whole cliques, and which parts of which split ones.

A clique of `width` blocks of which a group holds p sends p x (width - p) pairs of blocks over the group's uplink, and
what a split clique costs is half the sum of that over its groups. So the price of a division is a sum over groups of
what each gives for its own parts, and all that joins the groups is that the parts must make up whole cliques. Groups
are gone through one by one; all that matters of those behind is how many blocks each open clique still lacks, and few
such states are ever worth keeping. Of a tree of groups, the parts that a pod gets are divided among its leaves.

Swaps of single blocks do not find these divisions: between two good ones lie many bad ones.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from math import inf

import numpy as np

from topoplan.model.fabric import IntArray

Parts = tuple[int, ...]
# (price, parts) that a group may hold, cheapest first
Options = Sequence[tuple[float, Parts]]

MOST_PARTS = 3  # of split cliques in one group
WIDE = 8  # width beyond which a group holds two parts at most: there are too many sets of three
MOST_STATES = 500  # kept after each group, the cheapest: division is exact where there are no more
FEW_STATES = 20  # kept where the work has not sufficed
MOST_WORK = 300_000  # states looked at in all; some tenths of a second
LOOKS = 8  # divisions of a tier whose groups' own divisions are worked out before the best of them is taken
TINY = 1e-9


@cache
def parts_of(size: int, width: int) -> tuple[Parts, ...]:
    """Parts of split cliques, ascending, with which a group of `size` blocks holds whole cliques besides."""
    found: list[Parts] = []

    def grow(parts: Parts, total: int) -> None:
        if total % width == size % width:
            found.append(parts)
        if len(parts) < (MOST_PARTS if width <= WIDE else MOST_PARTS - 1):
            for part in range(parts[-1] if parts else 1, min(width - 1, size - total) + 1):
                grow((*parts, part), total + part)

    grow((), 0)
    return tuple(found)


def pairs_across(parts: Parts, width: int) -> int:
    """Pairs of blocks of one clique, one in the group that holds `parts` and one outside."""
    return sum(part * (width - part) for part in parts)


@dataclass(slots=True)
class Work:
    """States that may still be looked at."""

    left: int = MOST_WORK


def share(
    options: Sequence[Options], width: int, owed: Parts, work: Work | None = None
) -> tuple[float, list[dict[int, int]]] | None:
    """Cheapest choice of one option for each group such that the parts make up whole cliques.

    Parameters
    ----------
    owed
        Of each clique shared with others, the blocks that these groups hold together, ascending.

    Returns
    -------
    The price, and of each clique, those of `owed` first, the blocks in each group that holds some; None where none was
    found. Where the work does not suffice the choice is a good one, not the cheapest.
    """
    work = work or Work()
    if not all(options):
        return None
    rest = _floors(options)
    spread = sum(choice[-1][0] - choice[0][0] for choice in options)
    steps = [price - choice[0][0] for choice in options for price, _ in choice if price > choice[0][0] + TINY]
    gap, step = 0.0, min(steps, default=1.0)
    while work.left > 0:
        layers = _layers(options, width, owed, rest, rest[0][0] + gap + TINY, MOST_STATES, work)
        if len(layers) > len(options) and () in layers[-1]:
            return layers[-1][()][0], _cliques(layers, width, owed)
        if gap >= spread:
            return None
        gap = max(step, 1.5 * gap)
    layers = _layers(options, width, owed, rest, inf, FEW_STATES, Work(sys.maxsize))
    return (layers[-1][()][0], _cliques(layers, width, owed)) if () in layers[-1] else None


def _floors(options: Sequence[Options]) -> list[list[float]]:
    """For each group, the least price of it and those behind it when they complete 0, 1, 2 ... open cliques.

    Each open clique takes a part of a group. Beyond the parts of its cheapest option a group sells others at its own
    least price for one more.
    """
    base, given = 0.0, 0
    more: list[float] = []
    floors = [[0.0]]
    for choice in reversed(options):
        low = choice[0][0]
        count = max(len(parts) for price, parts in choice if price <= low + TINY)
        base, given = base + low, given + count
        dearer = [(price - low) / (len(parts) - count) for price, parts in choice if len(parts) > count]
        more = sorted([*more, *[min(dearer, default=0.0)] * (max(len(parts) for _, parts in choice) - count)])
        floors.append([*[base] * given, *accumulate(more, initial=base)])
    return floors[::-1]


# state after a group -> least price, state before it, and what its parts were added to
_Layer = dict[Parts, tuple[float, Parts, tuple[tuple[int, int], ...]]]


def _layers(
    options: Sequence[Options],
    width: int,
    owed: Parts,
    rest: list[list[float]],
    limit: float,
    keep: int,
    work: Work,
) -> list[_Layer]:
    """States after each group that can still end below a limit: how many blocks each open clique lacks, ascending.

    At most `keep` after each group, and after fewer groups where the work does not suffice.
    """
    layers: list[_Layer] = [{tuple(sorted(owed)): (0.0, (), ())}]
    for i, choice in enumerate(options):
        after: _Layer = {}
        floor = rest[i + 1]
        for lacking, (before, *_) in layers[-1].items():
            for price, parts in choice:
                total = before + price
                if total + floor[0] > limit:
                    break
                most = bisect_right(floor, limit - total) - 1  # open cliques that later groups can complete
                if len(lacking) - len(parts) > most:
                    continue
                fillings = _fillings(lacking, parts, width)
                work.left -= len(fillings)
                for left, how in fillings:
                    if len(left) <= most and (left not in after or total < after[left][0] - TINY):
                        after[left] = (total, lacking, how)
            if work.left < 0:
                return layers
        if len(after) > keep:
            # all that is known of the end of each
            promise = {left: (after[left][0] + floor[min(len(left), len(floor) - 1)], left) for left in after}
            after = {left: after[left] for left in sorted(after, key=promise.__getitem__)[:keep]}
        layers.append(after)
    return layers


@lru_cache(1 << 16)
def _fillings(lacking: Parts, parts: Parts, width: int) -> list[tuple[Parts, tuple[tuple[int, int], ...]]]:
    """States after parts were each given to another open clique or began a new one, and what each was given to.

    What a part was given to is told as (blocks that the clique lacked, or 0 where it is new; the part).
    """
    found: dict[Parts, tuple[tuple[int, int], ...]] = {}

    def give(j: int, open_: Parts, done: Parts, how: tuple[tuple[int, int], ...]) -> None:
        if j == len(parts):
            found.setdefault(tuple(sorted(x for x in (*open_, *done) if x)), how)
            return
        part = parts[j]
        for x, lacks in enumerate(open_):
            if lacks >= part and lacks not in open_[:x]:
                give(j + 1, (*open_[:x], *open_[x + 1 :]), (*done, lacks - part), (*how, (lacks, part)))
        give(j + 1, open_, (*done, width - part), (*how, (0, part)))

    give(0, lacking, (), ())
    return list(found.items())


def _cliques(layers: list[_Layer], width: int, owed: Parts) -> list[dict[int, int]]:
    """Blocks of each split clique in each group, read back from the last state."""
    steps = []
    state: Parts = ()
    for layer in layers[:0:-1]:
        _, state, how = layer[state]
        steps.append(how)
    lacks, cliques = list(owed), [dict[int, int]() for _ in owed]
    for i, how in enumerate(reversed(steps)):
        for before, part in how:
            if not before:
                lacks.append(width)
                cliques.append({})
            k = next(k for k, c in enumerate(cliques) if lacks[k] == (before or width) and i not in c)
            lacks[k] -= part
            cliques[k][i] = part
    return cliques


# ---- trees ---------------------------------------------------------------------------------------------------------


class Tree:
    """Divides the cliques of a job over a tree of groups.

    Parameters
    ----------
    levels
        For each tier, closest first: its part of each closest group [groups] int64, numbered from 0; the first tier's
        parts are the groups themselves.
    size
        [groups] int64 blocks in each.
    price
        Of a part of a tier over whose uplink so many pairs of blocks go: (tier, part, pairs) -> price.
    """

    def __init__(
        self, levels: list[IntArray], size: IntArray, width: int, price: Callable[[int, int, int], float]
    ) -> None:
        self.width, self.price, self.work = width, price, Work()
        self.size = [np.bincount(level, size).astype(int).tolist() for level in levels]
        top = np.zeros(len(size), np.int64)
        self.inside = [
            [np.unique(below[above == part]).tolist() for part in range(int(above.max()) + 1)]
            for below, above in zip(levels, [*levels[1:], top], strict=True)
        ]
        self._known: dict[tuple[int, int, Parts], tuple[float, list[dict[int, int]]] | None] = {}
        self._least = [[0.0] * len(size)]
        for tier, above in enumerate(self.inside):
            least = [min((o[0] for o in self._options(tier, i)), default=0.0) for i in range(len(self.size[tier]))]
            self._least.append([sum(least[i] for i in parts) for parts in above])

    def divide(self) -> IntArray | None:
        """[cliques, groups] int64 blocks of each split clique in each group, at least price; None where none is found.

        Exact for each tier alone, and for all together while `LOOKS` suffice.
        """
        found = self._settle(len(self.inside), 0, ())
        if found is None:
            return None
        table = np.zeros((len(found[1]), len(self.size[0])), np.int64)
        for row, held in zip(table, found[1], strict=True):
            row[list(held)] = list(held.values())
        return table

    def _options(self, tier: int, part: int) -> list[tuple[float, Parts]]:
        """Parts that a part of a tier may hold, cheapest first, with what is known of its own division's price."""
        found = []
        for parts in parts_of(self.size[tier][part], self.width):
            own = self.price(tier, part, pairs_across(parts, self.width))
            known = self._known.get((tier, part, parts), (self._least[tier][part],))
            if known is not None:
                found.append((own + known[0], parts))
        return sorted(found)

    def _settle(self, tier: int, part: int, owed: Parts) -> tuple[float, list[dict[int, int]]] | None:
        """Price and blocks in each closest group of the cliques `owed` (ascending) to a part of a tier, and others."""
        if tier == 0:
            return 0.0, [{part: blocks} for blocks in owed]
        key = (tier, part, owed)
        if key not in self._known:
            self._known[key] = self._cheapest(tier, part, owed)
        return self._known[key]

    def _cheapest(self, tier: int, part: int, owed: Parts) -> tuple[float, list[dict[int, int]]] | None:
        groups = self.inside[tier - 1][part]
        groups = sorted(groups, key=lambda g: _complements(self.size[tier - 1][g] % self.width, self.width))
        best: tuple[float, list[dict[int, int]]] | None = None
        for _ in range(LOOKS):
            hoped = share([self._options(tier - 1, g) for g in groups], self.width, owed, self.work)
            if hoped is None or (best is not None and (self.work.left < 0 or hoped[0] >= best[0] - TINY)):
                break
            real = self._inner(tier - 1, groups, hoped[1])
            if real is not None and (best is None or real[0] < best[0]):
                best = real
        return best

    def _inner(
        self, tier: int, groups: list[int], cliques: list[dict[int, int]]
    ) -> tuple[float, list[dict[int, int]]] | None:
        """Price and closest groups of a division of cliques over groups of a tier, each divided in turn."""
        total = 0.0
        result: list[dict[int, int]] = [{} for _ in cliques]
        for i, group in enumerate(groups):
            mine = sorted((c[i], k) for k, c in enumerate(cliques) if i in c)
            parts = tuple(blocks for blocks, _ in mine)
            found = self._settle(tier, group, parts)
            if found is None:
                return None
            total += self.price(tier, group, pairs_across(parts, self.width)) + found[0]
            for (_, k), held in zip(mine, found[1], strict=False):
                result[k] |= held
            result += found[1][len(mine) :]
        return total, result


def _complements(left: int, width: int) -> tuple[int, int]:
    """Key that brings groups together whose left-overs make up a clique: fewer cliques are open at a time."""
    return min(left, width - left), left
