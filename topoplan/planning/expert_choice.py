"""Which kind of placement is quickest: any host, groups whole, or a way between balance and traffic, by predicted time.

Time is that of an MoE layer: dispatch, experts and combine, each on its slowest link or GPU, with the noise of a batch;
so balance that a batch of this size cannot show buys nothing, and traffic counts for what its kernel makes of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.files.arrays import Routes
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import IntArray
from topoplan.model.job import ModelShape
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_engines import Engine
from topoplan.planning.expert_place import place_copies
from topoplan.planning.expert_request import ExpertRequest, problem_of
from topoplan.planning.expert_site import Site
from topoplan.solvers.experts import place_at, trade_off

CHOICE_LAYERS = 4  # layers that candidates are made of, spread evenly over all
TIE = 1e-3  # assumed: shares of a layer's time that the sums cannot tell apart; the plainer candidate is taken

Price = Callable[[ExpertRequest, ExpertPlacement, str], Engine | None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of placement.

    Parameters
    ----------
    balance
        As planned: mean of layers of mean / largest GPU.
    remote_hosts
        Hosts other than its own that a token visits.
    """

    name: str
    balance: float
    remote_hosts: float
    dispatch_ms: float
    expert_ms: float
    combine_ms: float
    layer_ms: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Candidates, the plainest first, and which of them is planned on all layers.

    Parameters
    ----------
    layers, of
        Layers that were priced, of how many.
    """

    chosen: int
    candidates: tuple[Candidate, ...]
    layers: int
    of: int


def by_time(request: ExpertRequest, model: ModelShape | None) -> bool:
    """Whether predicted time chooses the kind of placement.

    Where nobody says, it does where the model is named and nothing else says what to place for: sizes that are only
    guessed from the number of experts do not decide.
    """
    if request.objective == "balance" or model is None or model.routing is None:
        return False
    free = not request.groups and request.min_balance is None and request.previous is None
    return free and (request.objective == "time" or bool(request.model))


def place_by_time(
    request: ExpertRequest, site: Site, model: ModelShape, price: Price
) -> tuple[ExpertPlacement, Choice | None]:
    """A placement of the quickest kind, and what each kind costs, where there is more than one.

    Parameters
    ----------
    price
        Prices a placement for a request under a rule.
    """
    rows = np.unique(np.linspace(0, len(request.load) - 1, CHOICE_LAYERS).round().astype(np.int64))
    some = _layers(request, rows)
    ways: list[_Way] = []
    found: list[Candidate] = []
    for way in _ways(some, site, model):
        engine = price(some, way.placement, "even" if way.placement.dispatch is None else "weights")
        if engine is not None and engine.layer_ms is not None:
            ways.append(way)
            found.append(_candidate(way, engine, some, site))
    if len(found) < 2:
        return place_copies(problem_of(request, site)), None
    quickest = min(c.layer_ms for c in found)
    best = next(i for i, c in enumerate(found) if c.layer_ms <= quickest * (1 + TIE))
    choice = Choice(best, tuple(found), len(rows), len(request.load))
    if len(rows) == len(request.load):
        return ways[best].placement, choice
    routes = ways[best].request.routes and request.routes
    problem = problem_of(replace(ways[best].request, load=request.load, routes=routes), site)
    fare = ways[best].fare
    return (place_copies(problem) if fare is None else place_at(problem, fare)), choice


@dataclass(frozen=True, eq=False)
class _Way:
    """A kind of placement: what to ask for (and at which fare, on the curve), and what that gives on some layers."""

    name: str
    request: ExpertRequest
    placement: ExpertPlacement
    fare: float | None = None


def _ways(request: ExpertRequest, site: Site, model: ModelShape) -> list[_Way]:
    """Kinds of placement, the plainest first; those that are not possible are left out."""
    assert model.routing is not None
    plain = replace(request, routes=None, objective="balance")
    ways = [_Way("any host", plain, place_copies(problem_of(plain, site)))]
    if model.routing.groups > 1:
        whole = replace(plain, groups=model.routing.groups)
        # groups may not fit on these hosts, or contradict another rule
        with contextlib.suppress(InfeasibleError, InputError):
            ways.append(_Way("groups whole", whole, place_copies(problem_of(whole, site))))
    if request.routes is not None:
        problem = problem_of(request, site)
        ways.insert(0, _Way("traffic of whole groups", request, place_copies(problem)))
        ways += [_Way(f"balance {way.balance:.3f}", request, way.placement, way.fare) for way in trade_off(problem)]
    return ways


def _layers(request: ExpertRequest, rows: IntArray) -> ExpertRequest:
    """The request for some layers only."""
    routes = request.routes
    return replace(
        request,
        load=request.load[rows],
        routes=None if routes is None else Routes(routes.expert_ids[rows], routes.source),
    )


def _candidate(way: _Way, engine: Engine, request: ExpertRequest, site: Site) -> Candidate:
    assert engine.dispatch_ms is not None
    assert engine.expert_ms is not None
    assert engine.combine_ms is not None
    assert engine.layer_ms is not None
    planned = Balance.of(way.placement, request.load, site.speed).mean
    times = engine.dispatch_ms, engine.expert_ms, engine.combine_ms, engine.layer_ms
    return Candidate(way.name, planned, engine.remote_hosts, *times)
