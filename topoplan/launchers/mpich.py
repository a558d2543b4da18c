"""MPICH: Hydra's -f with one line a rank."""

from __future__ import annotations

from functools import partial

from topoplan.launchers import hydra
from topoplan.launchers.base import Launcher
from topoplan.model.capability import Freedom

_MPICH = hydra.Family("MPICH's Hydra", "mpiexec", "HYDRA build details", "-f", "HYDRA_BOOTSTRAP", ("HYDRA_HOST_FILE",))

LAUNCHER = Launcher(
    "mpich",
    Freedom.RANKS,
    "MPICH, any rank on any host",
    (
        "start: mpich/run.sh PROGRAM [ARGS...]   (MPIEXEC names another mpiexec, MPIEXEC_OPTIONS adds options)",
        "reordered by: -ppn, -hosts, and by srun where Hydra starts through it (-bootstrap ssh does not)",
    ),
    partial(hydra.write, family=_MPICH),
    partial(hydra.read, family=_MPICH),
    hydra.EXPLAINS,
)
