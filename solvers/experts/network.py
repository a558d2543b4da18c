"""Place all layers on the network from a routing trace, and judge any placement by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.bound import even_bound
from topoplan.solvers.experts.carry import complete, moved_slots, previous_rows
from topoplan.solvers.experts.domain_repair import repair
from topoplan.solvers.experts.domains import check_room
from topoplan.solvers.experts.homes import Homes, choose_homes
from topoplan.solvers.experts.moves import too_few_moves
from topoplan.solvers.experts.part import Part, parts_of, to_map
from topoplan.solvers.experts.problem import ExpertParams, ExpertProblem
from topoplan.solvers.experts.routes import Routes, Visits, source_loads, source_shares
from topoplan.solvers.experts.soft import NOTHING, Layer
from topoplan.solvers.experts.soft_moves import change_layer, settle_like, worth
from topoplan.solvers.experts.soft_search import FARES, Aim, Repair, SoftPlan, plan_at_fares, plan_layer

MARGIN = 0.996  # of the budget: what a plan saves on its own trace it does not quite save on another
FRESH = 0.3  # share of a layer's slots that must be free to move for a placement from scratch to be worth a try


@dataclass(frozen=True, eq=False)
class TradeOff:
    """One way between balance and traffic.

    Parameters
    ----------
    balance
        Mean over layers of mean over largest load of a GPU.
    remote
        Mean over layers of expected remote hosts a token.
    fare
        Load that a remote visit was worth.
    placement
        With dispatch weights for each source host.
    """

    balance: float
    remote: float
    fare: float
    placement: ExpertPlacement


@dataclass(frozen=True, eq=False)
class _Work:
    """A layer to plan: its part, with this layer alone, and what is known of it."""

    part: Part
    layer: Layer
    visits: Visits
    homes: Homes
    aim: Aim


def place_soft(problem: ExpertProblem, params: ExpertParams) -> ExpertPlacement:
    """Best balance at no more remote hosts a token than whole groups would give, or as `min_balance` says.

    Raises
    ------
    InfeasibleError
        More slots have to move than may.
    """
    plans = []
    for part in parts_of(problem):
        if problem.previous is None:
            found = [plan_layer(w.layer, w.visits, w.homes, w.aim) for w in _works(part, problem)]
        else:
            found = _plan_from(part, problem, params)
        plans.append((part, found))
    return _assemble(problem, plans)


def trade_off(problem: ExpertProblem) -> tuple[TradeOff, ...]:
    """What balance costs in remote hosts a token and the other way round, best balance first, none worse in both."""
    plans = [
        (part, [plan_at_fares(w.layer, w.visits, w.homes, w.aim.repair) for w in _works(part, problem)])
        for part in parts_of(problem)
    ]
    points = []
    for k in range(len(plans[0][1][0])):
        chosen = [(part, [ways[k] for ways in found]) for part, found in plans]
        every = [plan for _, found in chosen for plan in found]
        balance, remote = (float(np.mean([getattr(p, name) for p in every])) for name in ("balance", "remote"))
        points.append(TradeOff(balance, remote, every[0].fare, _assemble(problem, chosen)))
    points.sort(key=lambda point: (-point.balance, point.remote))
    kept: list[TradeOff] = []
    for point in points:
        if not kept or point.remote < kept[-1].remote:
            kept.append(point)
    return tuple(kept)


def place_at(problem: ExpertProblem, fare: float) -> ExpertPlacement:
    """The way of `trade_off` at one of its fares; `min_balance` and a previous placement do not enter."""
    plans = []
    for part in parts_of(problem):
        works = _works(part, problem)
        plans.append((part, [plan_at_fares(w.layer, w.visits, w.homes, w.aim.repair, fare)[-1] for w in works]))
    return _assemble(problem, plans)


def _works(part: Part, problem: ExpertProblem) -> Iterator[_Work]:
    routes = problem.routes
    assert routes is not None
    node, names = routes.nodes(problem.host), np.unique(problem.host)
    host = np.searchsorted(names, part.host)
    room = np.bincount(host, part.slots, len(names)).astype(np.int64)
    power = np.maximum(np.bincount(host, part.speed, len(names)), NOTHING)  # a host may have lost all its GPUs
    from_host = source_shares(node, problem.host)
    for k, load in zip(part.layers, part.load, strict=True):
        ids = routes.expert_ids[k].astype(np.int64)
        unit = load * part.speed.sum() / load.sum()
        by_source, pooled = source_loads(ids, node, unit, from_host)
        visits = Visits(ids, node, from_host, problem.experts, pooled)
        homes = choose_homes(visits, unit, room, power)
        sent = (homes.host[:, None] == np.arange(len(names))).astype(np.float64)
        cost, _ = visits.marginal(np.broadcast_to(sent, (len(names), *sent.shape)))
        one = replace(part, layers=np.array([k]), load=load[None])
        aim = Aim(homes.budget * MARGIN, problem.min_balance, _repair(one, problem))
        yield _Work(one, Layer(by_source, part.slots, host, part.speed, cost, FARES[0]), visits, homes, aim)


def _repair(part: Part, problem: ExpertProblem) -> Repair | None:
    """What keeps copies of a single layer in different failure domains, where that is a rule."""
    across = problem.across
    if across is None:
        return None
    domain = across.domain[part.gpus]
    check_room(part.slots, domain, problem.experts, across.least, across.name)
    return lambda expert: repair(expert, part.load[0], part.slots, domain, across.least)


def _plan_from(part: Part, problem: ExpertProblem, params: ExpertParams) -> list[SoftPlan]:
    """Plan with regard to a previous placement: few moves where they are limited, else GPUs named as they were."""
    old = previous_rows(part, problem)
    if problem.max_moves is None and params.move_price <= 0:
        return [
            settle_like(w.part, plan_layer(w.layer, w.visits, w.homes, w.aim), row)
            for w, row in zip(_works(part, problem), old, strict=True)
        ]
    start, every = complete(part, old), int(problem.layer_slots.sum())
    # a place left open because its GPU held every expert stays open: a second copy there is no move that is due
    twice = (start[..., :, None] == start[..., None, :]).sum(-1) > 1
    start = np.where((old < 0) & twice, -1, start)
    if problem.across is not None:
        domain, least = problem.across.domain[part.gpus], problem.across.least
        check_room(part.slots, domain, problem.experts, least, problem.across.name)
        start = np.stack([repair(r, load, part.slots, domain, least) for r, load in zip(start, part.load, strict=True)])
    most = every if problem.max_moves is None else problem.max_moves
    most = most * len(part.layers) * int(part.slots.sum()) // every  # as many in proportion as in other parts
    forced = moved_slots(old, start)
    free = most - int(forced.sum())
    if free < 0:
        raise too_few_moves(most - free, most)
    plans: list[SoftPlan] = []
    many = int(part.slots.sum()) * FRESH
    for k, w in enumerate(_works(part, problem)):
        share = free // (len(old) - k)  # what a layer leaves is for the others
        allowed = int(forced[k]) + share
        plan, moved = change_layer(w.layer, w.visits, old[k], start[k], w.aim, allowed, params.move_price)
        afresh = settle_like(w.part, plan_layer(w.layer, w.visits, w.homes, w.aim), old[k]) if share > many else plan
        anew, fare = int(moved_slots(old[k][None], afresh.expert[None])[0]), worth(plan)
        gain = w.aim.score(afresh, fare) - w.aim.score(plan, fare)
        if anew <= allowed and gain > params.move_price * (anew - moved):
            plan, moved = afresh, anew
        plans.append(plan)
        free -= moved - int(forced[k])
    return plans


def _assemble(problem: ExpertProblem, plans: list[tuple[Part, list[SoftPlan]]]) -> ExpertPlacement:
    expert = np.full((problem.layers, len(problem.slot_gpu)), EMPTY, np.int64)
    share, bound = np.zeros((len(np.unique(problem.host)), *expert.shape)), np.zeros(problem.layers)
    for part, found in plans:
        bound[part.layers] = even_bound(part.load, int(part.slots.sum()), part.speed)
        to_map(part, np.stack([plan.expert for plan in found]), problem.slot_gpu, expert)
        for n, node in enumerate(share):
            to_map(part, np.stack([plan.share[n] for plan in found]), problem.slot_gpu, node)
    placement = ExpertPlacement(
        gpus=problem.gpus,
        physical_to_logical_map=expert,
        experts=problem.experts,
        slot_gpu=problem.slot_gpu,
        dispatch=share,
        lower_bound=bound,
    )
    return placement.with_max_load(problem.load, problem.speed)


def remote_hosts(placement: ExpertPlacement, routes: Routes, host: IntArray) -> FloatArray:
    """[layers] float64 expected hosts, other than its own, that a token visits under the placement's dispatch.

    Parameters
    ----------
    host
        [gpus] int64 host of each GPU.
    """
    names, index = np.unique(host, return_inverse=True)
    node, p2l = routes.nodes(host), placement.physical_to_logical_map
    result, share = np.zeros(placement.layers), np.bincount(node, minlength=len(names)) / len(node)
    for k in range(placement.layers):
        ids = routes.expert_ids[k].astype(np.int64)
        used = p2l[k] >= 0
        sent = np.zeros((len(names), placement.experts, len(names)))
        for n in range(len(names)):
            part_of = placement.node_shares(n)[k][used]
            np.add.at(sent[n], (p2l[k][used], index[placement.slot_gpu[used]]), part_of)
        result[k] = Visits(ids, node, share, placement.experts, False).marginal(sent)[1]
    return result
