"""The few functions that Python users start from; `topoplan` re-exports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.job import Job
from topoplan.model.plan import Plan
from topoplan.planning.folder import open_plan
from topoplan.planning.inputs import open_fabric, open_job
from topoplan.solvers.experts import ExpertProblem, place


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
    load: npt.ArrayLike,
    *,
    gpus: int,
    slots: int,
    hosts: int = 1,
    groups: int = 0,
    speed: FloatArray | None = None,
) -> ExpertPlacement:
    """Replicate and place experts.

    Parameters
    ----------
    load
        [layers, experts] tokens of each expert.
    slots
        Physical slots of all GPUs together.
    hosts
        Hosts that the GPUs are spread over evenly.
    groups
        Expert groups that each stay whole on a host; 0 for none.
    speed
        [gpus] float64 relative speed of each GPU.

    Raises
    ------
    InputError
        Loads or sizes that make no sense; says which layer.
    InfeasibleError
        Fewer slots than experts.
    """
    host: IntArray = np.arange(gpus) * hosts // gpus
    rates = np.ones(gpus) if speed is None else np.asarray(speed, np.float64)
    return place(ExpertProblem(np.asarray(load, np.float64), gpus, slots, host=host, groups=groups, speed=rates))
