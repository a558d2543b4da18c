"""Choose hosts from a fragmented pool: how many of each island or leaf, so that tiles of the job fit whole.

The fullest leaves hold a job on the fewest leaves, but leave ragged ends: 29 hosts of one leaf and 27 of the next cut
rings and expert groups in two. Taking a multiple of the job's own units from each (28 and 24 of them) keeps units
whole, at the price of more leaves. Which is better is priced, on the graph of hosts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from topoplan.cost.price import host_distance
from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import BoolArray, Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.problem import RankProblem

ISLAND = "island"  # what NVLink domains wider than a host are called where a tier is named
CHOICES = 2  # candidate host sets handed on for full pricing


def cells_of(fabric: Fabric, hosts: IntArray) -> IntArray:
    """[hosts] int64 the smallest set of hosts that each is in: its island, else its group of the first tier."""
    if fabric.islands:
        return np.asarray(fabric.gpu_island[fabric.gpu_offset[hosts]], np.int64)
    return np.asarray(fabric.host_group[hosts], np.int64)


def units(need: int) -> list[int]:
    """Numbers of hosts that may be kept together: divisors of the job's hosts, 1 (no rule) first."""
    return [u for u in range(1, need + 1) if need % u == 0]


def takes(room: IntArray, need: int, unit: int) -> IntArray | None:
    """[cells] int64 hosts to take of each cell: whole units, fullest cells first; ragged ends only where they must.

    Returns
    -------
    None where the cells do not hold the job.
    """
    if room.sum() < need:
        return None
    whole = room // unit * unit
    taken = np.zeros(len(room), np.int64)
    left = need
    # the ends that must be used are the largest: they cut the fewest units
    for amount in (whole, room - whole):
        for cell in np.argsort(-amount, kind="stable"):
            step = min(int(amount[cell]), left)
            taken[cell] += step
            left -= step
    return taken


