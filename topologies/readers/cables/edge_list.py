"""Reader of edge lists: any table with a cable a row, as NetBox, SONiC's labs or a spreadsheet export it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.names import closest
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.names.roles import role_of_word
from topoplan.topologies.reading import MAX_CHARS, SNIFF_CHARS, ReadOptions, quoted
from topoplan.units import parse_bandwidth

MAX_CABLES = 4_000_000  # assumed: twice the cables of a fabric of 300,000 GPUs in three tiers
_DELIMITERS = ",;\t|"
# Headers by part, as letters and digits alone. NetBox: its cable table and bulk import; SONiC: sonic-mgmt's lab links.
_HEADERS = {
    "a": "a device sidea sideadevice devicea adevice startdevice source src sourcedevice srcdevice from fromdevice"
    " local localdevice localhost node1 nodea device1 terminationadevice hosta host server",
    "b": "b z sideb sidebdevice deviceb bdevice enddevice target dst dest destination destinationdevice dstdevice"
    " to todevice remote remotedevice peer peerdevice neighbor neighbour node2 nodeb device2 terminationbdevice switch",
    "a_port": "aport porta sideaname sideaport sideainterface startport sourceport srcport fromport localport"
    " localinterface interface interfacea port1 interface1 terminationa sourceinterface nic",
    "b_port": "bport portb sidebname sidebport sidebinterface endport targetport dstport destport destinationport"
    " toport remoteport remoteinterface peerport peerinterface neighborport interfaceb port2 interface2 terminationb"
    " targetinterface switchport",
    "a_kind": "sideatype terminationatype atype",
    "b_kind": "sidebtype terminationbtype btype",
    "bandwidth": "bandwidth speed rate bw linkspeed capacity",
    "count": "count cables links multiplicity",
    "rail": "rail",
    "plane": "plane",
    "a_role": "arole sidearole devicearole",
    "b_role": "brole sidebrole devicebrole",
}
_PART_OF = {word: part for part, words in _HEADERS.items() for word in words.split()}
_UNITS = {"bps": "b/s", "kbps": "kb/s", "mbps": "Mb/s", "gbps": "Gb/s", "tbps": "Tb/s", "gb/s": "Gb/s", "mb/s": "Mb/s"}
_BARE = re.compile(r"\d+(?:\.\d+)?")
_MAX_SPEED = 1e9  # assumed: above any, in whatever unit; bounds what is multiplied by the unit
_SHORT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:bE?|BASE.*|E)?(?:bps|b/s|bit/s|Bit/s)?", re.IGNORECASE)
_HINT = "name the columns, as in --columns a=Switch,a_port=Port,b=Server,b_port=NIC,bandwidth=Speed:Gb/s"


@dataclass(frozen=True, slots=True)
class _Table:
    """Column of each part, the unit of bare numbers in the bandwidth's, and the delimiter."""

    columns: Mapping[str, int]
    unit: str
    delimiter: str
    header: bool


def sniff(text: str) -> bool:
    """Whether the first row is a header that names both ends of a cable."""
    row = _first_row(text[:SNIFF_CHARS])
    parts = {_part(cell)[0] for cell in row[1]} if row else set()
    return {"a", "b"} <= parts


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a table of cables.

    Each row is a cable between two devices; ports, speed, multiplicity, rail and plane are read where there is a column
    for them, other columns are ignored. A cable that stands in two rows, once from each end, counts once.

    Raises
    ------
    InputError
        No header that tells the ends apart, a row that is short or has an unknown speed, or no host among the devices.
    """
    if len(text) > MAX_CHARS:
        raise InputError(f"{len(text)} characters are more than any fabric needs", place=Place(path))
    table = _table(text, path, options)
    wiring = Wiring()
    skipped: Counter[str] = Counter()
    speeds: dict[str, float] = {}
    for number, row in _rows(text, table, path):
        wire = _wire(row, table, speeds, path, number, wiring, skipped)
        if wire:
            wiring.wires.append(wire)
            if len(wiring.wires) > MAX_CABLES:
                raise InputError(f"more than {MAX_CABLES} cables", place=Place(path, number))
    if not wiring.wires:
        raise InputError("no cable in this table", place=Place(path), hint=_HINT)
    wiring.warnings += [f"{count} cables to {what} were left out" for what, count in sorted(skipped.items())]
    return wired_fabric(wiring, path, options)


def _first_row(text: str) -> tuple[int, list[str], str] | None:
    """Number of the first row, its cells, and the delimiter that splits it into most."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            delimiter = max(_DELIMITERS, key=line.count)
            if line.count(delimiter) == 0 or len(line) > 4096:
                return None
            try:
                cells = next(csv.reader([line.strip()], delimiter=delimiter))
            except csv.Error:
                return None
            return number, [cell.strip() for cell in cells], delimiter
    return None


def _part(cell: str) -> tuple[str, str]:
    """Part of a cable that a header names, "" when unknown, and the unit of its bare numbers."""
    match = re.fullmatch(r"(.*?)[\s_(\[]*(bps|[kmgt]bps|[mg]b/s)[)\]]*", cell.strip(), re.IGNORECASE)
    stem, unit = (match[1], _UNITS.get(match[2].lower(), "")) if match else (cell, "")
    word = re.sub(r"[^a-z0-9]", "", stem.lower())
    part = _PART_OF.get(word, "")
    return (part, unit if part == "bandwidth" else "") if part else ("", "")


