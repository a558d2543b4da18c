"""The step of a job on a fabric: how long it takes, and what compute hides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.schedules import schedule_named, wanting
from topoplan.cost.step import gpu_of, scale_to, step_time
from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import BoolArray, Fabric, IntArray
from topoplan.model.job import Job
from topoplan.model.plan import Stages
from topoplan.model.step import StepTime
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankProblem, plain_placement
from topoplan.solvers.ranks.orders import baseline_orders
from topoplan.solvers.stages import layer_costs, split_layers

NOTABLE = 1e-3  # share of a step that is worth a word


def stages_of(job: Job) -> Stages | None:
    """Layers of each virtual pipeline stage, ranks balanced by cost; None for jobs that bring their own traffic."""
    if job.traffic is not None or job.model is None or job.parallel is None or job.batch is None:
        return None
    return split_layers(layer_costs(job.model, job.batch.sequence), job.parallel.pp, job.parallel.vpp)


@dataclass(frozen=True, eq=False)
class StepModel:
    """Times steps of a job that says how fast it computes, on whichever GPUs.

    Parameters
    ----------
    traffic
        Of the job; its exposures are not looked at.
    scale
        Factor on the time of compute, where a measured step is given.
    """

    job: Job
    fabric: Fabric
    traffic: Traffic
    first_layer: tuple[int, ...]
    scale: float = 1.0

    def at(self, gpu: IntArray, *, drawn: bool = False) -> StepTime:
        """The step with rank r on global GPU gpu[r] ([ranks] int64); `drawn` with its timeline."""
        return step_time(self.job, self.fabric, self.traffic, gpu, self.first_layer, self.scale, drawn=drawn)


def step_model(job: Job, fabric: Fabric, traffic: Traffic, linear: IntArray) -> StepModel | None:
    """What times the steps of a job; None where it does not say how fast it computes.

    Parameters
    ----------
    linear
        [ranks] int64 GPUs of ranks on hosts in physical order: those that a measured step is taken to have run on.

    Raises
    ------
    InputError
        A schedule that the layout cannot run, GPUs of unknown peak, or a measured step that communication alone
        outlasts.
    """
    stages = stages_of(job)
    if job.compute is None or stages is None:
        return None
    wanted, scale = job.compute.step_time_s, 1.0
    if wanted is not None:
        scale = scale_to(wanted, job, fabric, traffic, linear, stages.first)
        if scale <= 0:
            least = step_time(job, fabric, traffic, linear, stages.first, 0.0).total_s
            raise InputError(
                f"compute: a step is said to take {wanted:g} s, but its communication alone takes {least:.3g} s here",
                hint="is the fabric the one it was measured on? `overlap` and `exposure` say what compute hides",
            )
    return StepModel(job, fabric, traffic, stages.first, scale)


def plain_steps(model: StepModel, problem: RankProblem) -> dict[str, StepTime]:
    """Steps in each of the plain orders."""
    return {name: model.at(plain_placement(problem, name)) for name in baseline_orders(problem)}


def derive_exposure(job: Job, fabric: Fabric, traffic: Traffic, allowed: BoolArray | None = None) -> Traffic:
    """`traffic` with the exposures that compute leaves on hosts in physical order; as it is where compute is unknown.

    Exposures that the job file states stay. `allowed` [hosts] bool narrows the hosts.
    """
    if job.compute is None:
        return traffic
    try:
        linear = plain_placement(RankProblem(fabric, traffic, allowed=allowed), "linear")
    except InfeasibleError:  # told where the job is placed
        return traffic
    model = step_model(job, fabric, traffic, linear)
    if model is None:
        return traffic
    exposure = model.at(linear).exposure
    return replace(traffic, exposure=np.array([exposure.get(axis, 1.0) for axis in traffic.axes]))


def compute_words(job: Job, fabric: Fabric, gpu: IntArray) -> str:
    """What a step's compute is derived from, for the list of assumptions."""
    assert job.compute is not None
    assert job.parallel is not None
    compute = job.compute
    schedule = schedule_named(job.schedule, job.parallel.pp, job.parallel.vpp).name
    if compute.step_time_s is not None:
        how = f"a measured step of {compute.step_time_s:g} s on hosts in physical order"
    elif compute.mfu is not None:
        how = f"compute at {compute.mfu:g} of the GPUs' peak"
    else:
        kind = gpu_of(job, fabric, gpu).kind
        how = "compute at half of the GPUs' peak (no known kind)" if kind is None else f"kernel rates of {kind.name}"
    return f"exposure is derived from {how}, schedule {schedule} (job file: compute, schedule, exposure)"


def schedule_notes(job: Job) -> list[str]:
    """What to warn of where a job's schedule is not defined for its number of micro-batches."""
    if job.compute is None or job.parallel is None or job.batch is None:
        return []
    name, m = schedule_named(job.schedule, job.parallel.pp, job.parallel.vpp).name, job.batch.micro_batches
    wanted = wanting(name, job.parallel.pp, m)
    return [f"schedule {name} takes {wanted}, not {m}: its waiting is an estimate"] if wanted else []


def step_notes(step: StepTime | None, plain: Mapping[str, float]) -> list[str]:
    """What to warn of where a plain order has the shorter step.

    Ranks are placed by exposed communication, at the exposures of hosts in physical order; what else a placement moves
    is seen in its step alone.
    """
    if step is None or not plain:
        return []
    best = min(plain, key=lambda name: plain[name])
    if step.total_s <= plain[best] * (1 + NOTABLE):
        return []
    more = 100 * (step.total_s / plain[best] - 1)
    return [f"the step of the {best} order is shorter by {more:.1f} %: what is hidden differs between the two"]
