"""Real MPICH and Intel MPI, started by topoplan's own files, put every rank where the plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.plans import SEEDS, any_order, probe
from tests.lab.tools import find
from topoplan.launchers import LaunchFile, LaunchRequest, get_launcher

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

# Interleaved over the racks; h10 sorts before h2 as text; two hosts share a short name; one is in upper case.
RACKS = {"h0": 0, "h1": 1, "h2": 0, "h10": 1, "gpu-1.a.example": 0, "gpu-1.b.example": 1, "RackB-7": 0}
HEADS = ("h0", "RackB-7")  # no head is moved to the front
PROBE = probe("PMI_RANK")
Write = Callable[[Mapping[str, LaunchFile]], Path]


def mpich(lab: Lab, refuse: Callable[[str], None]) -> dict[str, str]:
    mpiexec = find("mpiexec.mpich", "TOPOPLAN_MPICH")
    if not mpiexec:
        refuse("MPICH is not installed (apt: mpich)")
    return {"MPIEXEC": mpiexec, "MPIEXEC_OPTIONS": f"-launcher rsh -launcher-exec {lab.agent} -iface eth0"}


def intelmpi(lab: Lab, refuse: Callable[[str], None]) -> dict[str, str]:
    mpiexec = find("mpiexec.hydra", "TOPOPLAN_INTELMPI", "intelmpi")
    if not mpiexec:
        refuse("Intel MPI is not there: tests/run installs it, TOPOPLAN_INTELMPI names its mpiexec.hydra")
    root = Path(mpiexec).parents[1]
    return {
        "MPIEXEC": mpiexec,
        "MPIEXEC_OPTIONS": f"-bootstrap rsh -bootstrap-exec {lab.agent} -iface eth0",
        "I_MPI_ROOT": str(root),
        "LD_LIBRARY_PATH": str(root / "lib"),
        "FI_PROVIDER": "tcp",
        "FI_PROVIDER_PATH": str(root / "lib"),
    }


SETTINGS = {"mpich": mpich, "intelmpi": intelmpi}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_rank_is_where_the_plan_says(
    name: str, seed: int, lab: Lab, refuse: Callable[[str], None], plan: Callable[..., Planned]
) -> None:
    planned = plan(any_order(RACKS, seed), name)
    head = HEADS[seed % len(HEADS)]
    env = SETTINGS[name](lab, refuse)
    result = lab.run(head, [str(planned.files / "run.sh"), planned.probe], env, timeout=120)
    assert result.returncode == 0, result.stderr
    planned.prove(result.stdout)


@pytest.mark.parametrize("name", SETTINGS)
def test_one_rank_a_host_in_turn_is_refused(
    name: str, lab: Lab, refuse: Callable[[str], None], write_files: Write
) -> None:
    placement = any_order(RACKS, 3)
    folder = write_files(get_launcher(name).write(LaunchRequest(placement)))
    env = SETTINGS[name](lab, refuse)
    options = [*env["MPIEXEC_OPTIONS"].split(), "-hosts", ",".join(RACKS), "-ppn", "1", "-n", str(placement.ranks)]
    result = lab.run(HEADS[0], [env["MPIEXEC"], *options, f"{folder}/topoplan-env", *PROBE], env, timeout=120)
    assert result.returncode != 0
    assert "the launcher reordered ranks" in result.stderr
