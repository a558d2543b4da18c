"""What changes between two plans of a job: ranks that move, what the change costs, and the state to copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.job import Job, stage_of_rank
from topoplan.model.plan import Plan, Prediction
from topoplan.planning.step import stages_of

# Bytes a weight of mixed-precision training with Adam keeps (Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1):
# BF16 weights; and FP32 weights, momentum and variance. Gradients are made anew each step.
WEIGHT_BYTES = 2.0
OPTIMIZER_BYTES = 4.0 + 4.0 + 4.0


@dataclass(frozen=True, slots=True)
class RankMove:
    """A rank that changes its GPU."""

    rank: int
    from_host: str
    from_gpu: int
    to_host: str
    to_gpu: int


@dataclass(frozen=True, eq=False)
class PlanDiff:
    """Difference of two plans.

    Parameters
    ----------
    moves
        Ranks that change their GPU, in rank order.
    left, joined
        Hosts that only the first plan uses, and only the second.
    before, after
        Prices, each as its plan states it.
    state_bytes
        Weights and optimizer state of the ranks that change their host; None where the job does not say its model.
    """

    moves: tuple[RankMove, ...]
    left: tuple[str, ...]
    joined: tuple[str, ...]
    ranks: int
    before: Prediction | None
    after: Prediction | None
    state_bytes: float | None

    @property
    def by_host(self) -> dict[tuple[str, str], list[int]]:
        """(host before, host after) -> ranks that make this move, in rank order."""
        found: dict[tuple[str, str], list[int]] = {}
        for move in self.moves:
            found.setdefault((move.from_host, move.to_host), []).append(move.rank)
        return found


def diff_plans(before: Plan, after: Plan, job: Job | None = None) -> PlanDiff:
    """What changes from one plan to another.

    Parameters
    ----------
    job
        Of the second plan, for the bytes of state; hosts are told apart by name.

    Raises
    ------
    InputError
        A plan of experts alone, or plans of different numbers of ranks.
    """
    a, b = before.placement, after.placement
    if a is None or b is None:
        raise InputError("a plan places experts only: there are no ranks to compare")
    if a.ranks != b.ranks:
        raise InputError(f"the plans are of {a.ranks} and {b.ranks} ranks: not the same job")
    was = [a.fabric.host_names[h] for h in a.host]
    now = [b.fabric.host_names[h] for h in b.host]
    moves = tuple(
        RankMove(rank, *step)
        for rank, step in enumerate(zip(was, a.local.tolist(), now, b.local.tolist(), strict=True))
        if step[:2] != step[2:]
    )
    changed = np.array([m.rank for m in moves if m.from_host != m.to_host], np.int64)
    state = None if job is None else state_bytes(job)
    return PlanDiff(
        moves,
        tuple(name for name in dict.fromkeys(was) if name not in set(now)),
        tuple(name for name in dict.fromkeys(now) if name not in set(was)),
        a.ranks,
        before.prediction,
        after.prediction,
        None if state is None else float(state[changed].sum()),
    )


def state_bytes(job: Job) -> FloatArray | None:
    """[ranks] float64 weights and optimizer state that each rank holds; None for jobs without model and parallel.

    ZeRO-1 and 2 share the optimizer state out over the data-parallel ranks, ZeRO-3 the weights too.
    """
    stage, stages = stage_of_rank(job), stages_of(job)
    if job.model is None or job.parallel is None or stage is None or stages is None:
        return None
    model, p = job.model, job.parallel
    dense, routed = np.zeros(p.pp), np.zeros(p.pp)
    for s in range(len(stages.first) - 1):
        for layer in range(stages.first[s], stages.first[s + 1]):
            dense[s % p.pp] += model.shared_layer_weights(layer)
            routed[s % p.pp] += model.routed_layer_weights(layer)
    dense[0] += model.embedding_weights
    if not (model.tied_embedding and p.pp == 1):
        dense[-1] += model.embedding_weights
    held = dense / p.tp * _kept(p.zero, p.dp * p.cp) + routed / (p.ep * p.etp) * _kept(p.zero, p.edp)
    return _per_rank(held, stage)


def _per_rank(per_stage: FloatArray, stage: IntArray) -> FloatArray:
    return np.asarray(per_stage[stage], np.float64)


def _kept(zero: int, copies: int) -> float:
    """Bytes that a rank keeps of each weight of its shard."""
    weights = WEIGHT_BYTES / (copies if zero == 3 else 1)
    return weights + OPTIMIZER_BYTES / (copies if zero else 1)
