"""A table beside a topology file: which host an anonymous adapter is in, and what each device is.

CSV with a header. One column is the key (`guid`, `mac`, `id` or `name`), the others say what is behind it: `host`,
`device` (the adapter's name there), `role` (host, leaf, server, storage ...). A device list as NetBox or SONiC's labs
keep it (name, role or Type) is such a table too.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.names import check_name
from topoplan.topologies.names.roles import ASIDE, HOST, SWITCH, role_of_word

MAX_ROWS = 2_000_000  # assumed: ten times the endpoints of any fabric
_KEYS = ("guid", "nodeguid", "portguid", "mac", "id", "name", "hostname", "node")
_HOST = ("host", "server", "hostname")
_DEVICE = ("device", "hca", "nic", "interface", "ibdev")
_ROLE = ("role", "devicerole", "type", "kind")
_GUID = re.compile(r"(?:0x)?[0-9a-f]{8,16}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a table says of one node: its host, its adapter's name there and its role; "" what it does not say."""

    host: str = ""
    device: str = ""
    role: str = ""


def key_of(text: str) -> str:
    """Form in which ids are compared: GUIDs and MACs as bare digits, other names as they are."""
    bare = re.sub(r"[:.\-]", "", text.strip())
    if _GUID.fullmatch(bare):
        return bare.lower().removeprefix("0x").lstrip("0") or "0"
    return text.strip()


def parse_names(text: str, path: str) -> dict[str, Entry]:
    """Read the table.

    Raises
    ------
    InputError
        No header that names a key and something behind it, a row that is short, a key that stands twice, or a name
        that no host can have.
    """
    rows = csv.reader(io.StringIO(text.replace("\r\n", "\n")), skipinitialspace=True)
    try:
        columns: dict[str, int] | None = None
        table: dict[str, Entry] = {}
        for row in rows:
            if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
                continue
            if columns is None:
                columns = _columns(row, path, rows.line_num)
                continue
            key, entry = _entry(row, columns, Place(path, rows.line_num))
            if table.setdefault(key, entry) != entry:
                raise InputError(f"{key} stands in two rows that differ", place=Place(path, rows.line_num))
            if len(table) > MAX_ROWS:
                raise InputError(f"more than {MAX_ROWS} rows", place=Place(path))
    except csv.Error as error:
        raise InputError(f"not a table: {error}", place=Place(path, rows.line_num)) from None
    if not table:
        raise InputError("no row in this table", place=Place(path), hint="header: guid,host,device or name,role")
    return table


def _columns(header: list[str], path: str, line: int) -> dict[str, int]:
    cells = [re.sub(r"[^a-z]", "", cell.lower()) for cell in header]
    found: dict[str, int] = {}
    for part, words in (("key", _KEYS), ("host", _HOST), ("device", _DEVICE), ("role", _ROLE)):
        column = next((cells.index(word) for word in words if word in cells), -1)
        if column >= 0 and column not in found.values():
            found[part] = column
    if "key" not in found or len(found) == 1:
        raise InputError(
            "the header names no key with something behind it",
            place=Place(path, line),
            hint="header: guid,host,device for anonymous adapters, or name,role for devices",
        )
    return found


def _entry(row: list[str], columns: dict[str, int], place: Place) -> tuple[str, Entry]:
    if len(row) <= max(columns.values()):
        raise InputError(f"{len(row)} cells; the header has {max(columns.values()) + 1}", place=place)
    cell = {part: row[column].strip() for part, column in columns.items()}
    if not cell["key"]:
        raise InputError("a row without a key", place=place)
    host = cell.get("host", "")
    try:
        host = check_name(host) if host else ""
    except ValueError as error:
        raise InputError(str(error), place=place) from None
    role = cell.get("role", "")
    known = role if role in (HOST, SWITCH, ASIDE) else role_of_word(role)
    return key_of(cell["key"]), Entry(host, cell.get("device", "")[:64], known)
