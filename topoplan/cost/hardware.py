"""How fast kinds of GPUs compute where a job does not say: peaks, memory bandwidths, and what training reaches of them.

Three factors, no more: the share of its peak that the best large matrix product was measured to reach on a kind of GPU,
the share of memory bandwidth that kernels between products reach, and, for everything together, the share that whole
training keeps of both (clocks under power, shapes, gaps). Only the last is fitted, on the smallest published dense run
of the kind, within one NVLink domain; `topoplan.studies.validation.training` judges larger runs with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

_ALIKE = 0.06  # share by which flops may differ from a kind's

# calculon systems/a100_80g.json at caa4b11: kernels that touch 10 to 100 MB, as activations of a layer are.
MEMORY_EFFICIENCY = 0.75
# Compute loses 20 of 132 SMs to communication beside it (DeepSeek-V3 Technical Report, arXiv 2412.19437, 3.2.2).
OVERLAP_TAX = 20 / 132
# Share of the peak for GPUs of no kind below, all kernels together: assumed.
UNKNOWN_EFFICIENCY = 0.5
PEAK = {"bf16": 1.0, "fp8": 2.0}  # relative to BF16


@dataclass(frozen=True, slots=True)
class GpuKind:
    """A kind of GPU.

    Parameters
    ----------
    flops_per_s
        Dense BF16 peak.
    memory_bytes, memory_bytes_per_s
        Size of its HBM, which tells kinds of one peak apart, and bandwidth.
    efficiency
        Share of a precision's peak that the best matrix product reached; precisions without one run as BF16.
    sustained
        Share that training keeps, see above.
    source
        Of efficiency and sustained.
    """

    name: str
    flops_per_s: float
    memory_bytes: float
    memory_bytes_per_s: float
    efficiency: Mapping[str, float] = field(repr=False)
    sustained: float = field(repr=False)
    source: str = field(repr=False)


# Efficiencies: stas00/ml-engineering compute/accelerator/README.md, maximum achievable matmul FLOPS (BF16, FP8).
# Peaks and memory: NVIDIA's datasheets. sustained: fitted to the runs named.
KINDS: tuple[GpuKind, ...] = (
    GpuKind("A100", 312e12, 80e9, 2.039e12, {"bf16": 0.869}, 0.814, "Megatron 22B on 8 GPUs, two runs"),
    GpuKind("H100", 989e12, 80e9, 3.35e12, {"bf16": 0.803, "fp8": 0.709}, 0.7125, "Llama 3 8B on 8 GPUs"),
    GpuKind("H200", 989e12, 141e9, 4.8e12, {"bf16": 0.803, "fp8": 0.734}, 0.7125, "sustained assumed, that of H100"),
    GpuKind("B200", 2250e12, 180e9, 8e12, {"bf16": 0.776, "fp8": 0.763}, 0.631, "Llama 3 8B on 8 GPUs"),
    GpuKind("B300", 2250e12, 288e9, 8e12, {"bf16": 0.786, "fp8": 0.745}, 0.784, "sustained assumed, that of GB300"),
    GpuKind("GB200", 2500e12, 186e9, 8e12, {"bf16": 0.729, "fp8": 0.723}, 0.6235, "Llama 3 8B on 8 GPUs"),
    GpuKind(
        "GB300", 2500e12, 279e9, 8e12, {"bf16": 0.708, "fp8": 0.671}, 0.784,
        "Llama 3 8B on 8 GPUs; matrix products assumed as fast as those of B300",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gpu:
    """What is known of a GPU: dense BF16 peak and memory, None where unknown."""

    flops_per_s: float | None = None
    memory_bytes: float | None = None

    @property
    def kind(self) -> GpuKind | None:
        """Its kind, by peak and then by memory, the smaller one where that is unknown; None when none is near."""
        if self.flops_per_s is None:
            return None
        flops, memory = self.flops_per_s, self.memory_bytes or 0.0
        near = [kind for kind in KINDS if abs(flops / kind.flops_per_s - 1) <= _ALIKE]
        return min(
            near,
            key=lambda kind: (abs(flops / kind.flops_per_s - 1) > _ALIKE / 2, abs(memory - kind.memory_bytes)),
            default=None,
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What a GPU reaches a second: FLOPs of linear layers, of routed experts, of attention's core; bytes of memory."""

    linear: float
    routed: float
    core: float
    memory: float


def rates_of(flops_per_s: float, kind: GpuKind | None, precision: str) -> Rates:
    """Rates of a GPU with a dense BF16 peak; one of no known kind is never bound by memory.

    Routed experts' products run at the BF16 rate in every precision: they are small and each has its own scales. Of the
    published runs those of DeepSeek-V3 on GB300, once in BF16 and once in FP8, showed that.
    """
    if kind is None:
        rate = flops_per_s * UNKNOWN_EFFICIENCY
        return Rates(rate, rate, rate, np.inf)
    mine = precision if precision in kind.efficiency else "bf16"
    plain = flops_per_s * kind.efficiency["bf16"] * kind.sustained
    linear = flops_per_s * PEAK[mine] * kind.efficiency[mine] * kind.sustained
    return Rates(linear, plain, plain, kind.memory_bytes_per_s * MEMORY_EFFICIENCY * kind.sustained)
