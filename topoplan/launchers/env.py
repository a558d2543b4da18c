"""The environment of a rank: GPU order, RDMA devices and where ranks meet; the same for every launcher.

All ranks of a host see the same devices, in rank order, so that local rank i of any program finds its GPU as device i
and NCCL can reach its neighbours' GPUs directly. TOPOPLAN_ONE_GPU=1 narrows this to the rank's own GPU as device 0.
NCCL gets the whole list of the host's devices too: it picks the nearest for each GPU, and must see the same ones in
every rank; and the topology file that a cloud ships, where one is set. Where GPUs are cut into MIG slices, a rank sees
its own slice alone, as CUDA lets a process use only one.
"""

from __future__ import annotations

import shlex

from topoplan.launchers.base import LaunchFile, LaunchRequest
from topoplan.launchers.shell import comment, fill
from topoplan.launchers.table import FILE_NAME, HostRow

WRAPPER = "topoplan-env"
# What a person may set for all ranks, so that every launcher must carry it to them; TOPOPLAN_HOST differs by host.
FOR_ALL_RANKS = (
    "TOPOPLAN_CHECK",
    "TOPOPLAN_ONE_GPU",
    "TOPOPLAN_MASTER_ADDR",
    "TOPOPLAN_MASTER_PORT",
    "NCCL_IB_HCA",
    "NCCL_TOPO_FILE",
)
# "=" makes NCCL match whole names; without it mlx5_1 also means mlx5_10 (NCCL user guide, NCCL_IB_HCA).
_EXACT = "="

# Row of the host table whose names fit this host best: `mine` is its number from 0 and its columns. A name is matched
# as it is, else in lower case, else without its domain; "" makes awk compare text, as 010 and 10 are one number to it.
FIND_ROW = """\
    BEGIN { best = 9; node = -1; short = me; if (me !~ /^[0-9.]+$/) sub(/[.].*/, "", short) }
    /^#/ { next }
    {
        node++
        n = split($5, names, ",")
        for (i = 1; i <= n; i++) {
            name = names[i] ""
            score = 9
            if (name == tolower(short) "") score = 4
            if (name == short "") score = 3
            if (name == tolower(me) "") score = 2
            if (name == me "") score = 1
            if (score < best) { best = score; mine = node " " $0 }
        }
    }"""

# UUID of each place of a host in order: of its MIG slices, and of GPUs that are not cut.
_PLACES = """\
nvidia-smi -L | awk '
    function show() { if (whole != "") print whole; whole = "" }
    !match($0, /UUID: [^)]*/) { next }
    /^GPU / { show(); whole = substr($0, RSTART + 6, RLENGTH - 6); next }
    { whole = ""; print substr($0, RSTART + 6, RLENGTH - 6) }
    END { show() }
'"""
_OWN_SLICE = f"""\
# GPUs of the plan are cut into MIG slices: each is a device of its own, known by its UUID alone.
gpus=$({_PLACES} | sed -n "$((gpu + 1))p")
if [ -z "$gpus" ]; then
    echo "topoplan-env: rank $rank needs MIG slice number $gpu, which this host does not have" >&2
    exit 6
fi
"""
_NO_SLICES = """\
if nvidia-smi -L 2>/dev/null | grep -q 'MIG '; then
    echo "$0: GPUs are cut into MIG slices; torchrun shows all its processes the same devices, and CUDA lets a" >&2
    echo "$0: process use one slice: start through the files for openmpi or slurm" >&2
    exit 6
fi
"""

