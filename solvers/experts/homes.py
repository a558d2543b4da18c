"""A home host for every expert: what fires together lives together, and hosts have alike loads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.assignment import list_ways
from topoplan.solvers.experts.routes import Visits

IMBALANCE = 1.0  # remote hosts a token that a balanced set of homes may cost more than one that is not at all
SWAPS = 12  # rounds of exchanging single experts


@dataclass(frozen=True, eq=False)
class Homes:
    """One home for each expert.

    Parameters
    ----------
    host
        [experts] int64.
    remote
        Remote hosts a token with no other copies.
    balance
        Mean over largest load (over speed) of a host.
    budget
        Remote hosts a token that whole groups would give: put on hosts for balance alone where that is known.
    """

    host: IntArray
    remote: float
    balance: float
    budget: float = 0.0

    @property
    def score(self) -> float:
        """Less is better."""
        return self.remote + IMBALANCE * (1 - self.balance)


def choose_homes(visits: Visits, load: FloatArray, room: IntArray, power: FloatArray) -> Homes:
    """Homes of all experts of a layer.

    Consecutive experts start out as blocks, of several sizes, since models number the experts of a routing group
    consecutively; the best blocks are then mended by exchanging single experts.

    Parameters
    ----------
    load
        [experts] float64.
    room
        [hosts] int64 slots.
    power
        [hosts] float64 speed of all GPUs of a host.
    """
    hosts = len(room)
    best, whole = _judge(visits, load, power, np.repeat(np.arange(hosts), spread(len(load), room))), 0.0
    if len(set(room.tolist())) == 1:
        for blocks in (2 * hosts, 4 * hosts, 8 * hosts):
            if len(load) % blocks == 0:
                placed = _place_blocks(visits, load, power, blocks)
                best, whole = min(best, placed, key=lambda homes: homes.score), max(whole, placed.budget)
    together = _judge(visits, load, power, _cluster(visits.affinity(), best.host))
    best = min(best, together, key=lambda homes: homes.score)
    found = _exchange(visits, load, power, best)
    return replace(found, budget=max(best.remote, whole))


def spread(experts: int, room: IntArray) -> IntArray:
    """[hosts] int64 experts that make their home on each host: in proportion to slots, no more than those."""
    count = np.minimum(experts * room // room.sum(), room)
    while count.sum() < experts:
        free = np.where(count < room, (count + 1) / np.maximum(room, 1), np.inf)  # a dead host has no room
        count[free.argmin()] += 1
    return np.asarray(count, np.int64)


def _judge(visits: Visits, load: FloatArray, power: FloatArray, host: IntArray) -> Homes:
    time = np.bincount(host, load, len(power)) / power
    return Homes(host, visits.of_homes(host)[1], float(load.sum() / power.sum() / time.max()))


def _place_blocks(visits: Visits, load: FloatArray, power: FloatArray, blocks: int) -> Homes:
    """Homes of whole blocks, as many on each host, by pricing all ways; blocks in order where they are too many."""
    hosts, size = len(power), len(load) // blocks
    listed = list_ways((0,) * hosts, (blocks // hosts,) * hosts, blocks)
    if listed is None:
        return _judge(visits, load, power, np.repeat(np.arange(hosts), len(load) // hosts))
    pattern, share = visits.patterns(size)
    on = (listed[0][:, None, :] == np.arange(hosts)[:, None]).astype(np.float32)  # [ways, hosts, blocks]
    remote = (
        share[:, None, None] * (pattern @ on.transpose(2, 0, 1).reshape(blocks, -1) > 0).reshape(len(share), -1, hosts)
    ).sum((0, 2))
    time = (on @ load.reshape(blocks, -1).sum(1)) / power
    balance = load.sum() / power.sum() / time.max(1)
    remote *= 1 - 1 / hosts
    way = listed[0][(remote + IMBALANCE * (1 - balance)).argmin()]
    return replace(_judge(visits, load, power, np.repeat(way, size)), budget=float(remote[balance.argmax()]))


def _cluster(affinity: FloatArray, host: IntArray) -> IntArray:
    """Exchange pairs of experts, the best first, until no pair brings more affinity together on hosts."""
    host, every = host.copy(), np.arange(len(host))
    bond = affinity @ (host[:, None] == np.arange(host.max() + 1))  # affinity of each expert to each host
    for _ in range(4 * len(host)):
        here, there = bond[every, host], bond[:, host]
        gain = there + there.T - here[:, None] - here - 2 * affinity
        gain[host[:, None] == host] = 0.0
        a, b = divmod(int(gain.argmax()), len(host))
        if gain[a, b] <= 1e-12:
            break
        change = affinity[:, b] - affinity[:, a]
        bond[:, host[a]] += change
        bond[:, host[b]] -= change
        host[a], host[b] = host[b], host[a]
    return host


def _exchange(visits: Visits, load: FloatArray, power: FloatArray, homes: Homes) -> Homes:
    """Exchange pairs of experts between hosts, many at a time while that helps, then fewer (Kernighan and Lin)."""
    most = max(1, len(load) // 16)
    for _ in range(SWAPS):
        alone, _ = visits.of_homes(homes.host)
        visit = load[:, None] * alone / load.sum()  # remote hosts that an expert adds on each host
        time = np.bincount(homes.host, load, len(power)) / power
        slope = IMBALANCE * (time - time.mean()) / max(float(time.max()), 1e-12)
        price = visit + (load / load.sum())[:, None] * slope
        here = price[np.arange(len(load)), homes.host]
        there = price[:, homes.host]  # of expert a on the host of expert b
        gain = here[:, None] + here - there - there.T
        gain[homes.host[:, None] == homes.host] = -np.inf
        host, left = homes.host.copy(), most
        for flat in np.argsort(-gain, axis=None)[: 8 * most]:
            a, b = divmod(int(flat), len(load))
            if gain[a, b] <= 0 or not left:
                break
            if host[a] == homes.host[a] and host[b] == homes.host[b]:
                host[a], host[b], left = host[b], host[a], left - 1
        after = _judge(visits, load, power, host)
        if after.score < homes.score - 1e-6:
            homes = after
        elif most == 1:
            break
        else:
            most = max(1, most // 4)
    return homes
