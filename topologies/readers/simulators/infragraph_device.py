"""Devices of InfraGraph: what is inside a host, a switch or a card, and the HostType that follows."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Host
from topoplan.model.host_type import HostType, Nic, numbered
from topoplan.topologies.cables.cabling import Components
from topoplan.topologies.documents import list_at, mapping_at, text_at
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S, DEFAULT_SCALE_UP_SOURCE, by_name
from topoplan.topologies.reading import MAX_HOSTS, ReadOptions, clean_name, fabric_name, quoted
from topoplan.units import format_bandwidth

_MAX_PARTS = 4096  # assumed: GPUs in a device
_MAX_EDGES = 65_536  # of one device: 256 GPUs on 256 switches
_MAX_PORTS = 262_144  # assumed: other components of one kind; a switch may stand for a whole tier
_SCALE_UP = re.compile(r"nvl|nvswitch|nvsw|xgmi|scale.?up|infinity.?fabric.?link|ualink|ici", re.IGNORECASE)
_NIC_BYTES_PER_S = 400e9 / 8  # assumed: NDR or 400GbE


@dataclass(slots=True)
class Device:
    """A device definition.

    Parameters
    ----------
    parts
        Component name -> kind (xpu, nic, port, switch, cpu, device ...) and how many there are.
    edges
        Pairs of "component.index" and the link between them.
    speeds
        Link -> bytes/s, where the device says it.
    about
        What is written of its xpus and of the device, which may name the GPUs.
    """

    name: str
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    speeds: dict[str, float] = field(default_factory=dict)
    about: str = ""

    @property
    def usual_scale_up(self) -> tuple[float, str]:
        """Bytes/s of a GPU each direction where no link has a speed, and where that figure is from."""
        generation = by_name(self.about)
        if generation is None:
            return DEFAULT_SCALE_UP_BYTES_PER_S, DEFAULT_SCALE_UP_SOURCE
        speed = generation.links * generation.link_bytes_per_s
        title = f"{format_bandwidth(speed, bits=False)} each direction, as {generation.title} of GPUs called so has"
        return speed, title

    def count_of(self, component: str) -> int:
        """How many components of that name there are."""
        return self.parts.get(component, ("", 0))[1]

    def gpus(self, devices: Mapping[str, Device]) -> int:
        """Number of xpus, those of devices inside it too."""
        total = sum(count for kind, count in self.parts.values() if kind == "xpu")
        for name, (kind, count) in self.parts.items():
            inner = devices.get(name)
            if kind == "device" and inner and inner is not self:
                total += count * sum(n for k, n in inner.parts.values() if k == "xpu")
        return min(total, _MAX_PARTS)

    def host_type(self, devices: Mapping[str, Device], speeds: Mapping[str, float]) -> tuple[HostType, bool]:
        """Host type of the device, NICs at the GPU that is fewest edges away, and whether it tells NVLink's speed."""
        gpus = self.gpus(devices)
        near = _neighbours(self.edges)
        xpu = [f"{name}.{n}" for name, (kind, count) in self.parts.items() if kind == "xpu" for n in range(count)]
        index = {part: n for n, part in enumerate(xpu)}
        nics: list[Nic] = []
        used: Counter[int] = Counter()
        for part in self._nics(devices):
            gpu = _nearest(part, near, index, used)
            used[gpu] += 1
            nics.append(Nic(len(nics), _NIC_BYTES_PER_S, gpu))
        fast = [edge for edge in self.edges if _scale_up(edge)]
        domains = _domains(xpu, fast)
        largest = max((domains.count(domain) for domain in domains), default=1)
        first = next((part for n, part in enumerate(xpu) if domains.count(domains[n]) > 1), "")
        speed = sum(self.speeds.get(link) or speeds.get(link, 0.0) for a, b, link in fast if first in (a, b))
        if len(domains) != gpus:  # GPUs inside a device of this one
            domains, largest = (), gpus
        told = bool(speed) or largest == 1
        speed = speed or self.usual_scale_up[0]
        kind = HostType(clean_name(self.name) or "host", gpus, tuple(nics), largest, speed, domains=domains)
        return kind, told

    def _nics(self, devices: Mapping[str, Device]) -> list[str]:
        """NICs as parts: components of that kind, else devices inside that have no xpu and whose name is a card's."""
        own = [f"{name}.{n}" for name, (kind, count) in self.parts.items() if kind == "nic" for n in range(count)]
        if own:
            return own
        return [
            f"{name}.{n}"
            for name, (kind, count) in self.parts.items()
            if kind == "device" and not (name in devices and devices[name].gpus({}))
            for n in range(count)
        ]


def read_device(item: Any, path: str) -> Device:
    """Device of an entry of `devices`.

    Raises
    ------
    InputError
        No name, or a count out of bounds.
    """
    device = Device(text_at(item, "name"))
    if not device.name:
        raise InputError("a device has no name", place=Place(path))
    for part in list_at(item, "components"):
        kind = text_at(part, "choice") or text_at(part, "type")
        count = mapping_at(part).get("count", 0)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MAX_PORTS:
            raise InputError(f"device {quoted(device.name)}: a count is out of bounds", place=Place(path))
        device.parts[text_at(part, "name")] = (kind, count)
        if kind == "xpu":
            device.about += f"{text_at(part, 'name')} {text_at(part, 'description')} "
    device.about += f"{device.name} {text_at(item, 'description')}"
    for link in list_at(item, "links"):
        bandwidth = mapping_at(link, "physical", "bandwidth") or mapping_at(link, "bandwidth")
        for unit, factor in (("bits", 1e9 / 8), ("bytes", 1e9)):
            value = bandwidth.get(f"giga{unit}_per_second", bandwidth.get(f"giga_{unit}_per_second"))
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9:
                device.speeds[text_at(link, "name")] = value * factor
    _add_connections(device, list_at(item, "connections"))
    _add_edges(device, list_at(item, "edges"))
    return device


