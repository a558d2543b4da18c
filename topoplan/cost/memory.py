"""Memory that a rank needs: weights, gradients, optimizer states, activations; the fullest pipeline rank decides.

Bytes of a weight as Megatron-core keeps them (docs: distributed optimizer): 2 of BF16, 4 of an FP32 gradient (2 where
it is kept in BF16), 12 of Adam's FP32 weight and two moments; ZeRO-1 shards the optimizer over the ranks that hold the
same weights, ZeRO-2 the gradients too, ZeRO-3 the weights too (Rajbhandari et al. 2020, arXiv 1910.02054). Activations
are those of Korthikanti et al. 2022 (arXiv 2205.05198) times the micro-batches that the schedule keeps under way. Not
counted: CUDA's context, buffers of collectives, fragments of the allocator.
"""

from __future__ import annotations

import numpy as np

from topoplan.cost.schedules import schedule_named
from topoplan.cost.work import Work, held_weights
from topoplan.model.fabric import FloatArray
from topoplan.model.step import Memory

WEIGHT_BYTES, GRADIENT_BYTES, OPTIMIZER_BYTES = 2.0, 4.0, 12.0
_LEAST_GRADIENT_BYTES = 2.0  # BF16
LEAST_STATE_BYTES = WEIGHT_BYTES + _LEAST_GRADIENT_BYTES + OPTIMIZER_BYTES  # of a weight, over all ranks
_LOGIT_BYTES = 4.0  # FP32 logits for the loss (Korthikanti et al. 2022, section 4.3)


def state_bytes(weights: float, copies: int, zero: int, gradient_bytes: float = GRADIENT_BYTES) -> tuple[float, ...]:
    """Bytes of weights, gradients and optimizer states on a rank, `weights` being held by `copies` ranks."""
    return tuple(
        weights * size / (copies if zero >= stage else 1)
        for stage, size in ((3, WEIGHT_BYTES), (2, gradient_bytes), (1, OPTIMIZER_BYTES))
    )


def memory_of(work: Work) -> Memory:
    """Memory of the fullest pipeline rank as the job says it runs; full recomputation where it does not say.

    Raises
    ------
    InputError
        A schedule that the layout cannot run.
    """
    return _fullest(work, work.compute.recompute or "full", GRADIENT_BYTES)


def least_memory(work: Work) -> Memory:
    """The same with all activations recomputed and gradients in BF16: with less than that no job runs."""
    return _fullest(work, "full", _LEAST_GRADIENT_BYTES)


def _fullest(work: Work, recompute: str, gradient_bytes: float) -> Memory:
    p, m = work.parallel, work.batch.micro_batches
    schedule = schedule_named(work.job.schedule, p.pp, p.vpp)
    held, kept = held_weights(work), _kept(work, recompute)
    found = []
    for rank in range(p.pp):
        mirror = p.pp - 1 - rank  # DualPipe holds the opposite stage too
        ranks = (rank, mirror) if schedule.copies == 2 and mirror != rank else (rank,)
        shared = float(sum(held.shared[r] for r in ranks))
        routed = float(sum(held.routed[r] for r in ranks))
        weights, gradients, optimizer = state_bytes(shared, p.dp * p.cp, p.zero, gradient_bytes)
        experts = sum(state_bytes(routed, p.edp, p.zero, gradient_bytes))
        under_way = schedule.in_flight(p.pp, p.vpp, m, rank) if p.pp > 1 else 1.0
        activations = float(kept[rank]) * under_way + (_logits(work) if rank == p.pp - 1 else 0.0)
        found.append(Memory(rank, weights, gradients, optimizer, experts, activations, recompute))
    return max(found, key=lambda memory: (memory.total, -memory.rank))


def _kept(work: Work, recompute: str) -> FloatArray:
    """[pp] bytes of activations of a micro-batch on each pipeline rank."""
    if recompute == "full":
        inputs = np.array([2.0 * work.model.hidden * len(own) for own in work.layers])  # of each layer, BF16
        return np.asarray(inputs * work.share)
    return np.asarray((work.kept - (work.scores if recompute == "selective" else 0.0)) * work.share)


def _logits(work: Work) -> float:
    return _LOGIT_BYTES * work.model.vocabulary * work.share
