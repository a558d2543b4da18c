"""Profiles and the bound on bytes x distance against every subset, and every placement, of small cases."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.cost.price import host_distance
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.bounds.bound import hop_bytes_bound, least_cut
from topoplan.solvers.ranks.bounds.boundary import Graph, Profiles
from topoplan.solvers.ranks.steering.blocks import Blocks, contract


def true_profile(graph: Graph) -> FloatArray:
    """Smallest boundary of every number of vertices, by trying every subset."""
    best = np.full(graph.count + 1, np.inf)
    for subset in range(1 << graph.count):
        cut = ((subset >> graph.u) & 1) != ((subset >> graph.v) & 1)
        n = subset.bit_count()
        best[n] = min(best[n], graph.weight[cut].sum())
    return best


def graph_of(count: int, edges: list[tuple[int, int, float, int]]) -> Graph:
    merged: dict[tuple[int, int], list[float]] = {}
    for a, b, weight, axis in edges:
        entry = merged.setdefault((min(a, b), max(a, b)), [0.0, 0])
        entry[0] += weight
        entry[1] = int(entry[1]) | 1 << axis
    keys = sorted(merged)
    u, v = (np.array([k[i] for k in keys], np.int64) for i in (0, 1))
    return Graph(
        count, u, v, np.array([merged[k][0] for k in keys]), np.array([int(merged[k][1]) for k in keys], np.int64)
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A grid of rings, paths or cliques, some of its edges changed or gone, and some more edges."""
    a, b = draw(st.sampled_from([(3, 3), (4, 2), (2, 4), (3, 2), (5, 2), (2, 5), (9, 1)]))
    closed = draw(st.booleans())
    clique = draw(st.booleans())
    edges = []
    for i in range(a * b):
        x, y = i % a, i // a
        others = range(x + 1, a) if clique else [(x + 1) % a]
        edges += [(i, y * a + z, 3.0, 0) for z in others if z != x]
        if b > 1 and (y + 1 < b or closed):
            edges.append((i, (y + 1) % b * a + x, 2.0, 1))
    changed = draw(st.lists(st.integers(0, len(edges) - 1), max_size=3))
    edges = [(u, v, draw(st.integers(1, 4)) if k in changed else w, x) for k, (u, v, w, x) in enumerate(edges)]
    extra = draw(st.lists(st.tuples(st.integers(0, a * b - 1), st.integers(0, a * b - 1)), max_size=4))
    edges += [(u, v, 1.0, draw(st.integers(0, 2))) for u, v in extra if u != v]
    gone = draw(st.integers(0, 2))
    return graph_of(a * b, edges[gone:])


@settings(max_examples=120, deadline=None)
@given(graphs())
def test_profile_is_below_every_subset(graph: Graph) -> None:
    assert (Profiles(graph.count).of(graph) <= true_profile(graph) + 1e-9).all()


@pytest.mark.parametrize(
    ("a", "b", "clique", "closed"),
    [(4, 3, False, False), (5, 2, False, False), (4, 3, True, False), (3, 4, True, True)],
)
def test_profile_is_exact_on_products(a: int, b: int, clique: bool, closed: bool) -> None:
    """Nested arcs on a pipeline, cliques on a pipeline and on a ring: nothing is lost."""
    edges = []
    for i in range(a * b):
        x, y = i % a, i // a
        others = range(x + 1, a) if clique else [(x + 1) % a]
        edges += [(i, y * a + z, 3.0, 0) for z in others]
        if y + 1 < b or closed:
            edges.append((i, (y + 1) % b * a + x, 2.0, 1))
    graph = graph_of(a * b, edges)
    assert Profiles(graph.count).of(graph) == pytest.approx(true_profile(graph))


def test_profile_of_a_limited_size_is_the_same() -> None:
    graph = graph_of(12, [(i, (i + 1) % 12, 1.0, 0) for i in range(12)])
    assert Profiles(5).of(graph) == pytest.approx(Profiles(12).of(graph)[:6])


def blocks_of(fabric: Fabric, traffic: Traffic) -> Blocks:
    return contract(fabric, traffic, np.arange(traffic.ranks) // fabric.host_types[0].gpus, len(fabric.hosts))


def least_hops(fabric: Fabric, blocks: Blocks) -> float:
    """Bytes x distance of the best of all ways to put blocks into groups."""
    group = fabric.host_group

    def ways(left: IntArray, groups: list[int]) -> list[list[tuple[int, int]]]:
        if not groups:
            return [[]] if not len(left) else []
        room = int((group == groups[0]).sum())
        found = []
        for n in range(max(0, len(left) - sum(int((group == g).sum()) for g in groups[1:])), min(room, len(left)) + 1):
            for taken in combinations(left.tolist(), n):
                rest = np.setdiff1d(left, taken)
                found += [[*[(x, groups[0]) for x in taken], *w] for w in ways(rest, groups[1:])]
        return found

    best = np.inf
    first = {int(g): np.flatnonzero(group == g).tolist() for g in np.unique(group)}
    for way in ways(np.arange(blocks.used), sorted(first)):
        free = {g: iter(hosts) for g, hosts in first.items()}
        host = np.zeros(blocks.used, np.int64)
        for x, g in way:
            host[x] = next(free[g])
        best = min(best, float((blocks.bytes * host_distance(fabric, host[blocks.src], host[blocks.dst])).sum()))
    return best


@pytest.mark.parametrize("leaves", [[2, 2, 2], [3, 1, 2], [1, 1, 1, 3], [4, 3], [2, 3, 2, 1]])
@pytest.mark.parametrize("seed", [0, 1])
def test_bound_is_below_every_placement(fabrics: Fabrics, random_jobs: Jobs, leaves: list[int], seed: int) -> None:
    """With no spare host (six used of six) and with spare ones."""
    fabric = fabrics(leaves)
    blocks = blocks_of(fabric, random_jobs(12, 30, seed))
    bound = hop_bytes_bound(fabric, blocks, np.arange(len(fabric.hosts)))
    assert 0 < bound <= least_hops(fabric, blocks) * (1 + 1e-12)


@pytest.mark.parametrize(("dp", "pp", "ep"), [(6, 2, 0), (4, 3, 0), (4, 3, 4), (2, 6, 4)])
def test_bound_of_a_training_job_is_near(fabrics: Fabrics, grid_jobs: Jobs, dp: int, pp: int, ep: int) -> None:
    fabric = fabrics([2, 1, 3])
    blocks = blocks_of(fabric, grid_jobs(1, dp, pp, ep))
    best = least_hops(fabric, blocks)
    bound = hop_bytes_bound(fabric, blocks, np.arange(len(fabric.hosts)))
    assert 0.9 * best <= bound <= best * (1 + 1e-12)


def test_least_cut_counts_spare_hosts() -> None:
    profile = np.array([0.0, 2.0, 2.0, 6.0])
    assert least_cut(profile, np.array([3, 1]), 4) == 4.0
    assert least_cut(profile, np.array([2, 2, 1]), 4) == 2.0  # two full groups, the third left empty
    assert least_cut(profile, np.array([3, 3]), 3) == 1.5  # a subset of two has the least boundary a block
