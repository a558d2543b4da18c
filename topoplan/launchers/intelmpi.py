"""Intel MPI: Hydra's -machinefile with one line a rank, and the variables that would overrule it switched off."""

from __future__ import annotations

from functools import partial

from topoplan.launchers import hydra
from topoplan.launchers.base import Launcher
from topoplan.model.capability import Freedom

_ENVIRONMENT = """\
# Inside a scheduler's job Intel MPI would otherwise take the scheduler's number of processes a host.
export I_MPI_JOB_RESPECT_PROCESS_PLACEMENT=0
# Pinning to cores is left to you: the plan knows none.
export I_MPI_PIN="${I_MPI_PIN:-0}"
"""
_INTEL = hydra.Family(
    "Intel MPI",
    "mpiexec.hydra",
    "Intel(R) MPI Library",
    "-machinefile",
    "I_MPI_HYDRA_BOOTSTRAP",
    ("I_MPI_PERHOST", "I_MPI_HYDRA_HOST_FILE", "I_MPI_HYDRA_MACHINE_FILE"),
    _ENVIRONMENT,
)

LAUNCHER = Launcher(
    "intelmpi",
    Freedom.RANKS,
    "Intel MPI, any rank on any host",
    (
        "start: intelmpi/run.sh PROGRAM [ARGS...]   (MPIEXEC names another mpiexec, MPIEXEC_OPTIONS adds options)",
        "reordered by: -f, which folds the lines of a host to one, -ppn, -perhost, -hosts",
    ),
    partial(hydra.write, family=_INTEL),
    partial(hydra.read, family=_INTEL),
    hydra.EXPLAINS,
)
