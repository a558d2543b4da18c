"""GPUs and adapters by what files call them: NVLink and xGMI speeds, and speeds of network adapters."""

from __future__ import annotations

import re
from dataclasses import dataclass

GIGABYTE = 1e9
GIGABIT = 1e9 / 8

# H100 SXM: 18 NVLink 4 links of 25 GB/s each direction (NVIDIA H100 datasheet; NCCL's topo.h counts 18).
DEFAULT_SCALE_UP_BYTES_PER_S = 450e9
DEFAULT_SCALE_UP_SOURCE = "450 GB/s each direction, as NVLink 4 of an H100 SXM (18 x 25 GB/s, NVIDIA's datasheet)"


@dataclass(frozen=True, slots=True)
class Generation:
    """GPUs whose links are alike.

    Parameters
    ----------
    link_bytes_per_s
        Of one NVLink or xGMI link, each direction, as the maker's datasheets have it.
    links
        Most links that one GPU has.
    nic_bytes_per_s
        Of the network adapter that the maker's own hosts have beside each GPU.
    names
        Regular expression of product names.
    sm, gcn, pci
        The same as CUDA's compute capability (times ten), AMD's architecture without gfx, and PCI "vendor:device".
    """

    title: str
    link_bytes_per_s: float
    links: int
    nic_bytes_per_s: float
    names: str
    sm: tuple[int, ...] = ()
    gcn: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()


# Links: bandwidth of NVIDIA's and AMD's datasheets, both directions of all links together, halved and divided by their
# number: P100 160 GB/s, V100 300, A100 600, H100 900, B200 1,800, RTX A6000 112.5; MI50 184 on 2 links, MI100 276 on 3,
# MI250X 800 on 8, MI300X 896 on 7, MI355X 1,075 on 7. Adapters: DGX-1 and DGX-2 EDR, DGX A100 HDR, DGX H100 and B200
# NDR, B300 and GB300 XDR. PCI identifiers: the PCI ID database.
GENERATIONS = (
    Generation("NVLink 1", 20e9, 4, 12.5e9, r"P100", (60,), (), ("10de:15f9", "10de:15f8")),
    Generation("NVLink 2", 25e9, 6, 12.5e9, r"V100", (70, 72), (), ("10de:1db1", "10de:1db5", "10de:1db8")),
    Generation(
        "NVLink 3", 25e9, 12, 25e9, r"A100|A800|A30\b", (80,), (),
        ("10de:20b0", "10de:20b1", "10de:20b2", "10de:20b5", "10de:20f1"),
    ),
    Generation("NVLink 3 bridge", 14.0625e9, 4, 25e9, r"A6000|A5500|A5000|A40\b|RTX 3090", (86,)),
    Generation(
        "NVLink 4", 25e9, 18, 50e9, r"H100|H200|H800|H20\b|GH200", (90,), (),
        ("10de:2330", "10de:2324", "10de:2331", "10de:2335", "10de:2329", "10de:2342"),
    ),
    Generation("NVLink 5", 50e9, 18, 50e9, r"G?B[12]00\b", (100,), (), ("10de:2901", "10de:2941")),
    Generation("NVLink 5", 50e9, 18, 100e9, r"G?B300\b", (103,), (), ("10de:3182", "10de:31c2")),
    Generation("xGMI 2", 46e9, 3, 25e9, r"MI50|MI60|MI100", (), ("906", "908"), ("1002:738c",)),
    Generation(
        "xGMI 3", 50e9, 8, 25e9, r"MI2[15]0", (), ("910", "90a"), ("1002:740c", "1002:740f", "1002:7408")
    ),
    Generation("xGMI 4", 64e9, 7, 50e9, r"MI3[02]\d", (), ("940", "941", "942"), ("1002:74a1", "1002:74a5")),
    Generation("xGMI 4", 76.8e9, 7, 50e9, r"MI35\d", (), ("950",), ("1002:75a0", "1002:75a3")),
)  # fmt: skip

