"""srun.sh: the rank shim under Slurm wherever it gives nodes as it likes, heterogeneous jobs and containers included.

Each node of the allocation gets as many tasks as the fullest host of the plan has ranks; the shim gives them their
ranks, and ends those that have none. So it matters neither how Slurm numbers tasks, nor in which part of a
heterogeneous job a node is. pyxis (github.com/NVIDIA/pyxis, args.c) adds up mounts that are named more than once, and
reads its variable only where no option names any.
"""

from __future__ import annotations

from topoplan.launchers.base import LaunchFile, LaunchRequest
from topoplan.launchers.shell import comment, default_arguments, fill
from topoplan.launchers.slurm_gpus import OPTION, ask_for_gpus
from topoplan.launchers.table import HostRow

SRUN = "srun.sh"

_SRUN = """\
#!/bin/sh
@HEADER_TEXT@set -eu
@ARGUMENTS_TEXT@: "${SLURM_JOB_ID:?run me with sbatch, or in salloc}"
# sbatch runs a copy of this file, so its folder may be another one than the file's own.
here=
for folder in "${TOPOPLAN_LAUNCH_DIR:-}" "$(dirname -- "$0")" "${SLURM_SUBMIT_DIR:-}"; do
    if [ -z "$here" ] && [ -n "$folder" ] && [ -x "$folder/@SHIM_TEXT@" ]; then
        here=$(CDPATH='' cd -- "$folder" && pwd)
    fi
done
if [ -z "$here" ]; then
    echo "srun.sh: @SHIM_TEXT@ not found: sbatch from its folder, or set TOPOPLAN_LAUNCH_DIR to it" >&2
    exit 2
fi
parts=${SLURM_HET_SIZE:-1}
nodes() {
    if [ "$parts" = 1 ]; then
        scontrol show hostnames "${SLURM_JOB_NODELIST:?}"
        return
    fi
    part=0
    while [ "$part" -lt "$parts" ]; do
        scontrol show hostnames "$(printenv "SLURM_JOB_NODELIST_HET_GROUP_$part")"
        part=$((part + 1))
    done
}
names=$(nodes)
printf '%s\\n' "$names" | "$here/@SHIM_TEXT@" --hosts
@GPUS_TEXT@# shellcheck disable=SC2086  # options are words
set -- @GRES_TEXT@ ${SRUN_OPTIONS:-} "$here/@SHIM_TEXT@" --surplus "$@"
# The containers of pyxis must see this folder.
case " ${SRUN_OPTIONS:-} ${PYXIS_CONTAINER_IMAGE:+--container-image}${PYXIS_CONTAINER_NAME:+--container-name}" in
    *" --container-image"* | *" --container-name"*)
        case $here in
            *[:,]*)
                echo "srun.sh: pyxis cannot mount $here: move the files to a folder without : and ," >&2
                exit 2
                ;;
            *) ;;
        esac
        set -- "--container-mounts=$here:$here${PYXIS_CONTAINER_MOUNTS:+,$PYXIS_CONTAINER_MOUNTS}" "$@"
        ;;
    *) ;;
esac
# The first would be one name for all hosts; the others would start other numbers of tasks, or on other nodes.
unset TOPOPLAN_HOST SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_TASKS_PER_NODE SLURM_DISTRIBUTION \\
    SLURM_HOSTFILE
if [ "$parts" != 1 ]; then
    set -- "--het-group=0-$((parts - 1))" "$@"
fi
exec srun --ntasks-per-node=@TASKS_TEXT@ --wait=0 --cpu-bind=none "$@"
"""


def srun_script(request: LaunchRequest, rows: list[HostRow], plan: str, shim: str) -> LaunchFile:
    """The script; `plan` heads it, `shim` is the file that it starts."""
    header = comment(
        [
            f"{plan}.",
            "srun.sh PROGRAM [ARGS...] in salloc or in a script of sbatch: start PROGRAM once a rank, on whole nodes "
            "that Slurm gave in any order, also in the parts of a heterogeneous job, which must hold the plan's hosts. "
            "Nodes and tasks that the plan does not need start nothing.",
            "SRUN_OPTIONS adds options: --container-image=... runs PROGRAM and the shim in pyxis' container, which "
            "needs Python 3.8. Nothing reorders ranks: the shim numbers them, not Slurm; RANK counts, SLURM_PROCID "
            "does not.",
        ]
    )
    values: dict[str, str | int] = {
        "HEADER_TEXT": header,
        "ARGUMENTS_TEXT": default_arguments(request.program, "srun.sh PROGRAM [ARGS...]"),
        "SHIM_TEXT": shim,
        "TASKS_TEXT": max(len(row.ranks) for row in rows),
        "GPUS_TEXT": ask_for_gpus("$(printf '%s\\n' \"$names\" | paste -sd, -)"),
        "GRES_TEXT": OPTION,
    }
    return LaunchFile(fill(_SRUN, values), executable=True)
