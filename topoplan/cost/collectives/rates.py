"""Share of its line rate that each class of link reaches for each class of traffic, and latencies of NCCL.

Every row has a source or is marked assumed. Rows are looked up by class of link; among NVLink generations the row of
the nearest line rate holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.cost.moe_time import KERNEL_LATENCY_S, NIC_EFFICIENCY, NVLINK_EFFICIENCY
from topoplan.model.fabric import Fabric

_NCCL_TESTS = "stas00/ml-engineering network/README.md, all_reduce of 8 GiB within a node"
_TABLES = "NCCL tables of NVIDIA aiconfigurator 0.12 (Apache-2.0), 8 GPUs of one host"
_COREWEAVE = "coreweave/nccl-tests README.md"


@dataclass(frozen=True, slots=True)
class Rate:
    """Efficiency of a class of link for a class of traffic.

    Parameters
    ----------
    link
        nvlink (switches of one host), rack (NVLink switches over hosts, as in NVL72), infiniband or ethernet. What has
        no row of its own on a rack runs as on nvlink.
    traffic
        ring, tree, nvls, sharp, all_to_all, moe, low_latency or p2p.
    line_bytes_per_s
        Line rate of the links that were measured, each direction; 0 for any.
    share
        Of the line rate, 0 to 1.
    """

    link: str
    traffic: str
    line_bytes_per_s: float
    share: float
    source: str
    assumed: bool = False


RATES = (
    Rate("nvlink", "ring", 300e9, 0.74, f"{_TABLES}: A100 all-reduce, 512 MiB at 222 of 300 GB/s"),
    Rate("nvlink", "ring", 450e9, 0.812, f"{_NCCL_TESTS}: H200 without NVLS, 365.6 of 450 GB/s on 8 GPUs"),
    Rate("nvlink", "ring", 900e9, 0.758, f"{_NCCL_TESTS}: B200 without NVLS, 682.2 of 900 GB/s on 8 GPUs"),
    Rate("nvlink", "nvls", 450e9, 0.676, f"{_NCCL_TESTS}: H200 with NVLS, 473 GB/s on 8 GPUs"),
    Rate("nvlink", "nvls", 900e9, 0.599, f"{_NCCL_TESTS}: B200 with NVLS, 838 GB/s on 8 GPUs"),
    Rate("nvlink", "all_to_all", 300e9, 0.677, f"{_TABLES}: A100 alltoall, 512 MiB at 203 of 300 GB/s"),
    Rate("nvlink", "all_to_all", 450e9, 0.705, f"{_TABLES}: H100 alltoall, 512 MiB at 317 of 450 GB/s"),
    Rate("nvlink", "all_to_all", 900e9, 0.626, f"{_TABLES}: B200 alltoall, 512 MiB at 563 of 900 GB/s"),
    Rate("nvlink", "moe", 0.0, NVLINK_EFFICIENCY, "topoplan.cost.moe_time"),
    Rate("nvlink", "p2p", 0.0, 0.88, "stas00/ml-engineering network/README.md: H200 pairwise copy, 396 of 450 GB/s"),
    Rate("rack", "nvls", 900e9, 0.512, f"{_COREWEAVE}: 72 GB200 in one rack, endless message of the fit below"),
    Rate("infiniband", "ring", 0.0, 0.915, f"{_COREWEAVE}: 96 H100, all-reduce of 8 GiB in 43.98 ms"),
    Rate(
        "infiniband", "all_to_all", 0.0, NIC_EFFICIENCY, "as moe: no multi-node NCCL table is published", assumed=True
    ),
    Rate("infiniband", "moe", 0.0, NIC_EFFICIENCY, "topoplan.cost.moe_time"),
    Rate("infiniband", "p2p", 0.0, 0.969, "stas00/ml-engineering network/README.md: ib_write_bw 193.7 of 200 Gb/s"),
    Rate("ethernet", "ring", 0.0, 0.759, "stas00/ml-engineering network/README.md: 4 nodes of P6-B200 on EFA, 4 GiB"),
    Rate("ethernet", "all_to_all", 0.0, NIC_EFFICIENCY, "as on InfiniBand", assumed=True),
    Rate("ethernet", "moe", 0.0, NIC_EFFICIENCY, "as on InfiniBand: DeepEP on RoCE is not published", assumed=True),
    Rate("ethernet", "p2p", 0.0, 0.969, "stas00/ml-engineering network/README.md: ib_write_bw on EFA, 193.7 Gb/s"),
)
# Traffic without rows of its own runs like another (assumed: nothing is published on these alone; DeepEP's low-latency
# kernels were measured to reach what its normal ones do, 46 to 48 of 50 GB/s).
_LIKE = {"tree": "ring", "sharp": "ring", "pat": "ring", "low_latency": "moe"}


@dataclass(frozen=True, slots=True)
class Saturation:
    """How slowly a class of links is filled; see `topoplan.cost.collectives.saturating`."""

    half_bytes: float
    power: float
    source: str


SATURATION = {
    "nvlink": Saturation(5.1e6, 0.726, f"{_TABLES}: every second size of A100, H100, H200 and B200 at the rates above"),
    "rack": Saturation(2.49e8, 0.810, f"{_COREWEAVE}: all-reduce of 0.5 to 8 GiB on 72 GB200"),
    "infiniband": Saturation(
        1.10e8,
        0.888,
        "as on ethernet: no sizes below 512 MiB are published",
    ),
    "ethernet": Saturation(1.10e8, 0.888, "stas00/ml-engineering network/README.md: 4 nodes of P6-B200, 1 to 512 MiB"),
}


def rate(link: str, traffic: str, line_bytes_per_s: float) -> Rate:
    """The row for a class of link, traffic and line rate."""
    wanted = _LIKE.get(traffic, traffic)
    rows = [row for row in RATES if (row.link, row.traffic) == (link, wanted)]
    if not rows and link == "rack":
        return rate("nvlink", traffic, line_bytes_per_s)
    return min(rows, key=lambda row: (abs(row.line_bytes_per_s - line_bytes_per_s), row.line_bytes_per_s))


def link_class(fabric: Fabric, kind: str) -> str:
    """Class of a kind of link (nvlink, nic or uplink): hashing is what Ethernet does, InfiniBand routes otherwise."""
    if kind == "nvlink":
        return "rack" if fabric.islands else "nvlink"
    return "ethernet" if fabric.routing == "ecmp" else "infiniband"


# ---- latency ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hops:
    """Seconds before the first byte, of a step inside an NVLink domain, and of one over the network."""

    base_s: float
    inside_s: float
    across_s: float


# The quickest protocol of each algorithm in NCCL's own cost table (src/graph/tuning.cc at 5067397, June 2026): LL where
# there is one, else Simple. all_to_all and p2p run as sends and receives, which that table does not list: ring's
# figures are assumed for them. moe: DeepEP's normal kernels with one token, mean of dispatch and combine on 2 and 4
# hosts (studies/points/deepep_normal.csv); low_latency: its low-latency ones, whatever the number of hosts.
LATENCY = {
    "ring": Hops(6.6e-6, 0.6e-6, 2.7e-6),
    "tree": Hops(6.8e-6, 0.6e-6, 5.0e-6),
    "nvls": Hops(0.0, 25e-6, 20.9e-6),
    "sharp": Hops(0.0, 3.7e-6, 31e-6),
    "pat": Hops(8.0e-6, 4.0e-6, 14e-6),
    "all_to_all": Hops(6.6e-6, 0.6e-6, 2.7e-6),
    "p2p": Hops(6.6e-6, 0.6e-6, 2.7e-6),
    "moe": Hops(44e-6, 0.0, 0.0),
    "low_latency": Hops(KERNEL_LATENCY_S, 0.0, 0.0),
}
# Traffic that latency and bandwidth alone describe: DeepEP's kernels are measured so (`topoplan.cost.moe_time`). The
# fits above are of collectives of many rounds; a message between two ranks is assumed to reach its rate.
LINEAR = frozenset({"moe", "low_latency", "p2p"})
# Each direction, of NVLink 4, whose switches and later ones reduce and multicast (NCCL user guide, NCCL_NVLS_ENABLE);
# assumed of any links that fast which join more than two GPUs.
NVLS_BYTES_PER_S = 450e9
