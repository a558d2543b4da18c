"""NCCL on machines without NVLink: two protocols, each a start-up time and a bandwidth, and the size where they change.

Messages up to some size go by LL, which flags every word and so needs no fence: soon there, but slow over PCIe, where
its stores are small. Larger ones go by Simple. NCCL's third protocol, which fills the gap between them, is for NVLink
alone (src/graph/tuning.cc: LL128 only where paths are PATH_NVL). So time jumps where NCCL changes over, and it changes
by a table of its own, not where the lines cross: a larger message may well be quicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray

# Bytes to each peer up to which sends and receives go by LL (src/enqueue.cc, NCCL_P2P_LL_THRESHOLD).
LL_MESSAGE_BYTES = 16384
# How much later Simple starts than LL in a ring, and each of its steps over PCIe (src/graph/tuning.cc at 5067397).
_LATER_S, _LATER_STEP_S = (8.4 - 6.6) * 1e-6, (5.7 - 1.0) * 1e-6
# Rate that NCCL's table takes a ring through host bridges for (src/graph/topo.h: 22 GB/s on Sapphire Rapids, 24 GB/s on
# Zen 3 and 4; assumed: 22, any from 14 to 26 lies between the same powers of two for eight ranks), half of it for LL.
_RING_BYTES_PER_S = 22e9
_STEPS = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}  # rounds of all other ranks


def switch_bytes(op: str, ranks: int) -> float:
    """Largest call, as nccl-tests counts it, that goes by LL among `ranks` ranks of a host without NVLink.

    Raises
    ------
    InputError
        Another op than all_to_all and those of rings, or a single rank.
    """
    if op not in (*_STEPS, "all_to_all") or ranks < 2:
        raise InputError(f"no size is known at which {op!r} among {ranks} ranks changes its protocol")
    if op == "all_to_all":
        return float(LL_MESSAGE_BYTES * ranks)
    steps = _STEPS[op] * (ranks - 1)
    # latency that LL saves is eaten up by bytes at half the rate
    return (_LATER_S + steps * _LATER_STEP_S) * _RING_BYTES_PER_S * ranks / steps


@dataclass(frozen=True, slots=True)
class TwoProtocols:
    """A line for calls up to `switch_bytes`, another beyond: (seconds at the start, seconds a byte) each."""

    small: tuple[float, float]
    large: tuple[float, float]
    switch_bytes: float

    def seconds(self, size_bytes: FloatArray) -> FloatArray:
        """[sizes] float64 time of calls of [sizes] float64 bytes."""
        small, large = (start + per_byte * size_bytes for start, per_byte in (self.small, self.large))
        return np.where(size_bytes <= self.switch_bytes, small, large)


def fit_two(size_bytes: FloatArray, seconds: FloatArray, switch: float) -> TwoProtocols:
    """Lines of least squared relative error through the points on each side of `switch` bytes.

    Raises
    ------
    InputError
        Less than two points on a side, or some that are not positive.
    """
    if not (size_bytes > 0).all() or not (seconds > 0).all():
        raise InputError("a fit needs points of positive size and time")
    small = size_bytes <= switch
    if min(small.sum(), (~small).sum()) < 2:
        raise InputError(f"a fit of two protocols needs two or more points on each side of {switch:.0f} bytes")
    return TwoProtocols(line(size_bytes[small], seconds[small]), line(size_bytes[~small], seconds[~small]), switch)


def line(size_bytes: FloatArray, seconds: FloatArray) -> tuple[float, float]:
    """Start-up time (s) and seconds a byte of least squared relative error."""
    terms = np.column_stack([1 / seconds, size_bytes / seconds])
    found = np.linalg.lstsq(terms, np.ones(len(seconds)))[0]
    return float(found[0]), float(found[1])
