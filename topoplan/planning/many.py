"""Several jobs on one fabric: each gets hosts of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import Fabric
from topoplan.model.job import Job
from topoplan.model.plan import Plan
from topoplan.planning.solve import SolveOptions, solve
from topoplan.solvers.ranks import Watch, keep_going
from topoplan.solvers.ranks.replan import key_of

MAX_EXCHANGES = 6  # pairs of jobs whose hosts are shared out anew; each costs two plans


def solve_many(
    jobs: Sequence[Job],
    fabric: Fabric,
    options: Sequence[SolveOptions],
    watch: Watch = keep_going,
) -> list[Plan]:
    """Plans of jobs that run side by side, no host in two of them; in the order of `jobs`.

    Jobs choose hosts from the largest to the smallest; then pairs of them share out their hosts in the other order, and
    keep what lowers the sum of their objectives. Traffic of one job does not slow another in these prices: that is so
    where they share no uplink.

    Parameters
    ----------
    options
        One for each job.

    Raises
    ------
    InfeasibleError
        Not all jobs fit: none is planned.
    """
    plans: dict[int, Plan] = {}
    order = sorted(range(len(jobs)), key=lambda i: (-jobs[i].ranks, i))
    for i in order:
        plans[i] = _beside(i, plans, jobs, fabric, options, watch)
    for big, small in list(itertools.combinations(order, 2))[:MAX_EXCHANGES]:
        others = {i: plan for i, plan in plans.items() if i not in (big, small)}
        try:
            first = _beside(small, others, jobs, fabric, options, watch)
            second = _beside(big, {**others, small: first}, jobs, fabric, options, watch)
        except InfeasibleError:
            continue  # the smaller one took hosts that the larger one needs
        if _value(first) + _value(second) < _value(plans[big]) + _value(plans[small]):
            plans[small], plans[big] = first, second
    return [plans[i] for i in range(len(jobs))]


def _beside(
    i: int, plans: dict[int, Plan], jobs: Sequence[Job], fabric: Fabric, options: Sequence[SolveOptions], watch: Watch
) -> Plan:
    """Plan of job i on hosts, spares included, that none of `plans` has taken."""
    taken = tuple(dict.fromkeys(name for plan in plans.values() for name in _hosts(plan)))
    try:
        return solve(jobs[i], fabric, replace(options[i], reserve=(*options[i].reserve, *taken)), watch)
    except InfeasibleError as error:
        if len(jobs) == 1:
            raise
        beside = " beside " + ", ".join(jobs[k].name for k in plans) if plans else ""
        raise InfeasibleError(f"job {jobs[i].name}{beside}: {error.message}", hint=error.hint) from error


def _hosts(plan: Plan) -> list[str]:
    assert plan.placement is not None
    used = np.unique(plan.placement.host)
    return [plan.placement.fabric.host_names[h] for h in used] + list(plan.spares)


def _value(plan: Plan) -> float:
    assert plan.prediction is not None
    return key_of(plan.objective)(plan.prediction)[0]
