"""Real torchrun, started by topoplan's own files on every host, puts every rank where the plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.everywhere import start_everywhere
from tests.lab.plans import SEEDS, any_order, shuffled_gpus
from topoplan.launchers import LaunchFile, LaunchRequest, compare, get_launcher, parse_observed
from topoplan.launchers.shim import SHIM
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.placement import RankPlacement

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

RACKS = {"n1": 0, "n2": 1, "n3.example": 0, "n10": 1, "N11": 0, "n12": 1}
ORDER = ("n10", "n2", "N11", "n3.example", "n1", "n12")
TORCHRUN = get_launcher("torchrun")
PROBE = """#!/bin/sh
echo "RANK=$RANK HOST=$(uname -n) LOCAL_RANK=$LOCAL_RANK CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES W=$WORLD_SIZE"
"""
Write = Callable[[Mapping[str, LaunchFile]], Path]


def rotated() -> RankPlacement:
    """Hosts in no sorted order, GPUs rotated differently on each, the last host half used."""
    kind = HostType("box", 3, (), 3, 1e9)
    cluster = Fabric("lab", "ecmp", (kind,), tuple(Host(name, 0) for name in RACKS))
    seats = [(name, (i + gpu) % 3) for i, name in enumerate(ORDER) for gpu in range(3)][:-2]
    return RankPlacement.from_hosts(cluster, [host for host, _ in seats], [gpu for _, gpu in seats])


def everywhere(lab: Lab, commands: Mapping[str, list[str]], torchrun: str) -> str:
    """Run one command a host, all at once; their output together."""
    env = {"TORCHRUN": torchrun, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0"}
    return start_everywhere(lab, commands, env)


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "probe.sh"
    path.write_text(PROBE)
    path.chmod(0o755)
    return str(path)


def test_every_rank_is_where_the_plan_says(lab: Lab, torchrun: str, probe: str, write_files: Write) -> None:
    placement = rotated()
    folder = write_files(TORCHRUN.write(LaunchRequest(placement)))
    script = str(folder / "run.sh")
    out = everywhere(lab, {host: [script, "--no-python", probe] for host in RACKS}, torchrun)
    observed = parse_observed(out)
    assert compare(placement, observed, TORCHRUN) == []
    assert [seat.gpu for seat in observed] == placement.local.tolist()
    assert out.count(" W=16\n") == 16


@pytest.mark.parametrize("seed", SEEDS)
def test_random_plans(seed: int, lab: Lab, torchrun: str, plan: Callable[..., Planned]) -> None:
    planned = plan(shuffled_gpus(RACKS, seed), "torchrun")
    commands = {host: [str(planned.files / "run.sh"), "--no-python", planned.probe] for host in RACKS}
    planned.prove(everywhere(lab, commands, torchrun))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shim_tells_torchrun(seed: int, lab: Lab, torchrun: str, plan: Callable[..., Planned]) -> None:
    planned = plan(shuffled_gpus(RACKS, seed), "shim")
    command = [str(planned.files / SHIM), "--node", torchrun, "--no-python", planned.probe]
    planned.prove(everywhere(lab, dict.fromkeys(RACKS, command), torchrun))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_plan_through_the_shim(seed: int, lab: Lab, torchrun: str, plan: Callable[..., Planned]) -> None:
    planned = plan(any_order(RACKS, seed), "torchrun", "shim=true")
    commands = {host: [str(planned.files / "run.sh"), planned.probe] for host in RACKS}
    planned.prove(everywhere(lab, commands, torchrun))


def test_scripts_of_single_hosts(lab: Lab, torchrun: str, probe: str, write_files: Write) -> None:
    placement = rotated()
    folder = write_files(TORCHRUN.write(LaunchRequest(placement)))
    commands = {host: [f"{folder}/node-{node}-{host}.sh", "--no-python", probe] for node, host in enumerate(ORDER)}
    assert compare(placement, parse_observed(everywhere(lab, commands, torchrun)), TORCHRUN) == []


def test_c10d_sorts_hosts_and_the_difference_is_explained(
    lab: Lab, torchrun: str, probe: str, write_files: Write
) -> None:
    placement = rotated()
    folder = write_files(TORCHRUN.write(LaunchRequest(placement)))
    options = ["--rdzv-backend=c10d", "--rdzv-id=lab", f"--rdzv-endpoint={ORDER[0]}:29500", "--no-python", probe]
    out = everywhere(lab, {host: [str(folder / "run.sh"), *options] for host in RACKS}, torchrun)
    differences = compare(placement, parse_observed(out), TORCHRUN)
    assert differences
    assert "c10d rendezvous sorts them" in differences[0].reason
