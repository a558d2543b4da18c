"""Bytes that ranks send each other in one step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.patterns import Flows


@dataclass(frozen=True, eq=False)
class Collective:
    """A collective as the framework calls it, kept for reports and for solvers that use its structure.

    Parameters
    ----------
    axis
        Name of its parallel axis.
    op
        all_reduce, all_gather, reduce_scatter, all_to_all, p2p or ring.
    groups
        [groups, size] int64 ranks, in communication order.
    size_bytes
        Bytes each rank sends in one step over all calls.
    messages
        Sequential network messages of one step, for latency; 0 when unknown.
    calls, call_bytes
        Calls of one step and their mean size as nccl-tests has it (`topoplan.cost.collectives.schedules`), of the
        ranks that send most; 0 when unknown. For explanations: no price looks at them.
    """

    axis: str
    op: str
    groups: IntArray
    size_bytes: float
    messages: float = 0.0
    calls: float = 0.0
    call_bytes: float = 0.0


@dataclass(frozen=True, eq=False)
class Traffic:
    """Directed flows between ranks over one step, each on a parallel axis.

    Parameters
    ----------
    ranks
        Number of ranks.
    axes
        Names of the axes.
    src, dst
        [flows] int32 sending and receiving rank.
    bytes
        [flows] float64 bytes per step.
    axis
        [flows] int8 index into `axes`.
    exposure
        [axes] float64 share of each axis that compute does not hide.
    messages
        [axes] float64 sequential messages of a step, for latency; 0 when unknown.
    collectives
        Where the flows come from, when known.

    Raises
    ------
    InputError
        Arrays of different lengths, ranks out of range, bytes that are negative or not finite.
    """

    ranks: int
    axes: tuple[str, ...]
    src: npt.NDArray[np.int32]
    dst: npt.NDArray[np.int32]
    bytes: FloatArray
    axis: npt.NDArray[np.int8]
    exposure: FloatArray
    messages: FloatArray
    collectives: tuple[Collective, ...] = ()

    def __post_init__(self) -> None:
        flows = len(self.src)
        if not (len(self.dst) == len(self.bytes) == len(self.axis) == flows):
            raise InputError("traffic: src, dst, bytes and axis must be equally long")
        if not len(self.axes) == len(self.exposure) == len(self.messages):
            raise InputError("traffic: one exposure is needed for each axis")
        if not flows:
            return
        if min(self.src.min(), self.dst.min()) < 0 or max(self.src.max(), self.dst.max()) >= self.ranks:
            raise InputError(f"traffic: a flow names a rank outside 0..{self.ranks - 1}")
        if self.axis.min() < 0 or self.axis.max() >= len(self.axes):
            raise InputError(f"traffic: a flow names an axis outside 0..{len(self.axes) - 1}")
        bad = ~(np.isfinite(self.bytes) & (self.bytes >= 0))
        if bad.any():
            flow = int(np.flatnonzero(bad)[0])
            raise InputError(f"traffic: flow {flow} has {self.bytes[flow]} bytes; bytes are finite and not negative")

    @cached_property
    def by_axis(self) -> tuple[IntArray, ...]:
        """Indices of the flows of each axis that carry bytes between two ranks."""
        live = (self.bytes > 0) & (self.src != self.dst)
        return tuple(np.flatnonzero(live & (self.axis == a)) for a in range(len(self.axes)))

    @cached_property
    def flows(self) -> tuple[Flows, ...]:
        """Flows of each axis that carry bytes between two ranks: those of `by_axis`, ready to be indexed with."""
        return tuple(
            Flows(self.src[part].astype(np.int64), self.dst[part].astype(np.int64), self.bytes[part])
            for part in self.by_axis
        )

    @cached_property
    def total_bytes(self) -> float:
        """Bytes of all flows between different ranks."""
        return float(self.bytes[self.src != self.dst].sum())
