"""Shares of expert groups against every way to share them, and what a swap of blocks would not find."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.compact.splits import Parts, Tree, Work, pairs_across, parts_of, share


def partitions(parts: list[tuple[int, int]], width: int) -> list[list[dict[int, int]]]:
    """Every way to make cliques of `width` of parts (group, blocks), no two of a group in one."""
    if not parts:
        return [[]]
    (group, blocks), *rest = parts
    found = []
    for chosen in product((False, True), repeat=len(rest)):
        clique = [(group, blocks), *(p for p, c in zip(rest, chosen, strict=True) if c)]
        if sum(b for _, b in clique) == width and len({g for g, _ in clique}) == len(clique):
            others = [p for p, c in zip(rest, chosen, strict=True) if not c]
            found += [[dict(clique), *more] for more in partitions(others, width)]
    return found


def least_share(options: list[list[tuple[float, Parts]]], width: int, owed: Parts) -> float | None:
    """Price of the cheapest choice by trying all; what others hold of the cliques `owed` is group -1, -2 ..."""
    elsewhere = [(-1 - k, width - blocks) for k, blocks in enumerate(owed)]
    prices = []
    for choice in product(*options):
        parts = [(g, blocks) for g, (_, held) in enumerate(choice) for blocks in held]
        for cliques in partitions([*elsewhere, *parts], width):
            if all(sum(g < 0 for g in clique) < 2 for clique in cliques):
                prices.append(sum(price for price, _ in choice))
                break
    return min(prices, default=None)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(2, 5), sizes=st.lists(st.integers(1, 11), min_size=1, max_size=4))
def test_the_share_is_the_cheapest_of_all(data: st.DataObject, width: int, sizes: list[int]) -> None:
    owed = tuple(sorted(data.draw(st.lists(st.integers(1, width - 1), max_size=2))))
    options = []
    for size in sizes:
        few = [parts for parts in parts_of(size, width) if len(parts) < 3]
        limit = data.draw(st.integers(0, 12))
        price = {parts: pairs_across(parts, width) + 9.0 * max(0, pairs_across(parts, width) - limit) for parts in few}
        options.append(sorted((price[parts], parts) for parts in few))
    found, least = share(options, width, owed), least_share(options, width, owed)
    hasty = share(options, width, owed, Work(0))
    assert (found is None) == (least is None)
    if found is None or least is None:
        assert hasty is None
        return
    assert hasty is None or hasty[0] >= found[0] - 1e-9
    assert found[0] == pytest.approx(least)
    for k, clique in enumerate(found[1]):
        assert sum(clique.values()) == (owed[k] if k < len(owed) else width)
    price_of = [{parts: price for price, parts in choice} for choice in options]
    held = [tuple(sorted(c[g] for c in found[1] if g in c)) for g in range(len(sizes))]
    assert sum(prices[parts] for prices, parts in zip(price_of, held, strict=True)) == pytest.approx(found[0])


def price_of(table: IntArray, levels: list[IntArray], width: int, limit: int) -> float:
    """Price of a division [cliques, groups]: pairs over uplinks, twice as dear a tier up, and what exceeds a limit."""
    total = 0.0
    for tier, level in enumerate(levels):
        for part in range(int(level.max()) + 1):
            held = table[:, level == part].sum(1)
            total += priced(tier, int((held * (width - held)).sum()), limit)
    return total


def priced(tier: int, pairs: int, limit: int) -> float:
    return (5.0, 10.0)[tier] * pairs + 40.0 * max(0, pairs - limit)


def tree_of(levels: list[IntArray], sizes: list[int], width: int, limit: int) -> Tree:
    return Tree(levels, np.array(sizes), width, lambda tier, _, pairs: priced(tier, pairs, limit))


@settings(max_examples=40, deadline=None)
@given(width=st.integers(2, 4), sizes=st.lists(st.integers(1, 6), min_size=4, max_size=4), limit=st.integers(0, 8))
def test_a_tree_is_divided_at_least_price(width: int, sizes: list[int], limit: int) -> None:
    """Two pods of two leaves."""
    sizes[-1] += -sum(sizes) % width
    levels = [np.arange(4), np.array([0, 0, 1, 1])]
    table = tree_of(levels, sizes, width, limit).divide()
    every = []
    for choice in product(*(parts_of(size, width) for size in sizes)):
        for cliques in partitions([(g, blocks) for g, held in enumerate(choice) for blocks in held], width):
            rows = np.zeros((len(cliques), 4), np.int64)
            for row, clique in zip(rows, cliques, strict=True):
                row[list(clique)] = list(clique.values())
            every.append(price_of(rows, levels, width, limit))
    assert table is not None
    assert (table.sum(1) == width).all()
    assert not ((np.array(sizes) - table.sum(0)) % width).any()
    assert (table.sum(0) <= sizes).all()
    assert price_of(table, levels, width, limit) == pytest.approx(min(every))


def test_a_pod_that_is_hard_to_divide_spares_its_busiest_leaf() -> None:
    """Left-overs 6, 6, 7, 6, 5, 7, 3: two parts of 2 and one of 1 in one leaf cost least, and 31 pairs there."""
    sizes = [30, 30, 31, 30, 29, 31, 27, 32]
    cheap, even = (tree_of([np.arange(8)], sizes, 8, limit).divide() for limit in (99, 24))
    assert cheap is not None
    assert even is not None
    busiest = [int((table * (8 - table)).sum(0).max()) for table in (cheap, even)]
    assert busiest == [31, 27]
    assert price_of(cheap, [np.arange(8)], 8, 99) < price_of(even, [np.arange(8)], 8, 99)


def test_a_hasty_search_of_many_groups_still_makes_whole_cliques() -> None:
    sizes = [29, 26, 31, 31, 28, 27, 28, 28, 30, 30, 31, 30, 29, 31, 27, 32, 26, 32, 28, 32, 27, 32, 31, 31, 31, 27]
    options = [sorted((float(pairs_across(parts, 8)), parts) for parts in parts_of(size, 8)) for size in sizes]
    owed = (sum(sizes) % 8,)
    found = share(options, 8, owed, Work(0))
    assert found is not None
    assert [sum(clique.values()) for clique in found[1]] == [*owed, *[8] * (len(found[1]) - 1)]
    held = [tuple(sorted(c[g] for c in found[1] if g in c)) for g in range(len(sizes))]
    assert found[0] == sum(pairs_across(parts, 8) for parts in held)
    assert not any((size - sum(parts)) % 8 for size, parts in zip(sizes, held, strict=True))


def test_parts_leave_whole_cliques() -> None:
    assert parts_of(8, 4) == ((), (1, 1, 2), (1, 3), (2, 2), (2, 3, 3))
    assert parts_of(2, 4) == ((1, 1), (2,))
    assert max(len(parts) for parts in parts_of(70, 12)) == 2
