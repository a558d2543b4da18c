"""Kinds of flows and links: regular traffic has few, and members of a kind are alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.cost.alike import alike


def test_a_ring_is_of_one_kind_until_a_link_differs() -> None:
    flow, link = np.arange(12).repeat(2), np.stack([np.arange(12), (np.arange(12) + 1) % 12], 1).ravel()
    sizes, capacity = np.ones(12), np.ones(12)
    flows, links = alike(flow, link, sizes, capacity)
    assert flows.max() == links.max() == 0
    capacity[0] = 0.5
    flows, links = alike(flow, link, sizes, capacity)
    # those at equal distance from the odd link are alike still: link 6 and link 0 are each by themselves
    assert len(set(flows.tolist())) == 6
    assert len(set(links.tolist())) == 7
    assert flows[0] == flows[11]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_members_of_a_kind_cross_like_numbers_of_each_kind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, capacity = rng.integers(1, 3, 12).astype(float), rng.integers(1, 3, 6).astype(float)
    pairs = np.unique(rng.integers(0, [12, 6], (30, 2)), axis=0)
    flow, link = pairs[:, 0], pairs[:, 1]
    flows, links = alike(flow, link, size, capacity)
    for mine, theirs, ends, others, own in ((flows, links, flow, link, size), (links, flows, link, flow, capacity)):
        table = np.zeros((len(mine), int(theirs.max()) + 1))
        np.add.at(table, (ends, theirs[others]), 1)
        for kind in range(int(mine.max()) + 1):
            members = np.flatnonzero(mine == kind)
            assert len(members)
            assert (table[members] == table[members[0]]).all()
            assert len(set(own[members].tolist())) == 1
