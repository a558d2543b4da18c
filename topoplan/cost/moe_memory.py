"""Memory that experts and the KV cache take. Pure functions."""

from __future__ import annotations

from topoplan.model.job import ModelShape


def weight_bytes(model: ModelShape) -> float:
    """Bytes of one expert weight: experts that get FP8 tokens are kept in FP8 (block scales are below 0.1 %)."""
    assert model.routing is not None
    return 1.0 if model.routing.dispatch_bytes < 2 else 2.0


def expert_bytes(model: ModelShape) -> float:
    """Bytes of one copy of one routed expert of one layer."""
    return model.expert_weights * weight_bytes(model)


# Share of a GPU's memory that a serving engine fills with weights and KV cache: vLLM's --gpu-memory-utilization
# has been 0.9 by default.
USED_MEMORY = 0.9
# Assumed where the fabric does not say: an H100 (NVIDIA datasheet).
GPU_MEMORY_BYTES = 80e9
KV_BYTES = 2  # an element of the KV cache in BF16


def kv_token_bytes(model: ModelShape) -> float:
    """Bytes of KV cache that one token takes, all layers: 70 KB for DeepSeek-V3 (arXiv 2505.09343, table 1)."""
    elements = model.kv_elements or 2 * model.kv_heads * model.head_dim
    return float(elements * KV_BYTES * model.layers)


def resident_bytes(model: ModelShape) -> float:
    """Weights that every GPU of an expert-parallel group holds: all but the routed experts.

    Attention is data-parallel there, as DeepSeek serves its models (DeepSeek-V3 report, section 3.4).
    """
    routed = sum(model.routed_layer_weights(layer) for layer in range(model.layers))
    return (model.parameters - routed) * weight_bytes(model)


def kv_room_bytes(model: ModelShape, slots: float, gpu_memory_bytes: float | None) -> float:
    """Bytes left for the KV cache of a GPU with so many slots in each MoE layer; below zero where they do not fit."""
    memory = gpu_memory_bytes or GPU_MEMORY_BYTES
    return USED_MEMORY * memory - resident_bytes(model) - slots * model.moe_layers * expert_bytes(model)
