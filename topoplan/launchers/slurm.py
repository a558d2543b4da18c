"""Slurm: SLURM_HOSTFILE, one line a task, with `srun --distribution=arbitrary`, the only way to keep an order.

Measured with 22.05: --nodelist is sorted, block and cyclic follow the sorted list; a host file of arbitrary
distribution is exact, and may name a host in any lines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import MASTER_PORT, Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.env import WRAPPER, wrapper
from topoplan.launchers.shell import comment, default_arguments, fill, words
from topoplan.launchers.slurm_gpus import OPTION, ask_for_gpus
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, table_file, with_gpus
from topoplan.model.capability import Freedom
from topoplan.names import compress, natural_key

TASKS, BATCH, PLAN_BATCH = "tasks.hosts", "run.sbatch", "plan.sbatch"
_ARBITRARY = re.compile(r"--distribution[= ]arbitrary|-m[ ]?arbitrary")

_ME = "${SLURMD_NODENAME:-$(uname -n)}"  # Slurm's own name of the node, in containers too

_BATCH = """\
#!/bin/sh
@HEADER_TEXT@#SBATCH --job-name=@NAME_TEXT@
#SBATCH --nodes=@NODES_TEXT@
#SBATCH --ntasks=@RANKS_TEXT@
#SBATCH --nodelist=@NODELIST_TEXT@
#SBATCH --exclusive
set -eu
@ARGUMENTS_TEXT@# sbatch runs a copy of this file, so its folder may be another one than the file's own.
here=
for folder in "${TOPOPLAN_LAUNCH_DIR:-}" "$(dirname -- "$0")" "${SLURM_SUBMIT_DIR:-}"; do
    if [ -z "$here" ] && [ -n "$folder" ] && [ -r "$folder/@TASKS_TEXT@" ] && [ -x "$folder/@WRAPPER_TEXT@" ]; then
        here=$(CDPATH='' cd -- "$folder" && pwd)
    fi
done
if [ -z "$here" ]; then
    echo "run.sbatch: @TASKS_TEXT@ not found: sbatch from its folder, or set TOPOPLAN_LAUNCH_DIR to it" >&2
    exit 2
fi
export SLURM_HOSTFILE="$here/@TASKS_TEXT@"
# The first would be one name for all hosts; the others split tasks evenly, which arbitrary distribution must not do.
unset TOPOPLAN_HOST SLURM_NTASKS_PER_NODE SLURM_TASKS_PER_NODE SLURM_DISTRIBUTION
@GPUS_TEXT@# shellcheck disable=SC2086  # options are words
exec srun --ntasks=@RANKS@ --distribution=arbitrary --cpu-bind=none @GRES_TEXT@ ${SRUN_OPTIONS:-} \\
    "$here/@WRAPPER_TEXT@" "$@"
"""

_PLAN_BATCH = """\
#!/bin/sh
@HEADER_TEXT@#SBATCH --job-name=@NAME_TEXT@
#SBATCH --nodes=@NODES_TEXT@
#SBATCH --exclusive
set -eu
@ARGUMENTS_TEXT@# sbatch runs a copy of this file, so its folder may be another one than the file's own.
inputs=
for folder in "${TOPOPLAN_LAUNCH_DIR:-}" "$(dirname -- "$0")" "${SLURM_SUBMIT_DIR:-}"; do
    if [ -z "$inputs" ] && [ -n "$folder" ] && [ -r "$folder/../../inputs/job.yaml" ]; then
        inputs=$(CDPATH='' cd -- "$folder/../../inputs" && pwd)
    fi
done
job=${TOPOPLAN_JOB:-$inputs/job.yaml}
fabric=${TOPOPLAN_FABRIC:-$inputs/fabric.yaml}
if [ ! -r "$job" ]; then
    echo "@PLAN_TEXT@: no job at $job: sbatch from its folder, or set TOPOPLAN_JOB and TOPOPLAN_FABRIC" >&2
    exit 2
fi
plan=${inputs%/inputs}
out=${TOPOPLAN_OUT:-${plan:-$PWD/plan}-${SLURM_JOB_ID:?run me with sbatch, or in salloc}}
# It plans within SLURM_JOB_NODELIST. The table goes to standard error: the program's output stays by itself.
# shellcheck disable=SC2086  # options are words
"${TOPOPLAN:-topoplan}" solve "$job" --topology "$fabric" --launcher slurm --no-report --out "$out"@SET_TEXT@ \\
    ${TOPOPLAN_OPTIONS:-} >&2
