"""Deal replicas to hosts first, as many copies of an expert to each host that gets any, then to the hosts' GPUs."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.pack import Float32Array, Packing, deal, separate_duplicates


def pack_by_host(
    load: FloatArray, copies: IntArray, places: int, speed: FloatArray, hosts: IntArray
) -> tuple[IntArray, Packing]:
    """Deal replicas to hosts, copies of an expert alike to as many as can be, and on each host to its GPUs.

    Parameters
    ----------
    load, copies
        [rows, experts] float64 and int64; copies sum to the slots.
    places
        Slots of every GPU.
    speed
        [gpus] float64, all alike.
    hosts
        [hosts, gpus of a host] int64.

    Returns
    -------
    row
        [n] int64 rows whose copies fit on hosts in such numbers.
    packing
        Of these rows, no expert twice on a GPU.
    """
    count, each = hosts.shape
    row, expert, size = on_hosts(load, copies, places * each, count)
    rows, flat = len(row), (len(row) * count, places * each)
    order = np.argsort(-size.reshape(flat), axis=1, kind="stable")
    expert = np.take_along_axis(expert.reshape(flat), order, 1)
    small: Float32Array = np.take_along_axis(size.reshape(flat), order, 1).astype(np.float32)
    found = deal(expert, small, np.full(each, places), speed[:each])
    separate_duplicates(found)
    at = np.argsort(hosts.ravel(), kind="stable")  # of each GPU, among the hosts' GPUs
    host = at // each
    held = found.expert.reshape(rows, hosts.size, places)[:, at]
    shut = np.repeat((copies[row] > count)[:, None], count, axis=1)  # where several are on a host they all stay
    shut[np.arange(rows)[:, None, None], host[:, None], held] = True
    return row, Packing(
        expert=held,
        size=found.size.reshape(rows, hosts.size, places)[:, at],
        total=found.total.reshape(rows, hosts.size)[:, at],
        speed=speed.astype(np.float32),
        host=host,
        shut=shut,
    )


def on_hosts(load: FloatArray, copies: IntArray, slots: int, hosts: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Deal replicas to hosts with equally many slots.

    Parameters
    ----------
    load, copies
        [rows, experts] float64 and int64; copies sum to the slots.
    slots, hosts
        Slots of each host, and number of hosts.

    Returns
    -------
    row
        [n] int64 rows whose copies fit in such numbers.
    expert, size
        [n, hosts, slots] int64 and float64 replicas of each host, in any order.
    """
    share, several = load / copies, (copies > 1).sum(1)
    order = np.lexsort((-share, copies == 1), axis=1)  # copied experts first
    expert, used, total = _copied(share, copies, order[:, : int(several.max())], slots, hosts)
    row = np.flatnonzero((used <= slots).all(1))
    expert, used, total, at = expert[row], used[row], total[row], several[row]
    block = max(1, slots // 8)  # singles that a host gets in a turn: swaps level the hosts later
    while row.size and (used < slots).any():
        first = np.argsort(np.where(used < slots, total, np.inf), axis=1, kind="stable")
        room = np.minimum(block, slots - np.take_along_axis(used, first, 1))
        r, turn, k = np.nonzero(np.arange(block)[:, None] < room[:, None])
        start = np.searchsorted(r, np.arange(len(row)))
        e, h = order[row[r], at[r] + np.arange(len(r)) - start[r]], first[r, k]
        expert[r, h, used[r, h] + turn] = e
        np.add.at(total, (r, h), share[row[r], e])
        np.put_along_axis(used, first, np.take_along_axis(used, first, 1) + room, 1)
        at = at + room.sum(1)
    size = np.take_along_axis(share[row], expert.reshape(len(row), hosts * slots), 1).reshape(expert.shape)
    return row, expert, size


def _copied(
    share: FloatArray, copies: IntArray, order: IntArray, slots: int, hosts: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Deal the experts of `order` [rows, n] that have several copies, each to the hosts that have least load.

    Returns
    -------
    expert
        [rows, hosts, slots] int64, as far as used.
    used
        [rows, hosts] int64; more than `slots` somewhere in a row that does not fit.
    total
        [rows, hosts] float64.
    """
    rows, row = len(share), np.arange(len(share))
    expert = np.zeros((rows, hosts, slots), np.int64)
    used, place, total = np.zeros((rows, hosts), np.int64), np.zeros((rows, hosts), np.int64), np.zeros((rows, hosts))
    for e in order.T:
        count = np.where(copies[row, e] > 1, copies[row, e], 0)
        most = -(-count // hosts)
        full = used + most[:, None] > slots
        rank = np.argsort(np.where(full, np.inf, total), axis=1, kind="stable")
        np.put_along_axis(place, rank, np.broadcast_to(np.arange(hosts), rank.shape), 1)
        n = np.clip(count[:, None] - place * most[:, None], 0, most[:, None])
        for copy in range(int(most.max())):
            r, h = np.nonzero((n > copy) & (used + copy < slots))
            expert[r, h, used[r, h] + copy] = e[r]
        used += n
        total += n * share[row, e][:, None]
    return expert, used, total
