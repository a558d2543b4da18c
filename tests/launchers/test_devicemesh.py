"""The mesh file: axes of a job, planned ranks under launchers of other orders, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.launchers import LAUNCHERS, LaunchFile, LaunchRequest
from topoplan.launchers.devicemesh import MODULE, expert_dims, mesh_dims
from topoplan.launchers.portable import mesh
from topoplan.model.job import CustomAxis, Job, Parallel, dense_groups, expert_groups, grid_groups
from topoplan.model.placement import RankPlacement

Write = Callable[[Mapping[str, LaunchFile]], Path]
LAUNCHER = LAUNCHERS["devicemesh"]
MOE = Job("moe", 8, parallel=Parallel(tp=2, pp=2, dp=2, ep=4))
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import topoplan_mesh, torch
rank = topoplan_mesh.init_process_group("gloo")
mesh, experts = topoplan_mesh.device_mesh("cpu"), topoplan_mesh.expert_mesh("cpu")
groups = topoplan_mesh.process_groups(mesh, experts)
seen = {}
for name, group in sorted(groups.items()):
    total = torch.tensor([10.0 ** rank])
    torch.distributed.all_reduce(total, group=group)
    members = torch.distributed.get_process_group_ranks(group)
    seen[name] = [members, int(total.item()), torch.distributed.get_rank(group)]
print("SEEN " + json.dumps([rank, seen, mesh.get_coordinate(), list(mesh.mesh_dim_names)]), flush=True)
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("order", ["tp-cp-ep-dp-pp", "tp-cp-ep-pp-dp", "pp-dp-ep-cp-tp"])
def test_ranks_count_through_the_dimensions_as_the_job_does(order: str) -> None:
    job = Job("j", 48, parallel=Parallel(tp=2, cp=3, dp=4, pp=2, ep=6, etp=2), order=order)
    for dims, groups in ((mesh_dims(job, 48), dense_groups), (expert_dims(job), expert_groups)):
        made = "-".join(name for name, _ in reversed(dims))
        for axis, size in dims:
            rows = groups(job, axis)
            assert rows.shape[1] == size
            assert (rows == grid_groups(made, dict(dims), axis)).all()


def test_jobs_without_parallel_axes() -> None:
    assert mesh_dims(None, 6) == (("ranks", 6),)
    assert expert_dims(None) == ()
    custom = Job("c", 6, axes=(CustomAxis("x", 2), CustomAxis("y", 3)))
    assert mesh_dims(custom, 6) == (("y", 3), ("x", 2))
    assert expert_dims(Job("d", 2, parallel=Parallel(tp=2))) == ()


def eight(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    """Ranks that come back to hosts; h10 before h2 as text."""
    seats = [("h10", 1), ("h2", 0), ("h6", 1), ("h10", 0), ("h2", 1), ("h0", 0), ("h6", 0), ("h0", 1)]
    return placement_of(["h0", "h2", "h6", "h10"], seats)


@pytest.mark.slow
def test_processes_get_the_planned_ranks_and_groups(
    placement_of: Callable[..., RankPlacement], write_all: Write
) -> None:
    """gloo on this machine, started with the numbers of a launcher that sorts hosts as text."""
    pytest.importorskip("torch", reason="torch is not installed")
    placement = eight(placement_of)
    folder = write_all(LAUNCHER.write(LaunchRequest(placement, job=MOE)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    wrong = sorted(range(8), key=lambda rank: (placement.fabric.host_names[placement.host[rank]], rank))
    running = []
    for number, rank in enumerate(wrong):
        host = placement.fabric.host_names[placement.host[rank]]
        local = [r for r in range(8) if placement.host[r] == placement.host[rank]].index(rank)
        told = {"RANK": str(number), "LOCAL_RANK": str(local), "WORLD_SIZE": "8", "TOPOPLAN_HOST": host}
        meet = {"TOPOPLAN_MASTER_ADDR": "127.0.0.1", "TOPOPLAN_MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        env = {**os.environ, **told, **meet}
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder)]
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    seen: dict[int, Any] = {}
    for process, rank in zip(running, wrong, strict=True):
        out, err = process.communicate(timeout=300)
        line = next((line for line in out.splitlines() if line.startswith("SEEN ")), None)
        assert line, err
        found, *more = json.loads(line[5:])
        assert found == rank
        seen[rank] = more
    for rank, (groups, coordinate, names) in seen.items():
        assert names == ["pp", "dp", "cp", "tp"]
        assert coordinate == [rank // 4, rank // 2 % 2, 0, rank % 2]
        assert set(groups) == {"tp", "cp", "dp", "pp", "etp", "ep", "edp"}
        for axis, (members, total, place) in groups.items():
            rows = (expert_groups if axis.startswith("e") else dense_groups)(MOE, axis).tolist()
            assert members == next(row for row in rows if rank in row), axis
            assert total == sum(10**member for member in members)
            assert members[place] == rank


def environment(**more: str) -> dict[str, str]:
    return {"TOPOPLAN_HOST": "h10", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "7"} | more


def test_environment(placement_of: Callable[..., RankPlacement], write_all: Write) -> None:
    folder = str(write_all(LAUNCHER.write(LaunchRequest(eight(placement_of)))))
    found = mesh.planned_environment(environment(MASTER_ADDR="elsewhere", MASTER_PORT="1"), folder)
    assert {name: found[name] for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE")} == {
        "RANK": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "8"}  # fmt: skip
    assert (found["MASTER_ADDR"], found["MASTER_PORT"], found["CUDA_VISIBLE_DEVICES"]) == ("h10", "29500", "1,0")
    agent = environment(MASTER_ADDR="agent", MASTER_PORT="1", TORCHELASTIC_USE_AGENT_STORE="True", TOPOPLAN_GPUS="off")
    found = mesh.planned_environment(agent, folder)
    assert (found["RANK"], found["MASTER_ADDR"], found["MASTER_PORT"]) == ("3", "agent", "1")
    assert found["CUDA_VISIBLE_DEVICES"] == "7"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"TOPOPLAN_HOST": "h9"}, "not in the plan: it is called h9"),
        ({"LOCAL_RANK": ""}, "nothing says which of the 2 ranks of h10"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK=2 is beyond"),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, "but OMPI_COMM_WORLD_SIZE=4"),
        ({"WORLD_SIZE": "4"}, "the plan has 8 ranks, but WORLD_SIZE=4"),
    ],
)
def test_what_it_refuses(
    more: dict[str, str], message: str, placement_of: Callable[..., RankPlacement], write_all: Write
) -> None:
    folder = str(write_all(LAUNCHER.write(LaunchRequest(eight(placement_of)))))
    with pytest.raises(RuntimeError, match=message):
        mesh.planned_environment(environment(**more), folder)


def test_importing_the_file_needs_no_torch(placement_of: Callable[..., RankPlacement], write_all: Write) -> None:
    folder = write_all(LAUNCHER.write(LaunchRequest(eight(placement_of), job=MOE)))
    spec = importlib.util.spec_from_file_location("topoplan_mesh", folder / MODULE)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - for type checkers
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.DIMS == (("pp", 2), ("dp", 2), ("cp", 1), ("tp", 2))
    assert made.EXPERT_DIMS == (("pp", 2), ("edp", 1), ("ep", 4), ("etp", 1))
    assert [row.host for row in made.hosts()] == ["h10", "h2", "h6", "h0"]
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import topoplan_mesh; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=180)


def test_axes_that_do_not_fit_are_refused(placement_of: Callable[..., RankPlacement]) -> None:
    files = {name: made.text for name, made in LAUNCHER.write(LaunchRequest(eight(placement_of), job=MOE)).items()}
    for wrong in ("('pp', 3)", "('pp', 'x')", "('pp',)", "('pp', (2"):
        with pytest.raises(InputError, match="axes do not make the 8 ranks"):
            LAUNCHER.read(files | {MODULE: files[MODULE].replace("('pp', 2)", wrong)})
