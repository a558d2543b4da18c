"""Change a plan as little as a changed fabric allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import BoolArray, Fabric
from topoplan.model.job import Job
from topoplan.model.plan import Plan
from topoplan.planning.solve import SolveOptions, plan_of, problem_of
from topoplan.solvers.ranks import rate
from topoplan.solvers.ranks.replan import Previous, Replanned, replan_ranks


def replan(job: Job, fabric: Fabric, previous: Plan, options: SolveOptions | None = None) -> Plan:
    """Plan of the same job that moves only the ranks whose hosts are lost.

    A host is lost when the fabric of today has it no more, lists it or a GPU in use as unavailable, or when the
    options leave it out (hosts, reserve) or avoid it. As many hosts change as were lost, where whole hosts are free:
    the spares of the previous plan first.

    Raises
    ------
    InputError
        The previous plan has no ranks, or is of a job of another size.
    InfeasibleError
        Too few free GPUs for the ranks to move.
    """
    options = options or SolveOptions()
    placement = previous.placement
    if placement is None:
        raise InputError("the previous plan places experts only: there are no ranks to keep")
    if placement.ranks != job.ranks:
        raise InputError(
            f"the previous plan has {placement.ranks} ranks, the job {job.ranks}",
            hint="plan anew without --previous",
        )
    names, index = placement.fabric.host_names, fabric.alias_index
    # hosts that are gone get numbers below 0 that keep them apart
    number = np.array([index.get(name, -1 - h) for h, name in enumerate(names)], np.int64)
    spares = [index[name] for name in previous.spares if name in index]
    kept = Previous(number[placement.host], placement.local, np.array(spares, np.int64))
    problem = problem_of(job, fabric, options, lambda hosts: _leaving(kept, hosts))
    done = replan_ranks(problem, kept)
    plan = plan_of(job, problem, options, rate(problem, done.gpu, "previous"))
    assert plan.placement is not None
    used = {fabric.host_names[h] for h in np.unique(plan.placement.host)}
    left = tuple(fabric.host_names[h] for h in spares if problem.free[h] and fabric.host_names[h] not in used)
    return replace(plan, spares=plan.spares or left, warnings=(*plan.warnings, *_crowded(plan, done)))


def _leaving(kept: Previous, hosts: BoolArray) -> float:
    """Ranks that would have to leave their hosts if only `hosts` were used."""
    return float((~(hosts[kept.host] & (kept.host >= 0))).sum())


def _crowded(plan: Plan, done: Replanned) -> list[str]:
    """What to say where lost ranks found no host of their own."""
    assert plan.placement is not None
    hosts = plan.placement.host
    took, stayed = np.unique(hosts[done.moved]), np.unique(np.delete(hosts, done.moved))
    if len(took) == done.lost_hosts and not np.isin(took, stayed).any():
        return []
    return [
        f"{done.lost_hosts} hosts were lost and too few whole hosts were free: their {len(done.moved)} ranks now share "
        f"{len(took)} hosts; topoplan diff shows what it costs"
    ]
