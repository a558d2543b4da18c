"""Orders that were observed: what a launcher really made, as a file that a run left behind.

Five shapes are read: lines `RANK HOST [GPU]`; a CSV with a header (rank, host and perhaps gpu); JSON (rankmap.json, or
a list of objects); and two that may stand amid other output: what the probe prints (`topoplan.launchers.probe`), and
lines of KEY=VALUE words, `RANK=3 HOST=node-7 LOCAL_RANK=1 CUDA_VISIBLE_DEVICES=2,0`.
"""

from __future__ import annotations

import re

from topoplan.errors import InfeasibleError, InputError, Place
from topoplan.launchers.base import Order, Seat
from topoplan.launchers.match import HostNames
from topoplan.launchers.rankmap import in_order, read_csv, read_json
from topoplan.launchers.reports import PROBE_LINE, Reports, read_reports, visible_gpu
from topoplan.launchers.shell import words
from topoplan.model.fabric import Fabric
from topoplan.model.placement import RankPlacement

_PAIR = re.compile(r"([A-Z_]+)=(\S*)")
_SOURCE = "observed order"


def parse_observed(text: str) -> Order:
    """Seats by rank; the shape is told from the text.

    Raises
    ------
    InputError
        No shape fits, a rank occurs twice with different seats, or ranks are missing.
    """
    reports = read_observed(text)
    rank = next(iter(reports.claims), None)
    if rank is not None:
        first, second = reports.claims[rank][:2]
        raise InputError(f"rank {rank} was reported by {second.host}, but by {first.host} before")
    if reports.silent:
        raise InputError(f"a process on {reports.silent[0]} was told no rank", hint="start it under the launcher")
    return in_order(reports.seats, _SOURCE)


def read_observed(text: str) -> Reports:
    """What was observed, of a probe with all its faults: ranks that are missing, or that several processes have.

    Raises
    ------
    InputError
        No shape fits; in shapes other than the probe's, a rank occurs twice with different seats, or ranks are missing.
    """
    start = text.lstrip("\ufeff \t\r\n")
    if not start:
        raise InputError("the observed order is empty", hint="one line a rank: RANK HOST [GPU]")
    if PROBE_LINE.search(text):
        return read_reports(text)
    return Reports(dict(enumerate(_parse_order(start, text))))


def _parse_order(start: str, text: str) -> Order:
    if re.search(r"\bRANK=\d", text):  # before JSON: lines of a log may begin like a list
        return _read_pairs(text)
    if start[0] in "{[":
        return read_json(start, _SOURCE)
    first = next((line for line in start.splitlines() if not line.startswith("#")), "")
    if "," in first and "rank" in re.split(r"[,\s]+", first.lower()):
        return read_csv(start[start.index(first) :].replace(first, first.lower(), 1), _SOURCE)
    return _read_lines(text)


def _read_lines(text: str) -> Order:
    seats: dict[int, Seat] = {}
    for number, line in enumerate(text.splitlines(), 1):
        cells = words(line.replace(",", " "))
        if not cells:
            continue
        if not 2 <= len(cells) <= 3 or not cells[0].isdecimal() or not cells[-1 if len(cells) == 3 else 0].isdecimal():
            raise InputError("not of the form RANK HOST [GPU]", place=Place(_SOURCE, number))
        seat = Seat(cells[1], int(cells[2]) if len(cells) == 3 else None)
        _add(seats, int(cells[0]), seat, number)
    return in_order(seats, _SOURCE)


def _read_pairs(text: str) -> Order:
    seats: dict[int, Seat] = {}
    for number, line in enumerate(text.splitlines(), 1):
        pairs = dict(_PAIR.findall(line))
        if not pairs.get("RANK", "").isdecimal() or not pairs.get("HOST"):
            continue
        _add(seats, int(pairs["RANK"]), Seat(pairs["HOST"], _gpu(pairs)), number)
    return in_order(seats, _SOURCE)


def _gpu(pairs: dict[str, str]) -> int | None:
    """The GPU that a process uses: said outright, or device LOCAL_RANK of those it sees, or the only one it sees."""
    if pairs.get("GPU", "").isdecimal():
        return int(pairs["GPU"])
    local = pairs.get("LOCAL_RANK", "")
    visible = pairs.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return visible_gpu(visible, int(local) if local.isdecimal() else None)


def _add(seats: dict[int, Seat], rank: int, seat: Seat, line: int) -> None:
    if seats.setdefault(rank, seat) != seat:
        raise InputError(
            f"rank {rank} is on {seat.host} here, but on {seats[rank].host} before", place=Place(_SOURCE, line)
        )


def place_observed(fabric: Fabric, order: Order) -> RankPlacement:
    """Placement of an observed order, to be priced; ranks whose GPU is unknown get their host's free GPUs in order.

    Raises
    ------
    InputError
        A host that the fabric does not have, or a name that fits several.
    InfeasibleError
        More ranks on a host than it has usable GPUs.
    """
    names = HostNames(fabric)
    hosts = []
    for rank, seat in enumerate(order):
        h = names.find(seat.host)
        if h is None:
            raise InputError(f"rank {rank} was seen on host {seat.host[:80]!r}, which the fabric does not have")
        hosts.append(h)
    taken = {(h, seat.gpu) for h, seat in zip(hosts, order, strict=True) if seat.gpu is not None}
    local = []
    free: dict[int, list[int]] = {}
    for rank, (h, seat) in enumerate(zip(hosts, order, strict=True)):
        if h not in free:
            usable = range(int(fabric.host_gpus[h]))
            free[h] = [g for g in usable if fabric.gpu_free[fabric.gpu_offset[h] + g] and (h, g) not in taken]
        if seat.gpu is None and not free[h]:
            raise InfeasibleError(f"rank {rank} has no GPU left on {fabric.host_names[h]}")
        local.append(free[h].pop(0) if seat.gpu is None else seat.gpu)
    return RankPlacement.from_hosts(fabric, [fabric.host_names[h] for h in hosts], local)
