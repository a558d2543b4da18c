"""Put GPUs that hold copies of the same experts on different hosts, which costs no balance.

Where hosts are alike, whole GPUs can change places, in layers whose copies were not dealt to hosts alike to begin with.
With one copy a host, an engine that takes the nearest copy loads all copies alike: each serves its own host and an
equal part of the hosts without one. Copies that share a host get less than the others, and their experts are lost with
it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.by_host import on_hosts
from topoplan.solvers.experts.even_hosts import evenly

ROUNDS = 400  # most exchanges of a layer, and as many GPUs that find none


def keep_apart(placement: ExpertPlacement, load: FloatArray, host: IntArray, speed: FloatArray) -> ExpertPlacement:
    """Exchange the contents of GPUs between hosts, layer by layer, as long as fewer tokens' copies share a host.

    Only GPUs of equal speed and with equally many slots change places, so that loads of GPUs stay what they are.

    Parameters
    ----------
    placement
        Without dispatch weights; every layer is arranged on its own.
    load
        [layers, experts] float64 tokens.
    host
        [gpus] int64 host of each GPU.
    speed
        [gpus] float64.
    """
    slot_gpu, result = placement.slot_gpu, placement.physical_to_logical_map.copy()
    layers = np.flatnonzero(~evenly(result, host[slot_gpu], placement.experts))  # nothing is gained in the others
    if not layers.size:
        return placement
    p2l, load = result[layers], load[layers]
    places = np.bincount(slot_gpu, minlength=placement.gpus)
    first = np.searchsorted(slot_gpu, np.arange(placement.gpus))
    size = load / np.maximum(placement.copies[layers], 1)
    shared = np.stack([_shared(row, slot_gpu, s, placement.gpus) for row, s in zip(p2l, size, strict=True)])
    used = np.stack([np.bincount(slot_gpu, row >= 0, placement.gpus) for row in p2l])
    kind = np.stack([np.unique(np.stack([places, row, speed]), axis=1, return_inverse=True)[1].ravel() for row in used])
    dealt = _dealt(p2l, slot_gpu, host, placement.experts)
    dealt[(kind != kind[:, :1]).any(1)] = np.arange(placement.gpus)  # only GPUs of a kind change places
    ways = [p2l]
    for source in (_arrange(shared, host, kind, dealt), np.argsort(dealt, axis=1)):
        slot = first[source[:, slot_gpu]] + np.arange(placement.slots) - first[slot_gpu]  # alike GPUs have alike slots
        ways.insert(0, np.take_along_axis(p2l, slot, 1))
    many = placement.copies[layers].max(1) > host.max() + 1  # then the nearest rule may like others than the arranged
    for k, layer in enumerate(layers.tolist()):
        tried = [way[k] for way in ways[0 if many[k] else 1 :]]
        largest = [(nearest_load(row, slot_gpu, load[k], host) / speed).max() for row in tried]
        result[layer] = tried[int(np.argmin(largest))]
    return replace(placement, physical_to_logical_map=result)


def nearest_load(p2l: IntArray, slot_gpu: IntArray, load: FloatArray, host: IntArray) -> FloatArray:
    """[gpus] float64 tokens of each GPU where sources, all alike, take the nearest copy: own GPU, own host, else any.

    Parameters
    ----------
    p2l
        [slots] int64 experts of a layer, -1 for none.
    load
        [experts] float64 tokens.
    """
    gpus, experts, slots = len(host), len(load), np.flatnonzero(p2l >= 0)
    expert, gpu = p2l[slots], slot_gpu[slots]
    on_gpu = np.bincount(gpu * experts + expert, minlength=gpus * experts).reshape(gpus, experts)
    hosts, where = int(host.max()) + 1, host[gpu] * experts + expert
    on_host = np.bincount(where, minlength=hosts * experts).reshape(hosts, experts)  # copies
    having = np.bincount(where, 1 / on_gpu[gpu, expert], hosts * experts).round().reshape(hosts, experts)
    lacking = np.bincount(host)[:, None] - having  # GPUs of each host without a copy of their own
    nowhere = (lacking * (on_host == 0)).sum(0)  # GPUs of hosts without any
    sources = 1 / on_gpu[gpu, expert] + (lacking / np.maximum(on_host, 1))[host[gpu], expert]
    sources = sources + nowhere[expert] / on_gpu.sum(0)[expert]
    return np.asarray(np.bincount(gpu, sources * load[expert] / gpus, gpus), np.float64)


def _shared(p2l: IntArray, slot_gpu: IntArray, size: FloatArray, gpus: int) -> FloatArray:
    """[gpus, gpus] float64 tokens of the replicas that two GPUs both hold; 0 on the diagonal."""
    holds = np.zeros((gpus, len(size)))
    used = p2l >= 0
    holds[slot_gpu[used], p2l[used]] = 1
    several = holds.sum(0) > 1
    both = (holds[:, several] * size[several]) @ holds[:, several].T
    np.fill_diagonal(both, 0.0)
    return np.asarray(both, np.float64)


def _dealt(p2l: IntArray, slot_gpu: IntArray, host: IntArray, experts: int) -> IntArray:
    """[layers, gpus] int64 GPU where contents go when hosts get alike of those that share a much copied expert."""
    layers, gpus = len(p2l), len(host)
    at = np.tile(np.arange(gpus), (layers, 1))
    room = np.bincount(host)
    if (room != room[0]).any():
        return at
    key = np.arange(layers)[:, None] * (experts + 1) + p2l
    copies = np.bincount(key[p2l >= 0], minlength=layers * (experts + 1))[key] * (p2l >= 0)
    most = np.zeros((layers, gpus), np.int64)  # of any expert on a GPU: copies first, then its number
    np.maximum.at(most, (np.arange(layers)[:, None], slot_gpu), copies * experts + p2l)
    most %= experts
    count = np.bincount((np.arange(layers)[:, None] * experts + most).ravel(), minlength=layers * experts)
    count = count.reshape(layers, experts)
    row, expert, _ = on_hosts(count.astype(np.float64), np.maximum(count, 1), int(room[0]), len(room))
    seat = np.argsort(expert.reshape(len(row), gpus), axis=1, kind="stable")
    goes = np.argsort(host, kind="stable")[seat]
    at[row[:, None], np.argsort(most[row], axis=1, kind="stable")] = goes
    return at


def _arrange(both: FloatArray, host: IntArray, kind: IntArray, dealt: IntArray) -> IntArray:
    """[layers, gpus] int64 GPU whose contents each GPU gets: those that cost most change hosts first, until none gain.

    Parameters
    ----------
    both
        [layers, gpus, gpus] float64 what it costs to have the contents of two GPUs on one host.
    kind
        [layers, gpus] int64; only GPUs of the same kind change places.
    dealt
        [layers, gpus] int64 GPU of each contents to start from where that costs less.
    """
    layers, gpus = kind.shape
    at = np.tile(np.arange(gpus), (layers, 1))  # GPU where contents are
    place = np.eye(int(host.max()) + 1)[host]
    cost, other = both @ place, both @ place[dealt]  # [layers, contents, hosts] of having contents on a host
    less = (other * place[dealt]).sum((1, 2)) < (cost * place).sum((1, 2))
    at[less], cost[less] = dealt[less], other[less]
    least = 1e-9 * np.maximum(both.max((1, 2)), 1e-300)
    stuck = np.zeros((layers, gpus), bool)
    row = np.arange(layers)
    for _ in range(ROUNDS * 2):
        on = host[at[row]]
        now = np.take_along_axis(cost[row], on[:, :, None], 2)[:, :, 0]
        movable = np.where(stuck[row], -1.0, now)
        costly = movable.max(1) > least[row]  # the others are done
        row, on, now, a = row[costly], on[costly], now[costly], movable[costly].argmax(1)
        if not row.size:
            break
        k = np.arange(len(row))
        mine = on[k, a]
        gain = now[k, a][:, None] + now - cost[row[:, None], a[:, None], on] - cost[row, :, mine] + 2 * both[row, a]
        allowed = (kind[row] == kind[row, a][:, None]) & (on != mine[:, None])
        b = np.where(allowed, gain, -1.0).argmax(1)
        good = allowed[k, b] & (gain[k, b] > least[row])
        stuck[row[~good], a[~good]] = True
        r, a, b = row[good], a[good], b[good]
        change = both[r, :, b] - both[r, :, a]
        n, to = np.arange(len(r)), (host[at[r, a]], host[at[r, b]])
        cost[r, :, to[0]] += change[n]
        cost[r, :, to[1]] -= change[n]
        at[r, a], at[r, b] = at[r, b], at[r, a]
        stuck[r] = False
    return np.argsort(at, axis=1)
