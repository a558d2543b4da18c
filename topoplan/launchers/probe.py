"""The probe: what to start instead of the program, so that every rank says where it is."""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.base import LaunchFile
from topoplan.launchers.bundle import bundle
from topoplan.launchers.portable.probe import LAST_S
from topoplan.launchers.portable.whoami import HOST_VARIABLES, LOCAL_VARIABLES, RANK_VARIABLES, WORLD_VARIABLES
from topoplan.launchers.shell import comment, fill

PROBE, SHELL_PROBE = "topoplan-probe", "topoplan-probe.sh"

HINTS = (
    "start it as you start the program, once a rank: openmpi/run.sh ./topoplan-probe > observed.jsonl",
    "where hosts have no Python 3.8: topoplan-probe.sh, which tells less; then: topoplan verify PLAN --observed FILE",
    "torchrun: torchrun/run.sh --no-python ./topoplan-probe   Kubernetes: kubectl logs of all pods into one file",
)

_HEADER = comment(
    [
        "Start this under the launcher, once a rank, in place of the program; needs Python 3.8 or newer and nothing "
        "else. Lines may stand amid other output. Nothing reorders them: each says its own rank.",
    ]
)
_SHELL = """\
#!/bin/sh
# The probe for hosts without Python: the same line, without GPUs' UUIDs. Start it under the launcher, once a rank.
set -u
LC_ALL=C
export LC_ALL
# Text as JSON: what could end it or is not printable is left out.
json() {
    if [ -z "$1" ]; then
        printf 'null'
    else
        printf '"%s"' "$(printf '%s' "$1" | tr -dc '[:print:]' | tr -d '"\\134')"
    fi
}
number() {
    case $1 in
        '' | *[!0-9]*) printf 'null' ;;
        *) printf '%s' "$1" | sed 's/^0*\\([0-9]\\)/\\1/' ;;
    esac
}
rank=@RANK_TEXT@
world=@WORLD_TEXT@
local_rank=@LOCAL_TEXT@
host=@HOST_TEXT@
nics=
for nic in /sys/class/infiniband/*; do
    [ -e "$nic" ] && nics="$nics${nics:+, }$(json "${nic##*/}")"
done
# One printf of the whole line, so that lines of many processes do not mix.
line=$(
    printf '{"probe": "topoplan-probe/1", "rank": %s, ' "$(number "$rank")"
    printf '"world": %s, "host": %s, ' "$(number "$world")" "$(json "$host")"
    printf '"local_rank": %s, ' "$(number "$local_rank")"
    printf '"visible_gpus": %s, ' "$(json "${CUDA_VISIBLE_DEVICES-}")"
    printf '"hcas": %s, "nics": [%s], "pid": %s}' "$(json "${NCCL_IB_HCA-}")" "$nics" "$$"
)
printf '%s\\n' "$line"
if [ -n "${PMIX_RANK-}" ]; then
    sleep @LAST_S@ # Open MPI 5 may miss the end of a process that ends at once
fi
"""


def _first_set(variables: Sequence[str], otherwise: str = "") -> str:
    """Shell word for the first of the variables that is set, in the order of the Python probe."""
    for name in reversed(variables):
        otherwise = f"${{{name}:-{otherwise}}}"
    return otherwise


def probe_files() -> dict[str, LaunchFile]:
    """Files by name."""
    program = f"#!/usr/bin/env python3\n{_HEADER}{bundle('probe')}"
    shell = fill(
        _SHELL,
        {
            "RANK_TEXT": _first_set(RANK_VARIABLES),
            "WORLD_TEXT": _first_set(WORLD_VARIABLES),
            "LOCAL_TEXT": _first_set(LOCAL_VARIABLES),
            "HOST_TEXT": _first_set(("TOPOPLAN_HOST", *HOST_VARIABLES), "$(uname -n)"),
            "LAST_S": str(LAST_S),
        },
    )
    return {PROBE: LaunchFile(program, executable=True), SHELL_PROBE: LaunchFile(shell, executable=True)}
