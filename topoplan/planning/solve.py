"""From a job and a fabric to a plan: stages, traffic, ranks, experts, and the words around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from topoplan.cost.price import predict
from topoplan.errors import InputError
from topoplan.model.capability import Capability
from topoplan.model.demand import traffic_of
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import BoolArray, Fabric
from topoplan.model.job import Job, expert_groups
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import InputFile, Plan, Prediction
from topoplan.model.step import StepTime
from topoplan.model.traffic import Traffic
from topoplan.planning.hosts import allowed_hosts, choose_hosts, named_hosts
from topoplan.planning.memory import check_memory, memory_notes, memory_of_job
from topoplan.planning.step import (
    StepModel,
    compute_words,
    derive_exposure,
    plain_steps,
    schedule_notes,
    stages_of,
    step_model,
    step_notes,
)
from topoplan.solvers.ranks import (
    RankParams,
    RankProblem,
    RankSolution,
    Watch,
    keep_going,
    plain_placement,
    solve_ranks,
)
from topoplan.solvers.ranks.inside.by_gpu import refine_gpus
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.orders import fill, selections
from topoplan.solvers.ranks.replan import key_of
from topoplan.solvers.ranks.select import nearest_spares

AVOIDED_NAMED = 4  # hosts that a warning names
NOTHING = 0.005  # exposed time that differs by less than this share is called the same


@dataclass(frozen=True, eq=False)
class SolveOptions:
    """What a user may ask of `solve` beyond job and fabric.

    Parameters
    ----------
    hosts
        Names (or aliases) of the hosts of an allocation; None for the whole fabric.
    require
        Tier in one group of which all ranks must be; "" for no demand.
    spares
        Free hosts to set aside beside the job, for `topoplan.planning.replan`.
    reserve, avoid
        Names of hosts that are never used, and of hosts that are used last.
    capability
        What the launchers can express together.
    inputs
        Files the plan is made from, by kind.
    ignore_memory
        Plan a job that does not fit into its GPUs' memory all the same.
    """

    hosts: tuple[str, ...] | None = None
    require: str = ""
    spares: int = 0
    reserve: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    objective: str = "exposed_ms"
    params: RankParams = field(default_factory=RankParams)
    capability: Capability = field(default_factory=Capability)
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    ignore_memory: bool = False


def solve(job: Job, fabric: Fabric, options: SolveOptions | None = None, watch: Watch = keep_going) -> Plan:
    """Plan a job on a fabric.

    Raises
    ------
    InputError
        The job is incomplete, or an allocated host is unknown.
    InfeasibleError
        Too few usable GPUs, too little memory, or fewer layers than stages.
    """
    options = options or SolveOptions()
    problem = problem_of(job, fabric, options)
    solution = refine_gpus(problem, solve_ranks(problem, options.params, watch), options.params, watch)
    return plan_of(job, problem, options, solution)


def problem_of(
    job: Job, fabric: Fabric, options: SolveOptions, prefer: Callable[[BoolArray], float] | None = None
) -> RankProblem:
    """Ranks to place, and the hosts they may be placed on; raises as `solve`.

    Parameters
    ----------
    prefer
        Of a set of hosts, lower is better: chooses between the groups of a required tier before price does.
    """
    allowed = allowed_hosts(fabric, options.hosts)
    if options.reserve:
        reserved = named_hosts(fabric, options.reserve, "--reserve")
        allowed = ~reserved if allowed is None else allowed & ~reserved
    if not options.ignore_memory:
        check_memory(job, fabric, allowed)
    traffic = job_traffic(job, fabric, allowed)

    def problem(hosts: BoolArray | None) -> RankProblem:
        return RankProblem(fabric, traffic, options.capability, hosts, options.objective)

    def price(hosts: BoolArray) -> tuple[float, ...]:
        if prefer is not None:
            return (prefer(hosts),)
        _, order = next(iter(selections(problem(hosts))))
        return key_of(options.objective)(predict(fabric, traffic, fill(problem(hosts), order)))

    return problem(
        choose_hosts(
            fabric,
            allowed,
            job.ranks,
            require=options.require,
            spares=options.spares,
            avoided=named_hosts(fabric, options.avoid, "--avoid"),
            price=price,
        )
    )


def plan_of(job: Job, problem: RankProblem, options: SolveOptions, solution: RankSolution) -> Plan:
    """The plan around a placement of ranks: stages, experts, spare hosts and the words."""
    fabric = problem.fabric
    placement = RankPlacement(fabric, solution.gpu)
    timed = model_of(job, problem)
    step = None if timed is None else timed.at(solution.gpu)
    plain = {} if timed is None else {name: found.total_s for name, found in plain_steps(timed, problem).items()}
    spares = nearest_spares(fabric, problem.free, np.unique(placement.host), options.spares) if options.spares else ()
    return Plan(
        job=job.name,
        fabric_name=fabric.name,
        inputs=options.inputs,
        seed=options.params.seed,
        objective=options.objective,
        placement=placement,
        spares=tuple(fabric.host_names[h] for h in spares),
        experts=_experts(job),
        ep_rank_to_rank=expert_groups(job, "ep") if _has_experts(job) else None,
        stages=stages_of(job),
        prediction=solution.prediction,
        baselines=solution.baselines,
        certificate=solution.certificate,
        order_matters=order_matters(fabric, solution.prediction, solution.baselines),
        step=step,
        plain_step_s=None if step is None else plain,
        memory=memory_of_job(job) if job.compute is not None else None,
        assumed=(*fabric.assumed, *_assumed(job, problem)),
        warnings=(
            *fabric.warnings,
            *_warnings(fabric, solution),
            *memory_notes(job, fabric, problem.allowed),
            *schedule_notes(job),
            *step_notes(step, plain),
            *_avoided(fabric, placement, options),
            *Whole(problem).notes(solution.gpu),
        ),
    )


def job_traffic(job: Job, fabric: Fabric, allowed: BoolArray | None = None) -> Traffic:
    """Traffic of a job on hosts of a fabric; `allowed` [hosts] bool narrows them."""
    stages = stages_of(job)
    traffic = traffic_of(job, stages.first if stages else (), shared_ranks(job, fabric, allowed))
    return derive_exposure(job, fabric, traffic, allowed)


def placed_step(
    job: Job, placement: RankPlacement, hosts: tuple[str, ...] | None = None, *, drawn: bool = False
) -> StepTime | None:
    """Step of a job that was placed within `hosts` (None for the whole fabric), `drawn` with its timeline.

    None where the job does not say how fast it computes.
    """
    fabric = placement.fabric
    allowed = allowed_hosts(fabric, hosts)
    problem = RankProblem(fabric, job_traffic(job, fabric, allowed), allowed=allowed)
    model = model_of(job, problem)
    return None if model is None else model.at(placement.gpu, drawn=drawn)


def model_of(job: Job, problem: RankProblem) -> StepModel | None:
    """What times the steps of a job on a problem's hosts; None where it does not say how fast it computes."""
    if job.compute is None:
        return None
    return step_model(job, problem.fabric, problem.traffic, plain_placement(problem, "linear"))


