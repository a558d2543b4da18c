"""What collected files tell of the inside of hosts: `nvidia-smi topo -m` and the kernel's view of NICs and PCIe."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, HostType, Nic
from topoplan.topologies.collect.sections import Collected
from topoplan.topologies.collect.tools import ibstat_rows, slurm_node
from topoplan.topologies.hosts.devices import GPU_VENDORS, by_name, by_number, is_virtual
from topoplan.topologies.hosts.parts import FoundNic, HostParts, Notes, check_size, host_type
from topoplan.topologies.hosts.pci_tree import Spot, paths, switches
from topoplan.topologies.reading import ReadOptions, clean_name

_RATE = re.compile(r"\s*(\d{1,5}(?:\.\d{1,3})?)\s*Gb/sec.*")
_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]", re.IGNORECASE)
_GPU = re.compile(r"GPU \d+: (.*?)\s*\(UUID")
_MAX_PLAIN = 64  # assumed: more front-end NICs than a host has
_MAX_ROWS = 4096  # assumed: more ports and PCI devices than a host has

ReadSmi = Callable[[str, str, ReadOptions], Fabric]


@dataclass(frozen=True, slots=True)
class Device:
    """An RDMA device of the kernel: bytes/s of its active ports together, 0 where the kernel does not say."""

    name: str
    guid: str
    bandwidth_bytes_per_s: float
    active: bool
    place: str
    nets: tuple[str, ...]


def port_rows(host: Collected) -> list[dict[str, str]]:
    """Ports of RDMA devices: those of the kernel's tree, and of ibstat those that the tree does not show."""
    own = [row for row in host.rows("infiniband") if row.get("device")]
    seen = {row["device"] for row in own}
    return own + [row for row in ibstat_rows(host.sections.get("ibstat", "")) if row["device"] not in seen]


def devices(host: Collected) -> dict[str, Device]:
    """RDMA devices of a host by name."""
    found: dict[str, Device] = {}
    for number, row in enumerate(port_rows(host)):
        name = row.get("device", "")
        if number >= _MAX_ROWS or not name or clean_name(name) != name:
            continue
        match = _RATE.fullmatch(row.get("rate", ""))
        active = "ACTIVE" in row.get("state", "").upper()
        rate = float(match[1]) * 1e9 / 8 if match and active else 0.0
        old = found.get(name)
        found[name] = Device(
            name,
            _guid(row.get("node_guid", "")),
            rate + (old.bandwidth_bytes_per_s if old else 0.0),
            active or bool(old and old.active),
            row.get("place", ""),
            tuple(net for net in row.get("net", "").split(",") if net),
        )
    return found


def _guid(text: str) -> str:
    digits = text.replace(":", "").lower()
    return digits if re.fullmatch(r"[0-9a-f]{16}", digits) and digits.strip("0") else ""


def type_of(host: Collected, read_smi: ReadSmi | None, options: ReadOptions, notes: Notes) -> HostType | None:
    """Type of a host, None for one without GPUs; what could not be read is noted."""
    known = devices(host)
    kind = _by_smi(host, read_smi, options, notes) if "nvidia-smi-topo" in host.sections and read_smi else None
    kind = kind or _by_kernel(host, known, options, notes)
    if kind is None:
        return None
    _compare_with_slurm(host, kind, notes)
    kind = _with_rates(kind, known, notes)
    return dataclasses.replace(kind, other_nics=(*kind.other_nics, *_plain_nics(host, kind, known)))


def _compare_with_slurm(host: Collected, kind: HostType, notes: Notes) -> None:
    """Say where Slurm gives the host other GPUs than were seen, or no more jobs."""
    node = slurm_node(host.sections.get("scontrol-node", ""))
    if node is None:
        return
    seen = len(kind.slices) or kind.gpus
    if node.gpus and node.gpus not in (seen, kind.gpus):
        why = "the allocation has a part of them" if node.gpus > seen else "gres.conf and the host disagree"
        notes.warnings.append(f"Slurm counts {node.gpus} GPUs, the script saw {seen}: {why}")
    if node.away:
        notes.warnings.append(f"Slurm starts no further job there ({node.away}); list it under unavailable for others")


