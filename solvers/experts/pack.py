"""Put replicas on GPUs: a first packing in rounds, and no expert twice on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topoplan.model.fabric import BoolArray, FloatArray, IntArray

Float32Array = npt.NDArray[np.float32]
HUGE = np.float32(1e30)  # size of a place that does not exist: no swap with it is ever the best


@dataclass(eq=False)
class Packing:
    """Working state of independent rows (a layer, or a host of a layer), changed in place.

    Parameters
    ----------
    expert
        [rows, gpus, places] int64 expert in each place, -1 where a GPU has fewer slots.
    size
        [rows, gpus, places] float32 load of the replica there, `HUGE` where there is none.
    total
        [rows, gpus] float32 load of each GPU.
    speed
        [gpus] float32.
    host
        [gpus] int64, where copies of an expert keep to different hosts; None where hosts do not matter.
    shut
        [rows, hosts, experts] bool experts that must not come from other hosts, as they are there or their copies would
        no longer be alike on hosts; None as for `host`.
    """

    expert: IntArray
    size: Float32Array
    total: Float32Array
    speed: Float32Array
    host: IntArray | None = None
    shut: BoolArray | None = None


def pack_in_rounds(load: FloatArray, copies: IntArray, slots: IntArray, speed: FloatArray) -> Packing:
    """Deal replicas, heaviest first, one a GPU and round, the heaviest of a round to the GPU with least load.

    Parameters
    ----------
    load, copies
        [rows, experts] float64 and int64; copies sum to the slots.
    slots, speed
        [gpus] int64 (at least one each) and float64.
    """
    share = load / copies
    order = np.argsort(-share, axis=1, kind="stable")
    expert = np.repeat(order.ravel(), np.take_along_axis(copies, order, 1).ravel()).reshape(len(load), -1)
    return deal(expert, np.take_along_axis(share, expert, 1).astype(np.float32), slots, speed)


def deal(expert: IntArray, size: Float32Array, slots: IntArray, speed: FloatArray) -> Packing:
    """As `pack_in_rounds`, for replicas [rows, slots] int64 and their sizes, heaviest first."""
    rows, gpus, row = len(expert), len(slots), np.arange(len(expert))[:, None]
    places = int(slots.max())
    packing = Packing(
        expert=np.full((rows, gpus, places), -1, np.int64),
        size=np.full((rows, gpus, places), HUGE, np.float32),
        total=np.zeros((rows, gpus), np.float32),
        speed=speed.astype(np.float32),
    )
    start = 0
    for k in range(places):
        open_gpus = np.flatnonzero(slots > k)
        light = open_gpus[np.argsort((packing.total / packing.speed)[:, open_gpus], axis=1, kind="stable")]
        if k == 0:
            light = np.broadcast_to(open_gpus[np.argsort(-speed[open_gpus], kind="stable")], (rows, gpus))
        block = slice(start, start + len(open_gpus))
        packing.expert[row, light, k] = expert[:, block]
        packing.size[row, light, k] = size[:, block]
        packing.total[row, light] += size[:, block]
        start = block.stop
    return packing


def separate_duplicates(packing: Packing) -> None:
    """Swap places between GPUs until none holds an expert twice, changing loads as little as can be.

    One duplicate of each row at a time; a row where no swap helps is dealt anew from the experts' copies.
    """
    todo = np.arange(len(packing.expert))
    while True:
        r, gpu, expert = _first_duplicates(packing.expert[todo])
        if not r.size:
            return
        row = todo[r]
        place = (packing.expert[row, gpu] == expert[:, None]).argmax(1)
        here, there = packing.expert[row, gpu], packing.expert[row]
        free = ~(there == expert[:, None, None]).any(2)[:, :, None] & (there >= 0)
        free &= ~_contains(here, there)
        cost = np.abs(packing.size[row] - packing.size[row, gpu, place][:, None, None])
        best = np.where(free, cost, np.inf).reshape(len(row), -1).argmin(1)
        other, slot = np.divmod(best, there.shape[2])
        helps = free[np.arange(len(row)), other, slot]
        for stuck in row[~helps]:
            _deal(packing, int(stuck))
        todo = row[helps]
        swap(packing, todo, gpu[helps], place[helps], other[helps], slot[helps])


def swap(packing: Packing, row: IntArray, gpu: IntArray, place: IntArray, other: IntArray, slot: IntArray) -> None:
    """Exchange `place` of `gpu` with `slot` of `other` in each given row; every (row, GPU) at most once."""
    a, b = packing.size[row, gpu, place], packing.size[row, other, slot]
    packing.size[row, gpu, place], packing.size[row, other, slot] = b, a
    packing.total[row, gpu] += b - a
    packing.total[row, other] += a - b
    mine, theirs = packing.expert[row, gpu, place], packing.expert[row, other, slot]
    packing.expert[row, gpu, place], packing.expert[row, other, slot] = theirs, mine
    if packing.host is not None and packing.shut is not None:
        here, there = packing.host[gpu], packing.host[other]
        packing.shut[row, here, mine] = packing.shut[row, there, theirs] = False
        packing.shut[row, there, mine] = packing.shut[row, here, theirs] = True


def duplicate_slots(expert: IntArray) -> IntArray:
    """[rows] int64 places whose expert another place of the same GPU holds too."""
    by_gpu = np.sort(expert, axis=2)
    return np.asarray(((by_gpu[:, :, 1:] == by_gpu[:, :, :-1]) & (by_gpu[:, :, 1:] >= 0)).sum((1, 2)), np.int64)


def _first_duplicates(expert: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Row, GPU and expert of the first duplicate of each row that has one."""
    by_gpu = np.sort(expert, axis=2)
    row, gpu, place = np.nonzero((by_gpu[:, :, 1:] == by_gpu[:, :, :-1]) & (by_gpu[:, :, 1:] >= 0))
    first = np.unique(row, return_index=True)[1]
    row, gpu = row[first], gpu[first]
    return row, gpu, by_gpu[row, gpu, place[first]]


