"""DLRover: the node topology that its master sorts the rendezvous by, one group a host.

With --enable-topology-rerank the master reads {node IP: group} from DLROVER_GROUP_TOPOLOGY_FILE and, with
--node-group-strategy ep_dp_pp, lays groups out in ascending order as text (dlrover/python/master/elastic_training/
topology_rerank.py). A group for every host, numbered with leading zeros in the plan's order, makes it exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Seat, Symptom, need
from topoplan.launchers.own_host import own_host, read_own_hosts
from topoplan.launchers.shell import comment, default_arguments
from topoplan.launchers.table import host_rows
from topoplan.model.capability import Freedom
from topoplan.model.fabric import Host

TOPOLOGY, RUN = "node-topology.json", "run.sh"
_ABOUT = "# comment"  # harmless: DLRover asks the file for addresses alone, and no host is called so

_HINTS = (
    "start: the master with DLROVER_GROUP_TOPOLOGY_FILE=node-topology.json --enable-topology-rerank "
    "--node-group-strategy ep_dp_pp, and dlrover/run.sh SCRIPT [ARGS...] on every host",
    "reordered by: --node-group-strategy ep_pp_dp, a host whose agent reports an address that is not in the file",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came in the order of their pods, as DLRover keeps them without --enable-topology-rerank",
    Symptom.LOCAL_FIRST: "{host} came first: its agent reported an address that node-topology.json does not have, and "
    "DLRover puts such hosts before all others",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES of run.sh was changed",
}


def _address(host: Host) -> str:
    """What the host's agent reports to the master: its IP where the fabric knows it, else its name."""
    return dict(host.aliases).get("ip", host.name)


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    hosts = request.placement.fabric.hosts
    order = [hosts[h] for h in request.placement.host_order().tolist()]
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    about = (
        f"{plan}. Used by DLRover's master: DLROVER_GROUP_TOPOLOGY_FILE, --enable-topology-rerank "
        "--node-group-strategy ep_dp_pp. Another strategy, or a host whose agent reports another address, would "
        "reorder ranks silently."
    )
    unknown = [host.name for host in order if _address(host) == host.name]
    if unknown:
        about += f" {len(unknown)} hosts are listed by name, as the plan knows no address of them: put their IPs here."
    width = len(str(len(rows) - 1))
    entries = {_ABOUT: about} | {_address(host): f"{number:0{width}d}" for number, host in enumerate(order)}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
    header = comment(
        [
            f"{plan}.",
            "run.sh [OPTIONS] SCRIPT [ARGS...]: start this on EVERY host of the plan; it runs dlrover-run with the "
            "host's own GPUs and number of ranks. DLROVER_RUN names another dlrover-run, TOPOPLAN_HOST overrides the "
            "host's name.",
            "The order is the master's: reordered silently when it runs without --enable-topology-rerank and "
            f"{TOPOLOGY}.",
        ]
    )
    start = default_arguments(request.program) + (
        f'exec "${{DLROVER_RUN:-dlrover-run}}" --nnodes={len(rows)} --nproc_per_node="$processes" "$@"\n'
    )
    return {
        RUN: LaunchFile(f"#!/bin/sh\n{header}" + own_host(request, rows, ("processes",)) + start, executable=True),
        TOPOLOGY: LaunchFile(f"{{\n{lines}\n}}\n"),
    }


def _read(files: Mapping[str, str]) -> Order:
    rows, _ = read_own_hosts(need(files, RUN), RUN)
    try:
        groups = json.loads(need(files, TOPOLOGY))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", place=Place(TOPOLOGY)) from error
    if not isinstance(groups, dict) or not all(isinstance(value, str) for value in groups.values()):
        raise InputError("DLRover takes addresses and groups as text alone", place=Place(TOPOLOGY))
    group = {}
    for row in rows:
        known = [groups[name] for name in row.names if name in groups]
        if len(known) != 1:
            raise InputError(f"{row.host} must stand there once", place=Place(TOPOLOGY))
        group[row.host] = known[0]
    if len(set(group.values())) < len(group):
        raise InputError("hosts of one group come in the order of their pods", place=Place(TOPOLOGY))
    return tuple(Seat(row.host, gpu) for row in sorted(rows, key=lambda row: group[row.host]) for gpu in row.gpus)


LAUNCHER = Launcher(
    "dlrover",
    Freedom.GPUS,
    "DLRover's topology rerank, consecutive ranks on each host",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    ("program", "nccl_topo_file"),
    shim="topoplan export PLAN --launcher devicemesh, and dlrover-run with as many processes on each host as it has "
    "ranks",
)
