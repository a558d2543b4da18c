"""A real Slurm that manages GPUs: steps of topoplan's scripts get those of their job, asked for or not."""

from __future__ import annotations

from collections.abc import Callable
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
