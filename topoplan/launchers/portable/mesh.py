"""torch: planned ranks, DeviceMesh and process groups of a plan, whatever started the processes.

    import topoplan_mesh
    topoplan_mesh.init_process_group("nccl")     # before CUDA is used: takes the rank of its host and place
    mesh = topoplan_mesh.device_mesh("cuda")     # dimensions named by the axes: mesh["tp"], mesh["dp"] ...
    experts = topoplan_mesh.expert_mesh("cuda")  # etp, ep, edp
    groups = topoplan_mesh.process_groups(mesh, experts)  # {"tp": ProcessGroup, ...} of this rank

The launcher must start as many processes on each host as the plan has ranks there, and tell them apart by LOCAL_RANK or
its like; RANK may be any. hosts.tsv stays beside this file. TOPOPLAN_HOST, TOPOPLAN_LOCAL_RANK, TOPOPLAN_MASTER_ADDR,
TOPOPLAN_MASTER_PORT and TOPOPLAN_GPUS=off mean what they mean to the rank shim.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from topoplan.launchers.portable.planned import planned_rank
from topoplan.launchers.portable.pod_table import PodRow, own_row, pod_rows
from topoplan.launchers.portable.whoami import LOCAL_VARIABLES, WORLD_VARIABLES, environment, first_number, host_names

# What export writes here: axes and their sizes, slowest-varying first; ranks count through them as through an array.
DIMS: Sequence[tuple[str, int]] = ()
EXPERT_DIMS: Sequence[tuple[str, int]] = ()
MASTER_PORT = 29500
NCCL_TOPO_FILE = ""

_STARTED = tuple(name for name in WORLD_VARIABLES if name != "SLURM_NTASKS")  # a step may have fewer than the job


def hosts(folder: str | None = None) -> list[PodRow]:
    """Hosts of the plan, that of rank 0 first, from hosts.tsv in `folder`, else beside this file."""
    return pod_rows(folder or os.path.dirname(os.path.abspath(__file__)))


def find_seat(rows: Sequence[PodRow], env: Mapping[str, str]) -> tuple[PodRow, int]:
    """The host and the rank of a process with this environment; RuntimeError where the plan has none for it."""
    tried = list(host_names(env))
    row = next((row for row in (own_row(rows, name) for name, _ in tried) if row is not None), None)
    if row is None:
        said = ", ".join(f"{name} ({source})" for name, source in tried)
        raise RuntimeError(f"this host is not in the plan: it is called {said}; set TOPOPLAN_HOST")
    local, variable = first_number(env, ("TOPOPLAN_LOCAL_RANK", *LOCAL_VARIABLES))
    if local is None and len(row.ranks) > 1:
        raise RuntimeError(f"nothing says which of the {len(row.ranks)} ranks of {row.host} this is: set LOCAL_RANK")
    if (local or 0) >= len(row.ranks):
        raise RuntimeError(f"{row.host} has {len(row.ranks)} ranks in the plan, {variable}={local} is beyond them")
    return row, row.ranks[local or 0]


def planned_environment(env: Mapping[str, str], folder: str | None = None) -> dict[str, str]:
    """`env` with RANK and its like, the meeting point, GPUs and NICs as the plan has them for this process."""
    rows = hosts(folder)
    row, rank = find_seat(rows, env)
    world = sum(len(each.ranks) for each in rows)
    started, variable = first_number(env, _STARTED)
    if started not in (None, world):
        raise RuntimeError(f"the plan has {world} ranks, but {variable}={started} processes were started")
    # pod.py says where the pods of the plan meet
    return planned_rank(rows, row, rank, env, MASTER_PORT, NCCL_TOPO_FILE, "TOPOPLAN_POD" in env)


def init_process_group(backend: str | None = None, *, folder: str | None = None, **options: Any) -> int:
    """Join torch's default process group with the planned rank, which is returned; `options` are torch's.

    Sets the environment of this process. RuntimeError when CUDA is in use already, as GPUs are then numbered.
    """
    torch = importlib.import_module("torch")
    found = planned_environment(environment(), folder)
    changed = found.get("CUDA_VISIBLE_DEVICES") != os.environ.get("CUDA_VISIBLE_DEVICES")
    if changed and torch.cuda.is_initialized():
        raise RuntimeError("call topoplan_mesh.init_process_group before CUDA is used, or set TOPOPLAN_GPUS=off")
    os.environ.update(found)
    rank, world = int(found["RANK"]), int(found["WORLD_SIZE"])
    torch.distributed.init_process_group(backend, rank=rank, world_size=world, **options)
    return rank


def device_mesh(device_type: str = "cuda") -> Any:
    """DeviceMesh over all ranks, its dimensions named by the axes; every rank calls it."""
    return _mesh(device_type, DIMS)


def expert_mesh(device_type: str = "cuda") -> Any:
    """DeviceMesh of the experts' own grid: pp, edp, ep, etp; RuntimeError where the job has no expert axes."""
    if not EXPERT_DIMS:
        raise RuntimeError("the job has no axes of experts")
    return _mesh(device_type, EXPERT_DIMS)


def process_groups(*meshes: Any) -> dict[str, Any]:
    """Process group of this rank in each dimension of the meshes, members in the order of the plan's ranks."""
    groups: dict[str, Any] = {}
    for mesh in meshes:
        for name in mesh.mesh_dim_names:
            if name not in groups:
                groups[name] = mesh.get_group(name)
    return groups


def _mesh(device_type: str, dims: Sequence[tuple[str, int]]) -> Any:
    torch = importlib.import_module("torch")
    device_mesh = importlib.import_module("torch.distributed.device_mesh")
    _, planned = find_seat(hosts(), environment())
    actual = torch.distributed.get_rank()
    if actual != planned:
        raise RuntimeError(
            f"rank {actual} is on the host and place of the plan's rank {planned}: use topoplan_mesh.init_process_group"
        )
    shape = [size for _, size in dims]
    ranks = torch.arange(torch.distributed.get_world_size()).view(shape)
    return device_mesh.DeviceMesh(device_type, ranks, mesh_dim_names=tuple(name for name, _ in dims))
