"""Floors that uplinks set: below every placement of small jobs, reached where they can be, above NICs where thin."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.conftest import Fabrics, Jobs
from tests.solvers.ranks.make import NIC
from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.cost.hashing import HashedFlows, expected_slowest
from topoplan.cost.price import floors, predict
from topoplan.model.fabric import Fabric, FloatArray, Island
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.bounds.uplinks import crossings, hashed_s, spread_s, uplink_floors

GPUS = 2


def floor_of(fabric: Fabric, job: Traffic) -> FloatArray:
    """Of blocks of consecutive ranks, on any hosts."""
    ranks = np.arange(job.ranks)
    return uplink_floors(
        crossings(fabric, job, ranks // GPUS, np.arange(len(fabric.hosts))), floors(fabric, job, ranks)
    )


def least_of_all(fabric: Fabric, job: Traffic) -> FloatArray:
    """[axes] least seconds of each axis over all ways to put blocks on hosts, told apart by the groups of the hosts."""
    ranks, best, seen = np.arange(job.ranks), np.full(len(job.axes), np.inf), set()
    for hosts in permutations(range(len(fabric.hosts)), job.ranks // GPUS):
        groups = tuple(fabric.host_group[list(hosts)].tolist())
        if groups in seen:
            continue
        seen.add(groups)
        price = predict(fabric, job, np.array(hosts)[ranks // GPUS] * GPUS + ranks % GPUS)
        best = np.minimum(best, [price.axes[name] / 1e3 for name in job.axes])
    return best


def thin(fabric: Fabric, links: float, bandwidth: float = NIC) -> Fabric:
    """The fabric with so many links above each leaf, on every rail."""
    groups = tuple(
        replace(g, uplinks=(links,) * GPUS, link_bandwidth_bytes_per_s=bandwidth) if g.tier == 0 else g
        for g in fabric.groups
    )
    return replace(fabric, groups=groups)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    leaves=st.sampled_from([[1, 1], [2, 2], [1, 3], [2, 1, 2], [1, 1, 1, 1], [3, 2]]),
    per_pod=st.integers(1, 2),
    routing=st.sampled_from(["ecmp", "adaptive"]),
    kind=st.sampled_from(["random", "ring", "all", "grid"]),
    links=st.sampled_from([1.0, 2.0, 4.0, 0.0]),
    spare=st.integers(0, 1),
    seed=st.integers(0, 99),
)
def test_no_placement_is_below(
    fabrics: Fabrics, random_jobs: Jobs, grid_jobs: Jobs, leaves: list[int], per_pod: int, routing: str, kind: str,
    links: float, spare: int, seed: int,
) -> None:  # fmt: skip
    fabric = fabrics(leaves, per_pod, routing=routing)
    fabric = thin(fabric, links) if links else fabric
    blocks = max(1, len(fabric.hosts) - spare)
    job = {
        "random": lambda: random_jobs(GPUS * blocks, 12, seed),
        "ring": lambda: grid_jobs(2, blocks, 1),
        "all": lambda: grid_jobs(1, GPUS * blocks, 1, GPUS * blocks),
        "grid": lambda: grid_jobs(2, blocks // 2, 2) if blocks > 3 else grid_jobs(1, GPUS, blocks),
    }[kind]()
    if job.ranks > fabric.gpus:
        return
    assert (floor_of(fabric, job) <= least_of_all(fabric, job) * (1 + 1e-12)).all()


@pytest.mark.parametrize("routing", ["ecmp", "adaptive"])
def test_a_ring_over_thin_uplinks_is_as_slow_as_the_floor_says(fabrics: Fabrics, grid_jobs: Jobs, routing: str) -> None:
    """A ring over three leaves of two hosts: each leaf has a neighbour on both sides, on uplinks of one link."""
    fabric = thin(fabrics([2, 2, 2], 3, routing=routing), 1.0, NIC / 2)
    job = grid_jobs(2, 6, 1)
    best, least = least_of_all(fabric, job), floor_of(fabric, job)
    assert least[1] == pytest.approx(best[1], rel=1e-6)
    assert least[1] > floors(fabric, job, np.arange(job.ranks))[1]


def test_hashed_groups_wider_than_a_leaf_collide(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    """All-to-all over four leaves of four hosts, six links of half a NIC a rail: collisions cost more than NICs."""
    fabric = thin(fabrics([4, 4, 4, 4], 4), 6.0, NIC / 2)
    job = grid_jobs(1, 32, 1, 32)
    near, least = floors(fabric, job, np.arange(32)), floor_of(fabric, job)
    price = predict(fabric, job, np.arange(32))
    assert near[3] < least[3] <= price.axes["a3"] / 1e3
    assert least[3] > 1.05 * floor_of(replace(fabric, routing="adaptive"), job)[3]
    plan = solve_ranks(RankProblem(fabric, job), RankParams(100, exact=None))
    assert plan.certificate["exposed_ms"].lower_bound > 1e3 * float((near + 0.9 * (least - near).clip(0)).sum())


def test_nothing_is_claimed_where_other_uplinks_may_be_used(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric = thin(fabrics([2, 2]), 1.0)
    job = grid_jobs(2, 4, 1)
    blocks, hosts = np.arange(job.ranks) // GPUS, np.arange(4)
    assert crossings(fabric, job, blocks, hosts)[1][0].spread_s > 0
    wide = replace(fabric, islands=(Island("i", (0, 1, 2, 3), 900e9),))
    assert not any(crossings(wide, job, blocks, hosts))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 9), min_size=2, max_size=6),
    links=st.integers(1, 6),
    near=st.floats(0, 30),
)
def test_an_even_share_of_flows_collides_least(counts: list[int], links: int, near: float) -> None:
    uplinks, ones = len(counts), np.ones(len(counts))

    def expected(flows: list[int]) -> float:
        pairs = QUEUE_PAIRS * np.array(flows, float)[:, None]
        return expected_slowest(HashedFlows(pairs, np.ones(1, np.int64), 1.0, 0 * ones, links * ones, ones), near)

    total = sum(counts)
    even = [total // uplinks + (i < total % uplinks) for i in range(uplinks)]
    least = hashed_s(total / uplinks, float(links), uplinks, 1.0, near)
    assert least == pytest.approx(expected(even), rel=1e-7, abs=1e-9)
    assert least <= expected(counts) * (1 + 1e-9) + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    profile=st.lists(st.integers(0, 20), min_size=1, max_size=7),
    held=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    capacity=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_spread_time_is_that_of_the_best_share_of_blocks(
    profile: list[int], held: list[int], capacity: list[int]
) -> None:
    used = min(sum(held), len(profile))
    least = np.array([0.0, *profile])
    room = np.array(capacity[: len(held)], float)

    def seconds(share: tuple[int, ...]) -> float:
        return max((least[n] / (2 * c) if c else np.inf) if least[n] else 0.0 for n, c in zip(share, room, strict=True))

    shares = [s for s in product(*(range(min(h, used) + 1) for h in held)) if sum(s) == used]
    best = min(seconds(share) for share in shares)
    found = spread_s(least, np.array(held), room, used)
    assert found <= best
    if used == sum(held):
        assert found == best