def _plain_nics(host: Collected, kind: HostType, known: dict[str, Device]) -> list[Nic]:
    """Ethernet NICs behind no RDMA device that are up: front-end; the kernel shows speeds in Mb/s."""
    taken = {nic.name for nic in (*kind.nics, *kind.other_nics)} | {net for d in known.values() for net in d.nets}
    found = []
    for number, row in enumerate(host.rows("net")):
        name, speed = row.get("name", ""), row.get("speed", "")
        usable = name and clean_name(name) == name and name not in taken and not is_virtual(name)
        if number < _MAX_ROWS and usable and row.get("state") == "up" and re.fullmatch(r"[1-9]\d{0,6}", speed):
            found.append(Nic(0, int(speed) * 1e6 / 8, 0, name, network="front-end"))
            taken.add(name)
    return found[:_MAX_PLAIN]


def _title(host: Collected, gpus: int) -> str:
    """Name of a type: the product and how many of them."""
    match = _GPU.search(host.sections.get("nvidia-smi-list", ""))
    return f"{clean_name(match[1].lower()) if match else 'collected'}-x{gpus}"


def _by_smi(host: Collected, read_smi: ReadSmi, options: ReadOptions, notes: Notes) -> HostType | None:
    text = "\n".join(host.sections.get(name, "") for name in ("nvidia-smi-list", "nvidia-smi-topo"))
    try:
        fabric = read_smi(text, _title(host, 0), options)
    except InputError as error:
        notes.warnings.append(f"what nvidia-smi topo -m printed cannot be read, the PCI tree is used: {error.message}")
        return None
    notes.assumed.extend(fabric.assumed)
    notes.warnings.extend(fabric.warnings)
    kind = fabric.host_types[0]
    return dataclasses.replace(kind, name=_title(host, kind.gpus))


def _by_kernel(host: Collected, known: dict[str, Device], options: ReadOptions, notes: Notes) -> HostType | None:
    """Type from the places of GPUs and NICs in the PCI tree, where no nvidia-smi told."""
    rows = [row for n, row in enumerate(host.rows("pci")) if n < _MAX_ROWS and _is_gpu(row)]
    gpus = [
        _spot(row.get("place", ""), row.get("numa", "")) for row in sorted(rows, key=lambda row: row.get("address", ""))
    ]
    if not gpus:
        return None
    check_size(len(gpus), len(known), host.path)
    nics = [_spot(device.place, "") for device in known.values()]
    path, hops = paths(gpus, nics)
    pci = f"{rows[0].get('vendor', '')[2:]}:{rows[0].get('device', '')[2:]}".lower()
    node = slurm_node(host.sections.get("scontrol-node", ""))
    told = host.sections.get("nvidia-smi-list", "") or (node.model.upper() if node else "")
    generation = by_name(told) or by_number(pci=pci)
    found = tuple(FoundNic(device.name, device.bandwidth_bytes_per_s) for device in known.values())
    if not found:
        path, hops = path[:, :0], hops[:, :0]
    parts = HostParts(len(gpus), found, path, hops, generation=generation, switches=switches(gpus))
    return host_type(parts, _title(host, len(gpus)), options, notes)


def _is_gpu(row: dict[str, str]) -> bool:
    shown = row.get("class", "")
    compute = shown.startswith("0x12") or (shown.startswith("0x03") and shown != "0x030000")
    return compute and row.get("vendor", "")[2:].lower() in GPU_VENDORS


def _spot(place: str, numa: str) -> Spot:
    """Where a device hangs, from its folder under /sys/devices: the host bridge, PCIe bridges, the device."""
    words = [word for word in place[:4096].split("/") if word][2:]
    root = words[:1] or [""]
    bridges = [word for word in words[1:] if _PCI.fullmatch(word)][:-1]
    return Spot((*root, *bridges), 1)


def _with_rates(kind: HostType, known: dict[str, Device], notes: Notes) -> HostType:
    """`kind` with the speeds at which its NICs run."""

    def measured(nic: Nic) -> Nic:
        device = known.get(nic.name)
        if device is not None and device.bandwidth_bytes_per_s > 0:
            return dataclasses.replace(nic, bandwidth_bytes_per_s=device.bandwidth_bytes_per_s)
        return nic

    down = sorted(nic.name for nic in kind.nics if nic.name in known and not known[nic.name].active)
    if down:
        notes.warnings.append(f"no active port: {', '.join(down)}")
    nics = tuple(measured(nic) for nic in kind.nics)
    if all(nic.name in known and known[nic.name].bandwidth_bytes_per_s > 0 for nic in nics):
        notes.assumed[:] = [line for line in notes.assumed if not line.startswith("bandwidth of NICs")]
    return dataclasses.replace(kind, nics=nics, other_nics=tuple(measured(nic) for nic in kind.other_nics))
