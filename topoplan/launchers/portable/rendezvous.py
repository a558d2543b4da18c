"""Elastic torchrun with the plan's node ranks: spares take the place of lost hosts, all others keep their ranks.

Start this on every host of the plan and on every spare, in place of torchrun; it fills in the options that the plan
knows, and every option given counts before them:

    topoplan_rendezvous.py [TORCHRUN OPTIONS] SCRIPT [ARGS...]

Where topoplan is installed beside torch, torchrun knows the handler by itself, and takes its hosts from this file:

    torchrun --nnodes=4:6 --nproc-per-node=8 --max-restarts=3 --rdzv-backend=topoplan --rdzv-id=JOB
        --rdzv-endpoint=HOST:PORT --rdzv-conf=plan=topoplan_rendezvous.py SCRIPT

Who takes part, heartbeats and time-outs are those of torch's own c10d rendezvous, with its --rdzv-conf; what it keeps
them in dies with the host of the endpoint, by default that of rank 0. As there, a host that is lost without any rank of
another failing is not noticed. This handler says who has which node rank: a host
of the plan its own, and where one is lost, the host that stood in for it before, else the first spare with as many
processes (TOPOPLAN_PROCESSES on a spare says how many). Hosts are told apart by the names in the table; TOPOPLAN_HOST
overrides a host's own. Spares wait, and end when the job does.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from topoplan.launchers.portable.plan_hosts import TABLE_TEXT, find_host, rows_of
from topoplan.launchers.portable.pod_table import PodRow, stop
from topoplan.launchers.portable.seating import PlanRendezvous
from topoplan.launchers.portable.whoami import environment, first_number

# Of this file when it runs by itself; the installed handler has the name that pyproject.toml gives it.
BACKEND = "topoplan-file"
ENDPOINT_PORT = 29400  # torch's own default of c10d (c10d_rendezvous_backend.py, DEFAULT_PORT)
_JOIN_S = 600  # torch's own default of join_timeout (dynamic_rendezvous.py)
_TABLE = re.compile(r'^TABLE_TEXT = """\\\n(.*?)^"""$', re.MULTILINE | re.DOTALL)


def plan_rows(path: str = "") -> tuple[list[PodRow], list[PodRow]]:
    """Hosts and spares of this file's own table, or of one in a file that topoplan wrote; ends on any other."""
    table = TABLE_TEXT
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                table = file.read()
        except (OSError, UnicodeDecodeError) as error:
            stop(f"{path}: {error}")
        inside = _TABLE.search(table)
        table = inside[1] if inside else table
    why = ""
    try:
        rows, spares = rows_of(table)
    except ValueError as error:
        rows, spares, why = [], [], f" ({error})"
    if not rows:
        stop(
            f"no plan in {path or 'this file'}{why}: name topoplan_rendezvous.py or hosts.tsv, as topoplan export "
            "writes them, with --rdzv-conf=plan=FILE"
        )
    first = 0
    for row in rows:
        if list(row.ranks) != list(range(first, first + len(row.ranks))):
            stop(f"torchrun gives consecutive ranks to a host, but the plan has others on {row.host}")
        first += len(row.ranks)
    return rows, spares


def usual_processes(rows: Sequence[PodRow], me: PodRow) -> int:
    """Processes of a host: as many as its ranks; a spare's, as many as most hosts have."""
    counts = [len(row.ranks) for row in rows]
    return len(me.ranks) or max(sorted(set(counts)), key=counts.count)


def create(params: Any) -> PlanRendezvous:
    """The handler of this host, as torch asks for it with its RendezvousParameters."""
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousParameters  # noqa: PLC0415
    from torch.distributed.elastic.rendezvous.c10d_rendezvous_backend import create_backend  # noqa: PLC0415
    from torch.distributed.elastic.rendezvous.dynamic_rendezvous import create_handler  # noqa: PLC0415

    RendezvousHandler.register(PlanRendezvous)
    # c10d's rank 0 tells the others of its own store for workers, which is not used here; a rank 0 that stays the same
    # does not tell those who come in a later round, and they wait in vain (torch 2.13, dynamic_rendezvous.py)
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    env = environment()
    rows, spares = plan_rows(params.get("plan") or "")
    me = find_host([*rows, *spares], env)
    # "rank" is what torchrun adds for its static rendezvous
    config = {key: value for key, value in params.config.items() if key not in ("plan", "rank")}
    most = max(len(rows), params.max_nodes)
    settings = RendezvousParameters(
        "c10d", params.endpoint, params.run_id, len(rows), most, params.local_addr, **config
    )
    backend, store = create_backend(settings)
    inner = create_handler(store, backend, settings)
    processes = first_number(env, ("TOPOPLAN_PROCESSES",))[0] or usual_processes(rows, me)
    patience = params.get_as_int("join_timeout", _JOIN_S)
    return PlanRendezvous(
        inner, store, rows, spares, me, processes, params.run_id, params.backend, params.local_addr, patience
    )


def options(rows: Sequence[PodRow], spares: Sequence[PodRow], processes: int) -> list[str]:
    """What torchrun needs to know, from the plan."""
    return [
        f"--nnodes={len(rows)}:{len(rows) + len(spares)}",
        f"--nproc-per-node={processes}",
        "--max-restarts=3",
        f"--rdzv-backend={BACKEND}",
        "--rdzv-id=topoplan",
        f"--rdzv-endpoint={rows[0].host}:{ENDPOINT_PORT}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Become torchrun with this handler."""
    env = environment()
    rows, spares = plan_rows()
    me = find_host([*rows, *spares], env)
    processes = first_number(env, ("TOPOPLAN_PROCESSES",))[0] or usual_processes(rows, me)
    try:
        from torch.distributed import run  # noqa: PLC0415 - the table is checked without torch
        from torch.distributed.elastic.rendezvous import rendezvous_handler_registry  # noqa: PLC0415
    except ImportError as error:
        stop(f"{sys.executable} has no torch ({error}): start this file with the Python that has it")
    rendezvous_handler_registry.register(BACKEND, create)
    run.main([*options(rows, spares, processes), *arguments])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
