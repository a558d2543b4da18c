"""Price an order that exists, beside the plain orders."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.cost.exact import ExactPrice, exact_price
from topoplan.cost.fair import FairPrice, fair_price
from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Prediction
from topoplan.model.step import StepTime
from topoplan.planning.collectives import AxisCollective, axis_collectives
from topoplan.planning.hosts import allowed_hosts
from topoplan.planning.solve import job_traffic, model_of
from topoplan.planning.step import plain_steps
from topoplan.solvers.ranks import RankProblem, baselines, plain_placement
from topoplan.solvers.ranks.orders import baseline_orders


@dataclass(frozen=True, eq=False)
class Score:
    """Price of an observed order and of the plain ones.

    `steps` holds their steps, "observed" first, and is empty for jobs that do not say how fast they compute;
    `collectives` says how each axis communicates in the observed order.
    """

    observed: Prediction
    baselines: dict[str, Prediction]
    steps: dict[str, StepTime]
    collectives: tuple[AxisCollective, ...]


def score(job: Job, fabric: Fabric, placement: RankPlacement) -> Score:
    """Price of `placement` and of the plain orders of the same fabric; their steps where the job states compute."""
    problem = RankProblem(fabric, job_traffic(job, fabric))
    timed = model_of(job, problem)
    steps = {} if timed is None else {"observed": timed.at(placement.gpu), **plain_steps(timed, problem)}
    observed = predict(fabric, problem.traffic, placement.gpu)
    collectives = axis_collectives(job, problem.traffic, fabric, placement.gpu)
    return Score(observed, baselines(problem), steps, collectives)


def collectives_of(
    job: Job, placement: RankPlacement, hosts: tuple[str, ...] | None = None
) -> tuple[AxisCollective, ...]:
    """How each axis communicates in `placement`, made within `hosts` (None for the whole fabric)."""
    fabric = placement.fabric
    return axis_collectives(job, job_traffic(job, fabric, allowed_hosts(fabric, hosts)), fabric, placement.gpu)


def fair(job: Job, fabric: Fabric, placement: RankPlacement) -> dict[str, FairPrice]:
    """Price of `placement` ("observed") and of the plain orders where links are shared fairly."""
    problem = RankProblem(fabric, job_traffic(job, fabric))
    orders = {"observed": placement.gpu} | {name: plain_placement(problem, name) for name in baseline_orders(problem)}
    return {name: fair_price(fabric, problem.traffic, gpu) for name, gpu in orders.items()}


def exact_links(job: Job, placement: RankPlacement, hosts: tuple[str, ...] | None = None) -> ExactPrice:
    """Price of `placement`, made within `hosts` (None for the whole fabric), over the real cables of its fabric.

    Raises
    ------
    InputError
        Links of the fabric that do not say which switches its groups are made of.
    """
    fabric = placement.fabric
    return exact_price(fabric, job_traffic(job, fabric, allowed_hosts(fabric, hosts)), placement.gpu)
