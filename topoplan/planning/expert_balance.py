"""How even a placement is, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray


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
