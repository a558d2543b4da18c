"""What more moves buy: the curve starts at the forced moves, falls, and counts moves against the previous plan."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.cost.price import predict
from topoplan.solvers.ranks import RankParams, RankProblem, keep_going, solve_ranks
from topoplan.solvers.ranks.moves import Before, curve
from topoplan.solvers.ranks.replan import Previous, key_of, replan_ranks

QUICK = RankParams(2000, exact=None)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    leaves=st.lists(st.integers(2, 5), min_size=2, max_size=5),
    lost=st.sets(st.integers(0, 7), min_size=1, max_size=2),
    objective=st.sampled_from(["exposed_ms", "hop_bytes"]),
)
def test_more_moves_are_only_made_for_a_better_price(
    fabrics: Fabrics, grid_jobs: Jobs, leaves: list[int], lost: set[int], objective: str
) -> None:
    fabric = fabrics([*leaves, 3], 2)
    traffic = grid_jobs(2, 2, 2)
    whole = RankProblem(fabric, traffic, objective=objective)
    old = solve_ranks(whole, QUICK).gpu
    hosts = np.unique(fabric.gpu_host[old])
    gone = {int(hosts[h % len(hosts)]) for h in lost}
    if int(fabric.free_gpus.sum()) - 2 * len(gone) < 8:
        return
    worn = replace(fabric, unusable_gpus=frozenset((h, g) for h in gone for g in (0, 1)))
    problem = RankProblem(worn, traffic, objective=objective)
    start = replan_ranks(problem, Previous(fabric.gpu_host[old], fabric.gpu_local[old], np.zeros(0, np.int64)))
    changes = curve(problem, Before(old), start.gpu, QUICK, keep_going)
    key = key_of(objective)
    assert len(changes[0].moved) == len(start.moved)
    assert (np.sort(changes[0].moved) == np.sort(start.moved)).all()
    for change in changes:
        assert len(set(change.gpu.tolist())) == traffic.ranks
        assert worn.gpu_free[change.gpu].all()
        assert change.prediction == predict(worn, traffic, change.gpu)
        assert set(np.flatnonzero(change.gpu != old).tolist()) == set(change.moved.tolist())
    for fewer, more in pairwise(changes):
        assert len(fewer.moved) < len(more.moved)
        assert key(more.prediction)[0] < key(fewer.prediction)[0]


def test_a_neighbour_makes_room(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    """The spare is on another leaf: one more host moved there instead costs fewer crossings than the lost one there."""
    fabric, traffic = fabrics([4, 4, 1], 3), grid_jobs(2, 4, 2)
    worn = replace(fabric, unusable_gpus=frozenset({(1, 0), (1, 1)}))
    # hosts of the two pipelines were dealt out across the leaves: far from good
    deal = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    old = (2 * deal[:, None] + np.arange(2)).ravel()
    problem = RankProblem(worn, traffic, objective="hop_bytes")
    start = replan_ranks(problem, Previous(fabric.gpu_host[old], fabric.gpu_local[old], np.zeros(0, np.int64)))
    changes = curve(problem, Before(old), start.gpu, QUICK, keep_going)
    assert len(changes) > 1
    assert changes[-1].prediction.hop_bytes < 0.9 * changes[0].prediction.hop_bytes
    # and it stops where it is told to
    assert len(curve(problem, Before(old), start.gpu, QUICK, lambda _: False)) == 1
