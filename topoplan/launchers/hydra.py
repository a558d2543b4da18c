"""Hydra, the process manager of MPICH and Intel MPI: a machine file of one HOST:1 line a rank keeps any order.

Measured with MPICH 4.0 and Intel MPI 2021.18: ranks follow the lines exactly, hosts may repeat. Intel's -f is another
matter: it folds repeated lines to one, so its files are given as -machinefile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.launchers.base import LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.env import WRAPPER, wrapper
from topoplan.launchers.shell import comment, default_arguments, fill, words
from topoplan.launchers.table import FILE_NAME as TABLE
from topoplan.launchers.table import host_rows, table_file, with_gpus

MACHINES, RUN = "machines", "run.sh"

_RUN = """\
#!/bin/sh
@HEADER_TEXT@set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mpiexec=${MPIEXEC:-@MPIEXEC_TEXT@}
@ARGUMENTS_TEXT@case $("$mpiexec" --version 2>&1) in
    *"@MARK_TEXT@"*) ;;
    *)
        echo "$0: $mpiexec is not @TITLE_TEXT@; MPIEXEC=/path/to/mpiexec names another" >&2
        exit 2
        ;;
esac
# mpiexec carries this shell's variables to all ranks; the first would be one name for all hosts.
unset TOPOPLAN_HOST@UNSET_TEXT@
# Inside a Slurm job Hydra would start through srun, which sorts hosts and takes none twice (pmodels/mpich issue 1575).
if [ -n "${SLURM_JOB_ID:-}" ]; then
    export @BOOTSTRAP_TEXT@="${@BOOTSTRAP_TEXT@:-ssh}"
fi
@EXPORT_TEXT@# shellcheck disable=SC2086  # options are words
exec "$mpiexec" @OPTION_TEXT@ "$here/@MACHINES_TEXT@" -n @RANKS@ ${MPIEXEC_OPTIONS:-} "$here/@WRAPPER_TEXT@" "$@"
"""

EXPLAINS = {
    Symptom.ROUND_ROBIN: "ranks were dealt to hosts in turn, as -ppn 1 or -perhost 1 does: start run.sh, without them",
    Symptom.BLOCKS: "each host was filled before the next: the lines of machines were folded to one a host, as Intel "
    "MPI's -f does; start run.sh",
    Symptom.SORTED: "hosts came sorted by name, as srun sorts them where Hydra starts through it: start run.sh, which "
    "lets it start by ssh, or use the files for slurm",
    Symptom.PACKED: "the first hosts took more ranks than planned: a count of processes a host was given; start run.sh",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: the program was started without " + WRAPPER,
}


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between the two.

    Parameters
    ----------
    mark
        Text of `mpiexec --version` that tells one from other MPIs.
    option
        mpiexec's option for the machine file.
    bootstrap
        Environment variable that says how Hydra reaches hosts.
    unset, exports
        Environment variables that would reorder ranks, and shell lines that say so to the launcher.
    """

    title: str
    mpiexec: str
    mark: str
    option: str
    bootstrap: str
    unset: tuple[str, ...] = ()
    exports: str = ""


def write(request: LaunchRequest, family: Family) -> dict[str, LaunchFile]:
    """Files for a Hydra of one family."""
    rows = host_rows(request.placement)
    names = request.placement.fabric.host_names
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    machines = comment(
        [
            f"{plan}. One line a rank: rank 0 first.",
            f"Used by run.sh: {family.mpiexec} {family.option} machines.",
            "Reordered by -ppn and -perhost, and by -hosts, which replaces this file.",
        ]
    )
    header = comment(
        [
            f"{plan}.",
            f"run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with {family.title}, each rank where the plan says. "
            "Run it on any host that reaches the others; this folder must have the same path on all of them.",
            "MPIEXEC names another mpiexec, MPIEXEC_OPTIONS adds options. Reordered silently by -ppn, -perhost, "
            "-hosts and -rr.",
        ]
    )
    values: dict[str, str | int] = {
        "HEADER_TEXT": header,
        "ARGUMENTS_TEXT": default_arguments(request.program, "$0 PROGRAM [ARGS...]"),
        "MPIEXEC_TEXT": family.mpiexec,
        "MARK_TEXT": family.mark,
        "TITLE_TEXT": family.title,
        "OPTION_TEXT": family.option,
        "BOOTSTRAP_TEXT": family.bootstrap,
        "UNSET_TEXT": "".join(f" {name}" for name in family.unset),
        "EXPORT_TEXT": family.exports,
        "MACHINES_TEXT": MACHINES,
        "RANKS": request.placement.ranks,
        "WRAPPER_TEXT": WRAPPER,
    }
    return {
        RUN: LaunchFile(fill(_RUN, values), executable=True),
        MACHINES: LaunchFile(machines + "".join(f"{names[h]}:1\n" for h in request.placement.host.tolist())),
        WRAPPER: wrapper(request, rows, "PMI_RANK", RUN),
        TABLE: table_file(plan, rows, WRAPPER),
    }


def read(files: Mapping[str, str], family: Family) -> Order:
    """The order that Hydra makes of the machine file: line by line, each as often as it says."""
    hosts: list[str] = []
    for number, line in enumerate(need(files, MACHINES).splitlines(), 1):
        cells = words(line)
        if not cells:
            continue
        host, colon, count = cells[0].partition(":")
        if len(cells) > 1 or (colon and not count.isdecimal()):
            raise InputError("not of the form HOST:COUNT", place=Place(MACHINES, number))
        hosts += [host] * (int(count) if colon else 1)
    if not hosts:
        raise InputError("no host in the file", place=Place(MACHINES))
    commands = [line for line in need(files, RUN).splitlines() if line.startswith("exec ")]
    if not any(f' {family.option} "$here/{MACHINES}"' in line for line in commands):
        raise InputError(f"mpiexec runs without {family.option} {MACHINES}", place=Place(RUN))
    need(files, WRAPPER)
    return with_gpus(hosts, need(files, TABLE))
