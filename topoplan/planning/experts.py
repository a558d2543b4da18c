"""Plan experts alone: a serving engine's expert-parallel group on a fabric, and the map of its slots."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from topoplan.cost.moe_links import Site as Network
from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import Plan
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_choice import by_time, place_by_time
from topoplan.planning.expert_engines import Engine, Judgement, Tokens, default_batch, judge
from topoplan.planning.expert_model import model_of
from topoplan.planning.expert_moves import migrate
from topoplan.planning.expert_outcome import ExpertOutcome, Foretold, Survival
from topoplan.planning.expert_place import place_copies, without_rules
from topoplan.planning.expert_request import KERNELS, ExpertRequest, domain_of, parse_moves, problem_of
from topoplan.planning.expert_site import Site, choose_site, previous_site
from topoplan.planning.expert_slots import Priced, SlotSweep, sweep_slots
from topoplan.solvers.experts import place
from topoplan.solvers.experts.domains import worst_loss
from topoplan.solvers.experts.forecast import Forecast, choose, foretell
from topoplan.solvers.experts.source_slots import source_slots

__all__ = ["ExpertOutcome", "ExpertRequest", "parse_moves", "plan_experts"]
TEST_LAYERS = 16  # layers that a back-test plans, spread evenly over all


def plan_experts(request: ExpertRequest, fabric: Fabric) -> ExpertOutcome:
    """Choose the GPUs of an EP group (closest together first) and place the experts on them.

    Raises
    ------
    InputError
        Options or a previous plan that do not fit the load.
    InfeasibleError
        Too few usable GPUs, copies that cannot be kept apart, or more slots have to move than may.
    """
    request.check()
    model, assumed = model_of(request.model, request.load.shape[-1])
    if request.objective == "time" and (model is None or model.routing is None):
        raise InputError("--objective time needs the model's sizes", hint="name the model (--model)")
    old = request.previous
    site = _new_site(request, fabric) if old is None else previous_site(fabric, old, request.gpus)
    request, foretold = _with_forecast(request, site)
    choice, migration = None, None
    if model is not None and by_time(request, model):
        experts, choice = place_by_time(request, site, model, partial(_price, site, model))
    else:
        experts = _place(request, site)
    if old is not None:
        experts, migration = migrate(request, site, experts, model, _judge(request, site, experts, model, ("even",)))
    if request.source_slots or request.routes is not None:
        experts = replace(experts, dispatch_slot=source_slots(experts, request.load, site.host))
    judgement = _judge(request, site, experts, model)
    plan = Plan(
        job=request.name,
        fabric_name=fabric.name,
        inputs=request.inputs,
        seed=0,
        placement=site.placement,
        experts=experts,
        ep_rank_to_rank=np.arange(request.gpus)[None, :],
        assumed=(*fabric.assumed, *assumed, *(judgement.assumed if judgement is not None else ())),
        warnings=fabric.warnings,
    )
    return ExpertOutcome(
        plan,
        Balance.of(experts, request.load, site.speed),
        _survival(request, site, experts),
        migration,
        judgement,
        _sweep(request, site, model) if request.sweep else None,
        foretold,
        choice=choice,
    )


def _price(site: Site, model: ModelShape, request: ExpertRequest, experts: ExpertPlacement, rule: str) -> Engine | None:
    """Numbers of a placement under a rule."""
    judgement = _judge(request, site, experts, model, (rule,))
    return None if judgement is None else judgement.engines[0]


def _new_site(request: ExpertRequest, fabric: Fabric) -> Site:
    return choose_site(fabric, request.gpus, request.least if request.across == "leaf" else 1)


def _place(request: ExpertRequest, site: Site) -> ExpertPlacement:
    return place_copies(problem_of(request, site))


def _survival(request: ExpertRequest, site: Site, experts: ExpertPlacement) -> Survival:
    name = request.across or "host"
    domain = domain_of(name, site)
    free = None
    if request.across:
        free = Balance.of(place_copies(without_rules(problem_of(request, site))), request.load, site.speed).mean
    count = len(np.unique(domain[experts.slot_gpu]))
    return Survival(name, count, request.least, worst_loss(experts, domain), free)


def _judge(
    request: ExpertRequest, site: Site, experts: ExpertPlacement, model: ModelShape | None, rules: tuple[str, ...] = ()
) -> Judgement | None:
    """Price of the placement under each engine's rule; None where it is not known how many experts a token visits."""
    kernel = KERNELS[request.phase]
    routes, routing = request.routes, model.routing if model is not None else None
    if routes is None and routing is None:
        return None
    tokens = Tokens(
        request.load,
        routing,
        request.batch_tokens or default_batch(kernel, request.gpus),
        None if routes is None else routes.expert_ids,
        None if routes is None else routes.source,
    )
    network = Network(site.placement.fabric, site.placement.gpu)
    return judge(experts, network, tokens, model, kernel, site.speed, rules)


def _sweep(request: ExpertRequest, site: Site, model: ModelShape | None) -> SlotSweep:
    """Numbers of slots a GPU, priced under even use of copies and without a previous plan."""
    request = replace(request, previous=None, max_moves="", routes=None, min_balance=None)

    def price(slots: int) -> Priced:
        asked = replace(request, slots=slots)
        experts = _place(asked, site)
        balance = Balance.of(experts, request.load, site.speed).mean
        judgement = _judge(asked, site, experts, model, ("even",))
        time = judgement.engines[0].layer_ms if judgement is not None else None
        return Priced(slots, balance, time or 1 / balance)

    kind = site.placement.fabric.host_types[int(site.placement.fabric.host_type[site.placement.host[0]])]
    return sweep_slots(request.load.shape[1], request.gpus, price, model, kind.gpu_memory_bytes)


def _with_forecast(request: ExpertRequest, site: Site) -> tuple[ExpertRequest, Foretold | None]:
    """The request with the loads that its history foretells."""
    history = request.load
    if history.ndim == 2:
        if request.forecast:
            raise InputError("a forecast needs a history: a load of shape [steps, layers, experts]")
        return request, None
    found = Forecast(foretell(history, request.forecast), request.forecast, {}, 0) if request.forecast else None
    if found is None:
        layers = np.unique(np.linspace(0, history.shape[1] - 1, TEST_LAYERS).round().astype(np.int64))

        def balance(expected: FloatArray, actual: FloatArray) -> float:
            asked = replace(request, load=expected, previous=None, max_moves="", routes=None, min_balance=None)
            return Balance.of(place(problem_of(asked, site)), actual, site.speed).mean

        tried = choose(history[:, layers], balance)
        found = Forecast(foretell(history, tried.method), tried.method, tried.scores, tried.tests)
    return replace(request, load=found.load), Foretold(len(history), found.method, found.tests, found.scores)
