"""Change a previous placement of a layer little, for balance and few remote hosts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.carry import keep_order, moved_slots, relabel
from topoplan.solvers.experts.part import Part
from topoplan.solvers.experts.routes import Visits
from topoplan.solvers.experts.soft import Layer
from topoplan.solvers.experts.soft_search import (
    LOW_FARES,
    POWER,
    Aim,
    SoftPlan,
    fit_flows,
    measure,
    swap_inside_hosts,
)

ROUNDS = 12


def change_layer(
    layer: Layer, visits: Visits, old: IntArray, start: IntArray, aim: Aim, most: int, price: float
) -> tuple[SoftPlan, int]:
    """Improve the previous copies by moving few slots, and fit the flows to them.

    Parameters
    ----------
    old, start
        [gpus, places] int64 experts of the previous placement, -1 where it has none, and the same with lost experts
        back and open slots filled, in at most `most` moves.
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
    plan = fit_flows(layer, visits, aim)
    fare, rounds = worth(plan), 0
    count = most - moved
    while count > 0 and rounds < ROUNDS:
        rounds += 1
        before, best = layer.snapshot(), None
        for renewed in (count // 2, 0):
            _change(layer, visits, old, aim, most, renewed, max(plan.fare, LOW_FARES[0]))
            now, tried = _moved(old, layer.rows()[0]), measure(layer, visits)
            gain = aim.score(tried, fare) - aim.score(plan, fare) - price * max(0, now - moved)
            if now <= most and gain > 0 and (best is None or gain > best[0]):
                best = gain, tried, now, layer.snapshot()
            layer.restore(before)
            before = layer.snapshot()
        if best is None:
            count //= 2
            continue
        _, plan, moved, after = best
        layer.restore(after)
        count = min(count, most - moved)
    fitted = fit_flows(layer, visits, aim)
    return _in_place(old, fitted if aim.score(fitted, fare) > aim.score(plan, fare) else plan), moved


def worth(plan: SoftPlan) -> float:
    """Balance that a remote host is worth beside a plan: what it took to meet the budget, something where it is met."""
    return max(plan.fare, LOW_FARES[0])


def _change(layer: Layer, visits: Visits, old: IntArray, aim: Aim, most: int, count: int, fare: float) -> None:
    """Choose `count` copies anew, then level by swaps inside hosts as far as moves are left."""
    layer.fare, layer.power = fare, 1.0
    layer.set_cost(layer.cost)
    if count:
        layer.renew(count)
    expert = layer.rows()[0]
    if aim.repair is not None and (kept := aim.repair(expert)) is not expert:
        layer.resume(kept)
        layer.sweep(3)
        expert = kept
    now = _moved(old, expert)
    if now + 2 <= most:
        layer.power = POWER
        swap_inside_hosts(layer, (most - now) // 2)
        layer.sweep(5)


def settle_like(part: Part, plan: SoftPlan, old: IntArray) -> SoftPlan:
    """The same plan with GPUs of a host renamed, and slots ordered, as in the previous placement where they can be."""
    source = relabel(part, old[None], plan.expert[None], part.host)[0]
    return _in_place(old, replace(plan, expert=plan.expert[source], share=plan.share[:, source]))


def _moved(old: IntArray, new: IntArray) -> int:
    return int(moved_slots(old[None], new[None])[0])


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
