"""What planning experts found out beside the plan itself: plain numbers for tables and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.plan import Plan
from topoplan.planning.expert_engines import Judgement
from topoplan.solvers.experts.schedule import Moves


@dataclass(frozen=True, slots=True)
class Balance:
    """How even a placement is under its own dispatch, as planned.

    Parameters
    ----------
    mean, worst
        Mean / max load of a GPU (over its speed): of the layers' mean, and of the worst layer.
    worst_layer
        Its row.
    gap_mean, gap_worst
        Largest GPU over lower bound - 1; None where no bound is known.
    duplicates
        Slots whose expert another slot of the same GPU holds too, over all layers.
    """

    mean: float
    worst: float
    worst_layer: int
    gap_mean: float | None
    gap_worst: float | None
    duplicates: int

    @classmethod
    def of(cls, placement: ExpertPlacement, load: FloatArray, speed: FloatArray) -> Balance:
        """Balance of a placement for `load` [layers, experts] on GPUs of `speed` [gpus]."""
        time = placement.gpu_load(load) / speed
        used = np.unique(placement.slot_gpu)
        # the level that all GPUs would have if load could be poured over them
        even = load.sum(1) / speed[used].sum()
        share = even / time.max(1)
        gap = None if placement.lower_bound is None else np.maximum(time.max(1) / placement.lower_bound - 1, 0)
        return cls(
            mean=float(share.mean()),
            worst=float(share.min()),
            worst_layer=int(share.argmin()),
            gap_mean=None if gap is None else float(gap.mean()),
            gap_worst=None if gap is None else float(gap.max()),
            duplicates=placement.duplicates,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be moved from the previous plan.

    Parameters
    ----------
    slots, share
        Slots that get an expert which their GPU did not hold, and that over all slots of all layers.
    bytes
        Weights moved; None where the model is not known.
    before, after
        Mean balance of the previous placement under the new loads, and of this one.
    lost
        GPUs of the previous plan that others stand in for.
    """

    slots: int
    share: float
    bytes: float | None
    before: float
    after: float
    lost: tuple[str, ...]

    @classmethod
    def of(
        cls, moves: Moves, placement: ExpertPlacement, before: float, after: float, size: float | None,
        lost: tuple[str, ...] = (),
    ) -> Change:  # fmt: skip
        """Summary of moves of copies of `size` bytes (None where not known)."""
        used = int((placement.physical_to_logical_map >= 0).sum())
        count = len(moves)
        return cls(count, count / used, None if size is None else size * count, before, after, lost)


@dataclass(frozen=True, eq=False)
class ExpertOutcome:
    """A plan of experts and what is worth saying about it; parts that were not asked for are None."""

    plan: Plan
    balance: Balance
    change: Change | None = None
    judgement: Judgement | None = None

    def record(self) -> dict[str, Any]:
        """Everything but the plan as plain data; deterministic."""
        parts = {"balance": self.balance, "change": self.change, "judgement": self.judgement}
        return {name: asdict(part) for name, part in parts.items() if part is not None}