def _add_connections(device: Device, connections: list[Any]) -> None:
    """Older spelling: "xpu.0.pcie.nic.0"; the highest index of a component tells how many there are."""
    for text in connections:
        words = text.split(".") if isinstance(text, str) else []
        if len(words) != 5 or not (words[1].isdecimal() and words[4].isdecimal() and len(words[1] + words[4]) < 9):
            continue
        device.edges.append((f"{words[0]}.{words[1]}", f"{words[3]}.{words[4]}", words[2]))
        for name, index in ((words[0], int(words[1])), (words[3], int(words[4]))):
            kind, count = device.parts.get(name, ("", 0))
            device.parts[name] = (kind, max(count, min(index + 1, _MAX_PORTS)))


def _add_edges(device: Device, edges: list[Any]) -> None:
    """Newer spelling, with slices; parts inside composed devices count as the device.

    Edges beyond a bound are left out: those of large switches' ports say nothing of hosts.
    """
    for item in edges:
        (a, a_part), (b, b_part) = (_parts_of(device, text_at(item, end, "component")) for end in ("ep1", "ep2"))
        many = text_at(item, "scheme") == "many2many"
        size = len(a_part) * len(b_part) if many else min(len(a_part), len(b_part))
        if size + len(device.edges) > _MAX_EDGES:
            continue
        pairs = itertools.product(a_part, b_part) if many else zip(a_part, b_part, strict=False)
        link = text_at(item, "link")
        device.edges += [(f"{a}.{x}", f"{b}.{y}", link) for x, y in pairs if (a, x) != (b, y)]


def _parts_of(device: Device, text: str) -> tuple[str, range]:
    """Component of an endpoint and the numbers that its slice names."""
    match = re.fullmatch(r"([\w -]+)(?:\[(-?\d{0,6})(?:(:)(-?\d{0,6}))?\])?", text.partition(".")[0])
    if not match:
        return "", range(0)
    count = device.count_of(match[1])
    low = int(match[2] or 0) if (match[2] or "").lstrip("-") else 0
    high = low + 1 if match[2] and not match[3] else int(match[4]) if (match[4] or "").lstrip("-") else count
    return match[1], range(count)[low:high]


def _scale_up(edge: tuple[str, str, str]) -> bool:
    return any(_SCALE_UP.search(word) for word in edge)


def _domains(xpu: list[str], fast: list[tuple[str, str, str]]) -> tuple[int, ...]:
    """NVLink domain of each xpu: those that scale-up edges join, over switches or directly."""
    number = {part: n for n, part in enumerate(xpu)}
    for edge in fast:
        for part in edge[:2]:
            number.setdefault(part, len(number))
    parts = Components(len(number))
    for a, b, _ in fast:
        parts.join_pair(number[a], number[b])
    return numbered(parts.find(n) for n in range(len(xpu)))


def _neighbours(edges: list[tuple[str, str, str]]) -> dict[str, list[str]]:
    near: defaultdict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if not _scale_up(edge):
            near[edge[0]].append(edge[1])
            near[edge[1]].append(edge[0])
    return near


def _nearest(part: str, near: Mapping[str, list[str]], index: Mapping[str, int], used: Mapping[int, int]) -> int:
    """GPU fewest edges away; of several, the one with fewest NICs yet, then the lowest."""
    seen, level = {part}, [part]
    while level:
        found = sorted(index[p] for p in level if p in index)
        if found:
            return min(found, key=lambda gpu: (used.get(gpu, 0), gpu))
        level = list(dict.fromkeys(other for p in level for other in near.get(p, ()) if other not in seen))
        seen.update(level)
    return min(range(max(1, len(index))), key=lambda gpu: (used.get(gpu, 0), gpu))


def lone_host(devices: Mapping[str, Device], top: Mapping[str, Any], path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host for a file that defines devices and connects no instances.

    Raises
    ------
    InputError
        No device with an xpu.
    """
    hosts = [device for device in devices.values() if device.gpus(devices)]
    if not hosts:
        what = ", ".join(quoted(name) for name in sorted(devices)[:4]) or "nothing"
        raise InputError(
            f"this file defines {what} and no host with an xpu",
            place=Place(path),
            hint="put the parts of an infrastructure (devices, instances, edges) into one file",
        )
    device = hosts[0]
    kind, told = device.host_type(devices, {})
    kind = options.host_type or kind
    assumed = [f"this file defines devices alone: a fabric of one {device.name}"]
    if kind.nics and not options.host_type:
        assumed.append("speed of NICs: 400 Gb/s, as the file does not say")
    if not told and not options.host_type:
        assumed.append(f"scale-up bandwidth of a GPU: {device.usual_scale_up[1]}")
    more = [f"{len(hosts) - 1} further devices with xpus were left out"] if len(hosts) > 1 else []
    instances = list_at(top, "instances")
    if len(instances) > MAX_HOSTS:
        raise InputError("too many instances", place=Place(path))
    absent = sorted({text_at(item, "device") for item in instances} - devices.keys() - {""})
    if absent:
        more.append(
            f"parts that are devices of another file were left out, NICs among them perhaps: "
            f"{', '.join(quoted(name) for name in absent[:4])} (put all devices into one file)"
        )
    return Fabric(
        name=fabric_name(path),
        routing=options.routing or "ecmp",
        host_types=(kind,),
        hosts=(Host(clean_name(device.name) or "host", 0),),
        assumed=tuple(assumed),
        warnings=tuple(more),
    )
