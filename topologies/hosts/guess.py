"""Host types for sources that say little of their hosts: a product's name, an instance type, or nothing at all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from topoplan.model.fabric import HostType, Nic
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S, DEFAULT_SCALE_UP_SOURCE
from topoplan.topologies.reading import clean_name

# Assumed where nothing is told: the DGX/HGX H100 layout of 8 GPUs, each with a 400 Gb/s NIC.
_GPUS = 8
_NIC_BYTES_PER_S = 400e9 / 8
# Assumed where NVLink domains are wider than a host: the compute tray of a GB200 NVL72, 4 GPUs with a 400 Gb/s NIC
# each (NVIDIA's GB200 NVL72 reference architecture), 18 NVLink 5 links of 50 GB/s each direction.
_TRAY_GPUS = 4
_TRAY_SCALE_UP = 900e9

# Part of a product's name -> NVLink bytes/s of a GPU each direction, 0 for none; the first that fits counts. NVIDIA's
# datasheets: NVLink 2 6 x 25, NVLink 3 12 x 25, NVLink 4 18 x 25, NVLink 5 18 x 50 GB/s; H20 as H100, H800 8 x 25.
_PRODUCTS = (
    (re.compile(r"B[23]00", re.IGNORECASE), 900e9),
    (re.compile(r"PCIe|NVL\b|L4|A10G?\b|A16|A30|A40|T4\b|RTX|Tesla-?P", re.IGNORECASE), 0.0),
    (re.compile(r"H800", re.IGNORECASE), 200e9),
    (re.compile(r"H100|H200|H20\b|GH200", re.IGNORECASE), 450e9),
    (re.compile(r"A100|A800", re.IGNORECASE), 300e9),
    (re.compile(r"V100", re.IGNORECASE), 150e9),
)


@dataclass(frozen=True, slots=True)
class _Instance:
    gpus: int
    network_bytes_per_s: float
    scale_up_bytes_per_s: float


# Cloud instance types: GPUs, network of the whole instance, NVLink of a GPU, each direction. All assumed: written from
# memory (EFA 400 Gb/s p4d, 3,200 Gb/s p5, p5en and p6-b200, 6,400 Gb/s p6-b300, 400 Gb/s a GPU on p6e-gb200; A2 100
# Gb/s, A3 High 4 x 200, A3 Ultra and A4 8 x 400; OCI A100 16 x 100, H100 8 x 400; ND A100 8 x 200, ND H100 8 x 400; 800
# Gb/s a GPU of GB300), the AWS lines seen again in a third party's tables alone
# (stas00/ml-engineering, network). `told_of` says so wherever they are used.
_INSTANCES = {
    "p4d.24xlarge": _Instance(8, 50e9, 300e9),
    "p4de.24xlarge": _Instance(8, 50e9, 300e9),
    "p5.48xlarge": _Instance(8, 400e9, 450e9),
    "p5e.48xlarge": _Instance(8, 400e9, 450e9),
    "p5en.48xlarge": _Instance(8, 400e9, 450e9),
    "p6-b200.48xlarge": _Instance(8, 400e9, 900e9),
    "p6-b300.48xlarge": _Instance(8, 800e9, 900e9),
    "p6e-gb200.36xlarge": _Instance(4, 200e9, 900e9),
    "a2-highgpu-8g": _Instance(8, 12.5e9, 300e9),
    "a2-megagpu-16g": _Instance(16, 12.5e9, 300e9),
    "a2-ultragpu-8g": _Instance(8, 12.5e9, 300e9),
    "a3-highgpu-8g": _Instance(8, 100e9, 450e9),
    "a3-megagpu-8g": _Instance(8, 200e9, 450e9),
    "a3-ultragpu-8g": _Instance(8, 400e9, 450e9),
    "a4-highgpu-8g": _Instance(8, 400e9, 900e9),
    "a4x-highgpu-4g": _Instance(4, 200e9, 900e9),
    "a4x-maxgpu-4g-metal": _Instance(4, 400e9, 900e9),
    "BM.GPU4.8": _Instance(8, 200e9, 300e9),
    "BM.GPU.A100-v2.8": _Instance(8, 200e9, 300e9),
    "BM.GPU.B4.8": _Instance(8, 200e9, 300e9),
    "BM.GPU.H100.8": _Instance(8, 400e9, 450e9),
    "BM.GPU.H200.8": _Instance(8, 400e9, 450e9),
    "BM.GPU.B200.8": _Instance(8, 400e9, 900e9),
    "BM.GPU.GB200.4": _Instance(4, 200e9, 900e9),
    "BM.GPU.GB300.4": _Instance(4, 400e9, 900e9),
    "Standard_ND96asr_v4": _Instance(8, 200e9, 300e9),
    "Standard_ND96amsr_A100_v4": _Instance(8, 200e9, 300e9),
    "Standard_ND96isr_H100_v5": _Instance(8, 400e9, 450e9),
    "Standard_ND96isr_H200_v5": _Instance(8, 400e9, 450e9),
    "Standard_ND128isr_NDR_GB200_v6": _Instance(4, 200e9, 900e9),
    "Standard_ND128isr_GB300_v6": _Instance(4, 400e9, 900e9),
}
# Instance types that have no accelerators, by the families that their clouds name: AWS's with a size behind a point,
# but G, P, DL, F, Inf, Trn and VT; Google's general, compute and memory families (N1 may have GPUs); Oracle's shapes
# without GPU in them; Azure's A to M series.
_WITHOUT_GPUS = re.compile(
    r"(?!(?:dl|f|g|gr|inf|p|trn|u-p|vt)\d)[a-z][a-z0-9-]*\.(?:\d*x?large|metal(?:-\w+)?|medium|small|micro|nano)"
    r"|(?:e2|n2d?|n4[ad]?|c2d?|c3d?|c4[ad]?|t2[ad]|m[1-4]|x4|z3|h3|h4d)-[a-z0-9-]+"
    r"|(?:BM|VM)\.(?!GPU)[A-Za-z0-9.]+"
    r"|Standard_[ABDEFHLM]\w*"
)


def assumed_type(*, islands: bool) -> HostType:
    """Type of hosts of which nothing is known, but whether NVLink domains are wider than they."""
    if islands:
        return HostType("assumed-4-gpu-tray", _TRAY_GPUS, _nics(_TRAY_GPUS), _TRAY_GPUS, _TRAY_SCALE_UP)
    return HostType("assumed-8-gpu", _GPUS, _nics(_GPUS), _GPUS, DEFAULT_SCALE_UP_BYTES_PER_S)


def describe(kind: HostType, *, all_hosts: bool = True) -> list[str]:
    """Lines for `Fabric.assumed` when `assumed_type` was used, for all hosts or for those of unknown kinds."""
    which = "all hosts" if all_hosts else "all other hosts"
    hosts = f"{which}: {kind.gpus} GPUs, each with a NIC of 400 Gb/s (give the host type if not so)"
    if kind.gpus == _TRAY_GPUS:
        return [f"{hosts}, as a GB200 NVL72 tray, since NVLink domains are wider than a host"]
    return [hosts, f"scale-up bandwidth of a GPU: {DEFAULT_SCALE_UP_SOURCE}; NVLink domain: the host"]


def of_instance(name: str) -> HostType | None:
    """Type of a cloud's instance type, None for one that is not in the table."""
    row = _INSTANCES.get(name)
    if row is None:
        return None
    nics = _nics(row.gpus, row.network_bytes_per_s / row.gpus)
    return HostType(clean_name(name), row.gpus, nics, row.gpus, row.scale_up_bytes_per_s)


