"""Reader of InfraGraph YAML or JSON (MLCommons Chakra): devices made of components, instances of them, and edges.

Two spellings are read: `edges` with endpoints in slice notation ({ep1: {instance: "host[0:4]", component: "nic[0]"},
ep2: ..., scheme: one2one | many2many | ring, link: NAME}) and the older `connections`, one path each
("host.0.nic.1.LINK.leaf.0.port.3"). A device with an xpu is a host; devices that the file does not define are told
apart by their names.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.documents import list_at, load, mapping_at, text_at
from topoplan.topologies.names.roles import HOST, SWITCH, role_of_name
from topoplan.topologies.readers.simulators.infragraph_device import Device, lone_host, read_device
from topoplan.topologies.reading import MAX_HOSTS, SNIFF_CHARS, ReadOptions, quoted

MAX_EDGES = 4_000_000  # assumed: as for tables of cables
_KEYS = re.compile(r"^[ \t]*[\"']?(?:devices|instances|components)[\"']?[ \t]*:", re.MULTILINE)
_EDGES = re.compile(r"^[ \t]*[\"']?(?:connections|edges)[\"']?[ \t]*:", re.MULTILINE)
_SEGMENT = re.compile(r"([\w <>()-]{1,200})(?:\[([^\[\]]{0,40})\])?")
# Bytes/s of one of each unit, in the schema's spellings, old and new; a giga-transfer of a x16 slot is not told.
_UNITS = {
    "gigabits_per_second": 1e9 / 8,
    "giga_bits_per_second": 1e9 / 8,
    "gigabytes_per_second": 1e9,
    "giga_bytes_per_second": 1e9,
}
_HINT = "edges look like {ep1: {instance: 'host[0]', component: 'nic[0]'}, ep2: ..., link: NAME}"


def sniff(text: str) -> bool:
    """Whether `text` has devices or instances with connections or edges."""
    head = text[:SNIFF_CHARS]
    return (_KEYS.search(head) is not None and _EDGES.search(head) is not None) and '"directed"' not in head


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of an infrastructure; a file that only defines a host gives a fabric of that one host.

    Raises
    ------
    InputError
        Edges that name no instance or component, more of them than any fabric has, or devices without any host.
    """
    documents = load(text, path)
    data = documents[0].data if documents else None
    top = mapping_at(data, "infrastructure") or mapping_at(data)
    devices = {device.name: device for device in (read_device(item, path) for item in list_at(top, "devices"))}
    instances = _instances(top, path)
    speeds = _speeds(list_at(top, "links"), path)
    instance_of: dict[str, str] = {}
    wiring = Wiring(wires=list(_wires(_ends(top, instances, devices, path), instances, speeds, instance_of, path)))
    if not wiring.wires:
        return lone_host(devices, top, path, options)
    types: dict[str, HostType] = {}
    untold: dict[str, set[str]] = {}  # source of an assumed figure -> devices that it is for
    unknown = set()
    for name, instance in instance_of.items():
        kind = instances[instance][0]
        known = devices.get(kind)
        if known:
            role = HOST if known.gpus(devices) else SWITCH
        else:
            role = role_of_name(kind) or role_of_name(instance)
            unknown.add(f"{kind} ({role or 'unclear'})")
        wiring.roles[name] = role
        if role == HOST and known:
            types[name], told = known.host_type(devices, speeds)
            if not told:
                untold.setdefault(known.usual_scale_up[1], set()).add(kind)
    if unknown:
        wiring.assumed.append(f"devices that are not defined here, by their names: {', '.join(sorted(unknown)[:8])}")
    for source, kinds in sorted(untold.items()):
        wiring.assumed.append(f"scale-up bandwidth of a GPU of {', '.join(sorted(kinds))}: {source}")
    return wired_fabric(wiring, path, options, name=text_at(top, "name"), types=types, told="as their devices say")


def _instances(top: Mapping[str, Any], path: str) -> dict[str, tuple[str, int]]:
    """Instance name -> device and count; files of the older spelling give no counts."""
    found: dict[str, tuple[str, int]] = {}
    for item in list_at(top, "instances"):
        name, device = text_at(item, "name"), text_at(item, "device")
        count = mapping_at(item).get("count", 0)
        if not name or not isinstance(count, int) or not 0 <= count <= MAX_HOSTS:
            raise InputError(f"instance {quoted(name)} has no name or no sound count", place=Place(path))
        if name in found:
            raise InputError(f"instance {quoted(name)} is listed twice", place=Place(path))
        found[name] = (device, count)
    return found


def _speeds(links: Iterable[Any], path: str) -> dict[str, float]:
    """Bytes/s of each link by name; 0 where it has none, or one in transfers."""
    found: dict[str, float] = {}
    for item in links:
        bandwidth = mapping_at(item, "physical", "bandwidth") or mapping_at(item, "bandwidth")
        speed = 0.0
        for unit, factor in _UNITS.items():
            value = bandwidth.get(unit)
            if isinstance(value, int | float) and not isinstance(value, bool):
                if not 0 < value < 1e9:
                    raise InputError(f"link {quoted(text_at(item, 'name'))} has no sound bandwidth", place=Place(path))
                speed = value * factor
        found[text_at(item, "name")] = speed
    return found


