"""Writer of NCCL's topology XML: the inside of a host, with the rail and plane of each net.

For simulators, tests and reading, not for NCCL_TOPO_FILE on real hosts: bus ids, GUIDs and the CPU are made up, as a
Fabric does not know them. A GPU and the NICs beside it hang from a PCIe bridge of their own, or from the shared switch
that the host type knows; CPU sockets are not told apart.

What the format cannot hold, and what is therefore not written: all of the network but rails and planes, hosts' names,
memory, FLOPS and speed of GPUs, slices, NICs of other networks, GPUs that share a NIC from afar. NVLink is written as a
count of links of the generation whose links divide the bandwidth; others are rounded to whole links.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, Host
from topoplan.model.host_type import HostType, Nic

# Compute capability -> NVLink bytes/s of a link each direction and links of a GPU (NVIDIA's datasheets), newest first.
_LINKS = {"100": (50e9, 18), "90": (25e9, 18), "80": (25e9, 12), "70": (25e9, 6)}
_GPU_CLASS, _SWITCH_CLASS, _BRIDGE_CLASS = "0x030200", "0x068000", "0x060400"
_NET_CLASS = "0x020700"  # InfiniBand; NCCL treats Ethernet (0x0200) alike


def write(fabric: Fabric) -> str:
    """Text of the host type that all hosts of `fabric` have; rails and planes as the hosts are attached.

    Raises
    ------
    InputError
        Hosts of several types, or attached in several ways.
    """
    types = {host.type for host in fabric.hosts}
    if len(types) > 1:
        names = ", ".join(fabric.host_types[n].name for n in sorted(types))
        raise InputError(f"this format describes one host, and the fabric has hosts of types {names}")
    kind = fabric.host_types[types.pop()]
    planes = {_planes(host) for host in fabric.hosts}
    if len(planes) > 1:
        raise InputError("this format describes one host, and hosts of this fabric reach different planes")
    return write_host(kind, dict(planes.pop()))


def _planes(host: Host) -> tuple[tuple[int, int], ...]:
    """(NIC, plane) where a NIC reaches one plane."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for item in host.attach:
        found[item.nic].add(item.plane)
    return tuple((nic, planes.pop()) for nic, planes in sorted(found.items()) if len(planes) == 1)


def write_host(kind: HostType, planes: dict[int, int]) -> str:
    """Text of a host type; `planes` maps a NIC to its plane, where that is not the one the host type says."""
    root = ET.Element("system", version="1")
    cpu = ET.SubElement(
        root, "cpu", numaid="0", affinity="ffffffff", arch="x86_64", vendor="GenuineIntel", familyid="6", modelid="143"
    )
    places = kind.switches or tuple(range(kind.gpus))
    near: defaultdict[int, list[int]] = defaultdict(list)
    for nic, about in enumerate(kind.nics):
        near[places[about.gpu]].append(nic)
    sm, count = _generation(kind.scale_up_bandwidth_bytes_per_s)
    for place in sorted(set(places)):
        bridge = _pci(cpu, place, 0, _BRIDGE_CLASS)
        for gpu in (gpu for gpu in range(kind.gpus) if places[gpu] == place):
            # A bridge for each GPU and its NICs keeps them nearer to each other than to others under the switch.
            below = _pci(bridge, place, 1 + gpu, _BRIDGE_CLASS, function=1) if kind.switches else bridge
            device = ET.SubElement(
                _pci(below, place, 1 + gpu, _GPU_CLASS), "gpu", dev=str(gpu), sm=sm, rank=str(gpu), gdr="1"
            )
            domain = kind.domain_of_gpu[gpu]
            if kind.domain_of_gpu.count(domain) > 1:
                target = f"{0xF0 + domain // 32:04x}:{domain % 32:02x}:00.0"
                ET.SubElement(device, "nvlink", target=target, count=str(count), tclass=_SWITCH_CLASS)
            for nic in (nic for nic in near[place] if kind.nics[nic].gpu == gpu):
                _net(below, place, nic, kind.nics[nic], planes)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _generation(bandwidth_bytes_per_s: float) -> tuple[str, int]:
    """Compute capability and links of one GPU whose NVLink has that bandwidth."""
    for sm, (link, most) in _LINKS.items():
        if link * most == bandwidth_bytes_per_s:
            return sm, most
    link = _LINKS["90"][0]
    return "90", max(1, round(bandwidth_bytes_per_s / link))


def _pci(parent: ET.Element, place: int, slot: int, number: str, function: int = 0) -> ET.Element:
    busid = f"{place:04x}:{slot:02x}:00.{function}"
    return ET.SubElement(
        parent, "pci", {"busid": busid, "class": number, "link_speed": "32.0 GT/s PCIe", "link_width": "16"}
    )


def _net(parent: ET.Element, place: int, nic: int, about: Nic, planes: dict[int, int]) -> None:
    inside = ET.SubElement(_pci(parent, place, 0x80 + nic % 0x80, _NET_CLASS, function=nic // 0x80), "nic")
    ET.SubElement(
        inside,
        "net",
        name=about.name or f"mlx5_{nic}",
        dev=str(nic),
        speed=str(round(about.bandwidth_bytes_per_s * 8 / 1e6)),
        port="1",
        latency="0.000000",
        guid=f"0x{nic + 1:x}",
        maxconn="131072",
        gdr="1",
        rail=str(about.rail),
        plane=str(planes.get(nic, about.plane)),
    )