def linear_placement(job: Job, fabric: Fabric, hosts: tuple[str, ...] | None = None) -> RankPlacement:
    """Ranks on hosts in physical order, as the linear baseline prices them."""
    allowed = allowed_hosts(fabric, hosts)
    problem = RankProblem(fabric, job_traffic(job, fabric, allowed), allowed=allowed)
    return RankPlacement(fabric, plain_placement(problem, "linear"))


def shared_ranks(job: Job, fabric: Fabric, allowed: BoolArray | None = None) -> int:
    """Consecutive ranks that share an NVLink domain where the job's groups are kept whole.

    Hosts are filled one after the other. Wider domains are filled as far as groups go into them whole: of racks of 72
    GPUs a job of power-of-two groups takes 64, whichever its order then leaves free.
    """
    domain = domain_size(fabric, allowed)
    if not fabric.islands:
        return domain
    host = int(np.bincount(np.bincount(fabric.gpu_host)).argmax())
    p = job.parallel
    stage = job.ranks if p is None else p.tp * p.cp * p.dp
    groups = [] if p is None else [p.tp, p.tp * p.cp, p.ep * p.etp]
    widths = (width for width in range(domain - domain % host, 0, -host) if stage % width == 0)
    return next((w for w in widths if all(w % size == 0 or size % w == 0 for size in groups)), domain)


