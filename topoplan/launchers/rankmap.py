"""The plain rank map: who runs where, as CSV and JSON, for launchers of one's own.

Nothing obeys these files by itself. The CSV has no comment line, so that every CSV reader takes it; the JSON says what
it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Seat, need
from topoplan.model.capability import Freedom
from topoplan.model.placement import RankPlacement

CSV, JSON = "rankmap.csv", "rankmap.json"
FORMAT = "topoplan-rankmap/1"

_HINTS = (
    "use: rankmap/rankmap.csv or rankmap.json, read by your own launcher; check what it made with topoplan verify",
    "reordered by: whatever starts the processes; set RANK from the map, not from the order in which they start",
)


def _columns(request: LaunchRequest) -> dict[str, list[str] | list[int]]:
    place = request.placement
    names = place.fabric.host_names
    return {
        "host": [names[h] for h in place.host.tolist()],
        "gpu": place.local.tolist(),
        "nic": place.nic.tolist(),
        "hca": _hcas(place),
        "local_rank": _local_ranks(place),
        **{name: [int(value) for value in values] for name, values in request.columns.items()},
    }


def _hcas(place: RankPlacement) -> list[str]:
    kinds = place.fabric.host_types
    pairs = zip(place.fabric.host_type[place.host].tolist(), place.nic.tolist(), strict=True)
    return [kinds[kind].nics[nic].name if nic >= 0 else "" for kind, nic in pairs]


def _local_ranks(place: RankPlacement) -> list[int]:
    """How many lower ranks share each rank's host, as every launcher counts."""
    order = np.argsort(place.host, kind="stable")
    host = place.host[order]
    first = np.searchsorted(host, host)
    local = np.empty(place.ranks, np.int64)
    local[order] = np.arange(place.ranks) - first
    return [int(value) for value in local]


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    columns = _columns(request)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["rank", *columns])
    writer.writerows(zip(range(request.placement.ranks), *columns.values(), strict=True))
    head = {
        "format": FORMAT,
        "comment": "Entry r of each list belongs to rank r. Used by your own launcher: set RANK from it; taking the "
        "order in which processes start would reorder ranks silently.",
        "plan": request.label,
        "ranks": request.placement.ranks,
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in (head | columns).items()]
    return {CSV: LaunchFile(table.getvalue()), JSON: LaunchFile("{\n" + ",\n".join(lines) + "\n}\n")}


def _read(files: Mapping[str, str]) -> Order:
    order = read_csv(need(files, CSV))
    if JSON in files and read_json(files[JSON]) != order:
        raise InputError(f"{JSON} and {CSV} do not say the same", hint="write both again with topoplan export")
    return order


def read_csv(text: str, source: str = CSV) -> Order:
    """Seats from a CSV with the columns rank and host, and gpu if it is known; lines may stand in any order.

    Errors name `source`.
    """
    reader = csv.DictReader(io.StringIO(text))
    if not {"rank", "host"} <= set(reader.fieldnames or ()):
        raise InputError("the first line must name the columns rank and host", place=Place(source, 1))
    seats: dict[int, Seat] = {}
    for row in reader:
        place = Place(source, reader.line_num)
        try:
            rank, gpu = int(row["rank"]), row.get("gpu") or None
            seat = Seat(row["host"], int(gpu) if gpu is not None else None)
        except (TypeError, ValueError) as error:
            raise InputError("rank and gpu must be whole numbers", place=place) from error
        if rank in seats:
            raise InputError(f"rank {rank} stands there twice", place=place)
        seats[rank] = seat
    return in_order(seats, source)


def read_json(text: str, source: str = JSON) -> Order:
    """Seats from rankmap.json, or from a list of objects with rank (or in rank order), host and perhaps gpu.

    Errors name `source`.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", place=Place(source)) from error
    if isinstance(data, list):
        data = _from_rows(data)
    hosts = data.get("host") if isinstance(data, dict) else None
    if not isinstance(hosts, list):
        raise InputError("a list `host` is needed", place=Place(source))
    gpus, ranks = data.get("gpu", [None] * len(hosts)), data.get("rank", list(range(len(hosts))))
    if not isinstance(gpus, list) or not isinstance(ranks, list) or not len(gpus) == len(ranks) == len(hosts):
        raise InputError("host, gpu and rank need as many entries", place=Place(source))
    if not all(isinstance(h, str) for h in hosts) or not all(_is_int(g) or g is None for g in gpus):
        raise InputError("host must hold names, gpu whole numbers", place=Place(source))
    if not all(_is_int(rank) for rank in ranks) or len(set(ranks)) != len(ranks):
        raise InputError("rank must hold different whole numbers", place=Place(source))
    return in_order({rank: Seat(host, gpu) for rank, host, gpu in zip(ranks, hosts, gpus, strict=True)}, source)


def _from_rows(rows: list[object]) -> dict[str, list[object]]:
    """A list of objects as one list a key; a list without ranks is in rank order."""
    return {
        "host": [_key(row, "host") for row in rows],
        "gpu": [_key(row, "gpu", None) for row in rows],
        "rank": [_key(row, "rank", i) for i, row in enumerate(rows)],
    }


def in_order(seats: Mapping[int, Seat], source: str) -> Order:
    """Seats as a tuple by rank; InputError unless ranks run from 0 without a gap."""
    if not seats:
        raise InputError("no rank in it", place=Place(source))
    missing = [rank for rank in range(len(seats)) if rank not in seats]
    if missing:
        raise InputError(
            f"rank {missing[0]} is missing, though {len(seats)} ranks up to {max(seats)} are there",
            place=Place(source),
            hint="every rank from 0 must be reported once",
        )
    return tuple(seats[rank] for rank in range(len(seats)))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _key(row: object, name: str, *default: object) -> object:
    if not isinstance(row, dict) or (not default and name not in row):
        raise InputError(f"every entry of the list needs {name!r}", place=Place(JSON))
    return row.get(name, *default)


LAUNCHER = Launcher(
    "rankmap", Freedom.RANKS, "rank map as CSV and JSON for other launchers", _HINTS, _write, _read, settings=()
)
