"""A real Slurm that manages GPUs: steps of topoplan's scripts get those of their job, asked for or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.plans import GPUS, any_order
from tests.lab.slurmlab import SlurmLab, why_no_slurm
from topoplan.launchers.shim_srun import SRUN
from topoplan.launchers.slurm import BATCH

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

RACKS = {"h0": 0, "h1": 1, "h2": 0}


def test_a_step_gets_the_gpus_that_its_job_has_not_asked_for(
    lab: Lab, plan: Callable[..., Planned], refuse: Callable[[str], None]
) -> None:
    """Slurm gives an exclusive job its nodes' GPUs, and a step of it none that it does not ask for."""
    if reason := why_no_slurm():
        refuse(reason)
    allocation = ["--exclusive", f"--nodes={len(RACKS)}"]
    seen = "echo gpus=$SLURM_GPUS_ON_NODE"
    with SlurmLab(lab, gpus=GPUS) as slurm:
        bare = slurm.run("salloc", *allocation, "srun", "sh", "-c", seen)
        assert set(bare.stdout.split()) == {"gpus="}
        for launcher, name in (("slurm", BATCH), ("shim", SRUN)):
            script = plan(any_order(RACKS, 3), launcher).files / name
            for asked in ([], [f"--gres=gpu:h100:{GPUS}"], [f"--gpus-per-node={GPUS}"]):
                result = slurm.run("salloc", *allocation, *asked, str(script), "sh", "-c", seen)
                assert set(result.stdout.split()) == {f"gpus={GPUS}"}, f"{script} {asked}: {result.stderr}"


def test_mpirun_in_a_job_that_asked_for_no_gpus_says_so(
    lab: Lab, plan: Callable[..., Planned], refuse: Callable[[str], None], tmp_path: Path
) -> None:
    """Open MPI starts its daemons by srun, so that its ranks have no more than a step has."""
    if reason := why_no_slurm():
        refuse(reason)
    script = str(plan(any_order(RACKS, 3), "openmpi").files / "run.sh")
    mpirun = tmp_path / "mpirun"
    mpirun.write_text("#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\n")
    mpirun.chmod(0o755)
    with SlurmLab(lab, gpus=GPUS) as slurm:
        for asked, said in (([], True), ([f"--gres=gpu:{GPUS}"], False)):
            allocation = ["salloc", "--exclusive", f"--nodes={len(RACKS)}", *asked]
            result = slurm.run(*allocation, script, "true", env={"MPIRUN": str(mpirun)})
            assert result.returncode == 0, result.stderr
            assert ("asked Slurm for no GPUs" in result.stderr) == said, result.stderr
