"""Loads, routing traces and sizes to place experts for: synthetic, experts independent of each other.

Real loads of many layers are not published; these have the shapes that papers and issues describe. lognormal: sigma 1;
zipf: exponent 1.2, shuffled; hot: 2 % of the experts take 40 % of the tokens; uniform: up to twenty-fold differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TOKENS = 1_000_000  # of a layer
LOADS = ("lognormal", "zipf", "hot", "uniform")


@dataclass(frozen=True)
class Case:
    """A size: experts and slots of each of `layers` layers, GPUs on hosts, and groups that stay whole on a host."""

    name: str
    layers: int
    experts: int
    slots: int
    gpus: int
    hosts: int
    groups: int = 0


CASES = (
    Case("58 x 256, 288 / 32, any host", 58, 256, 288, 32, 4),
    Case("58 x 256, 288 / 32, groups whole", 58, 256, 288, 32, 4, 8),
    Case("58 x 256, 288 / 144, any host", 58, 256, 288, 144, 18),
    Case("58 x 256, 320 / 64, any host", 58, 256, 320, 64, 8),
    Case("94 x 512, 640 / 320, any host", 94, 512, 640, 320, 40),
)
TRACED = (Case("288 / 32 on 4 hosts", 3, 256, 288, 32, 4, 8), Case("320 / 64 on 8 hosts", 3, 256, 320, 64, 8, 8))
DRIFTS = (0.05, 0.2)


def _hot(rng: np.random.Generator, experts: int) -> Floats:
    share = rng.lognormal(0, 0.3, experts)
    few = rng.permutation(experts)[: max(1, experts // 50)]
    rest = share.sum() - share[few].sum()
    share[few] *= 0.4 / 0.6 * rest / share[few].sum()
    return share


def _zipf(rng: np.random.Generator, experts: int) -> Floats:
    return np.asarray(rng.permutation(np.arange(1.0, experts + 1) ** -1.2), np.float64)


_SHARES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "lognormal": lambda rng, experts: rng.lognormal(0, 1, experts),
    "zipf": _zipf,
    "hot": _hot,
    "uniform": lambda rng, experts: rng.uniform(0.05, 1.05, experts),
}


def load(kind: str, layers: int, experts: int, seed: int) -> Floats:
    """[layers, experts] float64 tokens of each expert, drawn from the shares of a kind."""
    rng = np.random.default_rng([seed, 2026, LOADS.index(kind)])
    shares = [_SHARES[kind](rng, experts) for _ in range(layers)]
    return np.array([rng.multinomial(TOKENS, share / share.sum()) for share in shares], np.float64)


def drifted(tokens: Floats, sigma: float, seed: int) -> Floats:
    """The load, each expert's tokens times a lognormal factor."""
    return tokens * np.random.default_rng([seed, 7]).lognormal(0, sigma, tokens.shape)


def trace(layers: int, tokens: int, seed: int, groups: int = 8, top_groups: int = 4, top_k: int = 8) -> Ints:
    """[layers, tokens, top_k] int64 of 256 experts, chosen as DeepSeek-V3 does.

    Best groups by the sum of their two best experts, then the best experts in them (report section 2.1.2).
    """
    rng = np.random.default_rng([seed, 11])
    chosen = []
    for _ in range(layers):
        score = rng.normal(size=256) + rng.gumbel(size=(tokens, 256))
        by_group = score.reshape(tokens, groups, -1)
        worth = np.partition(by_group, -2, axis=2)[:, :, -2:].sum(2)
        cut = np.partition(worth, -top_groups, axis=1)[:, -top_groups, None]
        open_ = np.where((worth >= cut)[:, :, None], by_group, -np.inf).reshape(tokens, 256)
        chosen.append(np.argpartition(-open_, top_k, axis=1)[:, :top_k])
    return np.array(chosen)