# Speed of an adapter's port, where the file gives only the PCI identifier: NVIDIA ConnectX-4 to 8, AWS EFA, by
# the PCI ID database and the makers' product pages.
_ADAPTERS = {
    "15b3:1013": 100 * GIGABIT, "15b3:1015": 25 * GIGABIT, "15b3:1017": 100 * GIGABIT, "15b3:1019": 100 * GIGABIT,
    "15b3:101b": 200 * GIGABIT, "15b3:101d": 100 * GIGABIT, "15b3:101f": 25 * GIGABIT, "15b3:1021": 400 * GIGABIT,
    "15b3:1023": 800 * GIGABIT, "15b3:a2d6": 200 * GIGABIT, "15b3:a2dc": 400 * GIGABIT,
    "1d0f:efa0": 100 * GIGABIT, "1d0f:efa1": 100 * GIGABIT, "1d0f:efa2": 200 * GIGABIT,
}  # fmt: skip

# Adapter that a PCIe x16 slot of each generation was made for: GT/s of a lane -> EDR, HDR, NDR, XDR.
_BY_SLOT = ((64.0, 800 * GIGABIT), (32.0, 400 * GIGABIT), (16.0, 200 * GIGABIT), (8.0, 100 * GIGABIT))

# Class 03 of these makers is a console, not a GPU that computes: ASPEED, Matrox, Cirrus, virtual machines' displays.
CONSOLE_VENDORS = frozenset(("1a03", "102b", "1013", "1234", "15ad", "1414", "1af4"))
GPU_VENDORS = frozenset(("10de", "1002", "1da3"))  # NVIDIA, AMD, Habana
ADAPTER_VENDORS = frozenset(("15b3", "1d0f", "14e4", "1dd8"))  # NVIDIA networking, AWS, Broadcom, AMD Pensando
_RDMA = re.compile(r"mlx\d|rdmap|roce|ibp\d|efa|bnxt_re|irdma|qedr|hns_|ionic|mana|cxi|hfi", re.IGNORECASE)
# interfaces that Linux makes for containers, bridges and tunnels
_VIRTUAL = re.compile(r"veth|virbr|vnet|docker|br-|cni|cali|flannel|kube|dummy|tun\d|tap\d|lo\b")


def by_name(text: str) -> Generation | None:
    """Generation of the first GPU model that `text` names."""
    found = [(match.start(), g) for g in GENERATIONS if (match := re.search(g.names, text))]
    return min(found, key=lambda item: item[0])[1] if found else None


def by_number(*, sm: str = "", gcn: str = "", pci: str = "") -> Generation | None:
    """Generation of a compute capability, an AMD architecture or a PCI "vendor:device"."""
    for generation in GENERATIONS:
        if gcn:
            if gcn.lower().removeprefix("gfx") in generation.gcn:
                return generation
        elif (sm.isdecimal() and len(sm) < 5 and int(sm) in generation.sm) or pci in generation.pci:
            return generation
    return None


def adapter_bytes_per_s(pci: str) -> float:
    """Speed of a port of the adapter with PCI "vendor:device", 0 when unknown."""
    return _ADAPTERS.get(pci, 0.0)


def slot_bytes_per_s(transfers: float, width: int) -> float:
    """Speed of the adapter that usually sits in a slot of `transfers` GT/s a lane and `width` lanes; 0 when unknown."""
    for speed, adapter in _BY_SLOT:
        if transfers >= speed:
            return adapter * min(width or 16, 16) / 16
    return 0.0


def is_virtual(name: str) -> bool:
    """Whether a device name is one of software, behind which no NIC of its own stands."""
    return bool(_VIRTUAL.match(name))


def is_rdma(name: str) -> bool:
    """Whether a device name is one that RDMA drivers give."""
    return bool(_RDMA.match(name))
