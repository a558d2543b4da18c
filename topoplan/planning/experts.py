"""Plan experts alone: a serving engine's expert-parallel group on a fabric, and the map of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from topoplan.cost.moe_memory import expert_bytes
from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import InputFile, Plan
from topoplan.planning.expert_model import model_of
from topoplan.planning.expert_outcome import Balance, Change, ExpertOutcome
from topoplan.planning.expert_site import Site, choose_site, previous_site
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.schedule import moves_between


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
    experts = _place(request, site)
    plan = Plan(
        job=request.name,
        fabric_name=fabric.name,
        inputs=request.inputs,
        seed=0,
        placement=site.placement,
        experts=experts,
        ep_rank_to_rank=np.arange(request.gpus)[None, :],
        assumed=(*fabric.assumed, *assumed),
        warnings=fabric.warnings,
    )
    balance = Balance.of(experts, request.load, site.speed)
    return ExpertOutcome(plan, balance, _change(request, site, experts, balance, model))


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