def has_no_gpus(instance: str) -> bool:
    """Whether an instance type is of a family without accelerators; False for those not known here."""
    return len(instance) < 100 and _WITHOUT_GPUS.fullmatch(instance) is not None


def told_of(instances: str) -> str:
    """Line for `Fabric.assumed` when `of_instance` was used; their number of GPUs is what defines them."""
    return (
        f"bandwidth of NICs and scale-up bandwidth of {instances}: assumed from memory for that kind of instance, "
        "not read from its vendor (give the host type if not so)"
    )


def of_product(product: str, gpus: int, memory_bytes: float | None = None) -> HostType:
    """Type of a host with `gpus` GPUs of that product; a NIC of 400 Gb/s for each GPU is assumed."""
    speed = next((speed for pattern, speed in _PRODUCTS if pattern.search(product)), DEFAULT_SCALE_UP_BYTES_PER_S)
    name = clean_name(f"{product.lower() or 'gpu'}-x{gpus}")
    return HostType(name, gpus, _nics(gpus), gpus if speed else 1, speed, gpu_memory_bytes=memory_bytes)


def of_slices(of_gpu: Sequence[int]) -> HostType:
    """Type of a host whose GPUs are cut into so many MIG slices each: no NVLink between slices, a NIC for each GPU."""
    first = list(itertools.accumulate(of_gpu, initial=0))
    nics = tuple(
        Nic(rail, _NIC_BYTES_PER_S, first[rail], also=tuple(range(first[rail] + 1, first[rail + 1])))
        for rail in range(len(of_gpu))
    )
    return HostType(f"mig-x{first[-1]}", first[-1], nics, 1, 0.0, slices=tuple(of_gpu))


def _nics(gpus: int, bandwidth_bytes_per_s: float = _NIC_BYTES_PER_S) -> tuple[Nic, ...]:
    return tuple(Nic(rail, bandwidth_bytes_per_s, rail) for rail in range(gpus))
