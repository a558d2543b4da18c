"""The plan's hosts and spares inside a portable program, and which of them this process is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from topoplan.launchers.portable.pod_table import PodRow, first_part, own_row, stop, table_rows
from topoplan.launchers.portable.whoami import host_names

# What export writes here: lines of host, ranks, GPUs, RDMA devices and names. A host without ranks ("-") is a spare.
TABLE_TEXT = ""
_SHOWN = 4


def rows_of(table: str) -> tuple[list[PodRow], list[PodRow]]:
    """Hosts of the plan, that of rank 0 first, and its spares, best first; ValueError where it is not whole."""
    rows: list[PodRow] = []
    spares: list[PodRow] = []
    for row in table_rows(table):
        kind = rows if row.ranks else spares
        kind.append(row._replace(number=len(kind)))
    return rows, spares


def first_names(rows: Sequence[PodRow]) -> str:
    """Names of hosts, the first few."""
    return ", ".join(row.host for row in rows[:_SHOWN]) + (" ..." if len(rows) > _SHOWN else "")


def find_host(rows: Sequence[PodRow], env: Mapping[str, str]) -> PodRow:
    """The row of this host by the first of its names that is in the plan, or the end."""
    tried = []
    for name, source in host_names(env):
        row = own_row(rows, name)
        if row is not None:
            break
        tried.append((name, source))
    else:
        stop(_unknown(rows, tried))
    return row


def _unknown(rows: Sequence[PodRow], tried: Sequence[tuple[str, str]]) -> str:
    """What to say of a host that is in the plan by none of its names, or by one that several hosts share."""
    for name, source in tried:
        alike = [row.host for row in rows if first_part(name) in [first_part(known) for known in row.names]]
        if alike:
            which = " or ".join(alike[:_SHOWN])
            return f"{source} says {name}, which could be {which}: set TOPOPLAN_HOST to the name that the plan uses"
    said = ", ".join(f"{name} ({source})" for name, source in tried)
    return (
        f"this host is not in the plan: it is called {said}; the plan has {first_names(rows)}. Plan again for the "
        "hosts of this allocation, or set TOPOPLAN_HOST"
    )
