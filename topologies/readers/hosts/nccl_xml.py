"""NCCL's and RCCL's topology XML (NCCL_TOPO_DUMP_FILE, NCCL_TOPO_FILE): what is inside a host, or inside several.

Files that clouds ship name neither GPUs nor NICs: PCI classes tell them apart, and where there are no classes either,
the devices under a PCIe switch are taken for the NICs of one GPU, as AWS describes its p5. Grammar: src/graph/xml.cc
and topo.cc of NCCL. Speeds of PCIe bridges are not used: virtual switches report wrong ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, HostType, IntArray, Island
from topoplan.topologies.hosts import devices
from topoplan.topologies.hosts.nvlink import Joined, join
from topoplan.topologies.hosts.parts import HostParts, Notes, check_size, host_fabric, host_type
from topoplan.topologies.hosts.pci_tree import Spot, paths, switches
from topoplan.topologies.readers.hosts.nccl_nets import bare_hex, net_elements, nets, pci_id, transfers
from topoplan.topologies.reading import ReadOptions, clean_name, fabric_name, lines
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag

GPU, NIC, BRIDGE, OTHER = "GPU", "NIC", "bridge", "other"
MAX_LINKS = 1024  # of one <nvlink> element; NVLink 5 has 18 a GPU
MAX_HOSTS = 1024  # in one fused dump; an NVLink domain spans at most 72 GPUs today
_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)")
# PCI class prefix -> what it is: 0302, 0300 and 0380 GPUs, 12 AMD accelerators, 02 network, 0604 PCIe bridge,
# 0801 the data-direct function of ConnectX-8, under which its network function hangs
_CLASSES = (("03", GPU), ("12", GPU), ("02", NIC), ("0604", BRIDGE), ("0801", BRIDGE))


def sniff(text: str) -> bool:
    """Whether the first element is <system>."""
    return root_tag(text) == "system"


@dataclass(frozen=True, slots=True)
class _Device:
    """A GPU or NIC: its <pci> (or bare <nic>) element, and where it hangs."""

    element: Element
    spot: Spot


@dataclass(slots=True)
class _Found:
    """Devices of one host."""

    gpus: list[_Device]
    nics: list[_Device]
    unknown: list[_Device]


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host, or of several where a dump of an NVLink domain holds them.

    Raises
    ------
    InputError
        Not XML, or not of this kind; no GPU in it.
    """
    for _ in lines(text, path):  # bounds the size
        break
    root = parse_xml(text, path)
    if root.tag != "system":
        raise InputError(f"the first element is <{root.tag[:40]}>, not <system>", place=Place(path, root.line))
    by_host: dict[str, list[Element]] = {}
    for cpu in root.children:
        by_host.setdefault(cpu.get("host_hash"), []).append(cpu)
    if not by_host:
        raise InputError("<system> holds no <cpu>", place=Place(path, root.line))
    if len(by_host) > MAX_HOSTS:
        raise InputError(f"more than {MAX_HOSTS} hosts in one file", place=Place(path))
    notes, name = Notes(), fabric_name(path)
    hosts = [_find(cpus) for cpus in by_host.values()]
    hosts = [host for host in hosts if host.gpus or host.nics or host.unknown] or hosts[:1]
    types = [_host_type(found, name, path, options, notes) for found in hosts]
    names = [name] if len(types) == 1 else [f"{clean_name(name) or 'host'}-{n}" for n in range(len(types))]
    if len(types) > 1:
        notes.assumed.append(f"names of the {len(types)} hosts: numbers, as the file tells them apart by a hash alone")
    if len(hosts) == 1 and any(_switched(gpu.element) and any(gpu.element.all("c2c")) for gpu in hosts[0].gpus):
        notes.warnings.append("NVLink may go on beyond this host (NVL72): ClusterUUID and clique of the hosts tell")
    return host_fabric(list(zip(names, types, strict=True)), _island(hosts, types, notes), path, options, notes)


def _island(hosts: Sequence[_Found], types: Sequence[HostType], notes: Notes) -> list[Island]:
    """The NVLink domain of a dump of several hosts: NCCL fuses hosts only where switches join their GPUs."""
    on_switch = [any(_switched(gpu.element) for gpu in found.gpus) for found in hosts]
    members = tuple(h for h, joined in enumerate(on_switch) if joined)
    if len(members) < 2:
        return []
    notes.assumed.append("NVLink switches join all hosts of the file, as NCCL fuses only such hosts into one dump")
    return [Island("nvlink", members, min(types[h].scale_up_bandwidth_bytes_per_s for h in members))]


