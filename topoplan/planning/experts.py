"""Plan experts alone: a serving engine's expert-parallel group on a fabric, and the map of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from topoplan.cost import moe_links as links
from topoplan.cost.moe_memory import expert_bytes
from topoplan.errors import InfeasibleError, InputError
from topoplan.files.arrays import Routes
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import InputFile, Plan
from topoplan.planning.expert_engines import Judgement, Tokens, default_batch, judge
from topoplan.planning.expert_model import model_of
from topoplan.planning.expert_outcome import Balance, Change, ExpertOutcome
from topoplan.planning.expert_site import Site, choose_site, previous_site
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.schedule import moves_between
from topoplan.solvers.experts.source_slots import source_slots

KERNELS = {"prefill": "normal", "decode": "low-latency"}  # what DeepEP's README gives each phase


@dataclass(frozen=True, eq=False)
class ExpertRequest:
    """What `topoplan experts` is asked for.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens.
    gpus, slots
        GPUs of the EP group, and slots of all of them together.
    groups
        Expert groups that stay whole on a host; 0 for none.
    previous
        Plan that is in force; None plans afresh.
    max_moves
        Most slots that may get an expert which their GPU did not hold: a number ("40") or a share of all slots of all
        layers ("7%"); "" sets no limit.
    model
        Preset that gives the sizes; "" takes the one with this number of experts, where there is one.
    routes
        Trace of what tokens chose and where they came from.
    phase
        "prefill" (DeepEP's normal kernels) or "decode" (its low-latency ones).
    batch_tokens
        Tokens of a batch, all GPUs together; 0 takes what DeepEP measures its kernels with.
    source_slots
        Give each source rank one copy of each expert, for engines that dispatch by such a table.
    """

    load: FloatArray
    gpus: int
    slots: int
    groups: int = 0
    name: str = "experts"
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    previous: Plan | None = None
    max_moves: str = ""
    model: str = ""
    routes: Routes | None = None
    phase: str = "prefill"
    batch_tokens: int = 0
    source_slots: bool = False


def plan_experts(request: ExpertRequest, fabric: Fabric) -> ExpertOutcome:
    """Choose the GPUs of an EP group (closest together first) and place the experts on them.

    Raises
    ------
    InputError
        Options or a previous plan that do not fit the load.
    InfeasibleError
        Too few usable GPUs, or more slots have to move than may.
    """
    model, assumed = model_of(request.model, request.load.shape[1])
    old = request.previous
    site = choose_site(fabric, request.gpus) if old is None else previous_site(fabric, old, request.gpus)
    _check_routes(request)
    experts = _place(request, site)
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
    balance = Balance.of(experts, request.load, site.speed)
    return ExpertOutcome(plan, balance, _change(request, site, experts, balance, model), judgement)


def _check_routes(request: ExpertRequest) -> None:
    """Raise an InputError where a trace does not fit the load."""
    if request.routes is None:
        return
    ids = request.routes.expert_ids
    layers, experts = request.load.shape
    if len(ids) != layers:
        raise InputError(f"the routing trace has {len(ids)} layers, the load {layers}")
    unknown = np.argwhere(ids.max((1, 2)) >= experts)
    if len(unknown):
        layer = int(unknown[0, 0])
        raise InputError(f"layer {layer}: the trace names expert {ids[layer].max()}, the load has {experts} experts")


def _judge(request: ExpertRequest, site: Site, experts: ExpertPlacement, model: ModelShape | None) -> Judgement | None:
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
    network = links.Site(site.placement.fabric, site.placement.gpu)
    return judge(experts, network, tokens, model, kernel, site.speed)


def _place(request: ExpertRequest, site: Site) -> ExpertPlacement:
    previous = request.previous.experts if request.previous is not None else None
    problem = ExpertProblem(
        request.load,
        request.gpus,
        request.slots,
        host=site.host,
        groups=request.groups,
        speed=site.speed,
        previous=previous,
        max_moves=_most_moves(request, site),
    )
    return place(problem)


def _most_moves(request: ExpertRequest, site: Site) -> int | None:
    """Moves that are left for the solver once the GPUs that stand in for lost ones are filled."""
    if not request.max_moves:
        return None
    if request.previous is None or request.previous.experts is None:
        raise InputError("--max-moves needs --previous", hint="without a previous plan every slot is filled anew")
    most = parse_moves(request.max_moves, request.slots * len(request.load))
    old = request.previous.experts
    forced = int((old.physical_to_logical_map[:, site.fresh[old.slot_gpu]] >= 0).sum())
    if forced > most:
        raise InfeasibleError(
            f"{forced} slots have to move, because GPUs were lost ({', '.join(site.lost[:4])}), but only {most} may",
            hint="allow more moves",
        )
    return most - forced


def parse_moves(text: str, slots: int) -> int:
    """Moves of "40" or "7%" of `slots`.

    Raises
    ------
    InputError
        Neither, or below zero.
    """
    share = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (not share and value != int(value)):
        raise InputError(f"--max-moves {text!r} is neither a number of slots nor a percentage such as 7%")
    return int(value * slots / 100 + 1e-9) if share else int(value)


def _change(
    request: ExpertRequest, site: Site, new: ExpertPlacement, balance: Balance, model: ModelShape | None
) -> Change | None:
    old = request.previous.experts if request.previous is not None else None
    if old is None:
        return None
    moves = moves_between(old, new, site.host, site.fresh)
    before = Balance.of(old, request.load, site.speed).mean
    return Change.of(moves, new, before, balance.mean, None if model is None else expert_bytes(model), site.lost)
