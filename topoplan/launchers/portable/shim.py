"""Gives a process the rank that the plan has for its host, whatever started it there, and becomes the program.

    topoplan_shim.py PROGRAM [ARGS...]          once a process: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT,
                                                CUDA_VISIBLE_DEVICES, NCCL_IB_HCA
    topoplan_shim.py --node torchrun SCRIPT     once a host: what torchrun reads as --node-rank and its like
    topoplan_shim.py [--node] --print           those variables, as lines that a shell can eval
    topoplan_shim.py --surplus PROGRAM          the first, but processes and hosts that have no rank end, with code 0
    topoplan_shim.py --hosts                    nothing, but ends with code 6 unless standard input has all hosts' names

The host is TOPOPLAN_HOST, or what Slurm, Kubernetes' downward API (NODE_NAME) or the host itself calls it; the process
is TOPOPLAN_LOCAL_RANK, or what the launcher says. TOPOPLAN_MASTER_ADDR and TOPOPLAN_MASTER_PORT say where ranks meet,
TOPOPLAN_ONE_GPU=1 shows a rank its own GPU alone, TOPOPLAN_GPUS=off leaves GPUs as they are, TOPOPLAN_CLAIM=off lets
two processes of a host have one rank. MPI programs keep the rank that their MPI gives them.
Exit codes: 2 wrong use; 6 not as planned, and nothing was started; 126, 127 the program cannot be run, is not there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from topoplan.launchers.portable.plan_hosts import TABLE_TEXT, find_host, first_names, rows_of
from topoplan.launchers.portable.planned import planned_rank
from topoplan.launchers.portable.pod_table import PodRow, own_row, say, stop
from topoplan.launchers.portable.whoami import LOCAL_VARIABLES, environment, first_number

USAGE, NOT_RUNNABLE, NOT_FOUND = 2, 126, 127
# What export writes here: the plan's settings; its hosts are in TABLE_TEXT.
PORT = 29500
NCCL_TOPO_FILE = ""
PROGRAM: Sequence[str] = ()

_OPTIONS = ("--node", "--print", "--surplus", "--hosts")
_USAGE = "usage: topoplan_shim.py [--node | --surplus] [--print] PROGRAM [ARGS...], or --hosts"
_INDEX = ("JOB_COMPLETION_INDEX",)
_STARTED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_OURS = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES")


def check_hosts(rows: Sequence[PodRow], names: Sequence[str]) -> None:
    """End where one of the plan's hosts is by none of the names: its ranks would be waited for."""
    found = {row.number for row in (own_row(rows, name) for name in names) if row is not None}
    missing = [row for row in rows if row.number not in found]
    if missing:
        stop(
            f"{len(missing)} hosts of the plan are not here: {first_names(missing)}. Plan again for the hosts of this "
            "allocation"
        )


def find_local(rows: Sequence[PodRow], row: PodRow, env: Mapping[str, str], surplus: bool = False) -> int:
    """Which of its host's ranks this process has, or the end: a quiet one where `surplus` processes may be."""
    count = len(row.ranks)
    local, variable = first_number(env, ("TOPOPLAN_LOCAL_RANK", *LOCAL_VARIABLES))
    if local is None and count == 1:
        return 0
    if local is None:
        index, variable = first_number(env, _INDEX)
        if index is None or len({len(each.ranks) for each in rows}) > 1:
            stop(
                f"{row.host} has {count} ranks, and nothing says which of them this process is: set "
                "TOPOPLAN_LOCAL_RANK, or start one torchrun a host with --node"
            )
        local = index % count  # pods of consecutive indices share a host
    if local >= count and surplus:
        raise SystemExit(0)
    if local >= count:
        stop(f"{row.host} has {count} ranks in the plan, and {variable}={local} is beyond them: start {count} there")
    return local


