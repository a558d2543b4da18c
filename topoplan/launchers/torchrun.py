"""torchrun with static rendezvous: the only backend of torchrun that keeps node ranks.

c10d and etcd rendezvous ignore --node-rank and sort nodes by name as text (torch/distributed/elastic/rendezvous/
dynamic_rendezvous.py), so node-10 comes before node-2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Seat, Symptom, need
from topoplan.launchers.env import FIND_ROW, exports, refuse_slices, topo_file
from topoplan.launchers.shell import comment, default_arguments, fill
from topoplan.launchers.table import HostRow, host_rows, read_table, table_text
from topoplan.model.capability import Freedom

RUN = "run.sh"
_END = "END_OF_HOSTS"
_UNEVEN = """\
# Hosts have different numbers of ranks; set to 1 this would make torchrun assume that they do not.
export TORCH_ELASTIC_WORKER_IDENTICAL=0
"""
_TORCHRUN = """\
@TOPO_TEXT@@UNEVEN_TEXT@@ARGUMENTS_TEXT@@SLICES_TEXT@master=@MASTER@
exec "${TORCHRUN:-torchrun}" --nnodes=@NODES@ --node-rank=@NODE_TEXT@ --nproc-per-node=@PROCESSES_TEXT@ \\
    --rdzv-backend=static --master-addr="${TOPOPLAN_MASTER_ADDR:-$master}" \\
    --master-port="${TOPOPLAN_MASTER_PORT:-@PORT_TEXT@}" "$@"
"""
_RUN = """\
#!/bin/sh
@HEADER_TEXT@set -eu
find_row() {
    awk -v me="$1" '
@FIND_TEXT@
    END {
        split(mine, cell)
        if (mine != "") print cell[1], split(cell[3], ranks, ","), cell[4], cell[5]
    }
' <<'@END_TEXT@'
@ROWS_TEXT@@END_TEXT@
}
me=${TOPOPLAN_HOST:-$(uname -n)}
row=$(find_row "$me")
if [ -z "$row" ]; then
    echo "$0: this host calls itself $me, which is not in the plan" >&2
    echo "$0: set TOPOPLAN_HOST to the name that the plan uses for it" >&2
    exit 6
fi
read -r node processes gpus hcas <<EOF
$row
EOF
export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$gpus"
if [ "$hcas" != - ]; then
    export NCCL_IB_HCA="${NCCL_IB_HCA:-=$hcas}"
fi
"""

_HINTS = (
    "start on every host: torchrun/run.sh [OPTIONS] SCRIPT [ARGS...]   (or torchrun/node-RANK-HOST.sh on HOST)",
    "reordered by: --rdzv-backend=c10d, which ignores the node rank and sorts hosts by name as text",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted by name, as torchrun's c10d rendezvous sorts them whatever the node rank: "
    "start run.sh, which uses the static rendezvous",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES of run.sh was changed",
    Symptom.OTHER: "node ranks are not the planned ones: each host must run run.sh, or its own node-RANK-HOST.sh",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    common: dict[str, str | int] = {
        "NODES": len(rows),
        "MASTER": rows[0].host,
        "PORT_TEXT": request.master_port,
        "FIND_TEXT": FIND_ROW,
        "END_TEXT": _END,
        "TOPO_TEXT": topo_file(request),
        "ARGUMENTS_TEXT": default_arguments(request.program),
        "SLICES_TEXT": refuse_slices(rows),
        "UNEVEN_TEXT": _UNEVEN if len({len(row.ranks) for row in rows}) > 1 else "",
    }
    header = comment(
        [
            f"{plan}.",
            "run.sh [TORCHRUN OPTIONS] SCRIPT [ARGS...]: start this on EVERY host of the plan; it finds its node rank "
            "by the host's name. TORCHRUN names another torchrun, TOPOPLAN_HOST overrides the host's name, "
            "TOPOPLAN_MASTER_ADDR and TOPOPLAN_MASTER_PORT say where ranks meet: on node 0.",
            "Reordered silently by --rdzv-backend=c10d, which ignores node ranks and sorts hosts by name as text.",
        ]
    )
    found = {"NODE_TEXT": '"$node"', "PROCESSES_TEXT": '"$processes"'}
    run = fill(_RUN + _TORCHRUN, {"HEADER_TEXT": header, "ROWS_TEXT": table_text(rows), **found, **common})
    files = {RUN: LaunchFile(run, executable=True)}
    width = len(str(len(rows) - 1))
    for node, row in enumerate(rows):
        files[f"node-{node:0{width}d}-{row.host}.sh"] = _node_script(plan, node, row, common)
    return files


def _node_script(plan: str, node: int, row: HostRow, common: Mapping[str, str | int]) -> LaunchFile:
    header = comment(
        [
            f"{plan}. Node {node}, ranks {row.ranks[0]} to {row.ranks[-1]}.",
            f"node-...-{row.host}.sh [TORCHRUN OPTIONS] SCRIPT [ARGS...]: start this on {row.host}.",
            "Reordered silently by --rdzv-backend=c10d, which ignores node ranks and sorts hosts by name.",
        ]
    )
    tail = fill(_TORCHRUN, {**common, "NODE_TEXT": node, "PROCESSES_TEXT": len(row.ranks)})
    return LaunchFile(f"#!/bin/sh\n{header}set -eu\n{exports(row)}" + tail, executable=True)


_NODE_FILE = re.compile(r"node-(\d+)-(.+)\.sh")
_NODE_TEXT = re.compile(r"CUDA_VISIBLE_DEVICES=([\d,]+)\n.*--node-rank=(\d+) --nproc-per-node=(\d+) ", re.DOTALL)


def _read(files: Mapping[str, str]) -> Order:
    text = need(files, RUN)
    _, found, rest = text.partition(f"<<'{_END}'\n")
    if not found or f"\n{_END}\n" not in rest:
        raise InputError("the table of hosts is missing", place=Place(RUN))
    if "--rdzv-backend=static" not in rest:
        raise InputError("without --rdzv-backend=static torchrun sorts hosts by name", place=Place(RUN))
    rows = read_table(rest.partition(f"\n{_END}\n")[0], RUN)
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
)
