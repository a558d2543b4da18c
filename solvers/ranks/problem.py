"""What the rank solver is given and what it returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.capability import Capability
from topoplan.model.fabric import BoolArray, Fabric, IntArray
from topoplan.model.plan import OBJECTIVES, Bound, Prediction
from topoplan.model.traffic import Traffic

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RankProblem:
    """Place the ranks of `traffic` on usable GPUs of `fabric`.

    Parameters
    ----------
    allowed
        [hosts] bool hosts that may be used; all of them by default.
    objective
        exposed_ms, busiest_uplink or hop_bytes.

    Raises
    ------
    InfeasibleError
        More ranks than usable GPUs that can reach each other; says how many are missing.
    """

    fabric: Fabric
    traffic: Traffic
    capability: Capability = field(default_factory=Capability)
    allowed: BoolArray | None = None
    objective: str = "exposed_ms"
    _known: dict[tuple[object, bytes], Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective {self.objective!r} is not one of {', '.join(OBJECTIVES)}")
        free = self.free
        parts, component = np.unique(self.fabric.host_component, return_inverse=True)
        reach = np.bincount(component, free, len(parts))
        if reach.max() < self.traffic.ranks:
            missing = self.traffic.ranks - int(reach.max())
            total = int(free.sum())
            why = "" if total < self.traffic.ranks else " in one connected part of the fabric"
            where, hint = "the fabric", "free or repair hosts, or shrink a parallel axis"
            if self.allowed is not None:
                where = f"the {int(self.allowed.sum())} of {len(free)} hosts that it may use"
                hint = "free or repair hosts, widen --hosts, reserve fewer, or shrink a parallel axis"
            have = "has" if self.allowed is None else "have"
            raise InfeasibleError(
                f"the job has {self.traffic.ranks} ranks, {where} {have} {int(reach.max())} usable GPUs{why}: "
                f"{missing} missing",
                hint=hint,
            )

    @property
    def free(self) -> IntArray:
        """[hosts] int64 GPUs of each host that ranks may use."""
        free = self.fabric.free_gpus
        return free if self.allowed is None else np.where(self.allowed, free, 0)

    def once(self, what: Callable[[RankProblem, IntArray], T], gpu: IntArray) -> T:
        """`what(self, gpu)` of a placement ([ranks] int64 GPU of each rank), worked out once and remembered.

        Steps of a search ask the same of the same few placements: prices, floors, contractions.
        """
        key = (what, blake2b(gpu.tobytes(), digest_size=16).digest())
        if key not in self._known:
            self._known[key] = what(self, gpu)
        found: T = self._known[key]
        return found


@dataclass(frozen=True, slots=True)
class ExactParams:
    """When and how hard to prove the fewest hop-bytes.

    Parameters
    ----------
    blocks
        Hosts' worth of ranks up to which an exact solver runs.
    work
        Deterministic seconds of CP-SAT, or wall-clock seconds of an ILP solver.
    solver
        PuLP's name of an ILP solver; "" for CP-SAT.
    demanded
        Whether a solver that is not installed is an error; otherwise it is done without.
    deadline
        Reading of `time.monotonic` at which it stops, whatever work is left; None for the budget of work alone.
    """

    blocks: int = 32
    work: float = 10.0
    solver: str = ""
    seed: int = 0
    demanded: bool = False
    deadline: float | None = None

    @property
    def seconds_left(self) -> float:
        """Wall-clock seconds until the deadline, at least a hundredth; infinite without one."""
        return float("inf") if self.deadline is None else max(0.01, self.deadline - time.monotonic())


# what --exact asks for: 64 hosts are often proven, 128 sometimes; a minute
PROOF = ExactParams(blocks=128, work=60.0, demanded=True)


@dataclass(frozen=True, slots=True)
class RankParams:
    """How hard to try.

    Parameters
    ----------
    proposals
        Moves that refinement may try; counted, not timed, so that results repeat.
    seed
        Of every random choice.
    exact
        When an exact solver runs; None for never.
    """

    proposals: int = 20_000
    seed: int = 0
    exact: ExactParams | None = ExactParams()


@dataclass(frozen=True, slots=True)
class Progress:
    """What the solver tells its caller while it works."""

    phase: str
    done: float
    value: float
    lower_bound: float


# Called now and then with the state of the search; returns False to stop it and keep the best so far.
Watch = Callable[[Progress], bool]


def keep_going(_: Progress) -> bool:
    """Watch that never stops the search."""
    return True


@dataclass(frozen=True, eq=False)
class RankSolution:
    """Best placement found: global GPU of each rank, its price, those of the plain orders, and the bounds."""

    gpu: IntArray
    prediction: Prediction
    baselines: dict[str, Prediction]
    certificate: dict[str, Bound]
    method: str
