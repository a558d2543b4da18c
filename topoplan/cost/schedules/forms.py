"""The closed forms of each schedule.

With stages alike 1F1B, interleaved (p divides m) and ZB-H1 (m at least p, F = B = W) are exact, and DualPipe is where
F = B = W, else an upper bound for W up to B. With uneven stages, backward being a like
multiple of forward on all, 1F1B's is an upper bound: all wait for the busiest rank in every turn.
"""

from __future__ import annotations

import math

from topoplan.cost.schedules.base import Pass, Schedule
from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray
from topoplan.names import closest


def _others(seconds: FloatArray, work: Pass) -> float:
    """Sum over all ranks but the busiest."""
    busiest = int((work.forward + work.backward + work.weights).argmax())
    return float(seconds.sum() - seconds[busiest])


def _one_forward_one_backward(work: Pass) -> float:
    return _others(work.forward + work.backward + work.weights, work)


def _interleaved(work: Pass) -> float:
    return _one_forward_one_backward(work) / work.virtual


def _zero_bubble_h1(work: Pass) -> float:
    return max(0.0, _others(work.forward + work.backward - work.weights, work))


def _dual_pipe(work: Pass) -> float:
    """(p / 2 - 1) (F&B + B - 3W), where F&B is a forward beside a backward, and B there includes W."""
    whole = float((work.backward + work.weights).mean())
    both = float(work.forward.mean()) + whole
    return max(0.0, (work.ranks / 2 - 1) * (both + whole - 3 * float(work.weights.mean())))


def _hops_1f1b(work: Pass) -> float:
    """Hops of 1F1B: out and back for the first micro-batch, then 2 (p - 1) more for each p further ones.

    Rank s has p - s micro-batches under way, so each pair of neighbours waits a round trip for all but one of p.
    """
    p, later = work.ranks, work.micro_batches - 1
    return 2.0 * (p - 1) + 2.0 * (later - math.ceil(later / p))


def _hops_zero_bubble(work: Pass) -> float:
    """Gradients of weights fill the waits of the steady state; 4 (p - 1) hops are left."""
    return min(_hops_1f1b(work), 4.0 * (work.ranks - 1))


def _hops_interleaved(work: Pass) -> float:
    """Messages are sent a micro-batch ahead: only filling and draining all p v stages waits for them."""
    return 2.0 * (work.ranks * work.virtual - 1)


def _hops_dual(work: Pass) -> float:
    """A pair waits for both messages at once: a hop for each micro-batch but one of p, and filling and draining."""
    p = work.ranks
    return work.micro_batches * (p - 1) / p + max(1.0, 1.5 * p - 3)


def _in_flight_1f1b(pp: int, vpp: int, micro_batches: int, rank: int) -> float:
    return float(min(micro_batches, pp - rank))


def _in_flight_interleaved(pp: int, vpp: int, micro_batches: int, rank: int) -> float:
    """Warm-up of (p - s - 1) x 2 + (v - 1) p virtual micro-batches and one more, each 1 / v of a rank's layers."""
    warm = min(micro_batches * vpp, (pp - rank - 1) * 2 + (vpp - 1) * pp + 1)
    return warm / vpp


def _in_flight_dual(pp: int, vpp: int, micro_batches: int, rank: int) -> float:
    return float(min(micro_batches, pp + 1))


SCHEDULES: dict[str, Schedule] = {
    schedule.name: schedule
    for schedule in (
        Schedule(
            "1f1b", _one_forward_one_backward, _hops_1f1b, _in_flight_1f1b,
            "PipeDream-Flush, Narayanan et al. 2021, arXiv 2104.04473, section 2.2",
        ),
        Schedule(
            "interleaved", _interleaved, _hops_interleaved, _in_flight_interleaved,
            "Narayanan et al. 2021, arXiv 2104.04473, section 2.2.2; Megatron-core schedules.py",
        ),
        Schedule(
            "zb-h1", _zero_bubble_h1, _hops_zero_bubble, _in_flight_1f1b,
            "Qi et al. 2023, Zero Bubble Pipeline Parallelism, arXiv 2401.10241, table 1",
        ),
        Schedule(
            "dualpipe", _dual_pipe, _hops_dual, _in_flight_dual,
            "DeepSeek-V3 Technical Report, arXiv 2412.19437, table 2", copies=2, paired=True,
        ),
    )
}  # fmt: skip


def schedule_named(name: str, pp: int, vpp: int) -> Schedule:
    """Schedule of a job; by default 1f1b, or interleaved where ranks run several virtual stages.

    Raises
    ------
    InputError
        An unknown name, or a layout that the schedule cannot run.
    """
    chosen = name or ("interleaved" if vpp > 1 else "1f1b")
    if chosen not in SCHEDULES:
        hint = closest(chosen, SCHEDULES) or f"schedules: {', '.join(sorted(SCHEDULES))}"
        raise InputError(f"schedule {chosen!r} is unknown", hint=hint)
    if vpp > 1 and chosen != "interleaved":
        raise InputError(f"schedule {chosen} runs one stage a rank, not vpp {vpp}", hint="use interleaved, or vpp 1")
    if chosen == "dualpipe" and pp % 2 and pp > 1:
        raise InputError(f"schedule dualpipe needs an even number of pipeline ranks, not {pp}")
    return SCHEDULES[chosen]
