"""Several jobs on one fabric: each gets hosts of its own, and uplinks of its own where there are enough."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.shared import Tenant, meeting
from topoplan.errors import InfeasibleError
from topoplan.model.fabric import Fabric
from topoplan.model.job import Job
from topoplan.model.plan import Plan
from topoplan.planning.solve import SolveOptions, job_traffic, solve
from topoplan.solvers.ranks import Watch, keep_going
from topoplan.solvers.ranks.replan import key_of

MAX_EXCHANGES = 6  # pairs of jobs whose hosts are shared out anew; each costs two plans
BETTER = 1e-3  # share by which the sum of objectives must fall; assumed: less is not worth another arrangement


def solve_many(
    jobs: Sequence[Job],
    fabric: Fabric,
    options: Sequence[SolveOptions],
    watch: Watch = keep_going,
) -> list[Plan]:
    """Plans of jobs that run side by side, no host in two of them; in the order of `jobs`.

    Jobs choose hosts from the largest to the smallest. Then each that shares uplinks tries to do without the leaves (or
    pods ...) of the others, and pairs share out their hosts in the other order; what lowers the sum of the objectives,
    each with the others' traffic on the uplinks they share, is kept. A plan says whom it meets, and what that costs.

    Parameters
    ----------
    options
        One for each job.

    Raises
    ------
    InfeasibleError
        Not all jobs fit: none is planned.
    """
    if len(jobs) == 1:
        return [solve(jobs[0], fabric, options[0], watch)]
    board = _Board(jobs, fabric, options, watch)
    plans = board.first()
    plans = board.apart(plans)
    plans = board.exchanged(plans)
    return board.told(plans)


Plans = dict[int, Plan]


@dataclass(frozen=True, eq=False)
class _Board:
    """All jobs, and arrangements of their plans by index of the job."""

    jobs: Sequence[Job]
    fabric: Fabric
    options: Sequence[SolveOptions]
    watch: Watch

    def first(self) -> Plans:
        """Plans from the largest job to the smallest; a job that finds no place is tried before the others."""
        order = sorted(range(len(self.jobs)), key=lambda i: (-self.jobs[i].ranks, i))
        failed: list[tuple[int, InfeasibleError]] = []
        while True:
            plans: Plans = {}
            try:
                for i in order:
                    plans[i] = self._beside(i, plans)
            except InfeasibleError as error:
                i = next(i for i in order if i not in plans)
                if not plans or i in [k for k, _ in failed]:
                    raise (failed[0][1] if failed else error) from None
                failed.append((i, error))
                order = [i, *(k for k in order if k != i)]
            else:
                return plans

    def apart(self, plans: Plans) -> Plans:
        """Plans in which jobs left the groups of others, where that is better for all together."""
        for i in sorted(plans, key=lambda i: (self.jobs[i].ranks, i)):
            for moved in self._elsewhere(i, plans):
                if self.value(moved) < self.value(plans) * (1 - BETTER):
                    plans = moved
                    break
        return plans

    def _elsewhere(self, i: int, plans: Plans) -> Iterator[Plans]:
        """Plans with job i on hosts under no group of each tier that another job is in; the highest tier first."""
        tenants = self._tenants(plans)
        if meeting(tenants, list(plans).index(i)) is None:
            return
        others = {k: plan for k, plan in plans.items() if k != i}
        taken = np.unique(np.concatenate([_hosts(self.fabric, plan) for plan in others.values()]))
        for ancestors in self.fabric.host_ancestor[::-1]:
            near = np.isin(ancestors, ancestors[taken]) & (ancestors >= 0)
            if near.all():
                continue
            names = tuple(self.fabric.host_names[h] for h in np.flatnonzero(near))
            try:
                yield {**plans, i: self._beside(i, others, names)}
            except InfeasibleError:
                continue

    def exchanged(self, plans: Plans) -> Plans:
        """Plans in which the smaller job of a pair chose before the larger one, where that is better for all."""
        order = sorted(plans, key=lambda i: (-self.jobs[i].ranks, i))
        for big, small in list(itertools.combinations(order, 2))[:MAX_EXCHANGES]:
            others = {i: plan for i, plan in plans.items() if i not in (big, small)}
            try:
                others[small] = self._beside(small, others)
                others[big] = self._beside(big, others)
            except InfeasibleError:
                continue  # the smaller one took hosts that the larger one needs
            moved = {i: others[i] for i in plans}
            if self.value(moved) < self.value(plans) * (1 - BETTER):
                plans = moved
        return plans

    def value(self, plans: Plans) -> float:
        """Sum of the objectives, exposed times with everyone's traffic on the uplinks."""
        tenants = self._tenants(plans)
        total = sum(tenant.uplinks for tenant in tenants)
        value = 0.0
        for tenant, plan in zip(tenants, plans.values(), strict=True):
            assert plan.prediction is not None
            alone = key_of(plan.objective)(plan.prediction)[0]
            if plan.objective == "exposed_ms":
                value += tenant.beside(total - tenant.uplinks)
            elif plan.objective == "busiest_uplink":
                value += 1e3 * float(np.where(tenant.uplinks > 0, total, 0.0).max(initial=0.0))
            else:
                value += alone
        return value

    def told(self, plans: Plans) -> list[Plan]:
        """Plans in the order of the jobs, with a warning where a job shares uplinks."""
        plans = {i: plans[i] for i in range(len(self.jobs))}
        tenants = self._tenants(plans)
        said = [self._meeting(i, tenants) for i in plans]
        return [
            replace(plan, warnings=(*plan.warnings, *more)) for plan, more in zip(plans.values(), said, strict=True)
        ]

    def _meeting(self, i: int, tenants: Sequence[Tenant]) -> list[str]:
        met = meeting(tenants, i)
        if met is None:
            return []
        me, names = tenants[i], ", ".join(self.jobs[k].name for k in met.others)
        others = sum((t.uplinks for k, t in enumerate(tenants) if k != i), np.zeros(me.uplinks.shape))
        return [
            f"{self.jobs[i].name} shares uplinks with {names}: the busiest, {met.uplink}, carries "
            f"{met.own_ms:,.2f} ms of its traffic each step and {met.others_ms:,.2f} ms of theirs; exposed time "
            f"{me.alone.exposed_ms:,.2f} ms alone, {me.beside(others):,.2f} ms while all send"
        ]

    def _tenants(self, plans: Plans) -> list[Tenant]:
        found = []
        for i, plan in plans.items():
            assert plan.placement is not None
            found.append(Tenant(self.fabric, job_traffic(self.jobs[i], self.fabric), plan.placement.gpu))
        return found

    def _beside(self, i: int, plans: Plans, without: tuple[str, ...] = ()) -> Plan:
        """Plan of job i on hosts, spares included, that neither `plans` has taken nor `without` names."""
        names = self.fabric.host_names
        taken = [names[h] for plan in plans.values() for h in _hosts(self.fabric, plan)]
        reserve = tuple(dict.fromkeys((*self.options[i].reserve, *taken, *without)))
        try:
            return solve(self.jobs[i], self.fabric, replace(self.options[i], reserve=reserve), self.watch)
        except InfeasibleError as error:
            beside = " beside " + ", ".join(self.jobs[k].name for k in plans) if plans else ""
            message = f"job {self.jobs[i].name}{beside}: {error.message}; all jobs are planned or none"
            raise InfeasibleError(message, hint=error.hint) from error


def _hosts(fabric: Fabric, plan: Plan) -> np.ndarray:
    """Hosts and spare hosts of a plan."""
    assert plan.placement is not None
    spares = np.array([fabric.host_index[name] for name in plan.spares], np.int64)
    return np.concatenate([np.unique(plan.placement.host), spares])
