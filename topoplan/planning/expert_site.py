"""The GPUs that an expert-parallel group runs on: chosen on the fabric, or those of a previous plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import BoolArray, Fabric, FloatArray, IntArray
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankProblem
from topoplan.solvers.ranks.orders import fill, selections


@dataclass(frozen=True, eq=False)
class Site:
    """GPUs of an expert-parallel group; EP rank i runs on GPU i of `placement`.

    Parameters
    ----------
    fresh
        [gpus] bool GPUs that stand in for lost ones of the previous plan and hold nothing yet.
    lost
        Names of the lost GPUs.
    """

    placement: RankPlacement
    fresh: BoolArray
    lost: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        """Number of GPUs."""
        return self.placement.ranks

    @property
    def host(self) -> IntArray:
        """[gpus] int64 host of each GPU, numbered by first use."""
        return _by_first_use(self.placement.host)

    @property
    def leaf(self) -> IntArray:
        """[gpus] int64 lowest group of each GPU's host, numbered by first use; hosts without one share a number."""
        return _by_first_use(self.placement.fabric.host_group[self.placement.host])

    @property
    def speed(self) -> FloatArray:
        """[gpus] float64 relative speed of each GPU."""
        fabric = self.placement.fabric
        speed = np.array([kind.speed for kind in fabric.host_types])
        return np.asarray(speed[fabric.host_type[self.placement.host]], np.float64)


def choose_site(fabric: Fabric, gpus: int, leaves: int = 1) -> Site:
    """The first selection of hosts that the rank solver would try: the tightest group, fullest leaves first.

    Parameters
    ----------
    leaves
        Leaves that the GPUs must be spread over, evenly; 1 for as few as hold them.

    Raises
    ------
    InfeasibleError
        Too few usable GPUs that can reach each other.
    """
    chosen = _tightest(fabric, gpus) if leaves < 2 else _over_leaves(fabric, gpus, leaves)
    return Site(RankPlacement(fabric, chosen), np.zeros(gpus, bool))


def _tightest(fabric: Fabric, gpus: int, allowed: BoolArray | None = None) -> IntArray:
    """[gpus] int64 GPUs close together, on `allowed` [hosts] bool."""
    none = np.zeros(0, np.int32)
    traffic = Traffic(gpus, (), none, none, np.zeros(0), np.zeros(0, np.int8), np.zeros(0), np.zeros(0))
    problem = RankProblem(fabric, traffic, allowed=allowed)
    for _, hosts in selections(problem):
        return fill(problem, hosts)
    raise InfeasibleError(f"no {gpus} GPUs of {fabric.name} can reach each other")


def _over_leaves(fabric: Fabric, gpus: int, leaves: int) -> IntArray:
    """[gpus] int64 GPUs on the leaves that have most free ones, of one component, in even parts."""
    parts = np.diff(np.arange(leaves + 1) * gpus // leaves)
    free = np.bincount(fabric.host_group + 1, fabric.free_gpus)[1:]  # hosts without a group are in no leaf
    top = np.zeros(len(free), np.int64)
    known = fabric.host_group >= 0
    top[fabric.host_group[known]] = fabric.host_component[known]
    for component in sorted(set(fabric.host_component[known].tolist())):
        order = [k for k in np.argsort(-free, kind="stable").tolist() if top[k] == component and free[k] >= max(parts)]
        if len(order) >= leaves:
            chosen = [
                _tightest(fabric, int(n), fabric.host_group == k)
                for n, k in zip(parts, sorted(order[:leaves]), strict=True)
            ]
            return np.concatenate(chosen)
    raise InfeasibleError(
        f"{leaves} copies on different leaves need {leaves} leaves with {max(parts)} free GPUs each, which reach each "
        f"other; {fabric.name} has {int((free >= max(parts)).sum())} with so many"
    )


def previous_site(fabric: Fabric, previous: Plan, gpus: int) -> Site:
    """The GPUs of a previous plan, each that is no longer usable replaced by the nearest spare one.

    Raises
    ------
    InputError
        The previous plan has no experts, or another number of GPUs.
    InfeasibleError
        Fewer spare GPUs than lost ones.
    """
    if previous.experts is None:
        raise InputError("the previous plan has no experts")
    if previous.experts.gpus != gpus:
        raise InputError(
            f"the previous plan has experts on {previous.experts.gpus} GPUs, --gpus asks for {gpus}",
            hint="plan afresh, without --previous, to grow or shrink the group",
        )
    if previous.placement is None or previous.ep_rank_to_rank is None:
        return choose_site(fabric, gpus)
    if len(previous.ep_rank_to_rank) != 1:
        raise InputError(f"the previous plan has {len(previous.ep_rank_to_rank)} expert-parallel groups, not one")
    return _same_gpus(fabric, previous.placement, previous.ep_rank_to_rank[0])


def _same_gpus(fabric: Fabric, placement: RankPlacement, ranks: IntArray) -> Site:
    names = placement.fabric.host_names
    gpu, lost = np.full(len(ranks), -1, np.int64), []
    for i, rank in enumerate(ranks):
        name, local = names[placement.host[rank]], int(placement.local[rank])
        h = fabric.alias_index.get(name, -1)
        if h >= 0 and local < fabric.host_gpus[h] and fabric.gpu_free[fabric.gpu_offset[h] + local]:
            gpu[i] = fabric.gpu_offset[h] + local
        else:
            lost.append(f"{name}:{local}")
    fresh = gpu < 0
    spare = [int(g) for g in np.setdiff1d(np.flatnonzero(fabric.gpu_free), gpu)]
    for k in map(int, np.flatnonzero(fresh)):
        if not spare:
            raise InfeasibleError(
                f"{len(lost)} GPUs of the previous plan are not usable ({', '.join(lost[:4])}) and none is spare"
            )
        near = int(gpu[gpu >= 0][0]) if (gpu >= 0).any() else spare[0]
        h = fabric.alias_index.get(names[placement.host[ranks[k]]], int(fabric.gpu_host[near]))
        best = min(spare, key=lambda g: _distance(fabric, h, int(fabric.gpu_host[g]), g))
        spare.remove(best)
        gpu[k] = best
    return Site(RankPlacement(fabric, gpu), fresh, tuple(lost))


def _distance(fabric: Fabric, a: int, b: int, gpu: int) -> tuple[bool, bool, int]:
    """How far host b is from host a: another host, another leaf; then the GPU, to make the choice definite."""
    return a != b, bool(fabric.host_group[a] != fabric.host_group[b]), gpu


def _by_first_use(number: IntArray) -> IntArray:
    _, first, index = np.unique(number, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[index], np.int64)
