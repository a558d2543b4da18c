"""Change a previous placement of a layer little, for balance and few remote hosts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.carry import keep_order, moved_slots, relabel
from topoplan.solvers.experts.part import Part
from topoplan.solvers.experts.routes import Visits
from topoplan.solvers.experts.soft import Layer
from topoplan.solvers.experts.soft_search import FARES, SoftPlan, measure, swap_inside_hosts

ROUNDS = 12


def change_layer(
    layer: Layer, visits: Visits, old: IntArray, start: IntArray, budget: float, most: int, price: float
) -> tuple[SoftPlan, int]:
    """Improve the previous copies by moving few slots, and fit the flows to them.

    Parameters
    ----------
    old, start
        [gpus, places] int64 experts of the previous placement, -1 where it has none, and the same with lost experts
        back and open slots filled, in at most `most` moves.
    budget
        Remote hosts a token that should not be exceeded.
    most
        Most slots that may move.
    price
        Gain (balance, plus fare x remote hosts) that each moved slot must bring.

    Returns
    -------
    plan, moved
        The plan, in the slots of the previous placement, and the slots that it moves.
    """
    moved = _moved(old, start)
    layer.resume(start)
    layer.fare = FARES[0]
    for _ in range(2):  # flows change visits, and visits flows
        layer.sweep(5)
        plan = measure(layer, visits)
    count, rounds = (most - moved) // 2, 0
    while count > 0 and rounds < ROUNDS:
        rounds += 1
        before = layer.snapshot()
        layer.renew(min(count, most - moved))
        now = _moved(old, layer.rows()[0])
        if now + 2 <= most:
            swap_inside_hosts(layer, (most - now) // 4)
            layer.sweep(3)
            now = _moved(old, layer.rows()[0])
        tried = measure(layer, visits)
        if now <= most and _score(tried, budget) - _score(plan, budget) > price * max(0, now - moved):
            plan, moved = tried, now
        else:
            layer.restore(before)
            count //= 2
    return _in_place(old, plan), moved


def settle_like(part: Part, plan: SoftPlan, old: IntArray) -> SoftPlan:
    """The same plan with GPUs of a host renamed, and slots ordered, as in the previous placement where they can be."""
    source = relabel(part, old[None], plan.expert[None], part.host)[0]
    return _in_place(old, replace(plan, expert=plan.expert[source], share=plan.share[:, source]))


def _moved(old: IntArray, new: IntArray) -> int:
    return int(moved_slots(old[None], new[None])[0])


def _score(plan: SoftPlan, budget: float) -> float:
    """More is better."""
    return plan.balance - plan.fare * plan.remote - max(0.0, plan.remote - budget)


def _in_place(old: IntArray, plan: SoftPlan) -> SoftPlan:
    """The same plan with the experts of each GPU in the slots where they were."""
    expert = keep_order(old[None], plan.expert[None])[0]
    share: FloatArray = np.zeros(plan.share.shape)
    for gpu, (before, after) in enumerate(zip(plan.expert, expert, strict=True)):
        left = before.tolist()
        for place, e in enumerate(after.tolist()):
            k = left.index(e)
            left[k] = -2  # taken
            share[:, gpu, place] = plan.share[:, gpu, k]
    return replace(plan, expert=expert, share=share)
