"""torch's DeviceMesh and process groups: a file that a training program imports, whatever launcher starts it."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping

from topoplan.errors import InfeasibleError, InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.bundle import bundle
from topoplan.launchers.rankmap import in_order
from topoplan.launchers.shell import comment
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, read_table, seats_by_rank, table_file
from topoplan.model.capability import Freedom
from topoplan.model.job import Job

MODULE = "topoplan_mesh.py"
_EXPERT_NAMES = {"tp": "etp", "ep": "ep", "dp": "edp", "pp": "pp"}  # cp counts 1 among experts
_DIMS = re.compile(r"^DIMS: Sequence\[tuple\[str, int\]\] = (.*)$", re.MULTILINE)

_HINTS = (
    'use: import topoplan_mesh; topoplan_mesh.init_process_group("nccl"); mesh = topoplan_mesh.device_mesh("cuda")',
    "reordered by: torch.distributed.init_process_group, which takes the launcher's RANK; device_mesh then refuses",
)
_EXPLAINS = {
    Symptom.OTHER: "ranks are the launcher's: call topoplan_mesh.init_process_group instead of torch.distributed's",
    Symptom.SORTED: "hosts came sorted by name, as the launcher sorts them: call topoplan_mesh.init_process_group "
    "instead of torch.distributed's",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: TOPOPLAN_GPUS=off, or the program chose GPUs itself; "
    "local rank i has GPU i of CUDA_VISIBLE_DEVICES",
}


def mesh_dims(job: Job | None, ranks: int) -> tuple[tuple[str, int], ...]:
    """Axes of all ranks and their sizes, the slowest-varying first; one called "ranks" where the job names none."""
    if job is not None and job.axes:
        return tuple((axis.name, axis.size) for axis in reversed(job.axes))
    if job is None or job.parallel is None:
        return (("ranks", ranks),)
    p = job.parallel
    return tuple((axis, getattr(p, axis)) for axis in reversed(job.order.split("-")) if axis != "ep")


def expert_dims(job: Job | None) -> tuple[tuple[str, int], ...]:
    """The same of the experts' grid, which Megatron-core numbers apart; none where experts are not parallel."""
    if job is None or job.axes or job.parallel is None or job.parallel.ep * job.parallel.etp == 1:
        return ()
    names = [_EXPERT_NAMES[axis] for axis in reversed(job.order.split("-")) if axis in _EXPERT_NAMES]
    return tuple((name, getattr(job.parallel, name)) for name in names)


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    if any(row.sliced for row in rows):
        raise InfeasibleError(
            "torch cannot show each rank its own MIG slice", hint="export for openmpi or slurm, whose files can"
        )
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    head = comment(
        [
            f"{plan}. Used by your training program: import topoplan_mesh, with {TABLE} beside it.",
            "Nothing reorders it silently: ranks are taken from the host's name and the local rank, whatever the "
            "launcher's numbers are, and a mesh over other ranks is refused.",
        ]
    )
    values = {
        "DIMS: Sequence[tuple[str, int]]": repr(mesh_dims(request.job, request.placement.ranks)),
        "EXPERT_DIMS: Sequence[tuple[str, int]]": repr(expert_dims(request.job)),
        "MASTER_PORT": str(request.master_port),
        "NCCL_TOPO_FILE": repr(request.nccl_topo_file),
    }
    return {
        MODULE: LaunchFile(head + bundle("mesh", values)),
        TABLE: table_file(plan, rows, MODULE),
    }


def _read(files: Mapping[str, str]) -> Order:
    order = in_order(seats_by_rank(read_table(need(files, TABLE))), TABLE)
    found = _DIMS.search(need(files, MODULE))
    try:
        dims = ast.literal_eval(found[1]) if found else ()
        size = math.prod(int(size) for _, size in dims)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        size = -1
    if size != len(order):
        raise InputError(f"the axes do not make the {len(order)} ranks of {TABLE}", place=Place(MODULE))
    return order


LAUNCHER = Launcher(
    "devicemesh",
    Freedom.RANKS,
    "torch's DeviceMesh and process groups as a file to import, under any launcher",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    ("master_port", "nccl_topo_file"),
    by_table=True,
)