export TOPOPLAN_LAUNCH_DIR="$out/launch/slurm"
exec "$TOPOPLAN_LAUNCH_DIR/@BATCH_TEXT@" "$@"
"""

_HINTS = (
    "start: cd slurm && sbatch run.sbatch PROGRAM [ARGS...]   (in salloc: ./run.sbatch PROGRAM)",
    "on whatever nodes Slurm gives: sbatch plan.sbatch PROGRAM [ARGS...], which plans again inside its allocation",
    "reordered by: srun without --distribution=arbitrary, which sorts the nodes of any --nodelist",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted: srun sorts every node list unless SLURM_HOSTFILE and --distribution=arbitrary "
    "are both set, as run.sbatch does",
    Symptom.PACKED: "the first nodes took more tasks than planned: srun fills nodes in block order unless "
    "--distribution=arbitrary is set, as run.sbatch does",
    Symptom.ROUND_ROBIN: "tasks were dealt to nodes in turn, as --distribution=cyclic does: start run.sbatch",
    Symptom.BLOCKS: "each node was filled before the next, as --distribution=block does: start run.sbatch",
    Symptom.FOREIGN_HOST: "{host} is not in the plan: Slurm allocated other nodes than run.sbatch asks for; "
    "start plan.sbatch, which plans inside its allocation",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: the program was started without " + WRAPPER,
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    names = request.placement.fabric.host_names
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    tasks = comment(
        [
            f"{plan}. One line a task: task 0 first.",
            "Used by run.sbatch as SLURM_HOSTFILE of srun --distribution=arbitrary.",
            "Reordered by any other distribution, and by --nodelist, which srun sorts.",
        ]
    )
    lines = "".join(f"{names[h]}\n" for h in request.placement.host.tolist())
    header = comment(
        [
            f"{plan}.",
            "sbatch run.sbatch PROGRAM [ARGS...] from this folder, or ./run.sbatch PROGRAM in salloc: start PROGRAM "
            "once a rank, each where the plan says. It asks for the plan's nodes, whole, since GPU numbers are those "
            "of a whole host.",
            "SRUN_OPTIONS adds options. Reordered silently by --distribution, --nodelist and --ntasks-per-node.",
            "Where jobs must ask for GPUs: sbatch --gres=gpu:8 run.sbatch PROGRAM. A job that did not ask gets those "
            "of its nodes, if Slurm manages them.",
        ]
    )
    values: dict[str, str | int] = {
        "HEADER_TEXT": header,
        "ARGUMENTS_TEXT": default_arguments(request.program, "sbatch run.sbatch PROGRAM [ARGS...]"),
        "NAME_TEXT": request.label,
        "NODES_TEXT": len(rows),
        "RANKS_TEXT": request.placement.ranks,
        "RANKS": request.placement.ranks,
        "NODELIST_TEXT": node_list(row.host for row in rows),
        "TASKS_TEXT": TASKS,
        "WRAPPER_TEXT": WRAPPER,
        "GPUS_TEXT": ask_for_gpus("${SLURM_JOB_NODELIST:-}"),
        "GRES_TEXT": OPTION,
    }
    files = {
        BATCH: LaunchFile(fill(_BATCH, values), executable=True),
        TASKS: LaunchFile(tasks + lines),
        WRAPPER: wrapper(request, rows, "SLURM_PROCID", BATCH, _ME),
        TABLE: table_file(plan, rows, WRAPPER),
    }
    if request.job is not None:
        files[PLAN_BATCH] = LaunchFile(_plan_batch(request, values), executable=True)
    return files


def _plan_batch(request: LaunchRequest, values: Mapping[str, str | int]) -> str:
    """A script that plans the same job on the nodes it gets, and starts what that plan wrote."""
    header = comment(
        [
            f"The job of plan {request.label}, on whatever nodes Slurm gives.",
            f"sbatch {PLAN_BATCH} PROGRAM [ARGS...] from this folder: plan inside the allocation (topoplan must be "
            f"installed on its nodes), then start PROGRAM with the {BATCH} of that plan.",
            "TOPOPLAN_JOB and TOPOPLAN_FABRIC name other inputs than this plan's; TOPOPLAN_OUT another folder for the "
            "new plan than PLAN-JOBID, on storage that all nodes see; TOPOPLAN another topoplan. TOPOPLAN_OPTIONS adds "
            "options (--previous PLAN); sbatch --nodes=N asks for more nodes to choose from.",
            f"Reordered silently by what reorders {BATCH}: --distribution, --nodelist and --ntasks-per-node.",
        ]
    )
    settings = [f"master_port={request.master_port}"] * (request.master_port != MASTER_PORT)
    settings += [f"nccl_topo_file={request.nccl_topo_file}"] * bool(request.nccl_topo_file)
    own = {
        "HEADER_TEXT": header,
        "SET_TEXT": "".join(f" --set {shlex.quote(setting)}" for setting in settings),
        "ARGUMENTS_TEXT": default_arguments(request.program, f"sbatch {PLAN_BATCH} PROGRAM [ARGS...]"),
        "PLAN_TEXT": PLAN_BATCH,
        "BATCH_TEXT": BATCH,
    }
    return fill(_PLAN_BATCH, {**values, **own})


def node_list(hosts: Iterable[str]) -> str:
    """Hosts as Slurm's own list: ranges at the end of a name alone, which is all that every version reads."""
    ordered = sorted(hosts, key=natural_key)
    ranged = [name for name in ordered if name[-1].isdigit()]
    plain = [name for name in ordered if not name[-1].isdigit()]
    return ",".join([compress(ranged)] * bool(ranged) + plain)


def _read(files: Mapping[str, str]) -> Order:
    hosts: list[str] = []
    for number, line in enumerate(need(files, TASKS).splitlines(), 1):
        for word in ",".join(words(line)).split(","):
            name, star, count = word.partition("*")
            if star and not count.isdigit():
                raise InputError(f"{word!r} is not HOST*COUNT", place=Place(TASKS, number))
            hosts += [name] * (int(count) if star else bool(name))
    if not hosts:
        raise InputError("no host in the file", place=Place(TASKS))
    commands = [line for line in need(files, BATCH).splitlines() if "srun" in line and not line.startswith("#")]
    if not any(_ARBITRARY.search(line) for line in commands):
        raise InputError("srun is started without --distribution=arbitrary, so it sorts the nodes", place=Place(BATCH))
    need(files, WRAPPER)
    return with_gpus(hosts, need(files, TABLE))


LAUNCHER = Launcher(
    "slurm",
    Freedom.RANKS,
    "Slurm's srun with a host file, any task on any node",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
)
