"""What the name of a port says: the adapter it is on, its number there, and what kind of device or traffic it serves.

Names differ from site to site, so each rule here only fires on conventions of drivers and operating systems, and what
it decides is told to the user as assumed.
"""

from __future__ import annotations

import re
from functools import lru_cache

# systemd's predictable names of ports of one PCI device (systemd.net-naming-scheme(7)): enp59s0f1, ens1f0np0.
_FUNCTION = re.compile(r"(en[a-z]*\d[a-z0-9]*?)f(\d{1,2})(?:n?[pd]\d{1,3})?")
_PORT_ONLY = re.compile(r"(en[a-z]*\d[a-z0-9]*?)np(\d{1,2})")
# InfiniBand's "mlx5_0/1", and numbered ports of cards in plans and exports: "nic0-p1", "rail3.port0".
_NUMBERED = re.compile(r"([A-Za-z][\w-]*?\d)(?:[/.:_-](?:p|port)?(\d{1,2}))")
_MANAGEMENT = re.compile(
    r"(?:mgmt|management|oob|bmc|ipmi|idrac|ilo|imm|lom|usb|console|con|serial|psu|power)(?:[-_./ ]?\d+)*"
    r"|.*[-_](?:mgmt|oob|bmc|ipmi)(?:[-_./]?\d+)*",
    re.IGNORECASE,
)
_STORAGE = re.compile(
    r"(?:stor|storage|nfs|nvmeof|ceph|lustre)(?:[-_./]?\d+)*|.*[-_](?:stor|storage)(?:[-_./]?\d+)*", re.IGNORECASE
)
_SWITCH_PORT = re.compile(
    r"swp\d+.*|Ethernet ?\d+(?:[/:]\d+)*|ethernet-\d+/\d+.*|e\d+-\d+.*|(?:ge|xe|et)-\d+/\d+.*|eth\d+/\d+.*"
    r"|(?:Hundred|FourHundred|Forty|TwentyFive|Ten)?Gig\w*\d+/.*|\d+/\d+(?:/\d+)*",
    re.IGNORECASE,
)
_HOST_PORT = re.compile(
    r"en[opsx]\w+|ens?\d+\w*|mlx5_\d+.*|(?:bnxt_re|irdma|rocep|ibp|ibs|ib|rdma|roce|rail|nic|gpu|hca|cx)[-_]?\d+.*|HCA-\d+",
    re.IGNORECASE,
)
# Names that Linux gives: RDMA devices (kernel or rdma-core's naming rules) and network interfaces.
_LINUX = re.compile(
    r"(?:mlx[45]|bnxt_re|irdma|hfi1|qib|efa|rdmap|rocep|ibp|hns|erdma)_?\w*|en[opsx]\w+|eth\d+|ib\d+\w*|rdma\d+|bond\d+",
    re.IGNORECASE,
)


def device_name(port: str) -> str:
    """`port` if it is what Linux would call the device, "" for names of plans and simulators such as "port 3"."""
    return port if _LINUX.fullmatch(port) else ""


@lru_cache(maxsize=4096)
def adapter(port: str) -> tuple[str, int]:
    """Adapter of a host's port and the port's number on it, -1 when the name does not say.

    "enp59s0f1" is port 1 of enp59s0, "mlx5_3" is an adapter of its own.
    """
    for pattern in (_FUNCTION, _PORT_ONLY):
        if match := pattern.fullmatch(port):
            return match[1], int(match[2])
    match = _NUMBERED.fullmatch(port)
    if match and not re.fullmatch(r".*_\d+", port):  # mlx5_0 has no port in it
        return match[1], int(match[2])
    return port, -1


@lru_cache(maxsize=4096)
def other_network(port: str) -> str:
    """Which network other than the one of the GPUs a host's port serves: "management", "storage" or ""."""
    if _MANAGEMENT.fullmatch(port):
        return "management"
    return "storage" if _STORAGE.fullmatch(port) else ""


@lru_cache(maxsize=4096)
def looks_like(port: str) -> str:
    """Kind of device whose ports are called so: "switch", "host" or ""."""
    if _SWITCH_PORT.fullmatch(port):
        return "switch"
    return "host" if _HOST_PORT.fullmatch(port) else ""
