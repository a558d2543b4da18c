"""Hugging Face accelerate: a configuration file a machine, and a script that picks its host's.

distributed_type MULTI_GPU runs torchrun's static rendezvous, which keeps machine ranks; MULTI_CPU does not use torchrun
at all (run with accelerate 1.15). accelerate gives each machine num_processes // num_machines ranks (accelerate/utils/
launch.py), so a machine's own file multiplies its own number of ranks: hosts may then have different numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import USUAL_SETTINGS, Launcher, LaunchFile, LaunchRequest, Order, Seat, Symptom, need
from topoplan.launchers.own_host import own_host, read_own_hosts
from topoplan.launchers.shell import comment, default_arguments
from topoplan.launchers.table import HostRow, host_rows
from topoplan.model.capability import Freedom

RUN = "run.sh"

_HINTS = (
    "start on every host: accelerate/run.sh [OPTIONS] SCRIPT [ARGS...]   (it picks machine-HOST.yaml)",
    "reordered by: --machine_rank, --rdzv_backend c10d, MULTI_CPU",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted by name, as the c10d rendezvous sorts them: start run.sh, whose configuration "
    "says rdzv_backend: static",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: gpu_ids of the machine's configuration was changed",
    Symptom.OTHER: "machine ranks are not the planned ones: every host must run run.sh, or its own machine-HOST.yaml",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    header = comment(
        [
            f"{plan}.",
            "run.sh [ACCELERATE OPTIONS] SCRIPT [ARGS...]: start this on EVERY host of the plan; it picks the host's "
            "own configuration by the host's name. ACCELERATE names another accelerate, TOPOPLAN_HOST overrides the "
            "host's name.",
            "Reordered silently by --machine_rank, and by --rdzv_backend c10d, which sorts hosts by name as text.",
        ]
    )
    start = (
        default_arguments(request.program)
        + 'here=$(CDPATH=\'\' cd -- "$(dirname -- "$0")" && pwd)\n'
        + 'exec "${ACCELERATE:-accelerate}" launch --config_file "$here/machine-$host.yaml" "$@"\n'
    )
    script = f"#!/bin/sh\n{header}" + own_host(request, rows, ("host",)) + start
    files = {RUN: LaunchFile(script, executable=True)}
    uneven = len({len(row.ranks) for row in rows}) > 1
    for number, row in enumerate(rows):
        files[f"machine-{row.host}.yaml"] = LaunchFile(_machine(request, plan, rows, number, uneven))
    return files


def _machine(request: LaunchRequest, plan: str, rows: list[HostRow], number: int, uneven: bool) -> str:
    row = rows[number]
    head = comment(
        [
            f"{plan}. Machine {number}, ranks {row.ranks[0]} to {row.ranks[-1]}.",
            f"Used by run.sh on {row.host}: accelerate launch --config_file. Another machine_rank here, or another "
            "rdzv_backend, would reorder ranks silently.",
        ]
    )
    if uneven:
        head += comment(
            [
                "num_processes is this machine's number of ranks times num_machines, which accelerate divides by: "
                "machines have different numbers of ranks. WORLD_SIZE is the true one."
            ]
        )
    values: dict[str, object] = {
        "compute_environment": "LOCAL_MACHINE",
        # accelerate starts a process alone without torchrun, and refuses to call it MULTI_GPU
        "distributed_type": "MULTI_GPU" if request.placement.ranks > 1 else "NO",
        "num_machines": len(rows),
        "num_processes": len(row.ranks) * len(rows),
        "machine_rank": number,
        "main_process_ip": rows[0].host,
        "main_process_port": request.master_port,
        "rdzv_backend": "static",
        "same_network": True,
        "gpu_ids": ",".join(map(str, row.gpus)),
        "mixed_precision": request.mixed_precision or "no",
        "main_training_function": "main",
        "use_cpu": False,
    }
    return head + "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items())  # JSON is YAML


_LINE = re.compile(r"(\w+): (.+)")
_NEEDED = ("num_machines", "num_processes", "machine_rank", "gpu_ids", "rdzv_backend", "main_process_ip")


def _read(files: Mapping[str, str]) -> Order:
    rows, rest = read_own_hosts(need(files, RUN), RUN)
    if 'launch --config_file "$here/machine-$host.yaml"' not in rest:
        raise InputError("accelerate runs without the machine's configuration", place=Place(RUN))
    found: dict[int, list[Seat]] = {}
    for row in rows:
        name = f"machine-{row.host}.yaml"
        number, gpus = _read_machine(need(files, name), name, rows)
        if number in found:
            raise InputError(f"machine_rank {number} is that of another machine too", place=Place(name))
        found[number] = [Seat(row.host, gpu) for gpu in gpus]
    return tuple(seat for number in sorted(found) for seat in found[number])


def _read_machine(text: str, name: str, rows: list[HostRow]) -> tuple[int, list[int]]:
    """Machine rank, and GPUs in the order of the machine's ranks, as accelerate will make them."""
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match:
            if line.startswith("#") or not line:
                continue
            raise InputError("not of the form KEY: VALUE", place=Place(name, number))
        try:
            values[match[1]] = json.loads(match[2])
        except ValueError:
            values[match[1]] = match[2]
    missing = [key for key in _NEEDED if key not in values]
    if missing:
        raise InputError(f"{missing[0]} is missing", place=Place(name))
    if values["rdzv_backend"] != "static":
        raise InputError("without rdzv_backend: static torchrun sorts hosts by name", place=Place(name))
    gpus, processes = str(values["gpu_ids"]).split(","), values["num_processes"]
    if not all(gpu.isdecimal() for gpu in gpus) or not isinstance(processes, int):
        raise InputError("gpu_ids must be a list of GPUs, and num_processes a number", place=Place(name))
    if values["num_machines"] != len(rows) or processes // len(rows) != len(gpus):
        raise InputError(f"num_machines, num_processes and gpu_ids do not fit {RUN}", place=Place(name))
    if values["main_process_ip"] != rows[0].host or values["machine_rank"] not in range(len(rows)):
        raise InputError("main_process_ip must be the host of machine_rank 0", place=Place(name))
    return int(values["machine_rank"]), [int(gpu) for gpu in gpus]


LAUNCHER = Launcher(
    "accelerate",
    Freedom.GPUS,
    "Hugging Face accelerate, consecutive ranks on each host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    (*USUAL_SETTINGS, "mixed_precision"),
    shim="topoplan export PLAN --launcher shim, and on every host accelerate launch --no_python shim/topoplan_shim.py "
    "PROGRAM with as many processes as it has ranks, rank 0's host as machine 0",
)
