"""Whether moving experts pays, and in which order they move: chunks of layers, bytes on links, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from topoplan.cost.moe_links import Site as Network
from topoplan.cost.moe_links import busiest, loads
from topoplan.cost.moe_memory import expert_bytes
from topoplan.cost.moe_time import NIC_EFFICIENCY, NVLINK_EFFICIENCY, shown_balance
from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.job import ModelShape
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_engines import Judgement
from topoplan.planning.expert_request import ExpertRequest, domain_of
from topoplan.planning.expert_site import Site
from topoplan.solvers.experts.domains import experts_lost
from topoplan.solvers.experts.schedule import Chunk, Moves, by_gpu, in_chunks, keep_layers, moves_between

# Assumed: a layer's moves must gain this many times what they cost, so that noise does not move experts to and fro.
HYSTERESIS = 2.0


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """Layers that change together.

    Parameters
    ----------
    bytes, most_sent, most_received
        Weights moved, and what one GPU sends or receives at most; None without a model.
    nic_bytes, uplink_bytes
        On the busiest link of each kind.
    seconds
        Of the slowest link.
    """

    layers: tuple[int, ...]
    moves: int
    bytes: float | None = None
    most_sent: float | None = None
    most_received: float | None = None
    nic_bytes: float | None = None
    uplink_bytes: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Migration:
    """Moves from the previous plan.

    Parameters
    ----------
    slots, share
        Slots that get an expert which their GPU did not hold, and that over all slots of all layers.
    bytes, seconds
        Of all chunks together; None where the model is not known.
    before, after
        Mean balance of the previous placement under the new loads, and of what is moved to.
    left
        Layers whose moves would not pay and were left out.
    lost
        GPUs of the previous plan that others stand in for.
    """

    slots: int
    share: float
    bytes: float | None
    seconds: float | None
    before: float
    after: float
    left: tuple[int, ...]
    lost: tuple[str, ...]
    rows: tuple[ChunkRow, ...]
    chunks: tuple[Chunk, ...]

    def record(self) -> list[dict[str, Any]]:
        """Chunks with all their moves, for engines that move experts themselves; from -1 is storage."""
        return [
            {
                "layers": list(chunk.layers),
                "moves": [
                    {"layer": layer, "expert": expert, "from": src, "to": dst}
                    for layer, expert, src, dst in zip(
                        *(
                            a.tolist()
                            for a in (chunk.moves.layer, chunk.moves.expert, chunk.moves.src, chunk.moves.dst)
                        ),
                        strict=True,
                    )
                ],
            }
            for chunk in self.chunks
        ]


def migrate(
    request: ExpertRequest, site: Site, new: ExpertPlacement, model: ModelShape | None, judgement: Judgement | None
) -> tuple[ExpertPlacement, Migration]:
    """The new placement without the moves that do not pay, and the schedule of the others.

    Raises
    ------
    InfeasibleError
        A layer alone needs more bytes than a chunk may have.
    """
    old = request.previous.experts if request.previous is not None else None
    assert old is not None
    network = Network(site.placement.fabric, site.placement.gpu)
    size = None if model is None else expert_bytes(model)
    moves = moves_between(old, new, site.host, site.fresh)
    worth = _worth(request, site, old, new, moves, size, judgement)
    wanted = np.bincount(moves.layer, minlength=old.layers) > 0
    pays = worth > 0
    if request.across:  # a layer that breaks the rule has to change, whatever that costs
        pays |= experts_lost(old, domain_of(request.across, site), request.least) > 0
        worth = np.where(pays, np.maximum(worth, 1e-300), worth)
    alike = np.array_equal(old.slot_gpu, new.slot_gpu) and old.slots == new.slots
    if alike and new.dispatch is None and not site.fresh.any():
        new = keep_layers(old, new, pays).with_max_load(request.load, site.speed)
        moves = moves.of(pays)
    else:
        worth, pays = np.maximum(worth, 1e-300), np.ones(len(pays), bool)
    most = len(moves) + 1 if size is None else int(request.chunk_bytes // size)
    if most < 1:
        raise InfeasibleError(f"one expert has {size:.3g} bytes: no chunk of {request.chunk_bytes:.3g} bytes holds it")
    chunks = in_chunks(moves, worth, site.gpus, most)
    rows = tuple(_row(chunk, network, size) for chunk in chunks)
    used = int((new.physical_to_logical_map >= 0).sum())
    return new, Migration(
        slots=len(moves),
        share=len(moves) / used,
        bytes=None if size is None else size * len(moves),
        seconds=None if size is None else sum(row.seconds or 0.0 for row in rows),
        before=Balance.of(old, request.load, site.speed).mean,
        after=Balance.of(new, request.load, site.speed).mean,
        left=tuple(np.flatnonzero(wanted & ~pays).tolist()),
        lost=site.lost,
        rows=rows,
        chunks=chunks,
    )


def _worth(
    request: ExpertRequest, site: Site, old: ExpertPlacement, new: ExpertPlacement, moves: Moves, size: float | None,
    judgement: Judgement | None,
) -> FloatArray:  # fmt: skip
    """[layers] float64 seconds that a layer's moves gain over the horizon, less what they cost with hysteresis.

    Gained is the slowest GPU's expert time, as a batch shows it; engines stand still while experts move (assumed).
    """
    even = judgement.engines[0] if judgement is not None else None
    part = 1.0
    if even is not None and even.expert_ms is not None and even.layer_ms:
        part = even.expert_ms / even.layer_ms
    gain = np.zeros(old.layers)
    for layer in range(old.layers):
        was, now = (
            _seen((p.gpu_load(request.load)[layer] / site.speed)[np.unique(p.slot_gpu)], judgement) for p in (old, new)
        )
        gain[layer] = request.horizon_s * part / old.layers * (1 - was / now)
    count = np.bincount(moves.layer, minlength=old.layers)
    cost = np.zeros(old.layers)
    if size is not None:
        network = Network(site.placement.fabric, site.placement.gpu)
        for layer in np.flatnonzero(count).tolist():
            cost[layer] = _seconds(moves.of(np.arange(old.layers) == layer), network, size)[0]
    return np.where(count > 0, gain - HYSTERESIS * cost, 0.0)


def _seen(time: FloatArray, judgement: Judgement | None) -> float:
    """Balance of GPU loads as a batch shows it, or as it is where batches are not known."""
    if judgement is None:
        return float(time.mean() / time.max())
    return shown_balance(time, judgement.choices)


def _seconds(moves: Moves, network: Network, size: float) -> tuple[float, float, float]:
    """Seconds of moves on their slowest link, and bytes on the busiest NIC and uplink; storage is left out."""
    gpus = len(network.gpu)
    known = moves.src >= 0
    amount = np.bincount(moves.src[known] * gpus + moves.dst[known], minlength=gpus * gpus).reshape(gpus, gpus) * size
    link = busiest(network.fabric, loads(network, amount.astype(np.float64), "normal"))
    slowest = max(link.nic_s / NIC_EFFICIENCY, link.uplink_s / NIC_EFFICIENCY, link.nvlink_s / NVLINK_EFFICIENCY)
    return slowest, link.nic_bytes, link.uplink_bytes


def _row(chunk: Chunk, network: Network, size: float | None) -> ChunkRow:
    if size is None:
        return ChunkRow(chunk.layers, len(chunk.moves))
    seconds, nic, uplink = _seconds(chunk.moves, network, size)
    sent, received = by_gpu(chunk.moves, len(network.gpu))
    return ChunkRow(
        chunk.layers, len(chunk.moves), size * len(chunk.moves), size * float(sent.max()), size * float(received.max()),
        nic, uplink, seconds,
    )  # fmt: skip
