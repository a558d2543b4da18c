"""How fast kinds of GPUs compute where a job does not say: peaks and memory bandwidths, and the share training reaches.

Matrix products run at the share of the peak that large ones were measured to reach on that kind of GPU; what else a
layer does is paid at a share of memory bandwidth (see `topoplan.cost.work`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_ALIKE = 0.12  # flops within this share of a kind's are taken for it: 2250 and 2500 TFLOPS are both Blackwell

# Share of memory bandwidth that the kernels between matrix products reach, and the rate of products of routed experts
# (many small ones, tokens permuted for them) relative to others: assumed.
MEMORY_EFFICIENCY = 0.5
ROUTED_EFFICIENCY = 0.6


@dataclass(frozen=True, slots=True)
class GpuKind:
    """A generation of GPUs.

    Parameters
    ----------
    flops_per_s
        Dense BF16 peak.
    memory_bytes_per_s
        Of its HBM.
    peak
        Peak of a precision relative to BF16.
    efficiency
        Share of that peak that large matrix products reach, by precision.
    source
        Where the figures come from.
    """

    name: str
    flops_per_s: float
    memory_bytes_per_s: float
    peak: Mapping[str, float]
    efficiency: Mapping[str, float]
    source: str


_MAMF = "stas00/ml-engineering compute/accelerator/README.md, maximum achievable matmul FLOPS"
KINDS: tuple[GpuKind, ...] = (
    GpuKind("A100", 312e12, 2.039e12, {"bf16": 1.0}, {"bf16": 0.869}, f"NVIDIA A100 80GB datasheet; {_MAMF}: A100 SXM"),
    GpuKind(
        "Hopper", 989e12, 3.35e12, {"bf16": 1.0, "fp8": 2.0}, {"bf16": 0.803, "fp8": 0.709},
        f"NVIDIA H100 SXM datasheet; {_MAMF}: H100 SXM",
    ),
    GpuKind(
        "Blackwell", 2250e12, 8e12, {"bf16": 1.0, "fp8": 2.0}, {"bf16": 0.776, "fp8": 0.763},
        f"NVIDIA DGX B200 datasheet; {_MAMF}: B200 SXM",
    ),
)  # fmt: skip

# Share of the peak for GPUs of no kind above, all kernels together: assumed.
UNKNOWN_EFFICIENCY = 0.5


def kind_of(flops_per_s: float) -> GpuKind | None:
    """Kind of a GPU by its BF16 peak, None when no kind is near."""
    near = [kind for kind in KINDS if abs(flops_per_s / kind.flops_per_s - 1) <= _ALIKE]
    return min(near, key=lambda kind: abs(flops_per_s / kind.flops_per_s - 1), default=None)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a GPU reaches: FLOPs of linear layers and of attention's core, bytes of memory, each a second.

    `routed` is the rate of routed experts' products relative to that of other linear layers.
    """

    linear: float
    core: float
    memory: float
    routed: float


def rates_of(flops_per_s: float, precision: str) -> Rates:
    """Rates of a GPU with a dense BF16 peak; one of no known kind is never bound by memory."""
    kind = kind_of(flops_per_s)
    if kind is None:
        rate = flops_per_s * UNKNOWN_EFFICIENCY
        return Rates(rate, rate, np.inf, ROUTED_EFFICIENCY)
    mine = precision if precision in kind.peak else "bf16"
    linear = flops_per_s * kind.peak[mine] * kind.efficiency[mine]
    core = flops_per_s * kind.efficiency["bf16"]
    return Rates(linear, core, kind.memory_bytes_per_s * MEMORY_EFFICIENCY, ROUTED_EFFICIENCY)
