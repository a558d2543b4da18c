"""One copy of each expert for each source rank, for engines that cannot split a rank's tokens over copies."""

from __future__ import annotations

import numpy as np

from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray


def source_slots(placement: ExpertPlacement, load: FloatArray, host: IntArray) -> IntArray:
    """Give each source rank one slot of each expert, near ones first, so that slots get their planned shares.

    Shares of tokens become whole numbers of ranks. What rounding gives a GPU too much or too little is evened out by
    the experts that follow, lighter and lighter ones.

    Parameters
    ----------
    placement
        Its dispatch weights are what the ranks together shall come to, for each source host where it has such weights.
    load
        [layers, experts] float64 tokens; sources send alike.
    host
        [gpus] int64 host of each GPU, numbered from 0 as in the dispatch weights.

    Returns
    -------
    dispatch_slot
        [gpus, layers, experts] int64.

    Raises
    ------
    InputError
        There are weights for another number of hosts.
    """
    hosts = int(host.max()) + 1
    weight = placement.dispatch
    by_host = weight is not None and weight.ndim == 3
    if by_host and weight is not None and len(weight) != hosts:
        raise InputError(f"dispatch weights are for {len(weight)} hosts, there are {hosts}")
    result = np.zeros((len(host), placement.layers, placement.experts), np.int64)
    for layer, p2l in enumerate(placement.physical_to_logical_map):
        share = np.stack([weight[h, layer] for h in range(hosts)]) if by_host and weight is not None else None
        even = placement.shares()[layer] if share is None else None
        excess = np.zeros(placement.gpus)  # tokens that each GPU has above its planned share
        for expert in np.argsort(-load[layer], kind="stable"):
            slots = np.flatnonzero(p2l == expert)
            if len(slots) == 1:
                result[:, layer, expert] = slots[0]
                continue
            gpu, tokens = placement.slot_gpu[slots], float(load[layer, expert]) / len(host)
            if share is not None:
                for h in range(hosts):
                    ranks, wanted = np.flatnonzero(host == h), share[h, slots] / share[h, slots].sum()
                    result[ranks, layer, expert] = slots[_assign(ranks, wanted, gpu, host, excess, tokens)]
            elif even is not None:
                ranks = np.arange(len(host))
                result[:, layer, expert] = slots[_assign(ranks, even[slots], gpu, host, excess, tokens)]
    return result


def _assign(
    ranks: IntArray, share: FloatArray, gpu: IntArray, host: IntArray, excess: FloatArray, tokens: float
) -> IntArray:
    """[ranks] int64 index of the copy that each rank uses; adds what rounding does to `excess` [gpus].

    Parameters
    ----------
    share
        [copies] float64 shares to come to.
    gpu
        [copies] int64 GPU of each copy.
    tokens
        Tokens that each rank sends to the expert.
    """
    wanted = share * len(ranks)
    seats = _whole(wanted, len(ranks), excess[gpu] / max(tokens, 1e-300))
    np.add.at(excess, gpu, (seats - wanted) * tokens)
    chosen = np.full(len(ranks), -1, np.int64)
    for near in (gpu, host[gpu], np.full(len(gpu), -1)):
        for copy in np.argsort(-share, kind="stable"):
            here = ranks == near[copy] if near is gpu else host[ranks] == near[copy] if near[copy] >= 0 else chosen < 0
            free = np.flatnonzero(here & (chosen < 0))[: seats[copy]]
            chosen[free] = copy
            seats[copy] -= len(free)
    return chosen


def _whole(wanted: FloatArray, total: int, excess: FloatArray) -> IntArray:
    """[copies] int64 numbers that sum to `total`, near `wanted`, rounded up where excess (in seats) is least."""
    seats = np.floor(wanted + 1e-9).astype(np.int64)
    left = total - int(seats.sum())
    seats[np.argsort(-(wanted - seats - excess), kind="stable")[:left]] += 1
    return seats