def domain_size(fabric: Fabric, allowed: BoolArray | None = None) -> int:
    """GPUs that consecutive ranks share an NVLink domain with: the commonest number of usable GPUs of a domain."""
    usable = fabric.gpu_free & (allowed[fabric.gpu_host] if allowed is not None else True)
    # a host without NVLink still holds consecutive ranks
    domain = fabric.gpu_island if fabric.islands else fabric.gpu_host
    sizes = np.bincount(domain[usable])
    return int(np.bincount(sizes[sizes > 0]).argmax()) if usable.any() else 1


def _has_experts(job: Job) -> bool:
    return job.parallel is not None and job.parallel.ep > 1


def _experts(job: Job) -> ExpertPlacement | None:
    if job.experts is None or job.experts.load is None:
        return None
    if job.parallel is None:
        raise InputError("experts need `parallel` with ep: how many GPUs share a layer's experts")
    from topoplan.solvers.experts import ExpertProblem, place  # noqa: PLC0415 - only jobs with expert loads pay for it

    gpus = job.parallel.ep
    return place(ExpertProblem(job.experts.load, gpus, gpus * job.experts.slots_per_gpu))


def order_matters(fabric: Fabric, plan: Prediction, baselines: Mapping[str, Prediction]) -> str:
    """One plain sentence: what the order of hosts is worth on this fabric."""
    if plan.exposed_ms <= 0:
        return "The order of hosts does not matter: no traffic leaves a GPU."
    worst = max(baselines, key=lambda name: baselines[name].exposed_ms)
    factor = baselines[worst].exposed_ms / plan.exposed_ms
    if factor < 1 + NOTHING:
        reason = "perfect spreading" if fabric.routing == "adaptive" else "enough uplinks"
        return (
            f"The order of hosts does not matter here: with {reason} the NICs and NVLinks bound every axis, "
            f"and linear, string-sorted and random orders are within {100 * (factor - 1):.1f} % of this plan."
        )
    words = {"linear": "hosts in physical order", "strings": "host names sorted as text", "random": "a random order"}
    slower = {name: baselines[name].exposed_ms / plan.exposed_ms for name in words}
    costly = [
        f"{words[name]} would cost {factor:.2f} times" for name, factor in slower.items() if factor >= 1 + NOTHING
    ]
    alike = [words[name] for name, factor in slower.items() if factor < 1 + NOTHING]
    text = f"The order of hosts matters: {_and(costly)} the exposed communication of this plan"
    return f"{text}; {_and(alike)} would do as well." if alike else f"{text}."


def _and(items: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _assumed(job: Job, problem: RankProblem) -> list[str]:
    traffic = problem.traffic
    if job.compute is not None:
        return [compute_words(job, problem.fabric, np.flatnonzero(problem.fabric.gpu_free))]
    unknown = [axis for axis, share in zip(traffic.axes, traffic.exposure, strict=True) if share == 1]
    unknown = [axis for axis in unknown if axis not in job.exposure]
    if not unknown:
        return []
    return [f"exposure of {', '.join(unknown)} is 1: nothing of it is hidden behind compute (job file: exposure)"]


def _avoided(fabric: Fabric, placement: RankPlacement, options: SolveOptions) -> list[str]:
    """What to say where hosts that were to be avoided are used."""
    used = np.intersect1d(np.flatnonzero(named_hosts(fabric, options.avoid, "--avoid")), placement.host)
    if not len(used):
        return []
    names = ", ".join(fabric.host_names[h] for h in used[:AVOIDED_NAMED]) + (
        " ..." if len(used) > AVOIDED_NAMED else ""
    )
    many = "1 host to be avoided is" if len(used) == 1 else f"{len(used)} hosts to be avoided are"
    return [f"{many} used ({names}): the others do not suffice"]


def _warnings(fabric: Fabric, solution: RankSolution) -> list[str]:
    if any(not np.isfinite(p.exposed_ms) for p in (solution.prediction, *solution.baselines.values())):
        return [f"some hosts of {fabric.name} cannot reach each other: orders that mix them take for ever"]
    return []
