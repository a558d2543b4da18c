"""Bytes that cross the uplinks of racks are those that topoplan predicts, by the counters of the interfaces.

One cell of the links benchmark, 4:1 with interleaved names. Bytes, unlike times, do not depend on who else uses the
machine.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest

from tests.benchmarks.links.cells import Case, Cell
from tests.benchmarks.links.measure import opened
from tests.benchmarks.links.runners import Gloo, OpenMpi, Runner
from tests.lab.tools import find
from topoplan.model.fabric import FloatArray

if TYPE_CHECKING:
    from tests.lab.netlab import Lab

pytestmark = pytest.mark.lab

CELL = Cell(8, 2, 4, "interleaved")
STEPS = 2
NEAR = 0.2


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.of(CELL)


@pytest.fixture(scope="module")
def links(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cell's hosts, racks and rates."""
    with opened(CELL, tmp_path_factory.mktemp("links")) as lab:
        yield lab


@pytest.fixture(params=["openmpi", "gloo"])
def runner(
    request: pytest.FixtureRequest, refuse: Callable[[str], NoReturn], links: Lab, tmp_path: Path
) -> Iterator[Runner]:
    """Each of the two ways to run the step."""
    if request.param == "openmpi":
        missing = [name for name in ("mpicc.openmpi", "mpirun.openmpi") if not shutil.which(name)]
        if missing:
            refuse(f"not installed: {', '.join(missing)} (apt: libopenmpi-dev, openmpi-bin)")
        yield OpenMpi(tmp_path)
        return
    torchrun = find("torchrun", "TOPOPLAN_TORCHRUN")
    if not torchrun:
        refuse("no torchrun beside this interpreter: install torch there, or set TOPOPLAN_TORCHRUN")
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(Gloo(tmp_path, str(Path(torchrun).parent / "python")))


def payload(case: Case, runner: Runner, lab: Lab, order: str) -> FloatArray:
    """[2, racks] float64 bytes of a step that left and entered each rack.

    What starting costs is taken off: it is what a launch of no steps counts.
    """
    counted = []
    for steps in (0, STEPS):
        before = np.array(lab.uplink_payload(), float)
        assert len(runner.run(lab, case.traffic, case.orders[order], order, steps)) == steps
        counted.append(np.array(lab.uplink_payload(), float) - before)
    return np.asarray((counted[1] - counted[0]).T / STEPS, float)


def test_uplinks_carry_the_bytes_that_were_predicted(case: Case, runner: Runner, links: Lab) -> None:
    default, plan = (payload(case, runner, links, order) for order in ("numbers", "plan"))
    np.testing.assert_allclose(default, case.forecast("numbers").uplink_bytes, rtol=NEAR)
    np.testing.assert_allclose(plan, case.forecast("plan").uplink_bytes, rtol=NEAR)
    assert plan.max() < default.max() / 2
