"""A row of the validation table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import FloatArray


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction set beside its measurements.

    Parameters
    ----------
    subject
        What is predicted.
    basis
        What the prediction knows; none of it among the points judged.
    measure
        "mean" or "worst" relative error over the points.
    error
        Relative error, 0.05 for 5 %.
    target
        Relative error that is wanted; None where nobody has asked for one.
    note
        Why a row misses its target, or is known to.
    """

    subject: str
    basis: str
    points: int
    measure: str
    error: float
    target: float | None
    source: str
    note: str = ""

    @property
    def verdict(self) -> str:
        """ok, MISSED or, without a target, -."""
        if self.target is None:
            return "-"
        return "ok" if self.error <= self.target else "MISSED"


def errors(predicted: FloatArray, measured: FloatArray) -> FloatArray:
    """[points] float64 relative errors, absolute."""
    return np.asarray(np.abs(predicted / measured - 1), np.float64)
