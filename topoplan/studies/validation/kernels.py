"""DeepEP's dispatch and combine against their tables, and against what its authors published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from topoplan.cost.collectives.protocols import line
from topoplan.cost.collectives.saturating import fit
from topoplan.model.demand import visit_probability
from topoplan.model.fabric import FloatArray
from topoplan.model.job import Routing
from topoplan.model.presets import PRESETS
from topoplan.studies.validation.points import Points, read
from topoplan.studies.validation.row import Row, errors

HIDDEN, TOP_K, EXPERTS = 7168, 8, 256  # of every table here
FEWEST_TOKENS = 64  # fewer are bound by latency, not by the links that the model describes
PHASES = ("dispatch", "combine")


def token_bytes(phase: str) -> float:
    """Bytes of one copy of a token: FP8 with its block scales out, BF16 back."""
    routing = PRESETS["deepseek-v3"].routing
    assert routing is not None
    return HIDDEN * (routing.dispatch_bytes if phase == "dispatch" else routing.combine_bytes)


def low_latency_bytes(phase: str, hosts: int, tokens: FloatArray) -> FloatArray:
    """[points] float64 bytes of a NIC: every copy of a token that another host serves goes by itself."""
    return np.asarray(tokens * token_bytes(phase) * TOP_K * (hosts - 1) / hosts, np.float64)


def normal_bytes(phase: str, hosts: int, tokens: FloatArray) -> FloatArray:
    """[points] float64 bytes of a NIC: a token goes once to each other host that it visits."""
    visited = (hosts - 1) * visit_probability(Routing(EXPERTS, TOP_K), hosts)
    return np.asarray(tokens * token_bytes(phase) * visited, np.float64)


def two_host_line(phase: str) -> tuple[float, float]:
    """The line through the low-latency kernels' points on two hosts."""
    points = read("deepep_low_latency").where(hosts=2)
    tokens, seconds = _measured(points, phase)
    return line(low_latency_bytes(phase, 2, tokens), seconds)


def _measured(points: Points, phase: str, fewest: int = FEWEST_TOKENS) -> tuple[FloatArray, FloatArray]:
    """Tokens and seconds, [points] float64 each."""
    tokens, seconds = points.numbers("tokens"), points.numbers(f"{phase}_us") * 1e-6
    return tokens[tokens >= fewest], seconds[tokens >= fewest]


def low_latency() -> list[Row]:
    """Four and eight hosts from two."""
    table, rows = read("deepep_low_latency"), []
    for hosts in (4, 8):
        for phase in PHASES:
            start, per_byte = two_host_line(phase)
            tokens, seconds = _measured(table.where(hosts=hosts), phase)
            found = errors(start + per_byte * low_latency_bytes(phase, hosts, tokens), seconds)
            subject = f"DeepEP low latency, {hosts} hosts of H100, {phase}, 64 tokens and more"
            rows.append(Row(subject, "line through 2 hosts", len(found), "mean", found.mean(), 0.05, table.source))
    return rows


def normal() -> list[Row]:
    """Four hosts: sizes held out, and from the low-latency kernels; eight hosts, whose points are doubtful."""
    table, rows = read("deepep_normal"), []
    for phase in PHASES:
        tokens, seconds = _measured(table.where(hosts=4), phase, 1)
        found = held_out(normal_bytes(phase, 4, tokens), seconds)
        subject = f"DeepEP normal, 4 hosts of H100, {phase}"
        rows.append(Row(subject, "every second size", len(found), "mean", found.mean(), 0.05, table.source))
    for hosts, target, note in (
        (4, None, "start-up of these kernels is longer: below 1,024 tokens up to 45 % off"),
        (8, None, "points are anomalous: dispatch 5.4 ms at 4,096 tokens where 4 hosts take 1.8 ms"),
    ):
        for phase in PHASES:
            start, per_byte = two_host_line(phase)
            tokens, seconds = _measured(table.where(hosts=hosts), phase, 1024)
            found = errors(start + per_byte * normal_bytes(phase, hosts, tokens), seconds)
            subject = f"DeepEP normal, {hosts} hosts of H100, {phase}, 1,024 tokens and more"
            basis = "low-latency kernels on 2 hosts"
            rows.append(Row(subject, basis, len(found), "mean", found.mean(), target, table.source, note))
    return rows


def published() -> list[Row]:
    """What DeepEP's authors measured on another machine, from the tables' two hosts."""
    table, rows = read("deepep_published"), []
    for phase in PHASES:
        start, per_byte = two_host_line(phase)
        ranks, seconds = table.numbers("ranks"), table.numbers(f"{phase}_us") * 1e-6
        size = np.array([float(low_latency_bytes(phase, int(n) // 8, np.array([128.0]))[0]) for n in ranks])
        found = errors(start + per_byte * size, seconds)
        note = "first release, on H800; predictions are all on the quick side"
        subject = f"DeepEP low latency as published, 2 to 32 hosts of H800, {phase}"
        rows.append(Row(subject, "2 hosts of H100", len(found), "mean", found.mean(), None, table.source, note))
    return rows


class Form(Protocol):
    """Time of a message by its size."""

    def seconds(self, size_bytes: FloatArray) -> FloatArray:
        """[sizes] float64 seconds of [sizes] float64 bytes."""
        ...


def held_out(
    size_bytes: FloatArray, seconds: FloatArray, fitted: Callable[[FloatArray, FloatArray], Form] = fit
) -> FloatArray:
    """[points] float64 relative errors of a form, each half of the sizes predicted from the other.

    Parameters
    ----------
    fitted
        Makes the form of sizes and seconds; the saturating one by default.
    """
    found = np.zeros(len(seconds))
    odd = np.arange(len(seconds)) % 2 == 1
    for judged in (odd, ~odd):
        form = fitted(size_bytes[~judged], seconds[~judged])
        found[judged] = errors(form.seconds(size_bytes[judged]), seconds[judged])
    return found
