"""Price an order that exists, beside the plain orders."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.cost.exact import ExactPrice, exact_price
from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Prediction
from topoplan.planning.hosts import allowed_hosts
from topoplan.planning.solve import job_traffic
from topoplan.solvers.ranks import RankProblem, baselines


@dataclass(frozen=True, eq=False)
class Score:
    """Price of an observed order and of the plain ones."""

    observed: Prediction
    baselines: dict[str, Prediction]


def score(job: Job, fabric: Fabric, placement: RankPlacement) -> Score:
    """Price of `placement` and of the plain orders of the same fabric."""
    traffic = job_traffic(job, fabric)
    plain = baselines(RankProblem(fabric, traffic))
    return Score(predict(fabric, traffic, placement.gpu), plain)


def exact_links(job: Job, placement: RankPlacement, hosts: tuple[str, ...] | None = None) -> ExactPrice:
    """Price of `placement`, made within `hosts` (None for the whole fabric), over the real cables of its fabric.

    Raises
    ------
    InputError
        Links of the fabric that do not say which switches its groups are made of.
    """
    fabric = placement.fabric
    return exact_price(fabric, job_traffic(job, fabric, allowed_hosts(fabric, hosts)), placement.gpu)
