"""A finished plan: the placement, what it is predicted to cost, and how far it is from the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import IntArray
from topoplan.model.placement import RankPlacement
from topoplan.model.step import Memory, StepTime

FORMAT_VERSION = "1.0"
OBJECTIVES = ("exposed_ms", "busiest_uplink", "hop_bytes")


@dataclass(frozen=True, slots=True)
class LinkLoad:
    """A link, its bytes per step in its busier direction and the time they take when spread perfectly."""

    link: str
    bytes: float
    ms: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Price of a placement per training step.

    Parameters
    ----------
    exposed_ms
        Sum over axes of exposure x time of the axis's slowest link.
    axes
        Exposed ms of each axis.
    ideal_ms
        The same if every uplink were spread perfectly.
    busiest_links
        The worst NIC and the worst uplink of each tier, all axes together.
    hop_bytes
        Sum of bytes x distance over directed pairs of ranks on different islands.
    """

    exposed_ms: float
    axes: Mapping[str, float]
    ideal_ms: float
    busiest_links: tuple[LinkLoad, ...]
    hop_bytes: float

    @property
    def busiest_uplink_ms(self) -> float:
        """Time of the busiest uplink of any tier, all axes together, spread perfectly; 0 without uplinks."""
        return max((load.ms for load in self.busiest_links if load.link.startswith("uplink ")), default=0.0)


@dataclass(frozen=True, slots=True)
class Bound:
    """A value, what no placement of `space` can go below, and whether the value is proven best there."""

    value: float
    lower_bound: float
    proven_optimal: bool
    space: str

    @property
    def gap(self) -> float:
        """value / lower_bound - 1, with 0/0 = 0."""
        if self.lower_bound > 0:
            return max(0.0, self.value / self.lower_bound - 1)
        return 0.0 if self.value <= 0 else float("inf")


@dataclass(frozen=True, slots=True)
class InputFile:
    """Name (without folder) and SHA-256 of a file that the plan was made from."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Stages:
    """Model layers of each pipeline stage: stage s (virtual stages in order) runs layers first[s] .. first[s+1] - 1."""

    first: tuple[int, ...]
    cost: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that plan.json holds.

    Parameters
    ----------
    job, fabric_name
        Names, for headings.
    placement
        None for a plan of experts alone.
    spares
        Names of free hosts set aside for this job, nearest first.
    ep_rank_to_rank
        [EP groups, EP ranks] int64 rank that plays each EP rank of each EP group, where both are planned.
    order_matters
        One plain sentence: whether the order of hosts is worth anything on this fabric.
    step, memory
        Time of a step, and bytes on the fullest GPU, where the job says how fast it computes.
    plain_step_s
        Seconds of a step in each of the plain orders, with `step`.
    assumed, warnings
        What was filled in, and what should be looked at.
    """

    job: str
    fabric_name: str
    inputs: Mapping[str, InputFile]
    seed: int
    objective: str = "exposed_ms"
    placement: RankPlacement | None = None
    spares: tuple[str, ...] = ()
    experts: ExpertPlacement | None = None
    ep_rank_to_rank: IntArray | None = None
    stages: Stages | None = None
    prediction: Prediction | None = None
    baselines: Mapping[str, Prediction] | None = None
    certificate: Mapping[str, Bound] | None = None
    order_matters: str = ""
    step: StepTime | None = None
    memory: Memory | None = None
    plain_step_s: Mapping[str, float] | None = None
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
