"""torchrun with static rendezvous: the only backend of torchrun that keeps node ranks.

c10d and etcd rendezvous ignore --node-rank and sort nodes by name as text (torch/distributed/elastic/rendezvous/
dynamic_rendezvous.py), so node-10 comes before node-2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import USUAL_SETTINGS, Launcher, LaunchFile, LaunchRequest, Order, Seat, Symptom, need
from topoplan.launchers.env import exports
from topoplan.launchers.own_host import for_every_host, own_host, read_own_hosts
from topoplan.launchers.shell import comment, default_arguments, fill
from topoplan.launchers.shim import SHIM, read_shim, shim_file
from topoplan.launchers.table import HostRow, host_rows
from topoplan.model.capability import Freedom

RUN = "run.sh"
_TORCHRUN = """\
@ARGUMENTS_TEXT@master=@MASTER@
@HERE_TEXT@exec "${TORCHRUN:-torchrun}" --nnodes=@NODES@ --node-rank=@NODE_TEXT@ --nproc-per-node=@PROCESSES_TEXT@ \\
    --rdzv-backend=static --master-addr="${TOPOPLAN_MASTER_ADDR:-$master}" \\
    --master-port="${TOPOPLAN_MASTER_PORT:-@PORT_TEXT@}" @BEFORE_TEXT@"$@"@AFTER_TEXT@
