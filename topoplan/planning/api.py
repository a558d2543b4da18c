"""The few functions that Python users start from; `topoplan` re-exports them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from topoplan.cost.price import host_distance
from topoplan.errors import InfeasibleError, InputError
from topoplan.files.arrays import Routes
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.job import Job
from topoplan.model.plan import Plan
from topoplan.planning.drop_in import load_table
from topoplan.planning.expert_place import place_copies
from topoplan.planning.expert_site import choose_site, previous_site
from topoplan.planning.experts import parse_moves
from topoplan.planning.folder import open_plan
from topoplan.planning.inputs import open_fabric, open_job
from topoplan.solvers.experts import Across, ExpertProblem
from topoplan.solvers.experts import Routes as Trace

_NEAR = 1.0  # cost inside an NVLink domain, where hosts of one leaf are 10 apart


def read_fabric(path: str | Path, *, host_type: str | None = None, format: str | None = None) -> Fabric:  # noqa: A002
    """Fabric of our YAML, of a foreign topology file, or of the catalogue; raises InputError.

    Parameters
    ----------
    host_type
        Name of a host type of the catalogue, for foreign files that do not say what their hosts are.
    format
        Reader to use; found by content otherwise.
    """
    return open_fabric(str(path), host_type=host_type, format=format).fabric


def read_job(path: str | Path) -> Job:
    """Job of a YAML file and the arrays it names; raises InputError."""
    return open_job(str(path)).job


def read_plan(path: str | Path) -> Plan:
    """Plan of a plan folder or its plan.json; raises InputError."""
    return open_plan(str(path)).plan


def place_experts(
    load: Any,
    fabric: Fabric | None = None,
    *,
    slots: int | npt.ArrayLike,
    gpus: int = 0,
    hosts: int = 1,
    groups: int = 0,
    speed: npt.ArrayLike | None = None,
    dead: Iterable[int] = (),
    weighted: bool = False,
    routes: Routes | None = None,
    min_balance: float | None = None,
    previous: ExpertPlacement | Plan | npt.ArrayLike | None = None,
    max_moves: int | str | None = None,
    move_price: float | None = None,
    replicas_across: tuple[str, int] | None = None,
) -> ExpertPlacement:
    """Choose how many copies each expert of an MoE model gets, and which GPU holds each.

    Parameters
    ----------
    load
        [layers, experts] tokens of each expert, or [steps, layers, experts], which are summed: an array, nested lists
        or a torch tensor.
    fabric
        Where to place them: the GPUs closest to each other are taken, with their hosts and speeds. Without one, `gpus`
        and `hosts` say what there is.
    slots
        Slots of all GPUs together, which need not divide by them; or [gpus] of each GPU, or [layers, gpus].
    gpus
        GPUs of the expert-parallel group; 0 takes those of `previous`, or else all usable ones of the fabric.
    hosts
        Hosts that the GPUs are spread over evenly; the fabric's count where there is one.
    groups
        Consecutive groups of experts that each stay whole on a host; 0 for none.
    speed
        [gpus] relative speed of each GPU; the fabric's, or all alike, where not given.
    dead
        GPUs that get no slot.
    weighted
        The engine follows dispatch weights: plan them too.
    routes
        Trace of what tokens chose and where they came from, as `topoplan.files.arrays.read_routes` gives it: place for
        few remote hosts a token too, and plan dispatch weights for each source host. Without `groups`.
    min_balance
        With routes: fewest remote hosts at this balance; None for best balance at no more than whole groups would give.
    previous
        What is in force: a placement, a plan, or a map [layers, slots]. Experts that stay on their GPU keep their slot.
    max_moves
        Most slots whose GPU may get an expert that it did not hold, over all layers, or a share of all, as "7%".
    move_price
        Balance of a layer (lowest possible over largest load) that each slot moved there must gain, where there is a
        previous placement; 0 moves most slots for the last thousandth of balance. None: 0.0003 where `max_moves` sets
        no limit, 0 where it does.
    replicas_across
        ("host", 2) or ("leaf", 2), say: at least so many copies of every expert on different hosts, or under different
        leaves of the fabric.

    Returns
    -------
    placement
        `physical_to_logical_map` is [layers, slots] int64, slots numbered GPU by GPU; `copies` [layers, experts];
        `max_load` and `lower_bound` [layers] say how far the largest GPU is from the best possible.

    Raises
    ------
    InputError
        Loads or sizes that make no sense; says which layer.
    InfeasibleError
        Too few usable GPUs, groups that do not fit, copies that cannot be kept apart, or more slots have to move than
        may.

    Examples
    --------
    A layer of six experts on four GPUs with two slots each; 200 tokens, so no placement can do better than 50:

    >>> import topoplan
    >>> placement = topoplan.place_experts([[50, 10, 20, 40, 30, 50]], gpus=4, slots=8)
    >>> placement.physical_to_logical_map.shape, placement.max_load
    ((1, 8), array([50.]))

    The load has changed, and at most two slots may:

    >>> after = topoplan.place_experts([[80, 10, 20, 40, 30, 50]], slots=8, previous=placement, max_moves=2)
    >>> int((after.physical_to_logical_map != placement.physical_to_logical_map).sum()) <= 2
    True
    """
    tokens = load_table(load)
    old, fixed = _previous(previous, gpus)
    count = gpus or (old.gpus if old is not None else int(fabric.gpu_free.sum()) if fabric is not None else 0)
    if min_balance is not None and routes is None:
        raise InputError("min_balance needs routes: without a trace, balance is all that is sought")
    if count < 1:
        raise InputError("how many GPUs there are is not known", hint="give gpus, or a fabric")
    if fabric is None:
        host: IntArray = np.arange(count) * hosts // count
        leaf, rates, forced = np.zeros(count, np.int64), np.ones(count), 0
    else:
        leaves = replicas_across[1] if replicas_across and replicas_across[0] == "leaf" else 1
        site = choose_site(fabric, count, leaves) if fixed is None else previous_site(fabric, fixed, count)
        host, leaf, rates = site.host, site.leaf, site.speed
        forced = 0 if old is None else int((old.physical_to_logical_map[:, site.fresh[old.slot_gpu]] >= 0).sum())
    problem = ExpertProblem(
        tokens,
        count,
        slots if isinstance(slots, int) else np.asarray(slots, np.int64),
        host=host,
        groups=groups,
        speed=rates if speed is None else np.asarray(speed, np.float64),
        dead=tuple(dead),
        weighted=weighted,
        routes=None if routes is None else Trace(routes.expert_ids, routes.source),
        min_balance=min_balance,
        previous=old,
        across=_across(replicas_across, {"host": host, "leaf": leaf} if fabric is not None else {"host": host}),
    )
    return place_copies(_limited(problem, max_moves, forced), move_price)


def rank_costs(plan: Plan) -> FloatArray:
    """[gpus, gpus] float64 relative cost between EP ranks, as SGLang's proposed --eplb-topology takes it.

    It is the distance that hop_bytes counts with (10 under one leaf, doubling with each tier unless the fabric says
    otherwise), 1 inside an NVLink domain and 0 from a rank to itself; `topoplan.experts.write_rank_costs` writes it.

    Raises
    ------
    InputError
        The plan places nothing on a fabric.
    """
    if plan.placement is None:
        raise InputError("the plan places nothing on a fabric, so no distances are known")
    place = plan.placement
    ranks = np.arange(place.ranks) if plan.ep_rank_to_rank is None else plan.ep_rank_to_rank[0]
    host, island = place.host[ranks], place.fabric.gpu_island[place.gpu[ranks]]
    apart = host_distance(place.fabric, host[:, None], host[None, :])
    costs = np.where(island[:, None] == island[None, :], _NEAR, apart)
    np.fill_diagonal(costs, 0.0)
    return costs


def _previous(
    previous: ExpertPlacement | Plan | npt.ArrayLike | None, gpus: int
) -> tuple[ExpertPlacement | None, Plan | None]:
    """The placement in force, and its plan where that is known."""
    if previous is None or isinstance(previous, ExpertPlacement):
        return previous, None
    if isinstance(previous, Plan):
        if previous.experts is None:
            raise InputError("the previous plan has no experts")
        return previous.experts, previous
    if not gpus:
        raise InputError("how many GPUs the previous map is for is not known", hint="give gpus")
    return ExpertPlacement(gpus, np.asarray(previous, np.int64)), None


def _across(asked: tuple[str, int] | None, domains: dict[str, IntArray]) -> Across | None:
    """The rule on failure domains, where one is asked for."""
    if asked is None:
        return None
    name, least = asked
    if name not in domains:
        raise InputError(
            f"replicas_across names {name!r}; known are {' and '.join(domains)}",
            hint="leaves need a fabric" if name == "leaf" else "",
        )
    return Across(domains[name], least, name)


def _limited(problem: ExpertProblem, max_moves: int | str | None, forced: int) -> ExpertProblem:
    """The problem with its limit on moves, less those that lost GPUs force."""
    if max_moves is None:
        return problem
    if problem.previous is None:
        raise InputError("max_moves needs a previous placement", hint="without one every slot is filled anew")
    most = parse_moves(str(max_moves), int(problem.layer_slots.sum()))
    if forced > most:
        raise InfeasibleError(f"{forced} slots have to move, because GPUs were lost, but only {most} may")
    return replace(problem, max_moves=most - forced)
