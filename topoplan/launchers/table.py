"""The host table: which ranks and GPUs each host has, as the scripts of all launchers look it up.

One host a line, in rank order of the first rank: name, ranks, GPU of each of them, RDMA devices ("-" when unknown), and
every name the host is known by. Commas inside a column, tabs between columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.launchers.base import LaunchFile, Order, Seat
from topoplan.launchers.match import HostNames
from topoplan.launchers.portable.pod_table import row_of
from topoplan.launchers.shell import comment
from topoplan.model.fabric import HostType
from topoplan.model.placement import RankPlacement
from topoplan.names import natural_key

FILE_NAME = "hosts.tsv"
COLUMNS = ("host", "ranks", "gpus", "hcas", "names")


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host of a placement.

    Parameters
    ----------
    ranks
        Ascending: local rank i is `ranks[i]`; none on a spare host, which has all its usable GPUs instead.
    gpus
        GPU index of each of them.
    hcas
        Names of the NICs beside those GPUs; empty when the fabric does not know them all.
    names
        What the host may call itself.
    sliced
        Whether `gpus` count MIG slices; not in the table, hosts know themselves.
    """

    host: str
    ranks: tuple[int, ...]
    gpus: tuple[int, ...]
    hcas: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    sliced: bool = False


def host_rows(placement: RankPlacement) -> list[HostRow]:
    """Rows of a placement, hosts in the order in which ranks first use them."""
    fabric = placement.fabric
    order = np.argsort(placement.host, kind="stable")
    hosts, first = np.unique(placement.host[order], return_index=True)
    bounds = [*first.tolist(), placement.ranks]
    ranks, local = order.tolist(), placement.local[order].tolist()
    names = HostNames(fabric).all_names()
    nics = [kind.nics_of_gpu for kind in fabric.host_types]
    rows = {}
    for i, h in enumerate(hosts.tolist()):
        part = slice(bounds[i], bounds[i + 1])
        gpus = tuple(local[part])
        kind = fabric.hosts[h].type
        hcas = _hcas(fabric.host_types[kind], gpus, nics[kind])
        sliced = bool(fabric.host_types[kind].slices)
        rows[h] = HostRow(fabric.hosts[h].name, tuple(ranks[part]), gpus, hcas, names[h], sliced)
    return [rows[h] for h in placement.host_order().tolist()]


def spare_rows(placement: RankPlacement, first: Sequence[str] = ()) -> list[HostRow]:
    """Rows without ranks of the usable hosts that a placement leaves, with their usable GPUs: `first`, then by name."""
    fabric = placement.fabric
    used = set(placement.host.tolist())
    left = [h for h in range(len(fabric.hosts)) if h not in used and fabric.free_gpus[h]]
    place = {name: position for position, name in enumerate(first)}
    left.sort(key=lambda h: (place.get(fabric.host_names[h], len(place)), natural_key(fabric.host_names[h])))
    names = HostNames(fabric).all_names()
    rows = []
    for h in left:
        kind = fabric.host_types[fabric.hosts[h].type]
        at = int(fabric.gpu_offset[h])
        gpus = tuple(np.flatnonzero(fabric.gpu_free[at : at + int(fabric.host_gpus[h])]).tolist())
        hcas = _hcas(kind, gpus, kind.nics_of_gpu)
        rows.append(HostRow(fabric.host_names[h], (), gpus, hcas, names[h], bool(kind.slices)))
    return rows


def _hcas(kind: HostType, gpus: tuple[int, ...], nics: tuple[tuple[int, ...], ...]) -> tuple[str, ...]:
    """Devices that serve the GPUs: all of each GPU's own, or those it shares."""
    indices = {i for gpu in gpus for i in nics[gpu]}
    names = tuple(kind.nics[i].name for i in sorted(indices))
    return names if all(names) else ()


def table_text(rows: list[HostRow]) -> str:
    """The rows as lines, under a comment that names the columns."""
    lines = ["# " + "\t".join(COLUMNS)]
    for row in rows:
        cells = (row.ranks or "-", row.gpus, row.hcas or "-", row.names)
        lines.append("\t".join([row.host, *(",".join(map(str, cell)) for cell in cells)]))
    return "\n".join(lines) + "\n"


def table_file(plan: str, rows: list[HostRow], user: str) -> LaunchFile:
    """The table as a file beside `user`, the file that reads it; `plan` is what heads of files call the plan."""
    told = f"{plan}. Used by {user}, which looks ranks up by the host's name: the order of lines reorders nothing."
    return LaunchFile(comment([told]) + table_text(rows))


def read_table(text: str, path: str = FILE_NAME) -> list[HostRow]:
    """Rows back from `table_text`.

    Raises
    ------
    InputError
        A line that is not a row.
    """
    rows: list[HostRow] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = row_of(line, len(rows))
        except ValueError:
            raise InputError(f"not a row of {', '.join(COLUMNS)}", place=Place(path, number)) from None
        if row is not None:
            rows.append(HostRow(row.host, tuple(row.ranks), tuple(row.devices), tuple(row.hcas), tuple(row.names)))
    return rows


def seats_by_rank(rows: list[HostRow]) -> dict[int, Seat]:
    """Rank -> seat as the table has it."""
    return {rank: Seat(row.host, gpu) for row in rows for rank, gpu in zip(row.ranks, row.gpus, strict=False)}


def with_gpus(hosts: list[str], table: str) -> Order:
    """Seats of ranks that a launcher puts on `hosts`, with the GPU that the table gives a rank on that host.

    Where table and launcher disagree about the host the GPU is unknown: the rank would refuse to start.
    """
    planned = seats_by_rank(read_table(table))
    seats = []
    for rank, host in enumerate(hosts):
        seat = planned.get(rank)
        seats.append(seat if seat is not None and seat.host == host else Seat(host))
    return tuple(seats)