"""
_HERE = """\
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck disable=SC2086  # options are words
"""
_THROUGH_SHIM = f'${{TORCHRUN_OPTIONS:-}} \\\n    --no-python "$here/{SHIM}" '

_HINTS = (
    "start on every host: torchrun/run.sh [OPTIONS] SCRIPT [ARGS...]   (or torchrun/node-RANK-HOST.sh on HOST)",
    "reordered by: --rdzv-backend=c10d, which ignores the node rank and sorts hosts by name as text",
)
SHIM_START = (
    "topoplan export PLAN --launcher shim, and on every host torchrun --no-python shim/topoplan_shim.py PROGRAM with "
    "as many processes as it has ranks, rank 0's host as node 0"
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted by name, as torchrun's c10d rendezvous sorts them whatever the node rank: "
    "start run.sh, which uses the static rendezvous",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES of run.sh was changed",
    Symptom.OTHER: "node ranks are not the planned ones: each host must run run.sh, or its own node-RANK-HOST.sh",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    if request.shim:
        return {RUN: LaunchFile(_through_shim(request, rows), executable=True), SHIM: shim_file(request, rows)}
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    header = comment(
        [
            f"{plan}.",
            "run.sh [TORCHRUN OPTIONS] SCRIPT [ARGS...]: start this on EVERY host of the plan; it finds its node rank "
            "by the host's name. TORCHRUN names another torchrun, TOPOPLAN_HOST overrides the host's name, "
            "TOPOPLAN_MASTER_ADDR and TOPOPLAN_MASTER_PORT say where ranks meet: on node 0.",
            "Reordered silently by --rdzv-backend=c10d, which ignores node ranks and sorts hosts by name as text.",
        ]
    )
    files = {RUN: LaunchFile(run_script(request, rows, header), executable=True)}
    common = for_every_host(request, rows)
    width = len(str(len(rows) - 1))
    for node, row in enumerate(rows):
        tail = common + _start(request, rows, node, len(row.ranks))
        files[f"node-{node:0{width}d}-{row.host}.sh"] = _node_script(plan, node, row, tail)
    return files


def _through_shim(request: LaunchRequest, rows: list[HostRow]) -> str:
    header = comment(
        [
            f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts.",
            f"run.sh PROGRAM [ARGS...]: start this on EVERY host of the plan, with {SHIM} beside it. torchrun starts "
            "as many processes as a host has ranks, and the shim gives each its own: RANK is the plan's, whatever "
            "torchrun says. TORCHRUN names another torchrun, TORCHRUN_OPTIONS adds options, TOPOPLAN_HOST overrides "
            "the host's name, TOPOPLAN_MASTER_ADDR and TOPOPLAN_MASTER_PORT say where ranks meet: on node 0.",
            "Nothing reorders ranks silently: hosts are known by name.",
        ]
    )
    start = _start(request, rows, '"$node"', '"$processes"', before=_THROUGH_SHIM, here=_HERE)
    return f"#!/bin/sh\n{header}" + own_host(request, rows, ("node", "processes")) + start


def run_script(request: LaunchRequest, rows: list[HostRow], header: str, after: str = "") -> str:
    """Script for every host: static torchrun with the host's own node rank; `after` follows the user's arguments."""
    start = _start(request, rows, '"$node"', '"$processes"', after)
    return f"#!/bin/sh\n{header}" + own_host(request, rows, ("node", "processes")) + start


def _start(
    request: LaunchRequest,
    rows: list[HostRow],
    node: str | int,
    processes: str | int,
    after: str = "",
    before: str = "",
    here: str = "",
) -> str:
    values: dict[str, str | int] = {
        "ARGUMENTS_TEXT": default_arguments(request.program),
        "MASTER": rows[0].host,
        "NODES": len(rows),
        "NODE_TEXT": node,
        "PROCESSES_TEXT": processes,
        "PORT_TEXT": request.master_port,
        "BEFORE_TEXT": before,
        "AFTER_TEXT": after,
        "HERE_TEXT": here,
    }
    return fill(_TORCHRUN, values)


def read_run_script(text: str) -> list[HostRow]:
    """Rows of the hosts in the order that torchrun will make of `run_script`.

    Raises
    ------
    InputError
        No table of hosts, or another rendezvous.
    """
    rows, rest = read_own_hosts(text, RUN)
    if "--rdzv-backend=static" not in rest:
        raise InputError("without --rdzv-backend=static torchrun sorts hosts by name", place=Place(RUN))
    return rows


def _node_script(plan: str, node: int, row: HostRow, tail: str) -> LaunchFile:
    header = comment(
        [
            f"{plan}. Node {node}, ranks {row.ranks[0]} to {row.ranks[-1]}.",
            f"node-...-{row.host}.sh [TORCHRUN OPTIONS] SCRIPT [ARGS...]: start this on {row.host}.",
            "Reordered silently by --rdzv-backend=c10d, which ignores node ranks and sorts hosts by name.",
        ]
    )
    return LaunchFile(f"#!/bin/sh\n{header}set -eu\n{exports(row)}" + tail, executable=True)


_NODE_FILE = re.compile(r"node-(\d+)-(.+)\.sh")
_NODE_TEXT = re.compile(r"CUDA_VISIBLE_DEVICES=([\d,]+)\n.*--node-rank=(\d+) --nproc-per-node=(\d+) ", re.DOTALL)


def _read(files: Mapping[str, str]) -> Order:
    text = need(files, RUN)
    rows = read_run_script(text)
    if _THROUGH_SHIM in text:
        order = read_shim(files)
        if {rank: order[rank].host for rank in range(len(order))} != {r: row.host for row in rows for r in row.ranks}:
            raise InputError(f"hosts and ranks differ from those of {RUN}", place=Place(SHIM))
        return order
    _check_nodes(files, rows)
    return tuple(Seat(row.host, gpu) for row in rows for gpu in row.gpus)


def _check_nodes(files: Mapping[str, str], rows: list[HostRow]) -> None:
    """Refuse scripts of single hosts that would run something else than run.sh does there."""
    for name in sorted(files):
        match = _NODE_FILE.fullmatch(name)
        if not match:
            continue
        found = _NODE_TEXT.search(files[name])
        if not found:
            raise InputError("not a script that topoplan wrote for torchrun", place=Place(name))
        node = int(found[2])
        gpus = tuple(map(int, found[1].split(",")))
        if node >= len(rows) or (rows[node].host, rows[node].gpus, len(gpus)) != (match[2], gpus, int(found[3])):
            raise InputError(f"node rank, processes or GPUs differ from those of {RUN}", place=Place(name))


LAUNCHER = Launcher(
    "torchrun",
    Freedom.GPUS,
    "torchrun with static rendezvous, consecutive ranks on each host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    settings=(*USUAL_SETTINGS, "shim"),
    shim="topoplan export PLAN --launcher torchrun --set shim=true",
)
