"""Real Open MPI, started by topoplan's own files, puts every rank where the plan says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.plans import SEEDS, any_order, cluster, probe
from tests.lab.tools import find
from topoplan.launchers import LaunchFile, LaunchRequest, compare, get_launcher, parse_observed
from topoplan.launchers.portable.probe import LAST_S
from topoplan.model.placement import RankPlacement

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

# Interleaved over the racks; h10 sorts before h2 as text; two hosts share a short name; one is in upper case.
RACKS = {"h0": 0, "h1": 1, "h2": 0, "h10": 1, "gpu-1.a.example": 0, "gpu-1.b.example": 1, "RackB-7": 0}
HEAD = "h0"
OPENMPI = get_launcher("openmpi")
PROBE = probe("OMPI_COMM_WORLD_RANK", f"sleep {LAST_S}")
Write = Callable[[Mapping[str, LaunchFile]], Path]


def mpirun_of(version: int) -> str:
    """mpirun of Open MPI 4 (TOPOPLAN_MPIRUN4, PATH) or 5 (TOPOPLAN_MPIRUN5, the lab's environment), "" without it."""
    path = find("mpirun", f"TOPOPLAN_MPIRUN{version}", "openmpi5" if version == 5 else "")
    if not path:
        return ""
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return path if f"(Open MPI) {version}." in shown else ""


@pytest.fixture(params=[4, 5])
def mpirun(request: pytest.FixtureRequest, refuse: Callable[[str], None]) -> str:
    """mpirun of each version."""
    path = mpirun_of(request.param)
    if not path:
        refuse(f"Open MPI {request.param} is not there (4: apt openmpi-bin; 5: tests/run, or TOPOPLAN_MPIRUN5)")
    return path


def environment(lab: Lab, mpirun: str) -> dict[str, str]:
    """What Open MPI needs in the lab: root, the agent, the one interface."""
    agent, folder = str(lab.agent), str(Path(mpirun).parent)
    return {
        "MPIRUN": mpirun,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_ALLOW_RUN_AS_ROOT": "1",
        "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_plm_rsh_agent": agent,
        "OMPI_MCA_oob_tcp_if_include": "eth0",
        "PRTE_MCA_plm": "ssh",
        "PRTE_MCA_plm_ssh_agent": agent,
        "PRTE_MCA_oob_tcp_if_include": "eth0",
    }


def whole_hosts(*names: str) -> RankPlacement:
    return RankPlacement.from_hosts(cluster(RACKS), [name for name in names for _ in range(2)], [0, 1] * len(names))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rank_is_where_the_plan_says(seed: int, lab: Lab, mpirun: str, plan: Callable[..., Planned]) -> None:
    planned = plan(any_order(RACKS, seed), "openmpi")
    result = lab.run(HEAD, [str(planned.files / "run.sh"), planned.probe], environment(lab, mpirun))
    assert result.returncode == 0, result.stderr
    planned.prove(result.stdout)


def test_rankfile(lab: Lab, mpirun: str, write_files: Write) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two ranks a host are bound to a core each, this machine has one")
    placement = any_order(RACKS, 3)
    folder = write_files(OPENMPI.write(LaunchRequest(placement)))
    option = ["--rankfile", f"{folder}/rankfile"]
    if mpirun == mpirun_of(5):
        option = ["--map-by", f"rankfile:file={folder}/rankfile"]
    keep = {"OMPI_MCA_orte_keep_fqdn_hostnames": "1", "PRTE_MCA_prte_keep_fqdn_hostnames": "1"}
    command = [mpirun, *option, "--hostfile", f"{folder}/hostfile", f"{folder}/topoplan-env", *PROBE]
    result = lab.run(HEAD, command, environment(lab, mpirun) | keep)
    assert result.returncode == 0, result.stderr
    assert compare(placement, parse_observed(result.stdout), OPENMPI) == []


def test_a_plain_hostfile_is_not_obeyed_and_the_difference_is_explained(
    lab: Lab, refuse: Callable[[str], None], write_files: Write
) -> None:
    mpirun = mpirun_of(4)
    if not mpirun:
        refuse("Open MPI 4 is not installed (apt: openmpi-bin)")
    placement = whole_hosts("h10", "h2", "RackB-7", "h1", "h0")
    folder = write_files(OPENMPI.write(LaunchRequest(placement)))
    command = [mpirun, "-np", "10", "--hostfile", f"{folder}/hostfile", "--bind-to", "none"]
    result = lab.run(HEAD, [*command, *PROBE], environment(lab, mpirun))
    assert result.returncode == 0, result.stderr
    differences = compare(placement, parse_observed(result.stdout), OPENMPI)
    assert len(differences) == placement.ranks
    assert differences[0].planned is not None
    assert differences[0].planned.host == "h10"
    assert "Open MPI 4 moved h0 to the front because mpirun ran there" in differences[0].reason

    refused = lab.run(HEAD, [*command, f"{folder}/topoplan-env", *PROBE], environment(lab, mpirun))
    assert refused.returncode != 0
    assert "the launcher reordered ranks" in refused.stderr
    assert "RANK=" not in refused.stdout