def check_number(rows: Sequence[PodRow], env: Mapping[str, str]) -> None:
    """End where the launcher started another number of processes than the plan has: they would wait for ever."""
    if "TORCHELASTIC_RUN_ID" in env:  # whatever started torchrun has started fewer
        started, variable = first_number(env, ("WORLD_SIZE",))
    else:
        started, variable = first_number(env, _STARTED)
    if started is None and "SLURM_PROCID" in env and not {"SLURM_HET_SIZE", "TORCHELASTIC_RUN_ID"} & set(env):
        started, variable = first_number(env, ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"))
    planned = sum(len(row.ranks) for row in rows)
    if started not in (None, planned):
        stop(f"the plan has {planned} ranks, but {variable}={started} processes were started")


def claim(rank: int, env: Mapping[str, str]) -> None:
    """Hold a lock on the rank until the program ends, or end where another process of this host has it.

    Only processes that share a folder of memory see each other: not those of different containers.
    """
    if env.get("TOPOPLAN_CLAIM") == "off":
        return
    job = env.get("SLURM_JOB_ID", "") + "." + env.get("SLURM_STEP_ID", "")
    plan = hashlib.sha256((TABLE_TEXT + job).encode()).hexdigest()[:16]
    path = f"/dev/shm/topoplan-{os.getuid()}-{plan}-{rank}"  # noqa: S108 - opened as this user's own, no link
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return  # no such folder: nothing can be told
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = os.read(lock, 20).decode("ascii", "replace").strip()
        stop(
            f"rank {rank} is taken by process {other or '?'} of this host: the launcher gave two processes one local "
            "id, or an earlier run has not ended"
        )
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    os.set_inheritable(lock, True)  # the program keeps it


def of_process(rows: Sequence[PodRow], row: PodRow, env: Mapping[str, str], surplus: bool = False) -> dict[str, str]:
    """Environment of one rank."""
    if not surplus:
        check_number(rows, env)
    rank = row.ranks[find_local(rows, row, env, surplus)]
    return of_rank(rows, row, rank, env)


def of_rank(rows: Sequence[PodRow], row: PodRow, rank: int, env: Mapping[str, str]) -> dict[str, str]:
    """Environment of the given rank, which is on the given host."""
    return planned_rank(rows, row, rank, env, PORT, NCCL_TOPO_FILE)


def of_node(rows: Sequence[PodRow], row: PodRow, env: Mapping[str, str]) -> dict[str, str]:
    """Environment of a torchrun that starts all ranks of its host: its options as PET_ variables."""
    expected = 0
    for each in rows:
        if list(each.ranks) != list(range(expected, expected + len(each.ranks))):
            stop(
                f"torchrun gives consecutive ranks to a host, but the plan has others on {each.host}: leave out --node"
            )
        expected += len(each.ranks)
    found = of_rank(rows, row, row.ranks[0], {**env, "TOPOPLAN_ONE_GPU": "0"})
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "TOPOPLAN_ONE_GPU"):
        found.pop(name)
    if len({len(each.ranks) for each in rows}) > 1:
        found["TORCH_ELASTIC_WORKER_IDENTICAL"] = "0"
    options = {
        "NODE_RANK": str(row.number),
        "NNODES": str(len(rows)),
        "NPROC_PER_NODE": str(len(row.ranks)),
        "MASTER_ADDR": found["MASTER_ADDR"],
        "MASTER_PORT": found["MASTER_PORT"],
    }
    found.update(options)
    found.update({"PET_" + name: value for name, value in options.items()})
    found["PET_RDZV_BACKEND"] = "static"
    return found


def become(program: Sequence[str], env: Mapping[str, str]) -> int:
    """Become the program; comes back, with an exit code as a shell gives, only where that fails."""
    try:
        os.execvpe(program[0], list(program), dict(env))  # noqa: S606 - no shell is wanted
    except OSError as error:
        say(f"{program[0]}: {error.strerror}")
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_RUNNABLE


def parse(arguments: Sequence[str]) -> tuple[set[str], list[str]]:
    """Options and program, or the end for wrong use."""
    words = list(arguments)
    options = set()
    while words and words[0] in _OPTIONS:
        options.add(words.pop(0))
    if words[:1] == ["--"]:
        words.pop(0)
    elif words and words[0].startswith("-"):
        misused(f"unknown option {words[0]}; {_USAGE}")
    program = words or list(PROGRAM)
    if not program and not options & {"--print", "--hosts"}:
        misused(_USAGE)
    return options, program


def misused(message: str) -> NoReturn:
    """End this process: it was started wrongly."""
    say(message)
    raise SystemExit(USAGE)


def main(arguments: Sequence[str]) -> int:
    """Find the rank, and become the program."""
    options, program = parse(arguments)
    try:
        rows, spares = rows_of(TABLE_TEXT)
    except ValueError as error:
        stop(f"the plan's table in this file: {error}")
    if not rows:
        misused("no plan in this file: write it with topoplan export PLAN --launcher shim")
    if "--hosts" in options:
        check_hosts(rows, sys.stdin.read().split())
        return 0
    env = environment()
    surplus = "--surplus" in options
    row = find_host([*rows, *spares], env)
    if not row.ranks:
        return 0 if surplus else stop(f"{row.host} is a spare of the plan: no rank runs there unless a host is lost")
    found = of_node(rows, row, env) if "--node" in options else of_process(rows, row, env, surplus)
    if "--print" in options:
        names = sorted(name for name in found if name in _OURS or found[name] != env.get(name))
        sys.stdout.write("".join(f"export {name}={shlex.quote(found[name])}\n" for name in names))
        return 0
    claim(int(found.get("RANK", row.ranks[0])), env)
    return become(program, found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
