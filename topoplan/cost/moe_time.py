"""Time of an MoE layer on its slowest GPU and slowest link, and what a batch's own noise lets anyone see."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from topoplan.cost.moe_links import Busiest
from topoplan.cost.moe_memory import expert_bytes, weight_bytes
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.job import ModelShape

# Share of a NIC's line rate that DeepEP's kernels reach: 47 of 50 GB/s on H100 with 400 Gb/s, normal kernels on 4 nodes
# and low-latency ones on 2 to 8, fitted to the DeepEP tables of NVIDIA aiconfigurator 0.12.
NIC_EFFICIENCY = 0.94
# 153 GB/s of the 200 GB/s of an H800's NVLink, each direction (DeepEP README, normal kernels within a node).
NVLINK_EFFICIENCY = 0.77
# Time of a dispatch or a combine without data: 20 to 27 us in the same tables, low-latency kernels. Assumed for normal.
KERNEL_LATENCY_S = 24e-6
# Rows of a tile of a grouped GEMM (DeepGEMM README: contiguous groups are aligned to the block of 128 rows).
TILE_ROWS = 128
# Assumed: share of the peak that grouped GEMMs reach. DeepGEMM's README reports 55 to 75 % of the peak of H800 for FP8.
GEMM_EFFICIENCY = 0.6
# Memory bandwidth and dense BF16 rate of an H100 SXM (NVIDIA datasheet), assumed where the fabric does not say.
MEMORY_BYTES_PER_S = 3.35e12
FLOPS_PER_S = 989e12
# Points at which the distribution of the largest GPU is taken.
GRID = 2001
# Tokens of a GPU in a batch: what DeepEP's README measures its normal and low-latency kernels with.
BATCH_TOKENS = {"normal": 4096, "low-latency": 128}


@dataclass(frozen=True, slots=True)
class Rates:
    """What a GPU can do: FLOP/s in the precision of the experts, and bytes/s of its memory."""

    flops_per_s: float
    memory_bytes_per_s: float = MEMORY_BYTES_PER_S


def rates(model: ModelShape, bf16_flops_per_s: float | None) -> Rates:
    """Rates of a GPU with a dense BF16 peak (None: assumed); FP8 runs at twice that (NVIDIA H100 datasheet)."""
    peak = bf16_flops_per_s or FLOPS_PER_S
    return Rates(peak * (2.0 if weight_bytes(model) < 2 else 1.0))


def expert_seconds(
    placement: ExpertPlacement, layer: int, slot_tokens: FloatArray, model: ModelShape, rate: Rates, speed: FloatArray
) -> FloatArray:
    """[gpus] float64 seconds that each GPU computes experts of a layer.

    A slot that gets any token loads its weights; its tokens fill tiles, the last one half on average. A GPU is bound by
    its memory or by its arithmetic, whichever is slower.

    Parameters
    ----------
    slot_tokens
        [slots] float64 expected tokens of each slot in a batch.
    """
    p2l, gpus = placement.physical_to_logical_map[layer], placement.gpus
    active = np.where(p2l >= 0, -np.expm1(-slot_tokens), 0.0)  # Poisson chance of at least one token
    tiles = np.maximum(active, slot_tokens / TILE_ROWS + active / 2)
    loaded = np.bincount(placement.slot_gpu, active, gpus) * expert_bytes(model)
    worked = np.bincount(placement.slot_gpu, tiles, gpus) * TILE_ROWS * 2 * model.expert_weights
    compute = worked / (rate.flops_per_s * GEMM_EFFICIENCY) / speed
    return np.asarray(np.maximum(loaded / rate.memory_bytes_per_s, compute), np.float64)


def slowest_expert_seconds(
    placement: ExpertPlacement, layer: int, slot_tokens: FloatArray, model: ModelShape, rate: Rates, speed: FloatArray
) -> float:
    """Expected seconds that the slowest GPU of a batch computes experts of a layer.

    GPUs bound by arithmetic are as far off as their number of tokens, which is about Poisson; those bound by memory
    load the same weights whatever comes. So balance that a batch cannot show gains next to nothing.

    Parameters
    ----------
    slot_tokens
        As for `expert_seconds`.
    """
    seconds = expert_seconds(placement, layer, slot_tokens, model, rate, speed)
    tokens = np.bincount(placement.slot_gpu, slot_tokens, placement.gpus)
    of_token = 2 * model.expert_weights / (rate.flops_per_s * GEMM_EFFICIENCY) / speed
    active = np.bincount(placement.slot_gpu, -np.expm1(-slot_tokens), placement.gpus)
    by_memory = seconds * rate.memory_bytes_per_s <= active * expert_bytes(model) * (1 + 1e-9)
    return expected_largest(seconds, np.where(by_memory, 0.0, of_token * np.sqrt(tokens)))


def phase_seconds(links: Busiest) -> float:
    """Seconds of a dispatch or combine: its slowest link at the rate that kernels reach, after their latency."""
    network = max(links.nic_s, links.uplink_s) / NIC_EFFICIENCY
    return KERNEL_LATENCY_S + max(network, links.nvlink_s / NVLINK_EFFICIENCY)


# ---- noise of a batch ------------------------------------------------------------------------------------------


def extreme(count: int) -> float:
    """Expected largest of `count` standard normal values, within 0.5 % above 5.

    Source: the 0.5264^(1/n) quantile; Chen and Tyler 1999, Accurate approximation to the extreme order statistics of
    Gaussian samples, Communications in Statistics - Simulation and Computation 28.
    """
    return 0.0 if count < 2 else max(0.0, NormalDist().inv_cdf(0.5264 ** (1 / count)))


def noise_floor(choices: float, gpus: int) -> float:
    """Balance that a batch shows on average under a perfectly even plan: mean / expected largest GPU.

    Parameters
    ----------
    choices
        Expert choices in the batch: tokens x top_k. Each GPU's number of them is about Poisson.
    """
    mean = choices / gpus
    return mean / (mean + sqrt(mean) * extreme(gpus))


def shown_balance(share: FloatArray, choices: float) -> float:
    """Balance that a batch shows on average under a plan: mean / expected largest GPU.

    Parameters
    ----------
    share
        [gpus] float64 share of the choices that each GPU serves on average (over its speed); any scale.
    choices
        Expert choices in the batch.
    """
    mean = share / share.sum() * choices
    return float(mean.mean()) / expected_largest(mean, np.sqrt(np.maximum(mean, 1e-9)))


def expected_largest(mean: FloatArray, sigma: FloatArray) -> float:
    """Expected largest of independent normal values of given means and standard deviations [n], zero ones too."""
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import

    least, top = float(mean.max()) * 1e-9, float(mean.max())
    sigma = np.maximum(sigma, max(least, 1e-300))
    # the largest is below the largest mean with little probability that matters: integrate from far enough down
    start = max(0.0, top - 8 * float(sigma.max()))
    grid = np.linspace(start, float((mean + 8 * sigma).max()), GRID)
    near = mean + 8 * sigma > start  # the others are never the largest
    below = ndtr((grid[:, None] - mean[near]) / sigma[near]).prod(1)
    return float(grid[0] + ((1 - below)[:-1] * np.diff(grid)).sum())
