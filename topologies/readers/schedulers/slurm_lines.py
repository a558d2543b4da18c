"""Lines of Slurm's topology.conf and of `scontrol show topology`: Key=Value records -> switches, blocks and rings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.names import check_name, closest, expand
from topoplan.topologies.reading import MAX_HOSTS, lines, quoted
from topoplan.topologies.trees.site import Switch

# A value may be missing: then the next key follows.
_PAIR = re.compile(r'\s*([A-Za-z]\w*)\s*=(?:\s*(?![A-Za-z]\w*\s*=)("[^"]*"|\S+))?')
_NOTHING = ("", "(null)")

# First key of a record -> keys that may stand beside it; in topology.conf, and what scontrol adds.
_CONF: dict[str, tuple[str, ...]] = {
    "SwitchName": ("Switches", "Nodes", "LinkSpeed"),
    "BlockName": ("Nodes",),
    "BlockSizes": (),
    "RingName": ("Nodes",),
}
_SHOWN: dict[str, tuple[str, ...]] = {
    "SwitchName": ("Switches", "Nodes", "LinkSpeed", "Level"),
    "BlockName": ("Nodes", "BlockIndex", "BlockSize"),
    "AggregatedBlock": ("Nodes", "BlockIndex", "BlockSize"),
    "RingName": ("Nodes", "RingIndex", "RingSize"),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """BlockSizes, smallest first as a rule, and where they stand."""

    values: tuple[int, ...]
    place: Place


@dataclass(slots=True)
class Records:
    """What a text defines; blocks and rings are switches that hold hosts alone."""

    switches: dict[str, Switch] = field(default_factory=dict)
    blocks: dict[str, Switch] = field(default_factory=dict)
    rings: dict[str, Switch] = field(default_factory=dict)
    sizes: Sizes | None = None
    hosts: int = 0


def parse(text: str, path: str, *, shown: bool = False) -> Records:
    """Records of topology.conf, or of what scontrol shows.

    scontrol repeats the hosts of lower switches at each switch above, and joins blocks to aggregated ones: both are
    left out.

    Raises
    ------
    InputError
        A line that is no record, an unknown key, a list that cannot be read, or a name that is defined twice.
    """
    table = _SHOWN if shown else _CONF
    found = Records()
    for number, line in _logical_lines(text, path):
        place = Place(path, number)
        record = _record(line, place, table)
        first = next(key for key in record if key in table)
        if first == "BlockSizes":
            found.sizes = Sizes(_numbers(record[first], place), place)
        elif first == "AggregatedBlock":
            continue
        else:
            _define(found, first, record, place, shown=shown)
    return found


def commented_blocks(text: str) -> list[tuple[str, int]]:
    """Name and number of hosts of each block that stands in a comment."""
    found: list[tuple[str, int]] = []
    left = MAX_HOSTS
    for match in re.finditer(r"^[ \t]*#[ \t#]*BlockName=(\S+)[ \t]+Nodes=(\S+)", text, re.MULTILINE | re.IGNORECASE):
        try:
            found.append((match[1], len(expand(match[2], limit=left))))
        except ValueError:
            continue
        left -= found[-1][1]
    return found


def expand_hosts(text: str, limit: int, what: str, place: Place) -> list[str]:
    """Names of a host list; InputError, naming `what`, when it cannot be read."""
    if text in _NOTHING:
        return []
    try:
        return expand(text, limit=limit)
    except ValueError as error:
        raise InputError(f"{what}: {error}", place=place) from None


def _logical_lines(text: str, path: str) -> Iterator[tuple[int, str]]:
    r"""Lines without comments and white space, those that end in \ joined with the next."""
    pending: list[str] = []
    start = 0
    for number, raw in lines(text, path):
        line = re.split(r"(?<!\\)#", raw, maxsplit=1)[0].rstrip()
        start = start if pending else number
        if line.endswith("\\"):
            pending.append(line[:-1])
            continue
        whole = "".join([*pending, line]).strip()
        pending = []
        if whole:
            yield start, whole
    if pending and (whole := "".join(pending).strip()):
        yield start, whole


def _record(line: str, place: Place, table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Key -> value of a line; keys in the spelling of `table`."""
    if line.lower().startswith("include "):
        raise InputError("Include is not followed", place=place, hint="put the included file's text here")
    record: dict[str, str] = {}
    at = 0
    while at < len(line):
        match = _PAIR.match(line, at)
        if not match:
            raise InputError(f"{quoted(line[at:].strip())} is not Key=Value", place=place)
        at = match.end()
        key = _key(match[1], place, table)
        if key in record:
            raise InputError(f"{key} stands twice in one line", place=place)
        record[key] = (match[2] or "").strip('"')
    names = [key for key in record if key in table]
    if not names:
        raise InputError(f"a line without {' or '.join(table)}", place=place)
    foreign = [key for key in record if key != names[0] and key not in table[names[0]]]
    if foreign:
        raise InputError(f"{foreign[0]} has no place beside {names[0]}", place=place)
    return record


def _key(word: str, place: Place, table: Mapping[str, tuple[str, ...]]) -> str:
    known = dict.fromkeys([*table, *(key for keys in table.values() for key in keys)])
    for key in known:
        if key.lower() == word.lower():
            return key
    raise InputError(f"unknown key {quoted(word)}", place=place, hint=closest(word, known))


def _numbers(text: str, place: Place) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"-?[0-9]{1,9}", part) for part in parts):
        raise InputError(f"BlockSizes {quoted(text)} is not a list of numbers", place=place)
    return tuple(int(part) for part in parts)


def _define(found: Records, kind: str, record: Mapping[str, str], place: Place, *, shown: bool) -> None:
    what = kind.removesuffix("Name").lower()
    name = record[kind]
    try:
        check_name(name)
    except ValueError as error:
        raise InputError(f"{what} {quoted(name)}: {error}", place=place) from None
    limit = MAX_HOSTS - found.hosts
    children = expand_hosts(record.get("Switches", ""), limit, f"{what} {quoted(name)}", place)
    listed = "" if shown and children else record.get("Nodes", "")
    switch = Switch(name, place, children, expand_hosts(listed, limit, f"{what} {quoted(name)}", place))
    found.hosts += len(switch.hosts) + len(switch.children)
    if children and switch.hosts:
        raise InputError(f"switch {name} has both Switches and Nodes, which Slurm refuses", place=place)
    if kind == "SwitchName" and not children and not switch.hosts and not shown:
        raise InputError(f"switch {name} has neither Switches nor Nodes", place=place)
    home = {"SwitchName": found.switches, "BlockName": found.blocks, "RingName": found.rings}[kind]
    if name in home:
        first = home[name].place
        line = f" (first in line {first.line})" if first else ""
        raise InputError(f"{what} {name} is listed twice{line}", place=place)
    home[name] = switch
