"""Plain orders: of hosts (physical, by text, random, fullest groups first) and of ranks (tiles of the rank grid)."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial, prod

import numpy as np

from topoplan.model.capability import Freedom
from topoplan.model.fabric import Fabric, IntArray
from topoplan.names import natural_key
from topoplan.solvers.ranks.inside.host_gpus import in_order, last_host_well
from topoplan.solvers.ranks.problem import RankProblem
from topoplan.solvers.ranks.select import fitted
from topoplan.solvers.ranks.steering.blocks import Blocks

MAX_AXES = 4  # training layouts have no more axes above a host
MAX_TILINGS = 300  # tile shapes tried; more are thinned out evenly
POOLS = 8  # groups of a tier whose hosts are fitted to the job
COMMON_STEPS = 12  # commonest steps between blocks that may be strides of the grid


def usable_hosts(problem: RankProblem) -> IntArray:
    """Hosts with usable GPUs in physical order: groups as listed, hosts sorted naturally inside each."""
    fabric, free = problem.fabric, problem.free
    names = fabric.host_names
    by_name = sorted(np.flatnonzero(free), key=lambda h: natural_key(names[h]))
    place = np.zeros(len(names), np.int64)
    place[by_name] = np.arange(len(by_name))
    hosts = np.flatnonzero(free)
    first = _first_host_of_group(fabric)[hosts]
    return np.asarray(hosts[np.lexsort((place[hosts], first))], np.int64)


def _first_host_of_group(fabric: Fabric) -> IntArray:
    """[hosts] first host of each host's group: sorts groups as listed."""
    groups, first, index = np.unique(fabric.host_group, return_index=True, return_inverse=True)
    return np.asarray(first[index] if len(groups) > 1 else np.zeros(len(index)), np.int64)


def baseline_orders(problem: RankProblem) -> dict[str, IntArray]:
    """Host orders that launchers make: linear (physical), strings (names as text), random (seed 0)."""
    linear = usable_hosts(problem)
    names = problem.fabric.host_names
    return {
        "linear": linear,
        "strings": np.array(sorted(linear, key=lambda h: names[h]), np.int64),
        "random": np.random.default_rng(0).permutation(linear),
    }


def one_component(problem: RankProblem, hosts: IntArray) -> IntArray:
    """Those of `hosts` in the connected part that has most usable GPUs (the first of equals)."""
    component = problem.fabric.host_component[hosts]
    parts, index = np.unique(component, return_inverse=True)
    if len(parts) == 1:
        return hosts
    room = np.bincount(index, problem.free[hosts])
    return np.asarray(hosts[index == room.argmax()], np.int64)


def rivals(problem: RankProblem) -> bool:
    """Whether a connected part other than the one that is planned on holds the job too."""
    parts, index = np.unique(problem.fabric.host_component, return_inverse=True)
    return int((np.bincount(index, problem.free, len(parts)) >= problem.traffic.ranks).sum()) > 1


def selections(problem: RankProblem) -> Iterator[tuple[str, IntArray]]:
    """Named host orders to start from, best guesses first; each holds enough GPUs.

    When there is a choice of hosts: the group of the lowest tier that holds the job with the least room to spare,
    fullest subgroups first, then groups of each higher tier, then all hosts fullest leaf first, then as they come.
    """
    fabric, free, need = problem.fabric, problem.free, problem.traffic.ranks
    linear = one_component(problem, usable_hosts(problem))
    if free[linear].sum() > need:
        # hosts of one size keep consecutive ranks aligned with hosts
        sizes, count = np.unique(free[linear], return_counts=True)
        for size in sizes[np.argsort(-sizes * count, kind="stable")]:
            same = linear[free[linear] == size]
            if len(sizes) > 1 and free[same].sum() >= need:
                linear = same
                break
        pools = []
        for tier in range(len(fabric.tiers)):
            group = fabric.host_ancestor[tier][linear]
            room = np.bincount(group[group >= 0], free[linear][group >= 0], len(fabric.groups))
            fits = np.flatnonzero(room >= need)
            fits = fits[np.argsort(room[fits], kind="stable")]
            pools += [(f"hosts of {fabric.groups[k].name}", linear[group == k]) for k in fits[:POOLS]]
            for k in fits[:2]:
                inside = linear[group == k]
                yield f"fullest groups of {fabric.groups[k].name}", _fullest_first(problem, inside)
        if len(np.unique(free[linear])) == 1:
            yield from fitted(problem, pools or [("hosts", linear)])
        yield "fullest groups", _fullest_first(problem, linear)
    yield "linear", linear


