"""Which groups of experts go to which host: all ways where they can be listed, else the best that a search finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.bound import even_bound

MOST_LISTED = 3000  # ways up to which all are priced: 105 for 8 groups on 4 hosts
MOST_NODES = 500  # steps of the search for each row where they are more

Set = tuple[int, tuple[int, ...]]  # a kind of host and the groups on it


@dataclass(frozen=True, eq=False)
class Hosts:
    """Hosts that have slots.

    Parameters
    ----------
    gpus
        GPUs of each host, as indices; position i is alike on all hosts of a kind.
    slots, speed
        [gpus] int64 and float64, of all GPUs.
    kind
        Of each host: the first host that is just like it.
    room
        Most groups each host may hold.
    """

    gpus: tuple[IntArray, ...]
    slots: IntArray
    speed: FloatArray
    kind: tuple[int, ...]
    room: tuple[int, ...]

    @classmethod
    def of(cls, host: IntArray, slots: IntArray, speed: FloatArray, groups: int, group_size: int) -> Hosts:
        """Hosts with at least one slot, groups spread over them by their slots as evenly as they go.

        Raises
        ------
        InfeasibleError
            The groups do not fit whole, or a host would be left without any.
        """
        order = np.lexsort((np.arange(len(host)), speed, slots, host))
        live = [g for g in (order[(host[order] == h) & (slots[order] > 0)] for h in np.unique(host)) if g.size]
        shapes = [(slots[gpus].tolist(), speed[gpus].tolist()) for gpus in live]
        count, total = [int(slots[gpus].sum()) for gpus in live], int(slots.sum())
        room = [min(n // group_size, -(-groups * n // total)) for n in count]
        if sum(room) < groups or min(room) < 1 or groups < len(live):
            raise InfeasibleError(
                f"{groups} groups of {group_size} experts do not fit whole on {len(live)} hosts with "
                f"{min(count)} to {max(count)} slots",
                hint="each host needs slots for at least one whole group, and a group; or let experts go to any host",
            )
        return cls(tuple(live), slots, speed, tuple(shapes.index(s) for s in shapes), tuple(room))


def assign_groups(load: FloatArray, hosts: Hosts, most: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Find the assignments of groups to hosts that leave the lowest bounds.

    Parameters
    ----------
    load
        [rows, groups, experts of a group] float64.
    most
        Assignments wanted for each row.

    Returns
    -------
    host
        [rows, ways, groups] int64 index into `hosts.gpus`, best first; fewer ways than `most` where there are no more.
    value
        [rows, ways] float64 load over speed that no placement of that assignment goes below.
    bound
        [rows] float64 the same over all assignments.
    """
    listed = list_ways(hosts.kind, hosts.room, load.shape[1])
    if listed is None:
        return _search_each(load, hosts)
    ways, sets, index = listed
    price = np.zeros((len(load), len(sets) + 1))  # last column: a host without groups
    for kind, size in sorted({(kind, len(groups)) for kind, groups in sets}):
        where = [i for i, (k, groups) in enumerate(sets) if k == kind and len(groups) == size]
        price[:, where] = _price(load, hosts, kind, np.array([sets[i][1] for i in where]))
    value = price[:, index].max(2)
    best = np.argsort(value, axis=1, kind="stable")[:, :most]
    return ways[best], np.take_along_axis(value, best, 1), value.min(1)


def alike(way: IntArray, hosts: Hosts) -> Iterator[tuple[int, IntArray, IntArray, IntArray]]:
    """Hosts of one kind with equally many groups: kind, row [n], host [n] and its groups [n, count]."""
    held = (way[:, None, :] == np.arange(len(hosts.gpus))[:, None]).sum(2)  # [rows, hosts]
    kind = np.array(hosts.kind)
    for k in sorted(set(hosts.kind)):
        for count in range(1, int(held.max()) + 1):
            row, h = np.nonzero((held == count) & (kind == k))
            if row.size:
                yield k, row, h, np.nonzero(way[row] == h[:, None])[1].reshape(-1, count)


def price_way(load: FloatArray, hosts: Hosts, way: IntArray) -> FloatArray:
    """[rows] float64 bound of one assignment [rows, groups] for each row of load [rows, groups, experts of a group]."""
    value = np.zeros(len(load))
    for k, row, _, group in alike(way, hosts):
        gpus, together = hosts.gpus[k], load[row[:, None], group].reshape(len(row), -1)
        np.maximum.at(value, row, even_bound(together, int(hosts.slots[gpus].sum()), hosts.speed[gpus]))
    return value


