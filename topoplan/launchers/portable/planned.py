"""Environment of a planned rank inside a portable program, whatever launcher started the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from topoplan.launchers.portable.pod_table import PodRow, rank_environment


def planned_rank(
    rows: Sequence[PodRow],
    row: PodRow,
    rank: int,
    env: Mapping[str, str],
    port: int,
    nccl_topo_file: str,
    met: bool = False,
) -> dict[str, str]:
    """`env` with RANK and its like, the meeting point, GPUs and NICs as the plan has them; `met`: ranks have one."""
    base = {"TOPOPLAN_MASTER_PORT": str(port), **env}
    found = rank_environment(rows, row, rank, env.get("TOPOPLAN_MASTER_ADDR", rows[0].host), base)
    kept = ["TOPOPLAN_MASTER_PORT"]
    if met or env.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # torchrun's store is wherever its first agent is
        kept += ["MASTER_ADDR", "MASTER_PORT"]
    if env.get("TOPOPLAN_GPUS") == "off":
        kept += ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"]
    for name in kept:
        found.pop(name, None)
        found.update({name: env[name]} if name in env else {})
    if nccl_topo_file:
        found.setdefault("NCCL_TOPO_FILE", nccl_topo_file)
    return found
