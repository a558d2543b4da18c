"""What all readers share: their options, their shape, and care with text that others wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from topoplan.errors import InputError, Place
from topoplan.model.fabric import FIRST_DISTANCE, Fabric, HostType, Tier
from topoplan.topologies.names.table import Entry

MAX_CHARS = 256 * 2**20  # assumed: ten times the text of a fabric of 100,000 endpoints
MAX_HOSTS = 200_000  # assumed: above any cluster; bounds what a hostile host list costs
MAX_TIERS = 16  # assumed: no network has more levels; bounds the tables of ancestors
SNIFF_CHARS = 2**16  # comments before the first record are shorter than this in every file seen
HOST, NETWORK, ISLANDS = "host", "network", "islands"  # what a format can tell; see `Reader`
_NAME_LENGTH = 64  # switch names longer than this are cut; Slurm allows 64


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user knows and a foreign file does not say.

    Parameters
    ----------
    host_type
        Kind of the hosts: GPUs, scale-up and, where the file shows no NICs, NICs.
    routing
        How the fabric routes; each reader has its own assumption.
    nics
        Which NICs carry the traffic of the GPUs: names and patterns, "!" before those that do not, as in
        "mlx5_[0-7],!mlx5_2" or "rail*"; all that the reader does not know better when empty.
    names
        What the nodes of the file are: hosts of anonymous GUIDs, roles of devices.
    known
        Hosts of GUIDs by other files, for what the file itself does not name.
    columns
        Column of each part of an edge list: {"a": "Device 1", "bandwidth": "Speed:Gb/s"}.
    """

    host_type: HostType | None = None
    routing: str | None = None
    nics: str = ""
    names: Mapping[str, Entry] = field(default_factory=dict)
    known: Mapping[str, Entry] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """A foreign format.

    Parameters
    ----------
    name
        Value of --format.
    sniff
        Whether the beginning of a text looks like the format; cheap.
    read
        (text, path for messages, options) -> Fabric; raises InputError and nothing else.
    description
        One line for people.
    tells
        Parts of a Fabric that the format really knows: `HOST` (what is inside a host: GPUs, NICs, NVLink), `NETWORK`
        (groups, tiers, uplinks), `ISLANDS` (NVLink domains wider than a host). The rest of what `read` returns is
        assumed, so where files are merged, the ones that tell a part decide it.
    """

    name: str
    sniff: Callable[[str], bool]
    read: Callable[[str, str, ReadOptions], Fabric]
    description: str
    tells: frozenset[str] = frozenset({NETWORK})


def decode(data: bytes, path: str) -> str:
    """Text of a file's bytes: UTF-8 with or without a mark; other bytes become U+FFFD, which no name may hold.

    Raises
    ------
    InputError
        More than `MAX_CHARS` bytes, or NUL bytes, which no text format here has.
    """
    if len(data) > MAX_CHARS:
        raise InputError(f"{len(data)} bytes are more than any fabric needs", place=Place(path))
    if b"\0" in data:
        raise InputError("this is not a text file", place=Place(path))
    return data.decode("utf-8-sig", errors="replace")


def lines(text: str, path: str) -> Iterator[tuple[int, str]]:
    r"""Number and content of each line, whether it ends in \n or \r\n, without white space at its end."""
    if len(text) > MAX_CHARS:
        raise InputError(f"{len(text)} characters are more than any fabric needs", place=Place(path))
    # str.splitlines would also split at form feeds and the like, and editors would then count other lines.
    for number, line in enumerate(text.split("\n"), 1):
        yield number, line.rstrip()


def fabric_name(path: str) -> str:
    """Name for a fabric read from `path`: the file's name without its ending."""
    return clean_name(PurePath(path).stem) or "fabric"


def clean_name(text: str) -> str:
    """`text` with what names may not hold turned into "-"; "" when nothing is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text[: 4 * _NAME_LENGTH]).strip("._-")[:_NAME_LENGTH].rstrip("._-")


def tiers(count: int) -> tuple[Tier, ...]:
    """`count` tiers with usual names and the distances of the hop_bytes contract."""
    names = {1: ["leaf"], 2: ["leaf", "spine"], 3: ["leaf", "pod", "core"]}.get(count)
    names = names or ["leaf", "pod", *(f"tier-{t}" for t in range(2, count - 1)), "core"]
    return tuple(Tier(name, FIRST_DISTANCE * 2**t) for t, name in enumerate(names[:count]))


def quoted(text: str, length: int = 60) -> str:
    """`text` for a message: printable, in quotes, and not longer than `length`."""
    return repr(text if len(text) <= length else text[: length - 3] + "...")