def _fullest_first(problem: RankProblem, hosts: IntArray) -> IntArray:
    """Hosts, those of groups with most free GPUs first, tier by tier from the top, kept together.

    Of the groups taken, hosts are put back in physical order so that neighbours stay neighbours.
    """
    fabric, free = problem.fabric, problem.free
    keys: list[IntArray] = [np.arange(len(hosts))]
    for ancestors in fabric.host_ancestor:
        group = ancestors[hosts]
        room = np.bincount(group + 1, free[hosts], len(fabric.groups) + 1)[group + 1]
        keys += [group, -room]
    order = hosts[np.lexsort(keys)]
    enough = int(np.searchsorted(np.cumsum(free[order]), problem.traffic.ranks)) + 1
    taken = np.isin(hosts, order[:enough])
    return np.concatenate([hosts[taken], hosts[~taken]])


def fill(problem: RankProblem, hosts: IntArray) -> IntArray:
    """[ranks] int64 GPU of each rank when hosts are filled one after the other with consecutive ranks.

    NVLink domains of a host are filled one after the other too; of a host that is not needed whole, see `host_gpus`.
    Launchers that cannot order the GPUs of a host get them in order.
    """
    fabric = problem.fabric
    count = np.where(np.isin(np.arange(len(fabric.hosts)), hosts), 1, 0)
    position = np.full(len(fabric.hosts), -1, np.int64)
    position[hosts] = np.arange(len(hosts))
    usable = np.flatnonzero(fabric.gpu_free & (count[fabric.gpu_host] > 0))
    here = position[fabric.gpu_host[usable]]
    if problem.capability.freedom < Freedom.GPUS:  # local rank i runs on GPU i
        return np.asarray(usable[np.argsort(here, kind="stable")][: problem.traffic.ranks], np.int64)
    ordered = usable[np.lexsort((in_order(fabric, usable), here))]
    return last_host_well(fabric, ordered, problem.traffic.ranks)


def tilings(blocks: Blocks) -> Iterator[tuple[str, IntArray]]:
    """Orders of blocks that cut the rank grid into tiles of every shape.

    The strides by which most traffic steps from block to block are taken as the strides of the grid's axes. Each axis
    is split into its prime factors, and every way of interleaving the factors (those of one axis in order) is an order
    of the blocks: plain axis permutations are among them, and so are 2 x 2, 4 x 2 ... tiles. Yields name and order
    [blocks]: order[i] is the block put at place i.
    """
    strides = grid_strides(np.concatenate([np.abs(a.dst - a.src) for a in blocks.axes]), blocks.used)
    if len(strides) < 2:
        return
    sizes = [b // a for a, b in zip(strides, [*strides[1:], blocks.used], strict=True)]
    factors = [_prime_factors(size) for size in sizes]
    labels = [axis for axis, parts in enumerate(factors) for _ in parts]
    shape = [f for parts in factors for f in parts]  # fastest-varying first
    grid = np.arange(blocks.used).reshape(shape[::-1])
    for order in _interleavings([len(parts) for parts in factors]):
        axes = [len(shape) - 1 - i for i in reversed(order)]
        yield "tiles " + "".join(str(labels[i]) for i in order), grid.transpose(axes).ravel()


def _interleavings(counts: list[int]) -> Iterator[list[int]]:
    """Orders of the items of several lists that keep each list's own order, at most MAX_TILINGS, spread evenly."""
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    total = factorial(sum(counts)) // prod(factorial(c) for c in counts)
    stride = max(1, -(-total // MAX_TILINGS))
    word = [i for i, count in enumerate(counts) for _ in range(count)]
    for nth in range(total):
        if not nth % stride:
            following = list(starts)
            order = []
            for i in word:
                order.append(following[i])
                following[i] += 1
            yield order
        _advance(word)


def _advance(word: list[int]) -> None:
    """Turn a word into the next arrangement of its letters in the order of dictionaries; the last one stays."""
    i = len(word) - 2
    while i >= 0 and word[i] >= word[i + 1]:
        i -= 1
    if i < 0:
        return
    j = len(word) - 1
    while word[j] <= word[i]:
        j -= 1
    word[i], word[j] = word[j], word[i]
    word[i + 1 :] = word[:i:-1]


def _prime_factors(n: int) -> list[int]:
    factors, p = [], 2
    while n > 1:
        while n % p == 0:
            factors.append(p)
            n //= p
        p += 1 if p * p <= n else max(n - p, 1)
    return factors


def grid_strides(steps: IntArray, blocks: int) -> list[int]:
    """Chain of strides 1 | s1 | s2 ... | blocks among the commonest steps between blocks."""
    values, count = np.unique(steps[steps > 0], return_counts=True)
    common = values[np.argsort(-count, kind="stable")][:COMMON_STEPS]
    chain = [1]
    for stride in sorted(int(v) for v in common if v > 1):
        if stride % chain[-1] == 0 and blocks % stride == 0 and stride < blocks:
            chain.append(stride)
    return chain[:1] + chain[1:][-(MAX_AXES - 1) :]
