"""hwloc XML (lstopo --of xml), versions 1 to 3: GPUs, adapters and NVLink in the tree of a machine.

The tree tells paths; NVLink is in a matrix of bandwidths behind it, which hwloc writes where it was built with NVML.
What attributes mean: hwloc's documentation of its XML and of its object attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.hosts import devices
from topoplan.topologies.hosts.nvlink import Joined, join
from topoplan.topologies.hosts.parts import FoundNic, HostParts, Notes, check_size, host_fabric, host_type
from topoplan.topologies.hosts.pci_tree import Spot, paths, switches
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, clean_name, fabric_name, lines
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag

MAX_MATRIX = 1024  # objects of a matrix of distances; a DGX-2 has 28
_PCI_TYPE = re.compile(r"([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\]")
_GPU_SOFTWARE = re.compile(r"cuda\d|nvml\d|rsmi\d|ze\d")
_KIB = re.compile(r"(\d{1,12})\s*KiB")
# kinds of OS devices: numbered up to version 2, a bit each from 3 on (hwloc.h, hwloc_obj_osdev_type_e)
_NETWORK, _OPENFABRICS = {"2", "16"}, {"3", "32"}
_ACTIVE = "4"  # Port1State of an InfiniBand port that is up
# PCIe bandwidth of the slot in GB/s -> adapter that was made for it: XDR, NDR, HDR, EDR
_SLOTS = ((120.0, 800), (60.0, 400), (30.0, 200), (15.0, 100))


def sniff(text: str) -> bool:
    """Whether the first element is hwloc's <topology>."""
    return root_tag(text) == "topology" and "<object" in text[:SNIFF_CHARS]


