"""Real accelerate, started by topoplan's own files on every host, puts every rank where the plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.lab.everywhere import start_everywhere
from tests.lab.plans import SEEDS, shuffled_gpus
from tests.lab.tools import find

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

RACKS = {"n1": 0, "n2": 1, "n3.example": 0, "n10": 1, "N11": 0, "n12": 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rank_is_where_the_plan_says(
    seed: int, lab: Lab, plan: Callable[..., Planned], refuse: Callable[[str], None]
) -> None:
    accelerate = find("accelerate", "TOPOPLAN_ACCELERATE")
    if not accelerate:
        refuse("accelerate is not installed: tests/run does it, TOPOPLAN_ACCELERATE names it")
    planned = plan(shuffled_gpus(RACKS, seed), "accelerate")
    commands = {host: [str(planned.files / "run.sh"), "--no_python", planned.probe] for host in RACKS}
    planned.prove(start_everywhere(lab, commands, {"ACCELERATE": accelerate, "OMP_NUM_THREADS": "1"}))
