"""Slurm: SLURM_HOSTFILE, one line a task, with `srun --distribution=arbitrary`, the only way to keep an order.

Measured with 22.05: --nodelist is sorted, block and cyclic follow the sorted list; a host file of arbitrary
distribution is exact, and may name a host in any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.env import WRAPPER, wrapper
from topoplan.launchers.shell import comment, default_arguments, fill, words
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, table_text, with_gpus
from topoplan.model.capability import Freedom
from topoplan.names import compress, natural_key

TASKS, BATCH = "tasks.hosts", "run.sbatch"
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
# shellcheck disable=SC2086  # options are words
exec srun --ntasks=@RANKS@ --distribution=arbitrary --cpu-bind=none ${SRUN_OPTIONS:-} "$here/@WRAPPER_TEXT@" "$@"
"""

_HINTS = (
    "start: cd slurm && sbatch run.sbatch PROGRAM [ARGS...]   (in salloc: ./run.sbatch PROGRAM)",
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
    "plan again inside the allocation",
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
    }
    return {
        BATCH: LaunchFile(fill(_BATCH, values), executable=True),
        TASKS: LaunchFile(tasks + lines),
        WRAPPER: wrapper(request, rows, "SLURM_PROCID", BATCH, _ME),
        TABLE: LaunchFile(comment([f"{plan}. Used by {WRAPPER}."]) + table_text(rows)),
    }


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
