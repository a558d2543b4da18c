"""Open MPI 4 and 5: one host a line for `--map-by seq`, the only input whose order both obey; and a rankfile."""

from __future__ import annotations

import re
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import USUAL_SETTINGS, Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.env import FOR_ALL_RANKS, WRAPPER, wrapper
from topoplan.launchers.shell import comment, default_arguments, fill, words
from topoplan.launchers.slurm_gpus import warn_without_gpus
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import HostRow, host_rows, table_file, with_gpus
from topoplan.model.capability import Freedom

SEQ, HOSTFILE, RANKFILE, RUN = "hosts.seq", "hostfile", "rankfile", "run.sh"

_ASSUMED_CORES = "ASSUMED, as the plan knows no cores. Widen them before real work, or use run.sh, which binds nothing."

_RUN = """\
#!/bin/sh
@HEADER_TEXT@set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mpirun=${MPIRUN:-mpirun}
@ARGUMENTS_TEXT@case $("$mpirun" --version 2>&1) in
    *"(Open MPI)"* | *"(OpenRTE)"*) ;; # the latter: mpirun.openmpi and orterun of Open MPI 4
    *)
        echo "$0: $mpirun is not Open MPI; MPIRUN=/path/to/mpirun names another" >&2
        exit 2
        ;;
esac
@GPUS_TEXT@# Open MPI would cut node-1.a and node-1.b down to node-1; the first variable is for 4, the second for 5.
export OMPI_MCA_orte_keep_fqdn_hostnames=1 PRTE_MCA_prte_keep_fqdn_hostnames=1
# mpirun carries no other variables of this shell to the ranks than those it is told.
carry=
for name in @CARRY_TEXT@; do
    if printenv "$name" >/dev/null; then
        carry="$carry -x $name"
    fi
done
# -np is for 4, which otherwise asks for the slots that it guesses. The line below is one that 4 and 5 share.
# shellcheck disable=SC2086  # options are words
exec "$mpirun" -np @RANKS@ --hostfile "$here/@SEQ_TEXT@" --map-by seq --bind-to none $carry ${MPIRUN_OPTIONS:-} \\
    "$here/@WRAPPER_TEXT@" "$@"
"""

