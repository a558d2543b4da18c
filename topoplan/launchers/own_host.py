"""The beginning of scripts that run once on every host: they find their own line of the host table and its settings."""

from __future__ import annotations

from collections.abc import Iterable

from topoplan.errors import InputError, Place
from topoplan.launchers.base import LaunchRequest
from topoplan.launchers.env import FIND_ROW, refuse_slices, topo_file
from topoplan.launchers.shell import fill
from topoplan.launchers.table import HostRow, read_table, table_text

_END = "END_OF_HOSTS"
# Variable of the script -> what awk finds it in, once `mine` is the number of the host and its columns.
_FOUND = {
    "node": "cell[1]",
    "host": "cell[2]",
    "processes": 'split(cell[3], ranks, ",")',
    "gpus": "cell[4]",
    "hcas": "cell[5]",
}

_SCRIPT = """\
set -eu
find_row() {
    awk -v me="$1" '
@FIND_TEXT@
    END {
        split(mine, cell)
        if (mine != "") print @FOUND_TEXT@
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
read -r @NAMES_TEXT@ <<EOF
$row
EOF
export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$gpus"
if [ "$hcas" != - ]; then
    export NCCL_IB_HCA="${NCCL_IB_HCA:-=$hcas}"
fi
@REST_TEXT@"""

_UNEVEN = """\
# Hosts have different numbers of ranks; set to 1 this would make torchrun assume that they do not.
export TORCH_ELASTIC_WORKER_IDENTICAL=0
"""


def own_host(request: LaunchRequest, rows: list[HostRow], variables: Iterable[str]) -> str:
    """Shell lines that set `variables` (node, host, processes) for the host they run on, and its environment.

    They stop with code 6 on a host that the plan does not have.
    """
    names = [*variables, "gpus", "hcas"]
    values = {
        "FIND_TEXT": FIND_ROW,
        "FOUND_TEXT": ", ".join(_FOUND[name] for name in names),
        "NAMES_TEXT": " ".join(names),
        "END_TEXT": _END,
        "ROWS_TEXT": table_text(rows),
        "REST_TEXT": for_every_host(request, rows),
    }
    return fill(_SCRIPT, values)


def for_every_host(request: LaunchRequest, rows: list[HostRow]) -> str:
    """Shell lines of the environment that is the same on all hosts where processes are torchrun's."""
    uneven = _UNEVEN if len({len(row.ranks) for row in rows}) > 1 else ""
    return topo_file(request) + uneven + refuse_slices(rows)


def read_own_hosts(text: str, path: str) -> tuple[list[HostRow], str]:
    """Rows of the table in a script that begins with `own_host`, and what follows it.

    Raises
    ------
    InputError
        There is no such table.
    """
    _, found, rest = text.partition(f"<<'{_END}'\n")
    table, ended, rest = rest.partition(f"\n{_END}\n")
    if not found or not ended:
        raise InputError("the table of hosts is missing", place=Place(path))
    return read_table(table, path), rest
