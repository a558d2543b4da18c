"""Balance against remote hosts a token: the ways between the two that a routing trace shows, and the one taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import IntArray
from topoplan.model.plan import Plan
from topoplan.planning.expert_request import ExpertRequest, problem_of
from topoplan.planning.expert_site import Site
from topoplan.solvers.experts import ExpertProblem, Routes, place, remote_hosts, trade_off

CURVE_LAYERS = 4  # layers that the curve is made of, spread evenly over all: a second each


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Mean over layers of mean / largest GPU load, and of remote hosts that a token visits."""

    balance: float
    remote_hosts: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Ways between balance and traffic.

    Parameters
    ----------
    points
        Best balance first, none worse in both; places and dispatch weights chosen together.
    chosen
        The plan, on the same layers.
    plain
        Balance alone, on any host, copies used evenly.
    layers, of
        Layers that the curve is made of, of how many.
    """

    points: tuple[CurvePoint, ...]
    chosen: CurvePoint
    plain: CurvePoint
    layers: int
    of: int


def draw_curve(request: ExpertRequest, plan: Plan) -> Curve:
    """The curve of a plan that was made from a routing trace, on its own GPUs.

    Parameters
    ----------
    request
        With [layers, experts] loads, those planned for.

    Raises
    ------
    InputError
        The request has no trace, or the plan no experts on a fabric.
    """
    if request.routes is None or plan.experts is None or plan.placement is None:
        raise InputError("a curve of balance against remote hosts needs a routing trace and a plan made from it")
    site = Site(plan.placement, np.zeros(request.gpus, bool))
    layers = np.unique(np.linspace(0, plan.experts.layers - 1, CURVE_LAYERS).round().astype(np.int64))
    trace = Routes(request.routes.expert_ids[layers], request.routes.source)
    asked = replace(request, load=request.load[layers], previous=None, max_moves="", routes=None, min_balance=None)
    free = problem_of(asked, site)
    ways = trade_off(replace(free, routes=trace))
    return Curve(
        points=tuple(CurvePoint(way.balance, way.remote) for way in ways),
        chosen=_point(_rows(plan.experts, layers), free, trace, site),
        plain=_point(place(free), free, trace, site),
        layers=len(layers),
        of=plan.experts.layers,
    )


def _point(placement: ExpertPlacement, problem: ExpertProblem, trace: Routes, site: Site) -> CurvePoint:
    used = np.unique(placement.slot_gpu)
    time = placement.gpu_load(problem.load) / site.speed
    level = problem.load.sum(1) / site.speed[used].sum()
    return CurvePoint(float((level / time.max(1)).mean()), float(remote_hosts(placement, trace, site.host).mean()))


def _rows(placement: ExpertPlacement, layers: IntArray) -> ExpertPlacement:
    """Some layers of a placement."""
    dispatch = placement.dispatch
    return ExpertPlacement(
        placement.gpus,
        placement.physical_to_logical_map[layers],
        placement.experts,
        placement.slot_gpu,
        None if dispatch is None else dispatch[..., layers, :],
    )
