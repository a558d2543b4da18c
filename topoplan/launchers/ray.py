"""Ray: a placement group with a bundle a host, pinned to its node, and an actor a rank in it."""

from __future__ import annotations

from collections.abc import Mapping

from topoplan.errors import InfeasibleError
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.bundle import bundle
from topoplan.launchers.rankmap import in_order
from topoplan.launchers.shell import comment
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, read_table, seats_by_rank, table_file
from topoplan.model.capability import Freedom

MODULE = "topoplan_ray.py"

_HINTS = (
    "use: import topoplan_ray; workers = topoplan_ray.start(ray.remote(Worker))   (hosts.tsv stays beside it)",
    "reordered by: actors started without it; workers of Ray Train, which ranks nodes by address",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted, as Ray Train ranks its workers by the address of their node: start actors with "
    "topoplan_ray.start",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: Ray chose them; topoplan_ray.start sets "
    "CUDA_VISIBLE_DEVICES and keeps Ray from doing so",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    if any(row.sliced for row in rows):
        raise InfeasibleError(
            "actors of Ray cannot be shown their own MIG slices", hint="export for openmpi or slurm, whose files can"
        )
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    head = comment(
        [
            f"{plan}. Used by your driver: import topoplan_ray, with {TABLE} beside it.",
            "Reordered silently by actors that are started in another way: Ray keeps no order of nodes.",
        ]
    )
    values = {"MASTER_PORT": str(request.master_port), "NCCL_TOPO_FILE": repr(request.nccl_topo_file)}
    return {
        MODULE: LaunchFile(head + bundle("ray_plan", values)),
        TABLE: table_file(plan, rows, MODULE),
    }


def _read(files: Mapping[str, str]) -> Order:
    need(files, MODULE)
    return in_order(seats_by_rank(read_table(need(files, TABLE))), TABLE)


LAUNCHER = Launcher(
    "ray",
    Freedom.RANKS,
    "Ray actors in a placement group, any rank on any host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    ("master_port", "nccl_topo_file"),
)