def _contains(some: IntArray, there: IntArray) -> npt.NDArray[np.bool_]:
    """[rows, gpus, places] whether the expert of `there` is among [rows, places] `some`."""
    table = np.zeros((len(some), int(max(some.max(), there.max())) + 2), bool)  # last column: -1, no expert
    np.put_along_axis(table, some, True, 1)
    return np.take_along_axis(table, there.reshape(len(some), -1), 1).reshape(there.shape)


def _deal(packing: Packing, row: int) -> None:
    """Pack a row anew so that duplicates are left only where the copies allow no other way.

    Most copied expert first, each to the GPUs with most open places: if any packing has no duplicate, this one has
    none (Gale and Ryser's construction of a 0-1 matrix with given row and column sums).
    """
    used = packing.expert[row] >= 0
    share = dict(zip(packing.expert[row][used].tolist(), packing.size[row][used].tolist(), strict=True))
    names, copies = np.unique(packing.expert[row][used], return_counts=True)
    room, spare = used.sum(1), list[int]()
    held: list[list[int]] = [[] for _ in room]
    for name, count in sorted(zip(names.tolist(), copies.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])):
        takers = [gpu for gpu in np.argsort(-room, kind="stable")[:count] if room[gpu] > 0]
        room[takers] -= 1
        for gpu in takers:
            held[gpu].append(name)
        spare += [name] * (count - len(takers))
    for gpu in [gpu for turn in range(int(room.max())) for gpu in np.flatnonzero(room > turn)]:
        held[gpu].append(spare.pop())
    for gpu, mine in enumerate(held):
        packing.expert[row, gpu, : len(mine)] = mine
        packing.size[row, gpu, : len(mine)] = [share[name] for name in mine]
        packing.total[row, gpu] = sum(share[name] for name in mine)