def heaviest_first(load: FloatArray, hosts: Hosts) -> IntArray:
    """[rows, groups] int64 host of each group: heaviest group first, each to the host that is least busy with it.

    Parameters
    ----------
    load
        [rows, groups] float64.
    """
    row, way = np.arange(len(load)), np.zeros(load.shape, np.int64)
    total, room = np.zeros((len(load), len(hosts.gpus))), np.tile(hosts.room, (len(load), 1))
    speed = np.array([hosts.speed[gpus].sum() for gpus in hosts.gpus])
    groups = load.shape[1]
    for step, group in enumerate(np.argsort(-load, axis=1, kind="stable").T):
        bare = room == hosts.room
        needed = (groups - step <= bare.sum(1))[:, None] & ~bare  # every group left, for hosts without one
        h = np.where((room > 0) & ~needed, total / speed, np.inf).argmin(1)
        way[row, group] = h
        total[row, h] += load[row, group]
        room[row, h] -= 1
    return way


def _price(load: FloatArray, hosts: Hosts, kind: int, groups: IntArray) -> FloatArray:
    """[rows, sets] float64 bound of each set of groups [sets, size] on a host of a kind."""
    gpus = hosts.gpus[kind]
    together = load[:, groups].reshape(len(load) * len(groups), -1)
    return even_bound(together, int(hosts.slots[gpus].sum()), hosts.speed[gpus]).reshape(len(load), -1)


@cache
def list_ways(kind: tuple[int, ...], room: tuple[int, ...], groups: int) -> tuple[IntArray, list[Set], IntArray] | None:
    """Every way [ways, groups], the sets that occur, and the set of each host [ways, hosts]; None where too many."""
    ways = list(islice(_ways(kind, room, groups), MOST_LISTED + 1))
    if len(ways) > MOST_LISTED:
        return None
    sets: dict[Set, int] = {}
    index = []
    for way in ways:
        on: list[list[int]] = [[] for _ in kind]
        for group, h in enumerate(way):
            on[h].append(group)
        index.append(
            [sets.setdefault((k, tuple(held)), len(sets)) if held else -1 for k, held in zip(kind, on, strict=True)]
        )
    return np.array(ways, np.int64), list(sets), np.array(index, np.int64)


def _ways(kind: tuple[int, ...], room: tuple[int, ...], groups: int) -> Iterator[tuple[int, ...]]:
    """Host of each group; of several empty hosts of a kind only the first is tried."""
    way = [-1] * groups

    def extend(group: int) -> Iterator[tuple[int, ...]]:
        if group == groups:
            yield tuple(way)
            return
        empty: set[int] = set()
        for h, k in enumerate(kind):
            held = way[:group].count(h)
            if held >= room[h] or (not held and k in empty):
                continue
            if held and groups - group <= len(set(range(len(kind))) - set(way[:group])):
                continue  # every group left is needed for a host that has none yet
            if not held:
                empty.add(k)
            way[group] = h
            yield from extend(group + 1)

    yield from extend(0)


def _search_each(load: FloatArray, hosts: Hosts) -> tuple[IntArray, FloatArray, FloatArray]:
    """One way a row, by depth-first search that starts with the heaviest group on the emptiest host."""
    found = [_search(row, hosts) for row in load]
    ways = np.array([way for way, _, _ in found], np.int64)[:, None]
    return ways, np.array([[value] for _, value, _ in found]), np.array([bound for _, _, bound in found])


def _search(load: FloatArray, hosts: Hosts) -> tuple[list[int], float, float]:
    """Way, its bound, and the bound of all ways of one row [groups, experts of a group].

    Where the search is cut short the last is only what the whole needs: equal load, and each group alone on a host.
    """
    groups, known = len(load), dict[Set, float]()

    def price(h: int, held: tuple[int, ...]) -> float:
        key = (hosts.kind[h], held)
        if key not in known:
            known[key] = float(_price(load[None], hosts, key[0], np.array([held]))[0, 0])
        return known[key]

    kinds = sorted(set(hosts.kind))
    alone = [min(price(h, (g,)) for h in kinds if hosts.room[h]) for g in range(groups)]
    floor = max(float(load.sum() / hosts.speed[hosts.slots > 0].sum()), *alone)
    order = np.argsort(-load.sum(1), kind="stable").tolist()
    on: list[tuple[int, ...]] = [() for _ in hosts.gpus]
    best_way, best, nodes = list[int](), np.inf, 0

    def extend(depth: int, worst: float) -> None:
        nonlocal best_way, best, nodes
        if depth == groups:
            best_way, best = [next(h for h, held in enumerate(on) if g in held) for g in range(groups)], worst
            return
        options, empty = [], set[int]()
        for h, held in enumerate(on):
            needed = groups - depth <= sum(not other for other in on)  # every group left, for hosts without one
            if len(held) < hosts.room[h] and (not needed if held else hosts.kind[h] not in empty):
                if not held:
                    empty.add(hosts.kind[h])
                after = tuple(sorted((*held, order[depth])))
                options.append((price(h, after), len(held), h, after))
        for value, _, h, after in sorted(options):
            nodes += 1
            if best <= floor or (nodes > MOST_NODES and best_way) or max(worst, value) >= best:
                continue
            before, on[h] = on[h], after
            extend(depth + 1, max(worst, value))
            on[h] = before

    extend(0, floor)
    return best_way, best, best if nodes <= MOST_NODES else floor
