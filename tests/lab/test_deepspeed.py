"""Real DeepSpeed over pdsh, started by topoplan's own files, puts every rank where the plan says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.plans import SEEDS, shuffled_gpus
from tests.lab.tools import find, path_with

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

RACKS = {"h0": 0, "h2": 1, "h10": 0, "gpu-1.a.example": 1, "gpu-1.b.example": 0, "RackB-7": 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rank_is_where_the_plan_says(
    seed: int, lab: Lab, plan: Callable[..., Planned], refuse: Callable[[str], None]
) -> None:
    deepspeed, pdsh = find("deepspeed", "TOPOPLAN_DEEPSPEED"), find("pdsh", "TOPOPLAN_PDSH")
    if not deepspeed or not pdsh:
        refuse("DeepSpeed or pdsh is not installed: tests/run does it, TOPOPLAN_DEEPSPEED and TOPOPLAN_PDSH name them")
    planned = plan(shuffled_gpus(RACKS, seed), "deepspeed")
    env = {
        "DEEPSPEED": deepspeed,
        "PATH": path_with(lab.bin, Path(deepspeed).parent, Path(pdsh).parent),
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    result = lab.run("h0", [str(planned.files / "run.sh"), planned.probe], env, timeout=240)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    planned.prove(result.stdout)
