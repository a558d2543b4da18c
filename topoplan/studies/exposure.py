"""The price of a plan at other exposures than its own: whether its answers are safe from a wrong guess."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.job import Job
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, slots=True)
class AxisSweep:
    """An axis whose exposure is varied, those of the others left as they are.

    Parameters
    ----------
    used
        Exposure that the plan was made with.
    source
        Where that is from: job file, derived or assumed.
    plan_ms, linear_ms
        All of the axis's communication, exposed or not; `linear_ms` on hosts in physical order, None without them.
    """

    name: str
    used: float
    source: str
    plan_ms: float
    linear_ms: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Axes that communicate; exposed time is linear in each exposure, so two prices tell all."""

    axes: tuple[AxisSweep, ...]

    def exposed_ms(self, name: str, exposure: float) -> float:
        """Exposed ms of the plan when one axis has another exposure."""
        return sum(axis.plan_ms * (exposure if axis.name == name else axis.used) for axis in self.axes)

    def linear_ms(self, name: str, exposure: float) -> float | None:
        """The same on hosts in physical order."""
        parts = [(axis.linear_ms, exposure if axis.name == name else axis.used) for axis in self.axes]
        return None if any(ms is None for ms, _ in parts) else sum((ms or 0.0) * share for ms, share in parts)


def sweep_exposure(job: Job, fabric: Fabric, traffic: Traffic, gpu: IntArray, linear: IntArray | None = None) -> Sweep:
    """Sweep of every axis.

    Parameters
    ----------
    gpu, linear
        [ranks] int64 global GPU of each rank in the plan, and on hosts in physical order.
    """
    whole = replace(traffic, exposure=np.ones(len(traffic.axes)))
    plan = predict(fabric, whole, gpu).axes
    plain = predict(fabric, whole, linear).axes if linear is not None else None
    return Sweep(
        tuple(
            AxisSweep(axis, float(used), _source(job, axis), plan[axis], None if plain is None else plain[axis])
            for axis, used in zip(traffic.axes, traffic.exposure, strict=True)
            if plan[axis] > 0
        )
    )


def _source(job: Job, axis: str) -> str:
    if axis in job.exposure:
        return "job file"
    return "derived" if job.compute is not None else "assumed"