def _wires(
    ends: Iterator[tuple[tuple[str, int, str], tuple[str, int, str], str]],
    instances: Mapping[str, tuple[str, int]],
    speeds: Mapping[str, float],
    instance_of: dict[str, str],
    path: str,
) -> Iterator[Wire]:
    """Cables between instances; the instance of each name goes to `instance_of`."""
    used: Counter[tuple[str, str]] = Counter()
    for number, (a, b, link) in enumerate(ends):
        if number > MAX_EDGES:
            raise InputError(f"more than {MAX_EDGES} edges", place=Place(path))
        if a[0] not in instances or b[0] not in instances:
            continue  # inside a device that another file defines
        a_name, b_name = _name(a, instances), _name(b, instances)
        instance_of[a_name], instance_of[b_name] = a[0], b[0]
        plane = max(used[a_name, a[2]], used[b_name, b[2]])  # further cables of a NIC are those of its other ports
        used.update(((a_name, a[2]), (b_name, b[2])))
        yield Wire(a_name, a[2], b_name, b[2], speeds.get(link, 0.0), plane=plane)


def _name(end: tuple[str, int, str], instances: Mapping[str, tuple[str, int]]) -> str:
    """Name of a device: that of its instance, numbered unless there is one alone."""
    return end[0] if instances[end[0]][1] == 1 else f"{end[0]}-{end[1]}"


def _ends(
    top: Mapping[str, Any], instances: Mapping[str, tuple[str, int]], devices: Mapping[str, Device], path: str
) -> Iterator[tuple[tuple[str, int, str], tuple[str, int, str], str]]:
    """(instance, index, component path) of both ends of each edge, and its link."""
    for item in list_at(top, "connections"):
        words = item.split(".") if isinstance(item, str) else []
        at = next((n for n in range(2, len(words)) if n + 1 < len(words) and words[n + 1] in instances), 0)
        if len(words) < 7 or not at or not words[1].isdecimal() or not words[at + 2].isdecimal():
            if words and words[0] in instances:
                raise InputError(f"{quoted(str(item))} is no connection", place=Place(path), hint=_HINT)
            continue
        a = (words[0], _index(words[1], path), ".".join(words[2:at]))
        yield a, (words[at + 1], _index(words[at + 2], path), ".".join(words[at + 3 :])), words[at]
    budget = 4 * MAX_EDGES  # a bundle of cables counts each end too
    for item in list_at(top, "edges"):
        a_ends = _expand(mapping_at(item, "ep1"), instances, devices, path)
        b_ends = _expand(mapping_at(item, "ep2"), instances, devices, path)
        scheme = text_at(item, "scheme") or "one2one"
        if scheme == "ring":
            raise InputError("rings of instances are not read", place=Place(path), hint="list the edges one by one")
        both = len(a_ends) * len(b_ends) if scheme == "many2many" else min(len(a_ends), len(b_ends))
        budget -= max(both, len(a_ends) + len(b_ends))
        if budget < 0:
            raise InputError(f"more than {MAX_EDGES} edges", place=Place(path))
        pairs = itertools.product(a_ends, b_ends) if scheme == "many2many" else zip(a_ends, b_ends, strict=False)
        for a, b in pairs:
            yield a, b, text_at(item, "link")


def _index(text: str, path: str) -> int:
    if len(text) > 9:
        raise InputError(f"index {text[:40]} is out of bounds", place=Place(path))
    return int(text)


def _expand(
    end: Mapping[str, Any], instances: Mapping[str, tuple[str, int]], devices: Mapping[str, Device], path: str
) -> list[tuple[str, int, str]]:
    """All ends that an endpoint in slice notation names, in order."""
    match = _SEGMENT.fullmatch(text_at(end, "instance"))
    if not match or match[1] not in instances:
        raise InputError(f"endpoint {quoted(str(dict(end)))} names no instance", place=Place(path), hint=_HINT)
    device, count = instances[match[1]]
    indices = _slice(match[2], count, path)
    parts: list[list[str]] = []
    for segment in text_at(end, "component").split("."):
        part = _SEGMENT.fullmatch(segment)
        size = devices[device].count_of(part[1]) if part and device in devices else 0
        if not part or (device in devices and not size):
            raise InputError(f"device {quoted(device)} has no component {quoted(segment)}", place=Place(path))
        parts.append([f"{part[1]}.{n}" for n in _slice(part[2], size, path)])
        device = part[1]
    if len(indices) * _product(len(part) for part in parts) > MAX_EDGES:
        raise InputError("an endpoint names too many components", place=Place(path))
    return [(match[1], n, ".".join(combo)) for n in indices for combo in itertools.product(*parts)]


def _product(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _slice(text: str | None, count: int, path: str) -> list[int]:
    """Indices of Python's slice notation, of all `count` without one."""
    parts = (text or "").split(":")
    if any(part.strip() and not re.fullmatch(r"-?\d{1,9}", part.strip()) for part in parts) or len(parts) > 3:
        raise InputError(f"[{quoted(text or '')}] is no slice", place=Place(path))
    numbers = [int(part) if part.strip() else None for part in parts]
    if len(parts) == 1 and numbers[0] is not None:
        if numbers[0] < 0 or (count and numbers[0] >= count) or numbers[0] > MAX_EDGES:
            raise InputError(f"index {numbers[0]} is out of bounds", place=Place(path))
        return [numbers[0]]
    if len(parts) == 3 and numbers[2] == 0:
        raise InputError("a slice has step 0", place=Place(path))
    return list(range(count))[slice(*numbers)] if len(parts) > 1 else list(range(count))
