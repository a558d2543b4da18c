"""Synthetic loads, problems by counts, and an independent placer by EPLB's rules to be compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts import ExpertProblem

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
Placer = Callable[..., float]


@pytest.fixture
def loads() -> Loads:
    """(kind, layers, experts, seed) -> tokens [layers, experts]."""

    def make(kind: str, layers: int = 6, experts: int = 256, seed: int = 0) -> FloatArray:
        rng = np.random.default_rng([seed, len(kind)])
        if kind == "lognormal":
            share = rng.lognormal(0, 1, (layers, experts))
        elif kind == "zipf":
            share = rng.permuted(np.tile(np.arange(1, experts + 1) ** -1.2, (layers, 1)), axis=1)
        elif kind == "hot":  # one expert in fifty takes 40 % of the tokens between them
            share = rng.lognormal(0, 0.3, (layers, experts))
            for row in share:
                hot = rng.choice(experts, max(1, experts // 50), replace=False)
                row[hot] *= 2 / 3 * row.sum() / row[hot].sum()
        else:
            share = rng.random((layers, experts)) + 0.05
        return np.array([rng.multinomial(1_000_000, row / row.sum()) for row in share], np.float64)

    return make


@pytest.fixture
def problem() -> Problems:
    """(load, gpus, slots, hosts=1, **rest) -> problem with the GPUs spread evenly over hosts."""

    def make(load: FloatArray, gpus: int, slots: int, hosts: int = 1, **rest: object) -> ExpertProblem:
        host = np.repeat(np.arange(hosts), gpus // hosts)
        return ExpertProblem(load=load, gpus=gpus, slots=slots, host=host, **rest)  # type: ignore[arg-type]

    return make


@pytest.fixture
def eplb() -> Placer:
    """(row, slots, gpus, hosts=1, groups=1) -> load of the largest GPU under EPLB's three steps.

    Groups are packed on hosts, experts copied on each host, copies packed on its GPUs; each packing gives the heaviest
    item left to the lightest bin with room.
    """

    def pack(size: FloatArray, bins: int) -> tuple[list[int], list[float]]:
        room, total, where = [len(size) // bins] * bins, [0.0] * bins, [0] * len(size)
        for item in np.argsort(-size, kind="stable"):
            choice = min((b for b in range(bins) if room[b]), key=lambda b: total[b])
            where[item], room[choice], total[choice] = choice, room[choice] - 1, total[choice] + float(size[item])
        return where, total

    def run(row: FloatArray, slots: int, gpus: int, hosts: int = 1, groups: int = 1) -> float:
        by_group = row.reshape(groups, -1)
        on = np.array(pack(by_group.sum(1), hosts)[0])
        largest = 0.0
        for host in range(hosts):
            load = by_group[on == host].ravel()
            copies = np.ones(len(load), np.int64)
            for _ in range(slots // hosts - len(load)):
                copies[(load / copies).argmax()] += 1
            largest = max(largest, *pack(np.repeat(load / copies, copies), gpus // hosts)[1])
        return largest

    return run
