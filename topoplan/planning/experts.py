"""Plan experts alone: a serving engine's EP group on a fabric, and the map of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import InputFile, Plan
from topoplan.model.traffic import Traffic
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.ranks import RankProblem
from topoplan.solvers.ranks.orders import fill, selections


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
    """

    load: FloatArray
    gpus: int
    slots: int
    groups: int = 0
    name: str = "experts"
    inputs: Mapping[str, InputFile] = field(default_factory=dict)


def plan_experts(request: ExpertRequest, fabric: Fabric) -> Plan:
    """Choose the GPUs of an EP group (closest together first) and place the experts on them.

    Raises
    ------
    InfeasibleError
        Too few usable GPUs, or fewer slots than experts.
    """
    placement = _gpus(fabric, request.gpus)
    experts = place_on(request.load, placement, slots=request.slots, groups=request.groups)
    return Plan(
        job=request.name,
        fabric_name=fabric.name,
        inputs=request.inputs,
        seed=0,
        placement=placement,
        experts=experts,
        ep_rank_to_rank=np.arange(request.gpus)[None, :],
        assumed=fabric.assumed,
        warnings=fabric.warnings,
    )


def place_on(load: FloatArray, placement: RankPlacement, *, slots: int, groups: int = 0) -> ExpertPlacement:
    """Experts on the GPUs of `placement`, EP rank i on its GPU i; `slots` are spread over them as evenly as they go."""
    hosts = placement.host_order()
    number = np.zeros(len(placement.fabric.hosts), np.int64)
    number[hosts] = np.arange(len(hosts))
    speed = np.array([kind.speed for kind in placement.fabric.host_types])[placement.fabric.host_type[placement.host]]
    host = number[placement.host]
    return place(ExpertProblem(load, placement.ranks, slots, host=host, groups=groups, speed=speed))


def _gpus(fabric: Fabric, gpus: int) -> RankPlacement:
    """The first selection of hosts that the rank solver would try: the tightest group, fullest leaves first."""
    none = np.zeros(0, np.int32)
    traffic = Traffic(gpus, (), none, none, np.zeros(0), np.zeros(0, np.int8), np.zeros(0), np.zeros(0))
    problem = RankProblem(fabric, traffic)
    for _, hosts in selections(problem):
        return RankPlacement(fabric, fill(problem, hosts))
    raise InfeasibleError(f"no {gpus} GPUs of {fabric.name} can reach each other")
