"""Reader of LLDP neighbours as `lldpcli show neighbors` prints them in any of its forms, of one host or of many.

lldpcli knows no name for the machine it runs on: several machines' outputs stand in one mapping of host name -> output,
in a list of {"host": name, "lldp": ...}, or one after another with such a key; a lone output is called like its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.documents import mapping_at
from topoplan.topologies.names.ports import looks_like
from topoplan.topologies.names.roles import ASIDE, HOST, SWITCH, role_of_name
from topoplan.topologies.readers.cables.lldp_text import documents, sniff
from topoplan.topologies.reading import ReadOptions, clean_name, quoted

_HOST_KEYS = ("host", "hostname", "name", "node")
_MEDIUM = re.compile(r"(\d+(?:\.\d+)?)(G?)[- ]?base", re.IGNORECASE)  # IEEE 802.3: 100GbaseCR4, 1000BaseTFD
# Words of system descriptions of network operating systems.
_NOS = re.compile(
    r"sonic|cumulus|arista|eos\b|nx-os|cisco|junos|juniper|onyx|picos|pica8|dell.*os10|sr ?linux|fboss|switch|router",
    re.IGNORECASE,
)
__all__ = ["read", "sniff"]
_HINT = 'lldpcli show neighbors -f json on each host, as {"HOST": OUTPUT, ...} or HOST.json'


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """One row of a neighbour table."""

    port: str
    device: str
    device_port: str
    bandwidth_bytes_per_s: float
    role: str
    named: bool


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of the neighbours that one or several machines see.

    A view of hosts alone tells their leaf switches; add the tables of the switches to see what is above. Switches that
    send no name are called by their chassis id. Speeds are read where the port negotiates them by LLDP.

    Raises
    ------
    InputError
        JSON of another shape, no neighbour at all, or several outputs that do not say whose they are.
    """
    wiring = Wiring()
    machines = set()
    for machine, output in _machines(text, path):
        machines.add(machine)
        _add(wiring, machine, _neighbours(output, path))
    if not wiring.wires:
        raise InputError(
            "no neighbour in this LLDP table", place=Place(path), hint="is lldpd running, on the switches too?"
        )
    if len(machines) == 1 and not wiring.roles.get(next(iter(machines))):
        switch = all(looks_like(wire.a_port) == "switch" for wire in wiring.wires)
        wiring.roles[next(iter(machines))] = SWITCH if switch else HOST
        what = "a switch, as its ports are called like a switch's" if switch else "a host"
        wiring.assumed.append(f"the machine whose neighbours these are: {what}")
    if not any(wire.bandwidth_bytes_per_s for wire in wiring.wires):
        wiring.warnings.append("LLDP tells no speeds here; give the host type for those of its NICs")
    return wired_fabric(wiring, path, options)


def _machines(text: str, path: str) -> Iterator[tuple[str, Any]]:
    """Name and `lldp` object of each machine."""
    outputs = []
    for data in documents(text, path):
        outputs.extend(data if isinstance(data, list) else [data])
    alone = sum(isinstance(item, dict) and "lldp" in item for item in outputs) == 1
    for item in outputs:
        if not isinstance(item, dict):
            raise InputError("this is no output of lldpcli", place=Place(path), hint=_HINT)
        if "lldp" in item:
            named = next((str(item[key]) for key in _HOST_KEYS if isinstance(item.get(key), str)), "")
            if not named and not alone:
                raise InputError("several outputs of lldpcli, and one has no host", place=Place(path), hint=_HINT)
            yield named or clean_name(PurePath(path).stem) or "host", item["lldp"]
            continue
        for name, output in item.items():
            if not isinstance(output, dict) or "lldp" not in output:
                raise InputError(f"{quoted(str(name))} has no lldp object", place=Place(path), hint=_HINT)
            yield str(name), output["lldp"]


def _neighbours(lldp: Any, path: str) -> Iterator[_Neighbour]:
    """Rows of an `lldp` object: json has a mapping or a list of one-key mappings, json0 lists all the way."""
    for part in lldp if isinstance(lldp, list) else [lldp]:
        interfaces = part.get("interface") if isinstance(part, dict) else None
        if isinstance(interfaces, dict):
            interfaces = [{name: body} for name, body in interfaces.items()]
        for item in interfaces or ():
            if not isinstance(item, dict):
                raise InputError("an interface is no mapping", place=Place(path), hint=_HINT)
            if isinstance(item.get("name"), str):
                yield _neighbour(item["name"], item, path)
            else:
                for name, body in item.items():
                    yield _neighbour(str(name), body, path)


def _neighbour(port: str, body: Any, path: str) -> _Neighbour:
    if not isinstance(body, dict):
        raise InputError(f"interface {quoted(port)} is no mapping", place=Place(path), hint=_HINT)
    chassis, named = _chassis(_one(body.get("chassis")))
    device = named or _value(chassis.get("name")) or _value(chassis.get("id"))
    if not device:
        raise InputError(f"the neighbour on {quoted(port)} has neither name nor chassis id", place=Place(path))
    far = _one(body.get("port"))
    kind = str(mapping_at(_one(far.get("id"))).get("type", ""))
    number = _value(far.get("id")) if kind != "local" else _value(far.get("descr")) or _value(far.get("id"))
    medium = _value(mapping_at(_one(far.get("auto-negotiation"))).get("current"))
    role = ASIDE if role_of_name(device) == ASIDE else _role(chassis)  # a management switch is a switch as well
    return _Neighbour(port, device, number, _speed(medium), role, bool(named or _value(chassis.get("name"))))


def _one(value: Any) -> dict[str, Any]:
    """The mapping that json0 wraps in a list and json does not."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, dict) else {}


def _chassis(chassis: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Chassis and its system name; json has {SYSNAME: {id, descr ...}}, without a name {id, descr ...} alone."""
    if len(chassis) == 1 and "id" not in chassis:
        name, body = next(iter(chassis.items()))
        if isinstance(body, dict):
            return body, name
    return chassis, ""


def _value(value: Any) -> str:
    """Text of "x", {"value": "x"} or [{"value": "x"}]."""
    if isinstance(value, str):
        return value
    inner = _one(value).get("value")
    return inner if isinstance(inner, str) else ""


def _role(chassis: dict[str, Any]) -> str:
    """Role that a neighbour's capabilities or description tell."""
    if _NOS.search(_value(chassis.get("descr"))[:1000]):
        return SWITCH
    listed = chassis.get("capability")
    on = {
        str(item.get("type", "")).lower()
        for item in (listed if isinstance(listed, list) else [listed])
        if isinstance(item, dict) and item.get("enabled") is True
    }
    return SWITCH if "bridge" in on else HOST if on == {"station"} else ""


def _speed(medium: str) -> float:
    match = _MEDIUM.search(medium)
    return float(match[1]) * (1e9 if match[2] else 1e6) / 8 if match else 0.0


def _add(wiring: Wiring, machine: str, neighbours: Iterator[_Neighbour]) -> None:
    """Wires of a machine; of several neighbours that a port sees, nameless ones are an adapter's own or a bridge's."""
    rows = list(neighbours)
    named = {row.port for row in rows if row.named}
    kept = [row for row in rows if row.named or row.port not in named]
    if len(kept) < len(rows):
        wiring.warnings.append(f"{machine[:60]}: {len(rows) - len(kept)} nameless neighbours on ports with a named one")
    for row in kept:
        wiring.wires.append(Wire(machine, row.port, row.device, row.device_port, row.bandwidth_bytes_per_s))
        if row.role:
            wiring.roles.setdefault(row.device, row.role)
