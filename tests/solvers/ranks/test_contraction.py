"""Placements contracted to hosts: asked once each, and followed to other hosts."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.contraction import contraction, follow, price
from topoplan.solvers.ranks.problem import RankProblem


def test_a_placement_is_asked_about_once(fabrics: Fabrics, random_jobs: Jobs) -> None:
    problem = RankProblem(fabrics([3, 2]), random_jobs(8, 20, 0))
    asked = []

    def what(_: RankProblem, gpu: IntArray) -> int:
        asked.append(gpu.tolist())
        return int(gpu[0])

    first, second = np.arange(8), np.arange(8)[::-1]
    assert [problem.once(what, gpu) for gpu in (first, second, first.copy(), second)] == [0, 7, 0, 7]
    assert asked == [first.tolist(), second.tolist()]
    assert problem.once(price, first) is problem.once(price, first.copy())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(leaves=st.lists(st.integers(1, 4), min_size=1, max_size=4), spare=st.integers(0, 3), seed=st.integers(0, 99))
def test_ranks_follow_their_blocks(
    fabrics: Fabrics, random_jobs: Jobs, leaves: list[int], spare: int, seed: int
) -> None:
    """Ranks of a block stay together, with the same GPU index, on the host that the block moved to."""
    fabric = fabrics(leaves)
    rng = np.random.default_rng(seed)
    ranks = max(1, fabric.gpus // 2 - spare) * 2
    hosts = rng.permutation(len(fabric.hosts))[: ranks // 2]
    gpu = (fabric.gpu_offset[hosts][:, None] + np.arange(2)).ravel()
    problem = RankProblem(fabric, random_jobs(ranks, 30, seed))
    made = problem.once(contraction, gpu)
    assert made.blocks.used == len(hosts)
    assert (made.place[made.block] == fabric.gpu_host[gpu]).all()
    moved = rng.permutation(made.place)
    after = follow(problem, gpu, made.place, moved)
    assert (fabric.gpu_host[after] == moved[made.block]).all()
    assert (fabric.gpu_local[after] == fabric.gpu_local[gpu]).all()
