"""What processes said of themselves: lines of the probe, read back from any output that they stand in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Seat

PROBE_LINE = re.compile(r'\{"probe": "topoplan-probe/(\d+)"')
_VERSION = "1"
_MOST_RANKS = 2**24  # more than any job has; bounds what a hostile line can cost


@dataclass(frozen=True, slots=True)
class Reports:
    """An order as it was observed, complete or not.

    Parameters
    ----------
    seats
        Seat of each rank that was seen, by rank; of several that claim a rank, the first.
    claims
        Ranks that several processes have, and all their seats.
    silent
        Host of each process that was told no rank.
    alone
        Whether every process believes to be the only one of its job.
    hcas
        NCCL_IB_HCA of each rank that has it.
    nics
        RDMA devices that each rank sees; ranks of probes alone.
    launcher
        What started the processes, "" when they do not agree or cannot tell.
    """

    seats: Mapping[int, Seat]
    claims: Mapping[int, tuple[Seat, ...]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    alone: bool = False
    hcas: Mapping[int, str] = field(default_factory=dict)
    nics: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    launcher: str = ""

    @property
    def order(self) -> tuple[Seat | None, ...]:
        """Seats by rank up to the highest that was seen; None for those between that were not."""
        return tuple(self.seats.get(rank) for rank in range(max(self.seats, default=-1) + 1))


def read_reports(text: str) -> Reports:
    """Reports of all probes in a text.

    Raises
    ------
    InputError
        A line of a probe that is cut off or changed, or of a version that is not known.
    """
    said: dict[int, list[Seat]] = {}
    seen: set[tuple[object, ...]] = set()
    silent, worlds, launchers = [], set(), set()
    hcas: dict[int, str] = {}
    nics: dict[int, tuple[str, ...]] = {}
    for place, line in _lines(text):
        host, rank = line.get("host"), line.get("rank")
        if not isinstance(host, str) or not host or not (rank is None or _is_count(rank)):
            raise InputError("a line of the probe without host, or with a strange rank", place=place)
        launchers.add(line.get("launcher") or "")
        if rank is None:
            silent.append(host)
            continue
        one = (rank, host, line.get("pid"))
        if one in seen:  # the same process, logged twice
            continue
        seen.add(one)
        worlds.add(line.get("world"))
        said.setdefault(rank, []).append(Seat(host, _gpu(line)))
        if isinstance(line.get("hcas"), str):
            hcas.setdefault(rank, line["hcas"])
        names = line.get("nics")
        nics.setdefault(rank, tuple(map(str, names)) if isinstance(names, list) else ())
    return Reports(
        {rank: seats[0] for rank, seats in sorted(said.items())},
        {rank: tuple(seats) for rank, seats in sorted(said.items()) if len(seats) > 1},
        tuple(silent),
        worlds == {1} and len(seen) > 1,
        hcas,
        nics,
        launchers.pop() if len(launchers) == 1 else "",
    )


def _lines(text: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    decoder = json.JSONDecoder()
    for number, content in enumerate(text.splitlines(), 1):
        for match in PROBE_LINE.finditer(content):
            place = Place("observed order", number, match.start() + 1)
            if match[1] != _VERSION:
                raise InputError(f"a probe of version {match[1]}; this topoplan reads {_VERSION}", place=place)
            try:
                yield place, decoder.raw_decode(content, match.start())[0]
            except (ValueError, RecursionError) as error:
                raise InputError(
                    "a line of the probe is cut off or mixed with others",
                    place=place,
                    hint="write each process' output to a file of its own, and put those together",
                ) from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_RANKS


def _gpu(line: Mapping[str, Any]) -> int | None:
    gpu, visible, local = line.get("gpu"), line.get("visible_gpus"), line.get("local_rank")
    if _is_count(gpu):
        return int(gpu)  # type: ignore[arg-type]  # _is_count has checked it
    if isinstance(visible, str):  # as the shell probe has it
        visible = visible.split(",")
    if not isinstance(visible, list):
        return None
    return visible_gpu([str(device) for device in visible], local if _is_count(local) else None)


def visible_gpu(visible: Sequence[str], local: int | None) -> int | None:
    """Index of the GPU that a process uses: the only one it sees, or the one at its local rank; None if not told."""
    if not all(device.isdecimal() for device in visible):
        return None
    if len(visible) == 1:
        return int(visible[0])
    return int(visible[local]) if local is not None and local < len(visible) else None
