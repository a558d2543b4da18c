"""What lldpcli prints in its other forms (plain, keyvalue, xml), put into the shape of its JSON.

Forms and words: lldpd's src/client, text_writer.c, kv_writer.c, xml_writer.c and display.c. Only what the reader of
LLDP asks for is kept: a neighbour's name, id, description and capabilities, its port's id and description, the medium.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.topologies.documents import is_json, load
from topoplan.topologies.reading import SNIFF_CHARS, lines
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag

MAX_NEIGHBOURS = 100_000  # of one text; assumed: far more than all switches of a site see
_MAX_LINE = 8192  # assumed: a system description is no longer
_JSON = re.compile(r'"lldp"\s*:\s*[\[{]')
_KEY = re.compile(r"lldp\.(\S{1,64}?)\.(via|chassis|port)(?:\.([\w.-]{1,80}))?=(.*)")
_KEYS = re.compile(r"^lldp\.\S{1,64}\.via=", re.MULTILINE)
_PLAIN = re.compile(r"^Interface:\s+\S+, via: ", re.MULTILINE)
_INTERFACE = re.compile(r"Interface:\s+(\S+), via: .*")
_ITEM = re.compile(r"\s+(ChassisID|SysName|SysDescr|Capability|PortID|PortDescr|MAU oper type):\s+(.*)")
_IDS = ("ifname", "ifalias", "mac", "local", "ip", "component", "port", "unhandled")  # kinds of chassis and port ids


@dataclass(slots=True)
class _Row:
    """A neighbour as its lines come."""

    interface: str
    name: str = ""
    chassis: dict[str, Any] = field(default_factory=dict)
    port: dict[str, Any] = field(default_factory=dict)
    capabilities: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As an interface of lldpcli's JSON."""
        chassis = self.chassis | {"capability": self.capabilities}
        return {self.interface: {"chassis": {self.name: chassis} if self.name else chassis, "port": self.port}}


def sniff(text: str) -> bool:
    """Whether `text` is lldpcli's in one of its forms."""
    if is_json(text):
        return _JSON.search(text, 0, SNIFF_CHARS) is not None
    return _is_lines(text) or root_tag(text) == "lldp"


def documents(text: str, path: str) -> list[Any]:
    """Data of `text` in the shape of lldpcli's JSON, whichever form it has.

    Raises
    ------
    InputError
        Text that is in none of the forms, or with more neighbours than any machine has.
    """
    if root_tag(text) == "lldp":
        return [_shape(_of_xml(parse_xml(text, path)))]
    if not is_json(text) and _is_lines(text):
        return [_shape(_rows(text, path))]
    return [document.data for document in load(text, path)]


def _is_lines(text: str) -> bool:
    """Whether lines of the plain or keyvalue form stand near the beginning."""
    return any(pattern.search(text, 0, SNIFF_CHARS) for pattern in (_KEYS, _PLAIN))


def _shape(rows: Iterable[_Row]) -> dict[str, Any]:
    return {"lldp": {"interface": [row.as_json() for row in rows]}}


def _rows(text: str, path: str) -> list[_Row]:
    """Neighbours of the plain or keyvalue form; lines that are neither continue a description."""
    found: list[_Row] = []
    for number, line in lines(text, path):
        if len(line) > _MAX_LINE:
            raise InputError(f"a line of {len(line)} characters is none of lldpcli's", place=Place(path, number))
        key = _KEY.fullmatch(line)
        first = key if key and key[2] == "via" else _INTERFACE.fullmatch(line)
        if first:
            found.append(_Row(first[1]))
        elif key and found:
            _take_key(found[-1], key[2], key[3] or "", key[4])
        elif found and (item := _ITEM.fullmatch(line)):
            _take_item(found[-1], item[1], item[2])
        if len(found) > MAX_NEIGHBOURS:
            raise InputError(f"more than {MAX_NEIGHBOURS} neighbours", place=Place(path, number))
    return found


def _take_key(row: _Row, part: str, key: str, value: str) -> None:
    """Take "chassis.Bridge.enabled=on" and the like."""
    into = row.chassis if part == "chassis" else row.port
    if key == "name" and part == "chassis":
        row.name = value
    elif key == "descr":
        into["descr"] = value
    elif key in _IDS:
        into["id"] = {"type": key, "value": value}
    elif key.endswith(".enabled") and part == "chassis":
        row.capabilities.append({"type": key.removesuffix(".enabled"), "enabled": value == "on"})
    elif key == "auto-negotiation.current":
        row.port["auto-negotiation"] = {"current": value}


def _take_item(row: _Row, key: str, value: str) -> None:
    """Take "SysName:   leaf01" and the like."""
    if key in ("ChassisID", "PortID"):
        kind, _, ident = value.partition(" ")
        (row.chassis if key == "ChassisID" else row.port)["id"] = {"type": kind, "value": ident}
    elif key == "SysName":
        row.name = value
    elif key in ("SysDescr", "PortDescr"):
        (row.chassis if key == "SysDescr" else row.port)["descr"] = value
    elif key == "Capability":
        kind, _, state = value.partition(", ")
        row.capabilities.append({"type": kind, "enabled": state == "on"})
    else:
        row.port["auto-negotiation"] = {"current": value}


def _of_xml(root: Element) -> list[_Row]:
    found = []
    for interface in root.all("interface"):
        row = _Row(interface.get("name"))
        for part, into in (("chassis", row.chassis), ("port", row.port)):
            for item in (child for element in interface.children if element.tag == part for child in element.children):
                text = item.text.strip()
                if item.tag == "id":
                    into["id"] = {"type": item.get("type"), "value": text}
                elif item.tag == "descr":
                    into["descr"] = text
                elif item.tag == "name" and part == "chassis":
                    row.name = text
                elif item.tag == "capability":
                    row.capabilities.append({"type": item.get("type"), "enabled": item.get("enabled") == "on"})
                elif item.tag == "auto-negotiation":
                    current = [child.text.strip() for child in item.children if child.tag == "current"]
                    into["auto-negotiation"] = {"current": "".join(current[:1])}
        found.append(row)
    return found
