"""Several jobs on one fabric: hosts of their own, uplinks of their own where that pays, all jobs or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.test_replan import QUICK, _fabric, _hosts, _job
from topoplan.errors import InfeasibleError
from topoplan.planning.many import _Board, solve_many
from topoplan.planning.solve import solve
from topoplan.solvers.ranks import keep_going


def test_jobs_side_by_side_share_no_host() -> None:
    jobs = [_job("small", 1), _job("big", 3), _job("middle", 2)]
    plans = solve_many(jobs, _fabric(), [replace(QUICK, spares=int(job.name == "big")) for job in jobs])
    assert [plan.job for plan in plans] == ["small", "big", "middle"]
    used = [name for plan in plans for name in (*_hosts(plan), *plan.spares)]
    assert len(used) == len(set(used)) == 13
    with pytest.raises(InfeasibleError, match="job more beside big"):
        solve_many([_job("big", 4), _job("more", 4)], _fabric(), [QUICK, QUICK])


def test_a_job_leaves_the_leaves_of_others_where_that_pays() -> None:
    fabric = _fabric((6, 6, 6, 6))
    jobs = [_job("a", 4), _job("b", 4)]
    board = _Board(jobs, fabric, [QUICK, QUICK], keep_going)
    first = solve(jobs[0], fabric, replace(QUICK, hosts=tuple(f"n{i}" for i in (0, 1, 2, 3, 6, 7, 8, 9))))
    second = solve(jobs[1], fabric, replace(QUICK, hosts=tuple(f"n{i}" for i in (4, 5, 10, 11, 12, 13, 14, 15))))
    apart = board.apart({0: first, 1: second})
    assert board.value(apart) < board.value({0: first, 1: second})
    assert any("shares uplinks" in text for plan in board.told({0: first, 1: second}) for text in plan.warnings)
    assert not any("shares uplinks" in text for plan in board.told(apart) for text in plan.warnings)
    leaves = [{fabric.host_group[h] for h in plan.placement.host} for plan in apart.values()]  # type: ignore[union-attr]
    assert not leaves[0] & leaves[1]


def test_jobs_that_must_share_uplinks_say_so() -> None:
    jobs = [_job("big", 3), _job("small", 3)]
    plans = solve_many(jobs, _fabric((4, 4, 4)), [QUICK] * 2)
    for plan, other in zip(plans, ("small", "big"), strict=True):
        (said,) = [text for text in plan.warnings if "shares uplinks" in text]
        assert f"{plan.job} shares uplinks with {other}: the busiest, leaf-" in said
        assert "ms while all send" in said


def test_a_job_with_few_choices_goes_first() -> None:
    # the large job would take leaf 1 whole, where the small one must go: it has all of its hosts there
    fabric = _fabric((4, 8))
    jobs = [_job("large", 4), _job("small", 2)]
    only = replace(QUICK, require="leaf", reserve=tuple(f"n{i}" for i in range(4)))
    plans = solve_many(jobs, fabric, [QUICK, only])
    assert not _hosts(plans[0]) & _hosts(plans[1])
    assert _hosts(plans[1]) <= {f"n{i}" for i in range(4, 12)}
    with pytest.raises(InfeasibleError, match="all jobs are planned or none"):
        solve_many([_job("large", 5), _job("small", 2)], fabric, [QUICK, only])