# ---- devices -----------------------------------------------------------------------------------------------------


def _find(cpus: Sequence[Element]) -> _Found:
    """Devices below the <cpu> elements of a host, each under the chain of what it hangs from."""
    found = _Found([], [], [])
    stack: list[tuple[Element, tuple[str, ...]]] = [
        (child, (f"cpu{c}",)) for c, cpu in enumerate(cpus) for child in cpu.children
    ]
    stack.reverse()
    bridges = 0
    while stack:
        element, above = stack.pop()
        device = _Device(element, Spot(above, 1))
        kind = _kind(element)
        if kind == GPU:
            found.gpus.append(device)
        elif kind == NIC:
            found.nics.append(device)
        elif element.tag == "pci" and not any(child.tag == "pci" for child in element.children):
            if not element.get("class"):
                found.unknown.append(device)
            continue
        if element.tag == "pci":
            bridges += 1
            inside = (*above, f"bridge{bridges}")
            stack.extend((child, inside) for child in reversed(element.children) if child.tag == "pci")
    return found


def _kind(element: Element) -> str:
    tags = {child.tag for child in element.children}
    if element.tag == "nic":
        return NIC
    if element.tag != "pci":
        return OTHER
    if "gpu" in tags:
        return GPU
    if tags & {"nic", "net"}:
        return NIC
    number = element.get("class").lower().removeprefix("0x")
    vendor = bare_hex(element.get("vendor"))
    kind = next((kind for prefix, kind in _CLASSES if number.startswith(prefix)), OTHER)
    if not number and "pci" not in tags:
        kind = GPU if vendor in devices.GPU_VENDORS else NIC if vendor in devices.ADAPTER_VENDORS else OTHER
    return OTHER if kind == GPU and (vendor in devices.CONSOLE_VENDORS or "pci" in tags) else kind


# ---- a host ------------------------------------------------------------------------------------------------------


def _host_type(found: _Found, name: str, path: str, options: ReadOptions, notes: Notes) -> HostType:
    known, nics = found.gpus, found.nics
    check_size(len(known) or 1, len(nics) + len(found.unknown), path)  # before anything is sorted or paired
    if not known and not nics and found.unknown:
        known, nics = _guess(found.unknown, notes)
    gpus = sorted(known, key=_gpu_order) or _implied_gpus(nics, notes)
    guessed = bool(known) and not found.gpus
    ports = frozenset(net.get("name") for device in nics for net in net_elements(device.element))
    named = bool(ports)
    if not named:  # drivers number nameless ones by bus id
        nics = sorted(nics, key=_bus)
    listed = [(device, nic) for device in nics for nic in nets(device.element, ports)]
    check_size(len(gpus), len(listed), path)
    path_of, hops = paths([gpu.spot for gpu in gpus], [device.spot for device, _ in listed])
    generation = _generation(gpus)
    if generation is None:
        generation = _by_slot(gpus)
    parts = HostParts(
        len(gpus),
        tuple(nic for _, nic in listed),
        path_of,
        hops,
        join(*_no_links(len(gpus))) if guessed else _joined(gpus, notes),
        generation,
        switches([gpu.spot for gpu in gpus]),
    )
    _check_order(found.gpus, notes)
    _check_parts(found.gpus, notes)
    return host_type(parts, name, options, notes)


def _gpu(device: _Device) -> Element | None:
    return next((child for child in device.element.children if child.tag == "gpu"), None)


def _gpu_order(device: _Device) -> tuple[int, str]:
    """By `dev`, the index that NVML and CUDA (in PCI order) give; else by bus id, which is that order."""
    gpu = _gpu(device)
    dev = gpu.get("dev") if gpu else ""
    return (int(dev) if dev.isdecimal() and len(dev) < 6 else 0, _bus(device))


def _bus(device: _Device) -> str:
    return device.element.get("busid").lower()


def _check_order(gpus: Sequence[_Device], notes: Notes) -> None:
    by_bus = sorted(gpus, key=_bus)
    if [_gpu_order(d)[0] for d in by_bus] != sorted(_gpu_order(d)[0] for d in by_bus):
        notes.warnings.append(
            "GPUs are numbered by `dev`, which is not their PCI order; launch files number by PCI order"
        )
    devs = [_gpu_order(d)[0] for d in gpus if _gpu(d) is not None]
    if devs and max(devs) >= len(gpus):
        notes.warnings.append(f"GPUs {min(devs)} to {max(devs)} are numbered from 0: the file shows a part of a host")


