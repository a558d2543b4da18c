"""The plan's table of hosts: its lines, where a pod finds them beside its program, and what they say of one host."""

from __future__ import annotations

import glob
import gzip
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

TABLE = "hosts.txt"  # columns with spaces between
TABS = "hosts.tsv"  # the same with tabs
PACKED = "hosts.txt.gz."  # parts of the compressed table: .000, .001 ...
DEVICES = "devices.txt"
NOT_AS_PLANNED = 6  # exit code, as everywhere in topoplan
_EDITED = "; write it again with topoplan export"


class PodRow(NamedTuple):
    """One host: its number in the order of the plan, its ranks, their devices in a pod, and all its names."""

    number: int
    host: str
    ranks: Sequence[int]
    devices: Sequence[int]
    hcas: Sequence[str]
    names: Sequence[str]


def say(message: str) -> None:
    """One line to standard error, in one piece."""
    sys.stderr.write("topoplan: " + message + "\n")
    sys.stderr.flush()


def stop(message: str) -> NoReturn:
    """End this process: something is not as the plan says."""
    say(message)
    raise SystemExit(NOT_AS_PLANNED)


def table_bytes(folder: str) -> bytes:
    """The table, put together from compressed parts where it was too large for one piece."""
    for plain in (os.path.join(folder, name) for name in (TABLE, TABS)):
        if os.path.exists(plain):
            with open(plain, "rb") as file:
                return file.read()
    parts = []
    for path in sorted(glob.glob(os.path.join(folder, PACKED + "*"))):
        with open(path, "rb") as file:
            parts.append(file.read())
    if not parts:
        stop("the plan's table is not in " + folder)
    return gzip.decompress(b"".join(parts))


def pod_rows(folder: str) -> list[PodRow]:
    """All hosts of the plan, that of rank 0 first."""
    visible = {}
    path = os.path.join(folder, DEVICES)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                host, gpus = line.split()
                visible[host] = [int(gpu) for gpu in gpus.split(",")]
    try:
        whole = table_rows(table_bytes(folder).decode())
    except ValueError as error:
        stop("the plan's table: " + str(error))
    return [  # where a pod sees fewer GPUs than the host has, they are numbered anew
        row._replace(devices=[visible[row.host].index(gpu) for gpu in row.devices]) if row.host in visible else row
        for row in whole
    ]


def table_rows(text: str) -> list[PodRow]:
    """Hosts and spares of a table, numbered as they stand; ValueError where it is not one, or not whole."""
    rows: list[PodRow] = []
    for line in text.splitlines():
        try:
            row = row_of(line, len(rows))
        except ValueError:
            raise ValueError("no host with its ranks and GPUs: " + line[:100] + _EDITED) from None
        if row is not None:
            rows.append(row)
    ranks = sorted(rank for row in rows for rank in row.ranks)
    wrong = [rank for rank, found in enumerate(ranks) if rank != found]
    if wrong:
        what = "twice" if ranks[wrong[0]] < wrong[0] else "not at all"
        raise ValueError("rank " + str(min(wrong[0], ranks[wrong[0]])) + " is there " + what + _EDITED)
    return rows


def row_of(line: str, number: int) -> PodRow | None:
    """The host of one line of a table, None where the line has none; ValueError where it is not a row.

    A host without ranks ("-") is a spare.
    """
    cells = line.split("#", 1)[0].split()
    if not cells:
        return None
    host, ranks, gpus, hcas, names = cells
    row = PodRow(
        number,
        host,
        [] if ranks == "-" else [int(rank) for rank in ranks.split(",")],
        [int(gpu) for gpu in gpus.split(",")],
        [] if hcas == "-" else hcas.split(","),
        names.split(","),
    )
    if len(row.ranks) not in (0, len(row.devices)):
        raise ValueError(line)
    return row


def first_part(name: str) -> str:
    """A name in lower case without its domain; addresses have none."""
    return name if name.replace(".", "").isdigit() else name.partition(".")[0].lower()


def own_row(rows: Sequence[PodRow], me: str) -> PodRow | None:
    """The row of the host called `me`: exactly, else in lower case, else without its domain; None for a stranger."""
    short = me[: len(first_part(me))]
    for name in (me, me.lower(), short, short.lower()):
        for row in rows:
            if name in row.names:
                return row
    return None


def rank_environment(
    rows: Sequence[PodRow],
    row: PodRow,
    rank: int,
    master: str,
    env: Mapping[str, str],
    sysfs: str = "/sys/class/infiniband",
) -> dict[str, str]:
    """Environment of one rank on its host; `env` is what it starts from."""
    local = list(row.ranks).index(rank)
    devices = [row.devices[local]] if env.get("TOPOPLAN_ONE_GPU") == "1" else row.devices
    found = {
        **env,
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "LOCAL_WORLD_SIZE": str(len(row.ranks)),
        "WORLD_SIZE": str(sum(len(each.ranks) for each in rows)),
        "MASTER_ADDR": master,
        "MASTER_PORT": env.get("TOPOPLAN_MASTER_PORT", "29500"),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)),
    }
    hcas = ib_devices(row, sysfs)
    if hcas:
        found.setdefault("NCCL_IB_HCA", hcas)
    return found


def ib_devices(row: PodRow, sysfs: str = "/sys/class/infiniband") -> str:
    """NCCL_IB_HCA of a host, "" where it is not known or not here.

    Pods may see other devices than their host; names that are not there would make NCCL fall back to TCP silently.
    """
    here = all(os.path.isdir(os.path.join(sysfs, hca.split(":")[0])) for hca in row.hcas)
    return "=" + ",".join(row.hcas) if row.hcas and here else ""
