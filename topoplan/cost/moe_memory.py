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
