"""The time of a training step, taken apart: compute, waiting, communication by axis, storage; and when what happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class AxisTime:
    """An axis in a step.

    Parameters
    ----------
    work_s
        Alone on its links, hashing and latency included.
    exposed_s
        Part of `work_s` that nothing hides.
    window_s
        Compute that it could run beside.
    stated
        Whether the exposure is the job file's, not derived.
    """

    name: str
    work_s: float
    exposed_s: float
    window_s: float
    stated: bool = False

    @property
    def overlapped_s(self) -> float:
        """Part of `work_s` behind compute."""
        return max(0.0, self.work_s - self.exposed_s)

    @property
    def exposure(self) -> float:
        """Exposed share, 0 to 1."""
        if not isfinite(self.work_s):  # ranks that cannot reach each other
            return 1.0
        return min(1.0, self.exposed_s / self.work_s) if self.work_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StorageFlow:
    """A flow between hosts and storage.

    Parameters
    ----------
    name
        checkpoint or data.
    network
        front-end or back-end.
    total_bytes
        Of one checkpoint, or of a step's data, over all hosts.
    seconds
        Time on the slowest link; None where the fabric lists no front-end NICs.
    steps
        Steps over which it is spread.
    """

    name: str
    network: str
    total_bytes: float
    seconds: float | None
    steps: int

    @property
    def each_step_s(self) -> float:
        """Seconds of the slowest link a step; 0 where unknown."""
        return (self.seconds or 0.0) / self.steps


@dataclass(frozen=True, slots=True)
class Interval:
    """What a pipeline rank does for a while; between intervals it waits.

    Parameters
    ----------
    stage
        Pipeline rank, from 0.
    what
        forward, backward (of the inputs; of the weights too where they are not apart), weights, both (DualPipe's
        forward beside a backward), optimizer, or the name of an axis whose communication is exposed.
    micro_batch
        From 0; -1 for what is done once a step.
    """

    stage: int
    start_s: float
    end_s: float
    what: str
    micro_batch: int = -1


@dataclass(frozen=True, slots=True)
class StepTime:
    """A training step of a placed job.

    Parameters
    ----------
    schedule
        Name of the pipeline schedule.
    compute_s
        Of the busiest pipeline rank, without the optimizer.
    bubble_s
        It waits so long for other ranks, for their communication too.
    optimizer_s
        Update of the weights.
    axes
        Communication, each axis that has any.
    storage, storage_s
        Flows beside the collectives, and what they add to the step.
    mfu
        Model FLOPs (causal, nothing recomputed) of the whole step over the dense BF16 peak of all GPUs; None where the
        peak is unknown.
    timeline
        What each pipeline rank does when; empty unless asked for, and for schedules with a number of micro-batches
        that they are not defined for.
    """

    schedule: str
    compute_s: float
    bubble_s: float
    optimizer_s: float
    axes: tuple[AxisTime, ...] = ()
    storage: tuple[StorageFlow, ...] = ()
    storage_s: float = 0.0
    mfu: float | None = None
    timeline: tuple[Interval, ...] = ()

    @property
    def exposed_s(self) -> float:
        """Communication that nothing hides."""
        return sum(axis.exposed_s for axis in self.axes)

    @property
    def total_s(self) -> float:
        """The whole step."""
        return self.compute_s + self.bubble_s + self.exposed_s + self.optimizer_s + self.storage_s

    @property
    def exposure(self) -> Mapping[str, float]:
        """Exposed share of each axis."""
        return {axis.name: axis.exposure for axis in self.axes}


MEMORY_PARTS = ("weights", "gradients", "optimizer", "experts", "activations")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest GPU by what they are for.

    Parameters
    ----------
    rank
        Pipeline rank of that GPU.
    experts
        Weights, gradients and states of routed experts.
    recompute
        Activations computed again: none, selective or full.
    """

    rank: int
    weights: float
    gradients: float
    optimizer: float
    experts: float
    activations: float
    recompute: str

    @property
    def parts(self) -> Mapping[str, float]:
        """Each part by name."""
        return {name: getattr(self, name) for name in MEMORY_PARTS}

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts.values())
