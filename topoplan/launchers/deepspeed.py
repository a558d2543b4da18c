"""DeepSpeed's own launcher over pdsh: hosts in the order of the hostfile, consecutive ranks on each.

pdsh keeps the order of -w and tells each node its number there (%n), which becomes the node rank (deepspeed/launcher/
multinode_runner.py, run with 0.19). --include and --num_nodes never reorder hosts, and sort the slots of one; so every
host has as many slots as ranks, and `topoplan-env` gives a rank its GPU. DeepSpeed passes arguments to the remote shell
unquoted: run.sh lets only plain ones through, and starts a program that was set from a file of its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.env import FOR_ALL_RANKS, WRAPPER, wrapper
from topoplan.launchers.shell import comment, fill, words
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, table_file, with_gpus
from topoplan.model.capability import Freedom

HOSTS, RUN, PROGRAM = "hostfile", "run.sh", "program"
_FAN_OUT = 1024  # hosts that DeepSpeed lets pdsh start at once (PDSH_MAX_FAN_OUT); the others would wait for these

_RUN = """\
#!/bin/sh
@HEADER_TEXT@set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
@ARGUMENTS_TEXT@set -- "$here/@WRAPPER_TEXT@" "$@"
# DeepSpeed carries no variables of topoplan to the ranks; NCCL's it does.
for name in @CARRY_TEXT@; do
    if printenv "$name" >/dev/null; then
        set -- "$name=$(printenv "$name")" "$@"
    fi
done
for word in "$PWD" "$@"; do
    case $word in
        '' | *[!A-Za-z0-9_./:=,@+-]*)
            echo "$0: DeepSpeed would hand '$word' to a remote shell as it is: put the command into a script" >&2
            exit 2
            ;;
        *) ;;
    esac
done
master=@MASTER@
# shellcheck disable=SC2086  # options are words
exec "${DEEPSPEED:-deepspeed}" --hostfile "$here/@HOSTS_TEXT@" --launcher pdsh --force_multi@FAN_TEXT@ \\
    --master_addr="${TOPOPLAN_MASTER_ADDR:-$master}" --master_port="${TOPOPLAN_MASTER_PORT:-@PORT_TEXT@}" \\
    --no_python --no_local_rank ${DEEPSPEED_OPTIONS:-} env "$@"
"""

_HINTS = (
    "start: deepspeed/run.sh PROGRAM [ARGS...]   (python3 train.py ...; DEEPSPEED_OPTIONS adds options)",
    "reordered by: another --hostfile or --launcher; left out by: --include, --exclude, --num_nodes, --num_gpus",
)
_EXPLAINS = {
    Symptom.MISSING: "fewer processes were started than planned: --include, --exclude, --num_nodes or --num_gpus left "
    "some out; start run.sh without them",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: DeepSpeed sorts the slots of a host; the program was "
    "started without " + WRAPPER,
    Symptom.OTHER: "hosts are not in the order of hostfile, which DeepSpeed keeps: another one or another --launcher "
    "was used",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    hosts = comment(
        [
            f"{plan}. Hosts in order, one slot a rank.",
            "Used by run.sh: deepspeed --hostfile hostfile --launcher pdsh. Its order is obeyed.",
        ]
    )
    values: dict[str, str | int] = {
        "HEADER_TEXT": _header(plan),
        "ARGUMENTS_TEXT": _arguments(bool(request.program)),
        "CARRY_TEXT": " ".join(name for name in FOR_ALL_RANKS if name.startswith("TOPOPLAN")),
        "MASTER": rows[0].host,
        "HOSTS_TEXT": HOSTS,
        "FAN_TEXT": f' --launcher_args="-f {len(rows)}"' if len(rows) > _FAN_OUT else "",
        "PORT_TEXT": request.master_port,
        "WRAPPER_TEXT": WRAPPER,
    }
    files = {
        RUN: LaunchFile(fill(_RUN, values), executable=True),
        HOSTS: LaunchFile(hosts + "".join(f"{row.host} slots={len(row.ranks)}\n" for row in rows)),
        WRAPPER: wrapper(request, rows, "RANK", RUN),
        TABLE: table_file(plan, rows, WRAPPER),
    }
    if request.program:
        about = comment([f"{plan}. Used by run.sh when it is given no program; it does not touch the order of ranks."])
        files[PROGRAM] = LaunchFile(f"#!/bin/sh\n{about}exec {shlex.join(request.program)}\n", executable=True)
    return files


def _header(plan: str) -> str:
    return comment(
        [
            f"{plan}.",
            "run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with DeepSpeed's launcher over pdsh and ssh, each "
            "rank where the plan says. Run it on any host that reaches the others; this folder and the current one "
            "must have the same path on all of them. RANK and LOCAL_RANK are set; no --local_rank argument is passed.",
            "DEEPSPEED names another deepspeed, DEEPSPEED_OPTIONS adds options. Reordered silently by another "
            "--hostfile or --launcher; --include, --exclude, --num_nodes and --num_gpus leave ranks out.",
        ]
    )


def _arguments(has_program: bool) -> str:
    act = f'set -- "$here/{PROGRAM}"' if has_program else 'echo "usage: $0 PROGRAM [ARGS...]" >&2\n    exit 2'
    return f"if [ $# -eq 0 ]; then\n    {act}\nfi\n"


_SLOTS = re.compile(r"slots=(\d+)")


def _read(files: Mapping[str, str]) -> Order:
    hosts: dict[str, int] = {}
    for number, line in enumerate(need(files, HOSTS).splitlines(), 1):
        cells = words(line)
        slots = _SLOTS.fullmatch(cells[1]) if len(cells) == 2 else None
        if cells and slots is None:
            raise InputError("not of the form HOST slots=COUNT", place=Place(HOSTS, number))
        if slots is not None:
            if cells[0] in hosts:
                raise InputError(f"{cells[0]} stands there twice, which DeepSpeed refuses", place=Place(HOSTS, number))
            hosts[cells[0]] = int(slots[1])
    if not hosts:
        raise InputError("no host in the file", place=Place(HOSTS))
    command = need(files, RUN).partition("\nexec ")[2]
    if f'--hostfile "$here/{HOSTS}" --launcher pdsh' not in command:
        raise InputError("deepspeed runs without this hostfile over pdsh", place=Place(RUN))
    dropping = [word for word in ("--include", "--exclude", "--num_nodes", "--num_gpus") if word in command]
    if dropping:
        raise InputError(f"{dropping[0]} leaves ranks out", place=Place(RUN))
    need(files, WRAPPER)
    return with_gpus([host for host, count in hosts.items() for _ in range(count)], need(files, TABLE))


LAUNCHER = Launcher(
    "deepspeed",
    Freedom.GPUS,
    "DeepSpeed's launcher over pdsh, consecutive ranks on each host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    shim="topoplan export PLAN --launcher shim, and deepspeed --no_python --no_local_rank shim/topoplan_shim.py "
    "PROGRAM with as many slots on each host as it has ranks, rank 0's host first",
)
