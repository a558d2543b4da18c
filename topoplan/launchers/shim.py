"""The rank shim: one file that gives any process the rank that the plan has for its host, whoever started it there.

For launchers and schedulers that choose hosts or numbers themselves: Slurm's heterogeneous jobs and containers, MPIs
without a hostfile, Kubernetes, elastic torchrun. The program must take its rank from the environment, as
torch.distributed does; MPI_Comm_rank stays what MPI says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from topoplan.errors import InfeasibleError, InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.bundle import bundle
from topoplan.launchers.express import whole_hosts
from topoplan.launchers.rankmap import in_order
from topoplan.launchers.shell import comment
from topoplan.launchers.shim_srun import SRUN, srun_script
from topoplan.launchers.table import HostRow, host_rows, read_table, seats_by_rank, spare_rows, table_text
from topoplan.model.capability import Freedom

SHIM, RENDEZVOUS = "topoplan_shim.py", "topoplan_rendezvous.py"
_TABLE = re.compile(r'^TABLE_TEXT = """\\\n(.*?)^"""$', re.MULTILINE | re.DOTALL)

_HINTS = (
    "start once a process, under anything: shim/topoplan_shim.py PROGRAM [ARGS...]   (--print shows what it sets)",
    "or once a host, for torchrun: shim/topoplan_shim.py --node torchrun SCRIPT [ARGS...]",
    "Slurm's heterogeneous jobs and containers, in sbatch or salloc: SRUN_OPTIONS=... shim/srun.sh PROGRAM [ARGS...]",
    "elastic, spares take over: shim/topoplan_rendezvous.py [TORCHRUN OPTIONS] SCRIPT on every host and spare",
    "reordered by: nothing; a process on a host outside of the plan, or too many on one, are refused with code 6",
)
_EXPLAINS = {
    Symptom.OTHER: "ranks are not those that the shim gives: the program was started without topoplan_shim.py, or "
    "takes its rank from MPI instead of RANK",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: TOPOPLAN_GPUS=off, or the launcher set "
    "CUDA_VISIBLE_DEVICES after the shim",
}


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    rows = host_rows(request.placement)
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    files = {
        SHIM: shim_file(request, rows),
        SRUN: srun_script(request, rows, plan, SHIM),
    }
    if whole_hosts(request.placement):
        files[RENDEZVOUS] = _program(
            "rendezvous",
            f"{plan}. Used by every host and spare in place of torchrun, for jobs that outlive a host.",
            _hosts(request, rows),
            needs="torch",
        )
    return files


def shim_file(request: LaunchRequest, rows: list[HostRow]) -> LaunchFile:
    """The shim with the plan's table of hosts in it.

    Raises
    ------
    InfeasibleError
        MIG slices, which it cannot show.
    """
    if any(row.sliced for row in rows):
        raise InfeasibleError(
            "the shim cannot show each rank its own MIG slice", hint="export for openmpi or slurm, whose files can"
        )
    settings = {
        "PORT": str(request.master_port),
        "NCCL_TOPO_FILE": repr(request.nccl_topo_file),
        "PROGRAM: Sequence[str]": repr(tuple(request.program)),
    }
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    use = f"{plan}. Used as the entry point of every process, or with --node of every host."
    return _program("shim", use, _hosts(request, rows) | settings)


def _hosts(request: LaunchRequest, rows: list[HostRow]) -> dict[str, str]:
    spares = spare_rows(request.placement, request.spares)
    table = table_text(rows) + "".join(table_text(spares).splitlines(keepends=True)[1:])
    return {"TABLE_TEXT": f'"""\\\n{table}"""'}


def _program(module: str, use: str, values: Mapping[str, str], needs: str = "nothing else") -> LaunchFile:
    """A portable program with the plan's own values in place of its constants."""
    text = bundle(module)
    for name, value in values.items():
        line = re.compile(rf"^{re.escape(name)} = .*$", re.MULTILINE)
        text, count = line.subn(lambda _, new=f"{name} = {value}": new, text)  # type: ignore[misc]
        assert count == 1, name
    head = comment([use, f"Needs Python 3.8 or newer and {needs}. Nothing reorders ranks: hosts are known by name."])
    return LaunchFile(f"#!/usr/bin/env python3\n{head}{text}", executable=True)


def read_shim(files: Mapping[str, str]) -> Order:
    """Where the ranks are that the shim gives.

    Raises
    ------
    InputError
        It is missing, or its table is.
    """
    found = _TABLE.search(need(files, SHIM))
    if found is None:
        raise InputError("the table of hosts is missing", place=Place(SHIM))
    rows = read_table(found[1], SHIM)
    return in_order(seats_by_rank(rows), SHIM)


LAUNCHER = Launcher(
    "shim",
    Freedom.RANKS,
    "rank shim: any process on a planned host takes its planned rank",
    _HINTS,
    _write,
    read_shim,
    _EXPLAINS,
    by_table=True,
)