def _table(text: str, path: str, options: ReadOptions) -> _Table:
    first = _first_row(text)
    if first is None:
        raise InputError("this is no table: no row has a comma, semicolon, tab or bar", place=Place(path), hint=_HINT)
    number, header, delimiter = first
    if options.columns:
        return _chosen(header, delimiter, options.columns, Place(path, number))
    columns: dict[str, int] = {}
    units = {}
    for column, cell in enumerate(header):
        part, unit = _part(cell)
        if part and part not in columns:
            columns[part] = column
            units[part] = unit
    if not {"a", "b"} <= columns.keys():
        raise InputError("the header does not name both ends of a cable", place=Place(path, number), hint=_HINT)
    # SONiC's lab files (sonic-mgmt, sonic_lab_links.csv) give BandWidth in Mb/s.
    sonic = {"StartDevice", "EndDevice", "BandWidth"} <= set(header)
    return _Table(columns, "Mb/s" if sonic else units.get("bandwidth", ""), delimiter, True)


def _chosen(header: Sequence[str], delimiter: str, chosen: Mapping[str, str], place: Place) -> _Table:
    """Columns that the user names by header or counts from 1."""
    columns: dict[str, int] = {}
    unit = ""
    for part, wanted in chosen.items():
        if part not in _HEADERS:
            raise InputError(
                f"--columns: there is no part {quoted(part)}", hint=closest(part, _HEADERS) or ", ".join(_HEADERS)
            )
        name, _, told = wanted.rpartition(":") if part == "bandwidth" and ":" in wanted else (wanted, "", "")
        unit = _UNITS.get(told.lower(), told) if told else unit
        if name in header:
            columns[part] = header.index(name)
        elif name.isdecimal() and 1 <= int(name[:9]) <= len(header):
            columns[part] = int(name) - 1
        else:
            raise InputError(
                f"--columns: no column {quoted(name)}",
                place=place,
                hint=closest(name, header) or "columns: " + ", ".join(header)[:200],
            )
    if not {"a", "b"} <= columns.keys():
        raise InputError("--columns must name the ends of a cable: a and b", hint=_HINT)
    named = any(wanted.partition(":")[0] in header or wanted in header for wanted in chosen.values())
    return _Table(columns, unit, delimiter, named)


def _rows(text: str, table: _Table, path: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row behind the header."""
    reader = csv.reader(text.split("\n"), delimiter=table.delimiter)
    header = table.header
    try:
        for row in reader:
            if not row or row[0].startswith("#") or not any(map(str.strip, row)):
                continue
            if header:
                header = False
                continue
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"not a table: {error}", place=Place(path, reader.line_num)) from None


def _wire(
    row: list[str],
    table: _Table,
    speeds: dict[str, float],
    path: str,
    number: int,
    wiring: Wiring,
    skipped: Counter[str],
) -> Wire | None:
    """Cable of a row, None where it is no network cable."""
    columns = table.columns
    if len(row) <= max(columns["a"], columns["b"]):
        raise InputError(f"{len(row)} cells: the ends of this cable are not among them", place=Place(path, number))
    a, b = row[columns["a"]].strip(), row[columns["b"]].strip()
    if not a or not b:
        skipped["nowhere"] += 1  # planned, or not plugged in
        return None
    cell = {part: row[c].strip() for part, c in columns.items() if part not in ("a", "b") and c < len(row)}
    for part in ("a_kind", "b_kind"):
        kind = cell.get(part, "")
        if kind and "interface" not in kind.lower():
            skipped[f"ends of type {kind[:40]}"] += 1
            return None
    for device, part in ((a, "a_role"), (b, "b_role")):
        if cell.get(part):
            _add_role(wiring, device, cell[part], Place(path, number))
    text = cell.get("bandwidth", "")
    if text not in speeds:
        speeds[text] = _bandwidth(text, table.unit, Place(path, number))
    rail, plane, count = (cell.get(part, "") for part in ("rail", "plane", "count"))
    return Wire(
        a,
        cell.get("a_port", ""),
        b,
        cell.get("b_port", ""),
        speeds[text],
        _number(count, "count", Place(path, number), low=1) if count else 1,
        _number(rail, "rail", Place(path, number)) if rail else -1,
        _number(plane, "plane", Place(path, number)) if plane else -1,
    )


def _add_role(wiring: Wiring, device: str, label: str, place: Place) -> None:
    role = role_of_word(label)
    if role and wiring.roles.setdefault(device, role) != role:
        raise InputError(f"{device[:60]} is a {wiring.roles[device]} in one row and a {role} in this", place=place)


def _bandwidth(text: str, unit: str, place: Place) -> float:
    """Bytes/s of "400G", "400 Gb/s" or, where the column has a unit, "400"; 0 where the cell is empty."""
    if not text or text in ("-", "—", "unknown", "auto"):
        return 0.0
    if _BARE.fullmatch(text):
        if not unit:
            raise InputError(
                f"speed {text} has no unit",
                place=place,
                hint="write 400G or 400 Gb/s, call the column speed_gbps, or give --columns ...,bandwidth=NAME:Gb/s",
            )
        text = f"{text} {unit}"
    try:
        return parse_bandwidth(text)
    except ValueError as error:
        match = _SHORT.fullmatch(text)
        if not match or not 0 < float(match[1]) < _MAX_SPEED:
            raise InputError(str(error)[:200], place=place) from None
    return parse_bandwidth(f"{match[1]} {match[2].upper()}b/s")


def _number(text: str, what: str, place: Place, *, low: int = 0) -> int:
    if not text.isdecimal() or not low <= int(text[:9]) <= 4096 or len(text) > 9:
        raise InputError(f"{what} {quoted(text)} is not a number of a fabric's", place=place)
    return int(text)
