"""A real Slurm of eight nodes, given topoplan's own batch script, puts every task where the plan says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.plans import SEEDS, any_order, cluster, probe, shuffled_hosts
from tests.lab.slurmlab import SlurmLab, why_no_slurm
from topoplan.files.job_yaml import parse_job
from topoplan.launchers import LaunchFile, LaunchRequest, compare, get_launcher, parse_observed
from topoplan.launchers.shim_srun import SRUN
from topoplan.planning.artefacts import plan_artefacts
from topoplan.planning.folder import open_plan, save
from topoplan.planning.solve import SolveOptions, solve

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

# Interleaved over the racks; h10 sorts before h2 as text; names of several shapes.
RACKS = {"h0": 0, "h1": 1, "h2": 0, "h10": 1, "gpu-a1": 0, "gpu-b1": 1, "RackB-7": 0, "RackB-x": 1}
SLURM = get_launcher("slurm")
PROBE = probe("SLURM_PROCID")
# Half of the nodes are enough.
JOB = """
apiVersion: topoplan/v1
kind: Job
name: inside
model: mixtral-8x22b
parallel: {tp: 2, pp: 1, dp: 4, ep: 4}
batch: {sequence: 4096, micro_batch: 1, micro_batches: 4}
"""
Write = Callable[[Mapping[str, LaunchFile]], Path]


@pytest.fixture(scope="module")
def slurm(lab: Lab, refuse: Callable[[str], None]) -> Iterator[SlurmLab]:
    reason = why_no_slurm()
    if reason:
        refuse(reason)
    with SlurmLab(lab) as slurm:
        yield slurm


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rank_is_where_the_plan_says(
    seed: int, slurm: SlurmLab, plan: Callable[..., Planned], tmp_path: Path
) -> None:
    planned = plan(any_order(RACKS, seed), "slurm")
    out = tmp_path / "out.txt"
    command = ["sbatch", "--wait", f"--output={out}", str(planned.files / "run.sbatch"), planned.probe]
    batch = slurm.run(*command, env={"TOPOPLAN_LAUNCH_DIR": str(planned.files)})
    shown = out.read_text() if out.exists() else ""
    assert batch.returncode == 0, f"{batch.stderr}\n{shown}\n{slurm.logs()}"
    planned.prove(shown)


def test_the_script_keeps_the_order_in_an_allocation_too(slurm: SlurmLab, write_files: Write) -> None:
    placement = any_order(RACKS, 3)
    folder = write_files(SLURM.write(LaunchRequest(placement)))
    result = slurm.run("salloc", "--exclusive", f"--nodes={len(RACKS)}", str(folder / "run.sbatch"), *PROBE)
    assert result.returncode == 0, result.stderr
    assert compare(placement, parse_observed(result.stdout), SLURM) == []


def test_a_plan_is_made_inside_the_allocation(slurm: SlurmLab, tmp_path: Path) -> None:
    """plan.sbatch on all eight nodes, of a plan that was made for other six: four of them are enough, and are found."""
    fabric = cluster(RACKS)
    job = parse_job(JOB)
    before = solve(job.job, fabric, SolveOptions(hosts=tuple(RACKS)[:6]))
    save(str(tmp_path / "plan"), plan_artefacts(before, job.job, ["slurm"]), {})
    out, script = tmp_path / "out.txt", tmp_path / "plan/launch/slurm/plan.sbatch"
    env = {"TOPOPLAN_LAUNCH_DIR": str(script.parent), "TOPOPLAN": str(Path(sys.executable).parent / "topoplan")}
    batch = slurm.run("sbatch", "--wait", f"--nodes={len(RACKS)}", f"--output={out}", str(script), *PROBE, env=env)
    shown = out.read_text() if out.exists() else ""
    assert batch.returncode == 0, f"{batch.stderr}\n{shown}\n{slurm.logs()}"
    (folder,) = tmp_path.glob("plan-*")
    placement = open_plan(str(folder)).plan.placement
    assert placement is not None
    observed = parse_observed("".join(line for line in shown.splitlines(keepends=True) if line.startswith("RANK=")))
    assert compare(placement, observed, SLURM) == []
    assert len(set(placement.host.tolist())) == 4


# A container as far as a task sees it: another name of the host, and Slurm's own name of it in the environment.
CONTAINED = """#!/bin/sh
exec unshare --uts sh -c 'echo container > /proc/sys/kernel/hostname; exec "$@"' sh "$@"
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shim_in_a_heterogeneous_job_and_in_containers(
    seed: int, slurm: SlurmLab, plan: Callable[..., Planned], tmp_path: Path
) -> None:
    """Two parts of four nodes each that Slurm picks; the plan leaves two GPUs free, and no host in order."""
    planned = plan(any_order(RACKS, seed), "shim")
    contained = tmp_path / "contained"
    contained.write_text(CONTAINED)
    contained.chmod(0o755)
    part = ["--exclusive", "--nodes=4"]
    env = {"SRUN_OPTIONS": str(contained)}
    command = ["salloc", *part, ":", *part, str(planned.files / SRUN), planned.probe]
    result = slurm.run(*command, env=env)
    assert result.returncode == 0, f"{result.stderr}\n{slurm.logs()}"
    planned.prove(result.stdout)


def test_a_node_list_is_sorted_and_the_difference_is_explained(slurm: SlurmLab, write_files: Write) -> None:
    placement = shuffled_hosts(RACKS, 0)
    folder = write_files(SLURM.write(LaunchRequest(placement)))
    nodes = ",".join(dict.fromkeys(placement.fabric.host_names[h] for h in placement.host.tolist()))
    command = ["srun", f"--nodelist={nodes}", f"--nodes={len(RACKS)}", f"--ntasks={placement.ranks}"]
    result = slurm.run(*command, "--ntasks-per-node=2", *PROBE)
    assert result.returncode == 0, result.stderr
    differences = compare(placement, parse_observed(result.stdout), SLURM)
    assert differences
    assert "srun" in differences[0].reason
    refused = slurm.run(*command, "--ntasks-per-node=2", f"{folder}/topoplan-env", *PROBE)
    assert refused.returncode != 0
    assert "the launcher reordered ranks" in refused.stderr
