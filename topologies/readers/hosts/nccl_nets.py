"""Nets of NCCL's topology XML: the ports of a host's adapters, as they are and as NCCL merges them."""

from __future__ import annotations

import re

from topoplan.topologies.hosts import devices
from topoplan.topologies.hosts.parts import FoundNic
from topoplan.topologies.xml_tree import Element

MAX_MEGABITS = 10_000_000  # of one NIC; more is a unit gone wrong, as Slingshot's driver has it
DEFAULT_MEGABITS = 10_000  # NCCL takes nets without a speed for 10 Gb/s (topo.cc)
_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)")


def net_elements(device: Element) -> list[Element]:
    """Nets of a PCI device or bare <nic>; not those for collectives alone, nor ports that NCCL merged."""
    inside = device.children if device.tag == "nic" else [
        net for nic in device.children for net in ([nic] if nic.tag == "net" else nic.children)
    ]  # fmt: skip
    return [net for net in inside if net.tag == "net" and net.get("net") != "0"]


def nets(device: Element, ports: frozenset[str]) -> list[FoundNic]:
    """NICs of a device: a port each; where no device of the file has ports, the device itself.

    NCCL merges ports of an adapter into one of name "mlx5_0+mlx5_1"; the ports themselves are what is read.
    """
    found: dict[tuple[str, str], tuple[Element, float]] = {}
    for net in net_elements(device):
        parts = net.get("name").split("+")
        for name in parts if len(parts) > 1 else [net.get("name")]:
            if name not in ports or len(parts) == 1:
                found.setdefault((name, net.get("port")), (net, _speed(net) / len(parts)))
    slot = devices.slot_bytes_per_s(transfers(device), int(_first(device.get("link_width"))))
    if found:
        return [
            FoundNic(name, speed, slot, True, _label(net, "rail"), _label(net, "plane"))
            for (name, _), (net, speed) in found.items()
        ]
    if ports:  # NCCL lists all nets it could use: this one it could not
        return []
    model = devices.adapter_bytes_per_s(pci_id(device))
    return [FoundNic("", 0.0, model or slot, not model)]


def _first(text: str) -> float:
    match = _NUMBER.match(text)
    return float(match[1]) if match else 0.0


def transfers(element: Element) -> float:
    """GT/s of a lane that a PCI device's link_speed tells, 0 when it does not."""
    return _first(element.get("link_speed"))


def _speed(net: Element) -> float:
    """Bytes/s of a net, 0 where its speed cannot be."""
    megabits = _first(net.get("speed")) or DEFAULT_MEGABITS
    return megabits * devices.GIGABIT / 1000 if megabits <= MAX_MEGABITS else 0.0


def _label(net: Element, key: str) -> int:
    text = net.get(key)
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def bare_hex(text: str) -> str:
    """`text` in lower case without 0x."""
    return text.lower().removeprefix("0x")


def pci_id(element: Element) -> str:
    """PCI "vendor:device" of an element."""
    return f"{bare_hex(element.get('vendor'))}:{bare_hex(element.get('device'))}"
