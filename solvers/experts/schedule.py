"""From one placement to the next: which copies move, from where, and which slots they fill."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Moves:
    """Copies of experts that GPUs have to load because they did not hold them.

    Parameters
    ----------
    layer, expert, src, dst
        [moves] int64 each; src is a GPU that held the expert before, the nearest one that has least to send.
    """

    layer: IntArray
    expert: IntArray
    src: IntArray
    dst: IntArray

    def __len__(self) -> int:
        return len(self.layer)

    def of(self, keep: BoolArray) -> Moves:
        """The moves of the layers that `keep` ([layers] bool) names."""
        here = keep[self.layer]
        return Moves(self.layer[here], self.expert[here], self.src[here], self.dst[here])


def held(placement: ExpertPlacement) -> IntArray:
    """[layers, gpus, experts] int64 copies that each GPU holds."""
    p2l, shape = placement.physical_to_logical_map, (placement.layers, placement.gpus, placement.experts)
    layer, slot = np.nonzero(p2l >= 0)
    key = (layer * placement.gpus + placement.slot_gpu[slot]) * placement.experts + p2l[layer, slot]
    return np.bincount(key, minlength=int(np.prod(shape))).reshape(shape)


def moves_between(old: ExpertPlacement, new: ExpertPlacement, host: IntArray, fresh: BoolArray | None = None) -> Moves:
    """Moves that turn one placement into the other.

    A second copy of an expert on a GPU that had one is loaded too: engines keep a buffer for each slot.

    Parameters
    ----------
    host
        [gpus] int64 host of each GPU: copies come from the same host where one there had them.
    fresh
        [gpus] bool GPUs that replace lost ones and hold nothing yet; none when omitted.
    """
    fresh = np.zeros(old.gpus, bool) if fresh is None else fresh
    before = held(old) * ~fresh[None, :, None]
    missing = np.maximum(held(new) - before, 0)
    layer, dst, expert = np.nonzero(missing)
    times = missing[layer, dst, expert]
    layer, dst, expert = (np.repeat(a, times) for a in (layer, dst, expert))
    return Moves(layer, expert, _sources(before, layer, expert, dst, host), dst)


def _sources(before: IntArray, layer: IntArray, expert: IntArray, dst: IntArray, host: IntArray) -> IntArray:
    """[moves] int64 GPU that sends each copy: of those that held it, on the same host first, with least to send.

    A copy that no GPU holds any more comes from storage: src is -1.
    """
    src, sent, now = np.full(len(layer), -1, np.int64), np.zeros(len(host), np.int64), -1
    for i in range(len(layer)):
        if layer[i] != now:
            sent[:], now = 0, layer[i]  # layers move one after another
        gpus = np.flatnonzero(before[layer[i], :, expert[i]])
        if gpus.size:
            best = min(gpus, key=lambda g: (host[g] != host[dst[i]], sent[g], g))
            src[i] = best
            sent[best] += 1
    return src


def by_gpu(moves: Moves, gpus: int) -> tuple[FloatArray, FloatArray]:
    """Copies that each GPU sends and receives, [gpus] float64 each."""
    sent = np.bincount(moves.src[moves.src >= 0], minlength=gpus)
    return sent.astype(np.float64), np.bincount(moves.dst, minlength=gpus).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Layers that change together; copies that any one GPU sends or receives at most."""

    layers: tuple[int, ...]
    moves: Moves
    most_sent: int
    most_received: int


def in_chunks(moves: Moves, worth: FloatArray, gpus: int, most: int) -> tuple[Chunk, ...]:
    """Layers in chunks, those whose moves gain most for each copy first.

    A layer changes as a whole: half of its moves may leave an expert without any copy.

    Parameters
    ----------
    worth
        [layers] float64 what a layer's moves gain, in any unit; layers that gain nothing are left out.
    most
        Copies that no GPU may send or receive more of in a chunk.

    Raises
    ------
    InfeasibleError
        A layer alone needs more.
    """
    count = np.bincount(moves.layer, minlength=len(worth))
    todo = [int(x) for x in np.argsort(-worth / np.maximum(count, 1), kind="stable") if count[x] and worth[x] > 0]
    chunks: list[Chunk] = []
    layers: list[int] = []
    total = np.zeros((2, gpus))
    for layer in todo:
        own = np.array(by_gpu(moves.of(np.arange(len(worth)) == layer), gpus))
        if own.max() > most:
            raise InfeasibleError(
                f"layer {layer}: a GPU has to send or receive {int(own.max())} experts, only {most} fit into a chunk",
                hint="allow more bytes a chunk, or fewer moves",
            )
        if layers and (total + own).max() > most:
            chunks.append(_chunk(moves, layers, total, len(worth)))
            layers, total = [], np.zeros((2, gpus))
        layers.append(layer)
        total = total + own
    return (*chunks, _chunk(moves, layers, total, len(worth))) if layers else tuple(chunks)


def _chunk(moves: Moves, layers: list[int], total: FloatArray, count: int) -> Chunk:
    own = moves.of(np.isin(np.arange(count), layers))
    rank = np.argsort([layers.index(layer) for layer in own.layer.tolist()], kind="stable")
    ordered = Moves(own.layer[rank], own.expert[rank], own.src[rank], own.dst[rank])
    return Chunk(tuple(layers), ordered, int(total[0].max()), int(total[1].max()))


def keep_layers(old: ExpertPlacement, new: ExpertPlacement, changed: BoolArray) -> ExpertPlacement:
    """The new placement with the layers that do not change as they were; both have the same slots and no dispatch.

    Parameters
    ----------
    changed
        [layers] bool.
    """
    p2l = np.where(changed[:, None], new.physical_to_logical_map, old.physical_to_logical_map)
    return replace(new, physical_to_logical_map=p2l)