@dataclass(frozen=True, slots=True)
class _Device:
    """A PCI device: its object, its "vendor:device" and class, and where it hangs."""

    object: Element
    pci: str
    number: str
    spot: Spot

    @property
    def bus(self) -> str:
        """Bus id; its order is CUDA's."""
        return self.object.get("pci_busid").lower()

    def software(self) -> list[Element]:
        """OS devices of it: cuda0, mlx5_0, enp1s0 ..."""
        return list(self.object.all("object"))


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host.

    Raises
    ------
    InputError
        Not hwloc's XML; no GPU in it.
    """
    for _ in lines(text, path):  # bounds the size
        break
    root = parse_xml(text, path)
    machine = next((child for child in root.children if child.tag == "object"), None)
    if root.tag != "topology" or machine is None:
        hint = "write it with: lstopo --of xml"
        raise InputError("no <topology> with an <object>", place=Place(path, root.line), hint=hint)
    notes, name = Notes(), fabric_name(path)
    found = _devices(machine)
    gpus = sorted((device for device in found if _is_gpu(device)), key=lambda device: device.bus)
    listed = [
        (device, nic)
        for device in sorted(found, key=lambda device: device.bus)
        if device.number.startswith("02") and not _is_gpu(device)
        for nic in _nics(device, notes)
    ]
    if not found:
        message = "the file shows no PCI devices, so neither GPUs nor adapters"
        raise InputError(message, place=Place(path), hint="write it on the host with: lstopo --whole-io --of xml")
    check_size(len(gpus), len(listed), path)
    path_of, hops = paths([gpu.spot for gpu in gpus], [device.spot for device, _ in listed])
    joined = _joined(root, gpus, found, path)
    parts = HostParts(
        len(gpus),
        tuple(nic for _, nic in listed),
        path_of,
        hops,
        joined,
        _generation(gpus),
        switches([gpu.spot for gpu in gpus]),
        gpu_memory_bytes=_memory(gpus),
        scale_up_bytes_per_s=joined.links * 1e6 if joined else 0.0,
    )
    host = clean_name(_info(machine, "HostName")) or name
    return host_fabric([(host, host_type(parts, name, options, notes))], (), path, options, notes)


# ---- devices -----------------------------------------------------------------------------------------------------


def _devices(machine: Element) -> list[_Device]:
    """PCI devices of the tree, each with the chain above it; the machine counts where it has one NUMA node."""
    alone = sum(1 for node in machine.all("object") if _is_cpu_node(node)) <= 1
    stack: list[tuple[Element, tuple[str, ...], int]] = [(machine, ("machine",) if alone else (), int(alone))]
    found, number = [], 0
    while stack:
        element, above, tops = stack.pop()
        kind = element.get("type")
        match = _PCI_TYPE.match(element.get("pci_type").lower())
        if kind == "PCIDev":
            pci = f"{match[2]}:{match[3]}" if match else ""
            found.append(_Device(element, pci, match[1] if match else "", Spot(above, tops)))
            continue
        number += 1
        if element is not machine:
            host_bridge = kind == "Bridge" and element.get("bridge_type").startswith("0")
            tops += int(kind != "Bridge" or host_bridge)
            above = (*above, f"{kind}{number}")
        stack.extend((child, above, tops) for child in reversed(element.children) if child.tag == "object")
    return found


def _is_cpu_node(node: Element) -> bool:
    """Whether a NUMA node is memory of the CPUs; Power and Grace count that of GPUs too."""
    return node.get("type") in ("NUMANode", "NUMA") and node.get("subtype") != "GPUMemory"


def _is_gpu(device: _Device) -> bool:
    vendor = device.pci.partition(":")[0]
    graphics = device.number[:2] in ("03", "12") and vendor in devices.GPU_VENDORS
    return graphics or any(_GPU_SOFTWARE.match(item.get("name")) for item in device.software())


def _nics(device: _Device, notes: Notes) -> list[FoundNic]:
    """Ports of an adapter: its RDMA devices, else its network devices, else the adapter itself."""
    model = devices.adapter_bytes_per_s(device.pci)
    slot = _slot(device.object.get("pci_link_speed"))
    rdma = [item for item in device.software() if _is_rdma(item)]
    plain = [item for item in device.software() if item.get("osdev_type") in _NETWORK]
    up = [item for item in rdma if not _is_down(item)]
    if len(up) < len(rdma):
        down = ", ".join(item.get("name")[:40] for item in rdma if _is_down(item))
        notes.warnings.append(f"left out, as their ports are down: {down}")
        return [_found(item.get("name"), model, slot) for item in up]
    named = rdma or plain
    if not named and device.software():
        return []
    return [_found(item.get("name"), model, slot) for item in named] or [_found("", model, slot)]


def _found(name: str, model: float, slot: float) -> FoundNic:
    return FoundNic(name, 0.0, model or slot, not model)


def _is_rdma(item: Element) -> bool:
    if item.get("osdev_type") in _NETWORK:
        return False
    return item.get("osdev_type") in _OPENFABRICS or item.get("subtype") == "OpenFabrics"


def _is_down(item: Element) -> bool:
    states = [info.get("value") for info in item.children if re.fullmatch(r"Port\d+State", info.get("name"))]
    return bool(states) and _ACTIVE not in states


def _slot(text: str) -> float:
    match = re.match(r"\d{1,6}(?:\.\d{1,9})?", text)
    speed = float(match[0]) if match else 0.0
    return next((gigabits * devices.GIGABIT for least, gigabits in _SLOTS if speed >= least), 0.0)


def _info(element: Element, key: str) -> str:
    return next((child.get("value") for child in element.children if child.get("name") == key), "")


def _generation(gpus: Sequence[_Device]) -> devices.Generation | None:
    for gpu in gpus:
        models = [_info(item, "GPUModel") for item in gpu.software()]
        found = devices.by_name(" ".join(models)) or devices.by_number(pci=gpu.pci)
        if found:
            return found
    return None


def _memory(gpus: Sequence[_Device]) -> float | None:
    """Bytes of the GPU with the least memory, as CUDA counts it."""
    texts = (_info(item, "CUDAGlobalMemorySize") for gpu in gpus for item in gpu.software())
    sizes = [float(match[1]) * 1024 for text in texts if (match := _KIB.match(text))]
    return min(sizes, default=0.0) or None


# ---- NVLink ------------------------------------------------------------------------------------------------------


def _joined(root: Element, gpus: Sequence[_Device], found: Iterable[_Device], path: str) -> Joined | None:
    """Domains by the matrix of NVLink or xGMI bandwidths, links counted as MB/s; None where there is no matrix."""
    matrix = next((m for m in root.children if m.get("name") in ("NVLinkBandwidth", "XGMIBandwidth")), None)
    if matrix is None:
        return None
    gpu_of = {item.get("gp_index"): g for g, gpu in enumerate(gpus) for item in (gpu.object, *gpu.software())}
    switch = {d.object.get("gp_index") for d in found if d.object.get("subtype") == "NVSwitch" or d.number == "0680"}
    labels = [label.rpartition(":")[2] for label in _words(matrix, "indexes")]
    values = [int(word) for word in _words(matrix, "u64values") if word.isdecimal() and len(word) < 10]
    if len(labels) > MAX_MATRIX or len(values) != len(labels) ** 2:
        message = f"the matrix of NVLink bandwidths has {len(values)} values for {len(labels)} objects"
        raise InputError(message, place=Place(path, matrix.line), hint="write the file again with lstopo")
    table = np.array(values, np.int64).reshape(len(labels), len(labels))
    table = np.maximum(table, table.T)
    direct, switched = np.zeros((len(gpus), len(gpus)), np.int64), np.zeros(len(gpus), np.int64)
    for i, label in enumerate(labels):
        if label in gpu_of:
            for j, other in enumerate(labels):
                if gpu_of.get(other, gpu_of[label]) != gpu_of[label]:
                    direct[gpu_of[label], gpu_of[other]] = table[i, j]
                elif other in switch:
                    switched[gpu_of[label]] += table[i, j]
    return join(direct, switched)


def _words(matrix: Element, tag: str) -> list[str]:
    return [word for child in matrix.children if child.tag == tag for word in child.text.split()]
