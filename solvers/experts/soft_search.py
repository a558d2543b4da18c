"""Place one layer on the network: homes, further copies and flows, at the fare that meets a budget of remote visits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.homes import Homes
from topoplan.solvers.experts.routes import Visits
from topoplan.solvers.experts.soft import Layer, Snapshot

FARES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)  # from balance, as far as a batch can show it, to traffic
LOW_FARES = (0.015, 0.007, 0.0)  # only where a balance is asked for that needs them
RENEWALS, RENEWED = 4, 3  # times that a third of the further copies is chosen anew
RISK = 2.5  # standard deviations of a GPU's count of tokens: how much the largest of some tens of GPUs is off
LAST_HALVINGS = 3
SWAPS = 60
POWER = 6.0  # that a price rises by with the load of a GPU while flows are levelled: near the largest, but smooth
FAR = 0.02  # share above the budget at which the next fare is left out


@dataclass(frozen=True, eq=False)
class SoftPlan:
    """A layer's placement and what it is expected to cost.

    Parameters
    ----------
    expert
        [gpus, places] int64, -1 where there is no place.
    share
        [nodes, gpus, places] float64 share of its expert's tokens that a copy gets from each source host.
    remote
        Expected remote hosts a token.
    balance
        Mean over largest load of a GPU.
    fare
        Load that a remote visit was worth.
    """

    expert: IntArray
    share: FloatArray
    remote: float
    balance: float
    fare: float


Repair = Callable[[IntArray], IntArray]


@dataclass(frozen=True, eq=False)
class Aim:
    """What is sought.

    Parameters
    ----------
    budget
        Remote hosts a token that should not be exceeded, at best balance.
    min_balance
        In place of that, fewest remote hosts at this balance.
    repair
        Gives [gpus, places] experts the copies that a rule wants, once they are chosen; the array itself where they
        have them.
    """

    budget: float
    min_balance: float | None = None
    repair: Repair | None = None

    def score(self, plan: SoftPlan, fare: float) -> float:
        """More is better."""
        if self.min_balance is not None:
            return -fare * plan.remote - max(0.0, self.min_balance - plan.balance)
        return plan.balance - fare * plan.remote - max(0.0, plan.remote - self.budget)


def plan_layer(layer: Layer, visits: Visits, homes: Homes, aim: Aim) -> SoftPlan:
    """Best balance at no more remote hosts than the budget; or, with a least balance, fewest remote hosts that keep it.

    Parameters
    ----------
    layer
        Not yet settled.
    """
    plan = _search(layer, visits, homes, aim)
    if aim.repair is None or (kept := aim.repair(plan.expert)) is plan.expert:
        return plan
    layer.resume(kept)
    return fit_flows(layer, visits, aim, SWAPS)


def fit_flows(layer: Layer, visits: Visits, aim: Aim, swaps: int = 0) -> SoftPlan:
    """Flows for the copies as they are: best balance within the budget, or fewest remote hosts at a balance.

    Parameters
    ----------
    swaps
        Most swaps of copies inside hosts each time that loads are levelled.
    """
    layer.risk = _risk(layer, visits)
    plan, least = _level(layer, visits, FARES[0], 2, swaps), aim.min_balance
    if least is None:
        low, high = (FARES[0], FARES[-1]) if plan.remote > aim.budget else (0.0, FARES[0])
        return _fit(layer, visits, plan, aim.budget, low, high, swaps)
    for fare in FARES[1:] if plan.balance >= least else LOW_FARES:
        tried = _level(layer, visits, fare, 2, swaps)
        if (tried.balance < least) is (plan.balance >= least):  # the first that no longer, or at last, does
            return tried if tried.balance >= least else plan
        plan = tried
    return plan


def _search(layer: Layer, visits: Visits, homes: Homes, aim: Aim) -> SoftPlan:
    layer.settle(homes.host)
    layer.fill()
    layer.sweep(3)
    plan = _improve(layer, visits, layer.fare, RENEWALS)
    if aim.min_balance is not None:
        return _keep_balance(layer, visits, plan, aim.min_balance)
    dear, above = layer.snapshot(), None
    for fare in FARES[1:]:
        excess = plan.remote / aim.budget - 1
        if excess <= 0:
            break
        if excess > FAR and plan.fare < fare <= 2 * plan.fare and fare < FARES[-1]:
            continue  # the next one will not do
        dear, above = layer.snapshot(), plan
        plan = _improve(layer, visits, fare, RENEWALS // 2)
    return _meet(layer, visits, plan, above, dear, aim.budget)


def plan_at_fares(
    layer: Layer, visits: Visits, homes: Homes, repair: Repair | None = None, last: float = np.inf
) -> list[SoftPlan]:
    """A plan for each fare up to the last, from balance at any traffic to traffic at any balance."""
    layer.settle(homes.host)
    layer.fill()
    layer.sweep(3)
    fares = [fare for fare in sorted({*LOW_FARES, *FARES}) if fare <= last]
    plans = [_improve(layer, visits, fare, RENEWALS // 2) for fare in fares]
    for k, plan in enumerate(plans if repair is not None else ()):
        if repair is not None and (kept := repair(plan.expert)) is not plan.expert:
            layer.resume(kept)
            layer.risk = _risk(layer, visits)
            plans[k] = _level(layer, visits, plan.fare, 2)
    return plans


def _keep_balance(layer: Layer, visits: Visits, plan: SoftPlan, least: float) -> SoftPlan:
    """Raise the fare while the balance holds, or lower it until it does."""
    if plan.balance >= least:
        for fare in FARES[1:]:
            dearer = _improve(layer, visits, fare, RENEWALS // 2)
            if dearer.balance < least:
                break
            plan = dearer if dearer.remote <= plan.remote else plan
        return plan
    for fare in LOW_FARES:
        cheaper = _improve(layer, visits, fare, RENEWALS // 2)
        if cheaper.balance > plan.balance:
            plan = cheaper
        if plan.balance >= least:
            break
    return plan


def _meet(
    layer: Layer, visits: Visits, below: SoftPlan, above: SoftPlan | None, dear: Snapshot, budget: float
) -> SoftPlan:
    """Flows that just meet the budget, with the copies of a plan below it or of the one before, which is above it."""
    plan = _fit(layer, visits, below, budget, 0.0, below.fare)
    if above is not None:
        end = layer.snapshot()
        layer.restore(dear)
        other = _fit(layer, visits, above, budget, above.fare, 4 * below.fare)
        if other.remote <= budget and other.balance > plan.balance:
            return other
        layer.restore(end)
    return plan


def _fit(
    layer: Layer, visits: Visits, plan: SoftPlan, budget: float, low: float, high: float, swaps: int = SWAPS
) -> SoftPlan:
    """With the copies as they are, the best balance within the budget at a fare between two."""
    for _ in range(LAST_HALVINGS):
        middle = (low + high) / 2 if not low else float(np.sqrt(low * high))
        tried = _level(layer, visits, middle, 2, swaps)
        if tried.remote <= budget:
            plan, high = (tried if plan.remote > budget or tried.balance > plan.balance else plan), middle
        else:
            low = middle
    return plan


def _improve(layer: Layer, visits: Visits, fare: float, renewals: int) -> SoftPlan:
    """Choose copies anew, some at a time, as visits and loads change."""
    layer.fare, layer.power, layer.risk = fare, 1.0, _risk(layer, visits)
    layer.set_cost(visits.marginal(layer.sent())[0])
    further = sum(len(copies) - 1 for copies in layer.copies)
    for _ in range(renewals if further else 0):
        layer.renew(max(4, further // RENEWED))
        swap_inside_hosts(layer)
        layer.sweep(3)
        layer.set_cost(visits.marginal(layer.sent())[0])
        layer.sweep(2)
    return _level(layer, visits, fare, 2)


def _risk(layer: Layer, visits: Visits) -> float:
    return RISK * float(np.sqrt(len(layer.slots) / visits.dispatches))


def _level(layer: Layer, visits: Visits, fare: float, rounds: int, swaps: int = SWAPS) -> SoftPlan:
    """Level loads with the copies on their hosts."""
    layer.fare, layer.power = fare, POWER  # the copies are chosen; now the busiest GPUs decide
    layer.set_cost(layer.cost)
    for _ in range(rounds):
        swap_inside_hosts(layer, swaps)
        layer.sweep(5)
    return measure(layer, visits)


def measure(layer: Layer, visits: Visits) -> SoftPlan:
    """The layer as it is now."""
    cost, remote = visits.marginal(layer.sent())
    layer.set_cost(cost)
    return SoftPlan(*layer.rows(), remote, 1 / layer.largest(), layer.fare)


def swap_inside_hosts(layer: Layer, most: int = SWAPS) -> None:
    """Swap copies between the busiest GPU and another of its host, with the tokens they get, while that helps."""
    size = [dict.fromkeys(held, 0.0) for held in layer.held]
    for e, copies in enumerate(layer.copies):
        for c in copies:
            size[c.gpu][e] = sum(c.tokens)
    for _ in range(most):
        time = np.array(layer.total) / layer.speed
        p = int(time.argmax())
        best = _best_swap(layer, size, p)
        if best is None:
            return
        q, a, b = best
        for e, source, target in ((a, p, q), (b, q, p)):
            tokens = size[source].pop(e)
            size[target][e] = tokens
            layer.held[source].discard(e)
            layer.held[target].add(e)
            layer.total[source] -= tokens
            layer.total[target] += tokens
            next(c for c in layer.copies[e] if c.gpu == source).gpu = target


def _best_swap(layer: Layer, size: list[dict[int, float]], p: int) -> tuple[int, int, int] | None:
    """GPU, expert of p that goes there and expert that comes, where the busier of the two ends lowest."""
    total, speed = layer.total, layer.speed
    least, best = total[p] / speed[p] * (1 - 1e-6), None
    for q in np.flatnonzero(layer.host == layer.host[p]).tolist():
        give = [e for e in size[p] if e not in size[q]] if q != p else []
        take = [e for e in size[q] if e not in size[p]]
        if not give or not take:
            continue
        moved = np.subtract.outer([size[p][e] for e in give], [size[q][e] for e in take])
        after = np.maximum((total[p] - moved) / speed[p], (total[q] + moved) / speed[q])
        k = int(after.argmin())
        if after.flat[k] < least:
            least, best = float(after.flat[k]), (q, give[k // len(take)], take[k % len(take)])
    return best
