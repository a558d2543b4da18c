"""Put GPUs that hold copies of the same experts on different hosts, which costs no balance.

Where hosts are alike, whole GPUs can change places. With one copy a host, an engine that takes the nearest copy loads
all copies alike: each serves its own host and an equal part of the hosts without one. Copies that share a host get less
than the others, and their experts are lost with it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray

ROUNDS = 400  # most exchanges of a layer


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
    p2l, slot_gpu = placement.physical_to_logical_map, placement.slot_gpu
    places = np.bincount(slot_gpu, minlength=placement.gpus)
    first = np.searchsorted(slot_gpu, np.arange(placement.gpus))
    result = p2l.copy()
    for layer in range(placement.layers):
        copies = np.maximum(placement.copies[layer], 1)
        used = np.bincount(slot_gpu, p2l[layer] >= 0, placement.gpus)
        _, kind = np.unique(np.stack([places, used, speed]), axis=1, return_inverse=True)
        source = _arrange(_shared(p2l[layer], slot_gpu, load[layer] / copies, placement.gpus), host, kind.ravel())
        for gpu in np.flatnonzero(source != np.arange(placement.gpus)):
            size = places[gpu]
            result[layer, first[gpu] : first[gpu] + size] = p2l[layer, first[source[gpu]] : first[source[gpu]] + size]
        before, after = (
            (nearest_load(row, slot_gpu, load[layer], host) / speed).max() for row in (p2l[layer], result[layer])
        )
        if after > before:  # experts with more copies than there are hosts can fare worse
            result[layer] = p2l[layer]
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
    member = np.eye(int(host.max()) + 1)[host]
    on_host = member.T @ on_gpu  # copies
    lacking = member.sum(0)[:, None] - member.T @ (on_gpu > 0)  # GPUs of each host without a copy of their own
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


def _arrange(both: FloatArray, host: IntArray, kind: IntArray) -> IntArray:
    """[gpus] int64 GPU whose contents each GPU gets: the best exchange first, until none helps.

    Parameters
    ----------
    both
        [gpus, gpus] float64 what it costs to have the contents of two GPUs on one host.
    kind
        [gpus] int64; only GPUs of the same kind change places.
    """
    source = np.arange(len(host))
    allowed = (kind[:, None] == kind) & (host[:, None] != host)
    member = np.eye(int(host.max()) + 1)[host]
    both = both.copy()
    for _ in range(ROUNDS):
        on = both @ member  # cost of each GPU's contents on each host
        now = on[np.arange(len(host)), host]
        there = on[:, host]
        gain = now[:, None] + now[None, :] - there - there.T + 2 * both
        gain = np.where(allowed, gain, 0.0)
        a, b = divmod(int(gain.argmax()), len(host))
        if gain[a, b] <= 1e-9 * max(both.max(), 1e-300):
            break
        swap = np.arange(len(host))
        swap[[a, b]] = b, a
        source, both = source[swap], both[np.ix_(swap, swap)]
    return source