def fitted(problem: RankProblem, pools: list[tuple[str, IntArray]]) -> Iterator[tuple[str, IntArray]]:
    """Best host sets of each pool by bytes x distance, in physical order; the other hosts of the pool follow.

    Parameters
    ----------
    pools
        Named sets of hosts, all with equally many usable GPUs, each in physical order.
    """
    size = int(problem.free[pools[0][1]].max(initial=1)) if pools else 1
    need = -(-problem.traffic.ranks // size)
    src, dst, amount = _host_flows(problem.traffic, size)
    priced: list[tuple[float, int, str, IntArray]] = []
    for name, pool in pools:
        for unit, hosts in _host_sets(problem.fabric, pool, need):
            price = float((amount * _distance(problem.fabric, hosts[src], hosts[dst])).sum())
            rest = np.setdiff1d(pool, hosts, assume_unique=True)
            priced.append((price, len(priced), f"{name} in units of {unit}", np.concatenate([hosts, rest])))
    for _, _, name, hosts in sorted(priced, key=lambda item: item[:2])[:CHOICES]:
        yield name, hosts


def _host_sets(fabric: Fabric, pool: IntArray, need: int) -> Iterator[tuple[int, IntArray]]:
    """Unit and the hosts taken from a pool, for each unit that changes anything."""
    values, first, cell = np.unique(cells_of(fabric, pool), return_index=True, return_inverse=True)
    place = np.argsort(first)
    room = np.bincount(cell, minlength=len(values))[place]
    rank_of_cell = np.argsort(place)[cell]
    seen: set[tuple[int, ...]] = set()
    for unit in units(need):
        taken = takes(room, need, unit)
        if taken is None or tuple(taken.tolist()) in seen:
            continue
        seen.add(tuple(taken.tolist()))
        yield unit, np.concatenate([pool[rank_of_cell == c][: taken[c]] for c in range(len(room))])


def _host_flows(traffic: Traffic, size: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Hosts' worth of consecutive ranks that talk, and their bytes."""
    live = np.concatenate([np.zeros(0, np.int64), *traffic.by_axis])
    count = -(-traffic.ranks // size)
    src, dst = traffic.src[live].astype(np.int64) // size, traffic.dst[live].astype(np.int64) // size
    pair, where = np.unique(src * count + dst, return_inverse=True)
    amount = np.bincount(where, traffic.bytes[live], len(pair)).astype(np.float64)
    return np.asarray(pair // count, np.int64), np.asarray(pair % count, np.int64), amount


def _distance(fabric: Fabric, a: IntArray, b: IntArray) -> FloatArray:
    """Distance of pairs of hosts, 0 inside an island."""
    distance = host_distance(fabric, a, b)
    if fabric.islands:
        island = fabric.gpu_island[fabric.gpu_offset[:-1]]
        distance = np.where(island[a] == island[b], 0.0, distance)
    return distance


# ---- what the user demands of the hosts --------------------------------------------------------------------------


def within(fabric: Fabric, free: IntArray, need: int, tier: str, spares: int = 0) -> list[tuple[str, BoolArray]]:
    """Groups of a tier that hold a job and its spare hosts whole: name and [hosts] bool, least room to spare first.

    Parameters
    ----------
    free
        [hosts] int64 GPUs of each host that may be used.
    need
        Ranks of the job.

    Raises
    ------
    InputError
        The fabric has no such tier.
    InfeasibleError
        None does; says how many hosts are short where most are free, and how many groups it would take.
    """
    members = _groups(fabric, tier)
    wanted = need + spares * _size(free)
    room = {name: int(free[mine].sum()) for name, mine in members.items()}
    fits = sorted((name for name in members if room[name] >= wanted), key=room.__getitem__)
    if fits:
        return [(name, members[name]) for name in fits]
    raise _short(free, room, wanted, tier)


def _groups(fabric: Fabric, tier: str) -> dict[str, BoolArray]:
    """[hosts] bool members of each group of a tier by name; of each NVLink domain wider than a host for ISLAND."""
    names = [t.name for t in fabric.tiers]
    if tier in names:
        ancestor = fabric.host_ancestor[names.index(tier)]
        return {group.name: ancestor == k for k, group in enumerate(fabric.groups) if group.tier == names.index(tier)}
    if tier == ISLAND and fabric.islands:
        hosts = np.arange(len(fabric.hosts))
        return {island.name: np.isin(hosts, island.hosts) for island in fabric.islands}
    known = ", ".join([*names, *([ISLAND] if fabric.islands else [])]) or "none"
    raise InputError(f"fabric {fabric.name} has no tier {tier!r} to require", hint=f"its tiers: {known}")


def _size(free: IntArray) -> int:
    """GPUs of a host: the commonest number that is free."""
    return int(np.bincount(free[free > 0]).argmax()) if (free > 0).any() else 1


def _short(free: IntArray, room: dict[str, int], wanted: int, tier: str) -> InfeasibleError:
    size = _size(free)
    best = max(room, key=room.__getitem__)  # the first of equals
    hosts = -(-(wanted - room[best]) // size)
    most = np.cumsum(sorted(room.values(), reverse=True))
    if most[-1] < wanted:
        many = f"all {len(room)} {_plural(tier)} together do not hold it"
    else:
        many = f"{int(np.searchsorted(most, wanted)) + 1} {_plural(tier)} needed"
    plural = "" if hosts == 1 else "s"
    return InfeasibleError(
        f"no {tier} holds the job: {hosts} host{plural} short in {best}; {many}",
        hint=f"free or repair hosts there, drop --require {tier}, or ask for fewer ranks or spares",
    )


def _plural(tier: str) -> str:
    return "leaves" if tier == "leaf" else f"{tier}s"


def avoid(free: IntArray, group: IntArray, need: int, avoided: BoolArray) -> BoolArray:
    """[hosts] bool hosts to use: all but the avoided ones, and as few of those as the job needs.

    Parameters
    ----------
    group
        [hosts] int64 group of the first tier of each host; avoided hosts beside many others come first.
    need
        GPUs of the job and of its spares.
    """
    use = (free > 0) & ~avoided
    missing = need - int(free[use].sum())
    beside = np.bincount(group + 1, np.where(use, free, 0))[group + 1]
    candidates = np.flatnonzero(avoided & (free > 0))
    for h in candidates[np.lexsort((candidates, -free[candidates], -beside[candidates]))]:
        if missing <= 0:
            break
        use[h] = True
        missing -= int(free[h])
    return use


def nearest_spares(fabric: Fabric, free: IntArray, used: IntArray, count: int) -> IntArray:
    """[count] int64 free hosts closest to the job: in the groups that most of its hosts are in, tier by tier.

    Parameters
    ----------
    free
        [hosts] int64 GPUs of each host that may be used.
    used
        Hosts of the job.

    Raises
    ------
    InfeasibleError
        Fewer free hosts than `count`.
    """
    idle = np.setdiff1d(np.flatnonzero(free >= free[used].max(initial=1)), used)
    if len(idle) < count:
        raise InfeasibleError(
            f"{count} spare hosts are wanted, {len(idle)} of the usable hosts are left beside the job",
            hint="lower --spares, or free hosts",
        )
    keys: list[IntArray] = [idle]
    for ancestors in fabric.host_ancestor[::-1]:
        beside = np.bincount(ancestors[used] + 1, minlength=len(fabric.groups) + 1)
        keys.append(-np.where(ancestors[idle] >= 0, beside[ancestors[idle] + 1], 0))
    # the last key counts most: hosts under a leaf of the job before those under a pod of it
    return np.asarray(idle[np.lexsort(keys)][:count], np.int64)
