"""What a schedule is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from topoplan.model.fabric import FloatArray


@dataclass(frozen=True, eq=False)
class Pass:
    """Work of one micro-batch.

    Parameters
    ----------
    forward, backward, weights
        [pp] float64 seconds on each pipeline rank: forward, gradient of the inputs, gradient of the weights.
    micro_batches
        Micro-batches of a step.
    virtual
        Virtual stages of each rank.
    hop_s
        Seconds that activations or gradients take from one stage to the next.
    """

    forward: FloatArray
    backward: FloatArray
    weights: FloatArray
    micro_batches: int
    virtual: int = 1
    hop_s: float = 0.0

    @property
    def ranks(self) -> int:
        """Pipeline ranks."""
        return len(self.forward)

    @property
    def work_s(self) -> float:
        """Seconds that the busiest rank works in a step."""
        return self.micro_batches * float((self.forward + self.backward + self.weights).max(initial=0.0))


@dataclass(frozen=True, slots=True)
class Timing:
    """A step's micro-batches: the busiest rank's work, its waiting for others, and for stage-to-stage messages."""

    work_s: float
    bubble_s: float
    hops_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.work_s + self.bubble_s + self.hops_s


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule by name.

    Parameters
    ----------
    bubble
        Seconds that the busiest rank waits, hops left out.
    hops
        Hops that stand on the critical path.
    in_flight
        Most micro-batches, as shares of a rank's layers, whose activations pipeline rank s holds: of (pp, vpp,
        micro-batches, s).
    copies
        Stages whose weights a rank holds.
    paired
        Whether forward of one micro-batch runs beside backward of another, so that each hides the other's messages.
    """

    name: str
    bubble: Callable[[Pass], float]
    hops: Callable[[Pass], float]
    in_flight: Callable[[int, int, int, int], float]
    source: str
    copies: int = 1
    paired: bool = False

    def timing(self, work: Pass) -> Timing:
        """Seconds of a step's micro-batches."""
        if work.ranks < 2:
            return Timing(work.work_s, 0.0, 0.0)
        return Timing(work.work_s, self.bubble(work), self.hops(work) * work.hop_s)