_WRAPPER = """\
#!/bin/sh
@HEADER_TEXT@set -eu
rank=${@RANK_TEXT@:?topoplan-env: no rank, start me through @STARTER_TEXT@}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
me=${TOPOPLAN_HOST:-@ME_TEXT@}
line=$(awk -v me="$me" -v rank="$rank" '
@FIND_TEXT@
    {
        n = split($2, ranks, ",")
        for (i = 1; i <= n; i++) if (ranks[i] + 0 == rank + 0) {
            split($3, gpus, ",")
            planned = $1 " " (i - 1) " " n " " gpus[i] " " $3 " " $4
        }
    }
    END { split(mine, cell); print planned, (mine == "" ? "?" : cell[2]) }
' "$here/@TABLE_TEXT@")
read -r host local size gpu gpus hcas actual <<EOF
$line
EOF
if [ -z "$actual" ]; then
    echo "topoplan-env: rank $rank is not in the plan of @RANKS_TEXT@ ranks" >&2
    exit 6
fi
if [ "$actual" = "?" ]; then
    if [ "$local" = 0 ]; then
        echo "topoplan-env: rank $rank should be on $host; this host calls itself $me, which the plan does not know" >&2
    fi
elif [ "$actual" != "$host" ] && [ "${TOPOPLAN_CHECK:-on}" != off ]; then
    echo "topoplan-env: rank $rank runs on $actual, the plan says $host: the launcher reordered ranks" >&2
    echo "topoplan-env: start with @STARTER_TEXT@ as it was written, or set TOPOPLAN_CHECK=off" >&2
    exit 6
fi
if [ "${TOPOPLAN_ONE_GPU:-0}" = 1 ]; then
    gpus=$gpu
fi
@SLICES_TEXT@export RANK="$rank" LOCAL_RANK="$local" LOCAL_WORLD_SIZE="$size" WORLD_SIZE=@RANKS@
master=@MASTER@
export MASTER_ADDR="${TOPOPLAN_MASTER_ADDR:-$master}" MASTER_PORT="${TOPOPLAN_MASTER_PORT:-@PORT_TEXT@}"
export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$gpus"
if [ "$hcas" != - ]; then
    export NCCL_IB_HCA="${NCCL_IB_HCA:-@EXACT_TEXT@$hcas}"
fi
@TOPO_TEXT@exec "$@"
"""


def wrapper(
    request: LaunchRequest, rows: list[HostRow], rank_variable: str, starter: str, me: str = "$(uname -n)"
) -> LaunchFile:
    """The script that every rank starts through: finds its line of the host table and sets its environment.

    Parameters
    ----------
    rank_variable
        Environment variable in which the launcher tells a process its rank.
    starter
        File that starts it, for messages.
    me
        Shell expression for the name of the host it runs on.
    """
    header = comment(
        [
            f"{WRAPPER} PROGRAM [ARGS...]: run PROGRAM with the GPUs, NICs and rank of plan {request.label}.",
            f"Used by {starter}, once a rank; {FILE_NAME} must lie beside it, on every host.",
            f"It takes {rank_variable} for the rank and refuses to start on another host than planned, so nothing "
            "reorders ranks silently; TOPOPLAN_CHECK=off lets it. TOPOPLAN_HOST overrides the host's name, "
            "TOPOPLAN_ONE_GPU=1 shows a rank its own GPU alone, TOPOPLAN_MASTER_ADDR and TOPOPLAN_MASTER_PORT say "
            "where ranks meet.",
        ]
    )
    values: dict[str, str | int] = {
        "HEADER_TEXT": header,
        "FIND_TEXT": FIND_ROW,
        "RANK_TEXT": rank_variable,
        "STARTER_TEXT": starter,
        "ME_TEXT": me,
        "TABLE_TEXT": FILE_NAME,
        "RANKS": request.placement.ranks,
        "RANKS_TEXT": request.placement.ranks,
        "MASTER": rows[0].host,
        "PORT_TEXT": request.master_port,
        "EXACT_TEXT": _EXACT,
        "TOPO_TEXT": topo_file(request),
        "SLICES_TEXT": _OWN_SLICE if any(row.sliced for row in rows) else "",
    }
    return LaunchFile(fill(_WRAPPER, values), executable=True)


def topo_file(request: LaunchRequest) -> str:
    """Shell lines that set NCCL_TOPO_FILE unless it is set already; none when the request names no such file."""
    if not request.nccl_topo_file:
        return ""
    return f'topo={shlex.quote(request.nccl_topo_file)}\nexport NCCL_TOPO_FILE="${{NCCL_TOPO_FILE:-$topo}}"\n'


def refuse_slices(rows: list[HostRow]) -> str:
    """Shell lines for launchers that show all ranks of a host the same devices: they stop on hosts with MIG slices."""
    return _NO_SLICES if any(row.sliced and len(row.ranks) > 1 for row in rows) else ""


def exports(row: HostRow) -> str:
    """Shell lines that set the environment of one host; names were checked by the request, so quotes suffice."""
    gpus = ",".join(map(str, row.gpus))
    lines = f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={gpus}\n"
    if row.hcas:
        lines += f'export NCCL_IB_HCA="${{NCCL_IB_HCA:-{_EXACT}{",".join(row.hcas)}}}"\n'
    return lines