_HINTS = (
    "start: openmpi/run.sh PROGRAM [ARGS...]   (MPIRUN names another mpirun, MPIRUN_OPTIONS adds options)",
    "reordered by: a plain --hostfile (Open MPI 4 puts the host where mpirun runs first), --map-by node, -ppr",
)
_EXPLAINS = {
    Symptom.LOCAL_FIRST: "Open MPI 4 moved {host} to the front because mpirun ran there and a plain hostfile was used: "
    "start run.sh, which maps by the lines of hosts.seq (--map-by seq)",
    Symptom.ROUND_ROBIN: "ranks were dealt to hosts in turn, as --map-by node does: start run.sh (--map-by seq)",
    Symptom.BLOCKS: "each host was filled before the next, as Open MPI does with a plain hostfile: start run.sh, "
    "which maps by the lines of hosts.seq (--map-by seq)",
    Symptom.SORTED: "hosts came sorted by name, as resource managers list them: start run.sh (--map-by seq)",
    Symptom.PACKED: "the first hosts took more ranks than planned, as Open MPI fills slots: start run.sh",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: the program was started without " + WRAPPER,
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    names = request.placement.fabric.host_names
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    seq = comment(
        [
            f"{plan}. One line a rank: rank 0 first.",
            "Used by run.sh: mpirun --hostfile hosts.seq --map-by seq.",
            "Reordered without --map-by seq: Open MPI then takes a host's lines for its slots and fills host by host, "
            "4 beginning with the host where mpirun runs.",
        ]
    )
    lines = "".join(f"{names[h]}\n" for h in request.placement.host.tolist())
    return {
        RUN: LaunchFile(fill(_RUN, _run_values(request, plan)), executable=True),
        SEQ: LaunchFile(seq + lines),
        HOSTFILE: LaunchFile(_hostfile(plan, rows)),
        RANKFILE: LaunchFile(_rankfile(plan, rows, request.cores_per_host)),
        WRAPPER: wrapper(request, rows, "OMPI_COMM_WORLD_RANK", RUN),
        TABLE: table_file(plan, rows, WRAPPER),
    }


def _run_values(request: LaunchRequest, plan: str) -> dict[str, str | int]:
    header = comment(
        [
            f"{plan}.",
            "run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with Open MPI 4 or 5, each rank where the plan says. "
            "Run it on any host that reaches the others; this folder must have the same path on all of them.",
            "MPIRUN names another mpirun, MPIRUN_OPTIONS adds options. Reordered silently by --map-by, --rank-by, "
            "-ppr and --host.",
        ]
    )
    return {
        "HEADER_TEXT": header,
        "ARGUMENTS_TEXT": default_arguments(request.program, "$0 PROGRAM [ARGS...]"),
        "RANKS": request.placement.ranks,
        "WRAPPER_TEXT": WRAPPER,
        "SEQ_TEXT": SEQ,
        "CARRY_TEXT": " ".join(FOR_ALL_RANKS),
        "GPUS_TEXT": warn_without_gpus(),
    }


def _hostfile(plan: str, rows: list[HostRow]) -> str:
    head = comment(
        [
            f"{plan}.",
            "Used beside the rankfile, which Open MPI 5 refuses without it.",
            "NOT an order: with this file alone 4 begins with the host where mpirun runs, and both fill host by host.",
        ]
    )
    return head + "".join(f"{row.host} slots={len(row.ranks)}\n" for row in rows)


def _rankfile(plan: str, rows: list[HostRow], cores: int) -> str:
    """Every rank with its host and cores: its share of the host's where known, else one core each (assumed free)."""
    head = comment(
        [
            f"{plan}.",
            "Used instead of hosts.seq where ranks shall be bound to cores:",
            "  Open MPI 4: mpirun --rankfile rankfile --hostfile hostfile ./topoplan-env PROGRAM",
            "  Open MPI 5: mpirun --map-by rankfile:file=rankfile --hostfile hostfile ./topoplan-env PROGRAM",
            "slot= names cores" + ("." if cores else f", one a rank: {_ASSUMED_CORES}"),
            "Nothing reorders it; a rank that is left out, or a core that a host does not have, stops Open MPI.",
        ]
    )
    seats = {rank: (row.host, _slot(i, len(row.ranks), cores)) for row in rows for i, rank in enumerate(row.ranks)}
    return head + "".join(f"rank {rank}={host} slot={slot}\n" for rank, (host, slot) in sorted(seats.items()))


def _slot(position: int, count: int, cores: int) -> str:
    if cores < count:
        return str(position)
    first, last = position * cores // count, (position + 1) * cores // count - 1
    return str(first) if first == last else f"{first}-{last}"


_RANK_LINE = re.compile(r"rank\s+(\d+)\s*=\s*(\S+)\s+slot\s*=\s*\S+")


def _read(files: Mapping[str, str]) -> Order:
    hosts = [line[0] for text in need(files, SEQ).splitlines() if (line := words(text))]
    if not hosts:
        raise InputError("no host in the file", place=Place(SEQ))
    if RANKFILE in files:
        _check_rankfile(files[RANKFILE], hosts)
    commands = [line for line in need(files, RUN).splitlines() if not line.lstrip().startswith("#")]
    if not any("--map-by seq" in line for line in commands):
        raise InputError("mpirun runs without --map-by seq, so it does not place ranks line by line", place=Place(RUN))
    need(files, WRAPPER)
    return with_gpus(hosts, need(files, TABLE))


def _check_rankfile(text: str, hosts: list[str]) -> None:
    found: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        match = _RANK_LINE.fullmatch(content)
        if content and not match:
            raise InputError("not of the form `rank N=HOST slot=CORES`", place=Place(RANKFILE, number))
        if match:
            found[int(match[1])] = match[2]
            if int(match[1]) >= len(hosts) or hosts[int(match[1])] != match[2]:
                raise InputError(f"rank {match[1]} is on another host in {SEQ}", place=Place(RANKFILE, number))
    if len(found) != len(hosts):
        raise InputError(f"{len(found)} ranks, but {len(hosts)} in {SEQ}", place=Place(RANKFILE))


LAUNCHER = Launcher(
    "openmpi",
    Freedom.RANKS,
    "Open MPI 4 and 5, any rank on any host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    (*USUAL_SETTINGS, "cores_per_host"),
)
