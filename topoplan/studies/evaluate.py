"""Price one scenario: the placement on the whole fabric, then what a failure makes of it."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.price import predict
from topoplan.errors import InfeasibleError, InputError, TopoplanError
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.job import Job
from topoplan.model.plan import Prediction
from topoplan.planning.solve import SolveOptions, problem_of, solve
from topoplan.solvers.ranks import RankParams, RankProblem, plain_placement
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.orders import fill, selections, usable_hosts
from topoplan.solvers.ranks.replan import Previous, replan_ranks
from topoplan.studies.failures import broken
from topoplan.studies.model import Scenario
from topoplan.studies.outcome import ERROR, INFEASIBLE, INVALID, OK, Outcome

PLAIN = ("linear", "strings", "random")
PLAN, KEEP, REPLAN, FULL = "plan", "keep", "replan", "full"
WORTH = 1e-3  # share of exposed time that is not worth a move: as where plans are changed
_KEPT = 16  # placements that a process remembers; neighbours in a study share theirs


@dataclass(frozen=True, eq=False)
class Placed:
    """Ranks placed on a fabric, and their price."""

    problem: RankProblem
    gpu: IntArray
    prediction: Prediction
    method: str


def evaluate(scenario: Scenario) -> Outcome:
    """Outcome of a scenario; every reason why there is no price is an outcome too."""
    problem = scenario.fabric.problem or scenario.job.problem
    if problem:
        return Outcome(INVALID, problem)
    try:
        return _priced(scenario)
    except InfeasibleError as error:
        return replace(_about(scenario), status=INFEASIBLE, reason=error.message)
    except InputError as error:
        return Outcome(INVALID, error.message)
    except TopoplanError as error:
        return Outcome(ERROR, error.message)
    except Exception as error:  # one defect must not end a study of thousands
        return Outcome(ERROR, f"{type(error).__name__}: {error}")


def quick(problem: RankProblem) -> tuple[IntArray, str]:
    """GPU of each rank in the best plain order, of all hosts or of the closest that suffice, and its name.

    As in `solve_ranks`, tensor, expert and context groups that fit into NVLink domains are not split where that can be
    helped; nothing is searched.
    """
    found = [(name, plain_placement(problem, name)) for name in PLAIN]
    found += [(name, fill(problem, hosts)) for name, hosts in selections(problem)]
    rule = Whole(problem)
    if any(rule.splits(gpu) or rule.notes(gpu) for _, gpu in found):
        found += rule.placements()
        found = [(name, gpu) for name, gpu in found if not rule.splits(gpu)] or found
    name, gpu = min(found, key=lambda item: predict(problem.fabric, problem.traffic, item[1]).exposed_ms)
    return gpu, name


def _priced(scenario: Scenario) -> Outcome:
    before = _placed(scenario)
    about = _about(scenario)
    now = _after(scenario, before) if scenario.failure.count else before
    price = now.prediction
    if not np.isfinite(price.exposed_ms):
        return replace(
            about, status=INFEASIBLE, reason="ranks on hosts that cannot reach each other would have to talk"
        )
    nic = max((load.ms for load in price.busiest_links if load.link.startswith("nic ")), default=0.0)
    uplinks = [load for load in price.busiest_links if load.link.startswith("uplink ")]
    return replace(
        about,
        hosts=len(np.unique(now.problem.fabric.gpu_host[now.gpu])),
        exposed_ms=price.exposed_ms,
        ideal_ms=price.ideal_ms,
        before_ms=before.prediction.exposed_ms,
        busiest_nic_ms=nic,
        busiest_uplink_ms=price.busiest_uplink_ms,
        busiest_uplink=max(uplinks, key=lambda load: load.ms).link.removeprefix("uplink ") if uplinks else "",
        hop_bytes=price.hop_bytes,
        moved=int((now.gpu != before.gpu).sum()),
        method=now.method,
        axes_ms=dict(price.axes),
    )


def _about(scenario: Scenario) -> Outcome:
    """What holds of a scenario whatever its price."""
    fabric, job = _inputs(scenario)
    gpus = int(fabric.gpu_free.sum())
    batch, parallel = job.batch, job.parallel
    tokens = batch.sequence * batch.micro_batch * batch.micro_batches * parallel.dp if batch and parallel else 0
    return Outcome(
        OK,
        ranks=job.ranks,
        gpus=gpus,
        tokens=tokens,
        nic_bytes_per_s=float(fabric.port_bandwidth.sum()) / fabric.gpus,
        uplink_bytes_per_s=sum(group.uplink_bandwidth_bytes_per_s for group in fabric.groups) / fabric.gpus,
    )


def _inputs(scenario: Scenario) -> tuple[Fabric, Job]:
    assert scenario.fabric.fabric is not None
    assert scenario.job.job is not None
    return scenario.fabric.fabric, scenario.job.job


# ---- before a failure --------------------------------------------------------------------------------------------

_memory: OrderedDict[tuple[object, ...], Placed] = OrderedDict()


def _placed(scenario: Scenario) -> Placed:
    """The job on the whole fabric; scenarios of one process that differ in their failures share it."""
    key = (scenario.fabric.digest, scenario.job.digest, scenario.order, scenario.search, scenario.seed)
    if key not in _memory:
        _memory[key] = _place(scenario)
        if len(_memory) > _KEPT:
            _memory.popitem(last=False)
    _memory.move_to_end(key)
    return _memory[key]


def _place(scenario: Scenario) -> Placed:
    fabric, job = _inputs(scenario)
    problem = problem_of(job, fabric, SolveOptions())
    if scenario.order != PLAN:
        return _of(problem, plain_placement(problem, scenario.order), scenario.order)
    return _planned(scenario, problem)


def _planned(scenario: Scenario, problem: RankProblem) -> Placed:
    if scenario.search != FULL:
        return _of(problem, *quick(problem))
    job = _inputs(scenario)[1]
    plan = solve(job, problem.fabric, SolveOptions(params=RankParams(seed=scenario.seed)))
    assert plan.placement is not None
    return _of(problem, plan.placement.gpu, "searched")


def _of(problem: RankProblem, gpu: IntArray, method: str) -> Placed:
    return Placed(problem, gpu, predict(problem.fabric, problem.traffic, gpu), method)


# ---- after a failure ---------------------------------------------------------------------------------------------


def _after(scenario: Scenario, before: Placed) -> Placed:
    """The same job on what is left."""
    fabric = broken(before.problem.fabric, scenario.failure)
    # the traffic stays what it was: the framework's ranks do not know of the failure
    problem = RankProblem(fabric, before.problem.traffic)
    if scenario.after == KEEP:
        return _of(problem, take_over(problem, before.gpu), "kept")
    return _again(scenario, problem, before)


def take_over(problem: RankProblem, gpu: IntArray) -> IntArray:
    """[ranks] int64 GPU of each rank when the first free hosts in physical order take over from lost ones.

    All ranks of a lost host go to one.

    Raises
    ------
    InfeasibleError
        No free host with as many usable GPUs is left.
    """
    fabric = problem.fabric
    usable = fabric.gpu_free[gpu]
    if usable.all():
        return gpu
    used = set(np.unique(fabric.gpu_host[gpu[usable]]).tolist())
    spare = [int(h) for h in usable_hosts(problem) if int(h) not in used]
    result = gpu.copy()
    lost = np.unique(fabric.gpu_host[gpu[~usable]])
    for h in lost.tolist():
        ranks = np.flatnonzero(fabric.gpu_host[gpu] == h)
        heir = next((s for s in spare if problem.free[s] >= len(ranks)), None)
        if heir is None:
            names = f"{fabric.host_names[h]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
            raise InfeasibleError(f"no free host can take over from {names}")
        spare.remove(heir)
        free = np.flatnonzero(fabric.gpu_free & (fabric.gpu_host == heir))
        result[ranks] = free[: len(ranks)]
    return result


def _again(scenario: Scenario, problem: RankProblem, before: Placed) -> Placed:
    """The best of moving only what was lost, to the best hosts, and of planning anew; fewer moves where as good."""
    found = []
    fabric = problem.fabric
    kept = Previous(fabric.gpu_host[before.gpu], fabric.gpu_local[before.gpu], np.zeros(0, np.int64))
    with contextlib.suppress(InfeasibleError):  # planning anew then finds room, or says what is missing
        found.append(_of(problem, replan_ranks(problem, kept).gpu, "moved"))
    with contextlib.suppress(InfeasibleError):
        found.append(_of(problem, take_over(problem, before.gpu), "kept"))
    found.append(_planned(scenario, problem))
    best = min(placed.prediction.exposed_ms for placed in found)
    near = [placed for placed in found if placed.prediction.exposed_ms <= best * (1 + WORTH)]
    return min(near, key=lambda placed: int((placed.gpu != before.gpu).sum()))