def _check_parts(gpus: Sequence[_Device], notes: Notes) -> None:
    inside = [[child for child in gpu.element.children if child.tag == "gpu"] for gpu in gpus]
    if any(len(found) > 1 for found in inside):
        notes.warnings.append("several <gpu> of one PCI device (MLOPart, or ranks that share it) count as one GPU")


def _guess(unknown: list[_Device], notes: Notes) -> tuple[list[_Device], list[_Device]]:
    """GPUs and NICs among devices without class or vendor, as AWS lists them.

    Under PCIe switches they are NICs (p5); right under the CPUs, GPUs come first and NICs last (g5).
    """
    if any(len(device.spot.above) > 1 for device in unknown):
        notes.assumed.append("devices without a class are NICs, as in the file of AWS p5")
        return [], unknown
    gpus = 1 << (len(unknown).bit_length() - 1)  # hosts have 1, 2, 4, 8 or 16
    nics = len(unknown) - gpus
    notes.assumed.append(
        f"devices without a class: {gpus} GPUs without NVLink, then {nics} NICs, as in the file of AWS g5"
    )
    return unknown[:gpus], unknown[gpus:]


def _implied_gpus(nics: Sequence[_Device], notes: Notes) -> list[_Device]:
    """A GPU under each PCIe switch that has NICs, for files that list NICs alone."""
    places = list(dict.fromkeys(device.spot.above for device in nics if len(device.spot.above) > 1))
    if places:
        notes.assumed.append(
            f"{len(places)} GPUs, one under each PCIe switch with NICs: the file lists NICs alone, as that of AWS p5"
        )
    first = {device.spot.above: device for device in reversed(nics)}
    # of its NICs' attributes the generation of PCIe matters
    return [_Device(Element("pci", first[above].element.attributes, 0), Spot(above, 1)) for above in places]


def _generation(gpus: Sequence[_Device]) -> devices.Generation | None:
    for device in gpus:
        gpu = _gpu(device)
        if gpu is not None and (gpu.get("sm") or gpu.get("gcn")):
            return devices.by_number(sm=gpu.get("sm"), gcn=gpu.get("gcn"))
    return next((g for d in gpus if (g := devices.by_number(pci=pci_id(d.element)))), None)


def _by_slot(gpus: Sequence[_Device]) -> devices.Generation | None:
    """Generation that has PCIe of the GPUs' speed: gen 3 V100, gen 4 A100, gen 5 H100."""
    speed = max((transfers(device.element) for device in gpus), default=0.0)
    sm = next((sm for least, sm in ((32, "90"), (16, "80"), (8, "70")) if speed >= least), "")
    return devices.by_number(sm=sm) if sm else None


# ---- NVLink ------------------------------------------------------------------------------------------------------


def _joined(gpus: Sequence[_Device], notes: Notes) -> Joined | None:
    """Domains by <nvlink> and <xgmi>; None where the file has no <gpu>."""
    if not any(_gpu(device) for device in gpus):
        return None
    number = {_bus(device): g for g, device in enumerate(gpus)}
    direct, switched = _no_links(len(gpus))
    itself = False
    for g, device in enumerate(gpus):
        for link in _links(device.element):
            other = number.get(link.get("target").lower(), -1)
            itself |= other == g
            if _to_switch(link) or (other < 0 and not link.get("tclass")):  # as NCCL takes what it cannot see
                switched[g] += _count(link)
            elif other >= 0 and other != g:
                direct[g, other] += _count(link)
    if itself:
        notes.warnings.append("an NVLink that leads from a GPU to itself is ignored")
    return join(np.maximum(direct, direct.T), switched)


def _no_links(gpus: int) -> tuple[IntArray, IntArray]:
    return np.zeros((gpus, gpus), np.int64), np.zeros(gpus, np.int64)


def _links(element: Element) -> list[Element]:
    return [
        link for gpu in element.children if gpu.tag == "gpu" for link in gpu.children if link.tag in ("nvlink", "xgmi")
    ]


def _to_switch(link: Element) -> bool:
    number = bare_hex(link.get("tclass"))
    return number.startswith("0680") and not number.startswith("068001")


def _switched(element: Element) -> int:
    return sum(_count(link) for link in _links(element) if _to_switch(link))


def _count(link: Element) -> int:
    match = _NUMBER.match(link.get("count") or "1")
    return min(int(float(match[1])), MAX_LINKS) if match else 1
