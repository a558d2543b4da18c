"""Money in words, and when something has paid for itself."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.cost.bill import gpu_hours
from topoplan.model.prices import Prices
from topoplan.reports.amounts import significant

_DAY_S, _YEAR = 86_400.0, 365.0
_LARGE = ((1e9, " billion"), (1e6, " million"))


def money(amount: float, currency: str) -> str:
    """Amount for people, to three or four figures: "USD 1,250", "USD 3.41 million"."""
    size = abs(amount)
    sign = "-" if amount < 0 else ""
    for unit, word in _LARGE:
        if size >= unit:
            return f"{sign}{currency} {significant(size / unit)}{word}"
    return f"{sign}{currency} {size:,.0f}" if size >= 100 else f"{sign}{currency} {significant(size)}"


@dataclass(frozen=True, slots=True)
class Payback:
    """Steps until saved GPU-hours have paid for something; `days` where the time of a step is known."""

    steps: float
    days: float | None

    @property
    def words(self) -> str:
        """For a table."""
        unit, word = next(((unit, word) for unit, word in _LARGE if self.steps >= unit), (1.0, ""))
        if self.days is None:
            return f"{significant(self.steps / unit)}{word} steps"
        return f"{significant(self.days)} days" if self.days < 2 * _YEAR else f"{significant(self.days / _YEAR)} years"


def payback(cost: float, gpus: int, saved_s: float, prices: Prices, step_s: float | None) -> Payback | None:
    """When GPU-hours saved by shorter steps have paid `cost`; None where nothing is saved or a GPU-hour has no price.

    Parameters
    ----------
    saved_s
        Seconds saved each step, on all `gpus`.
    step_s
        Seconds of a step after the change; None where unknown.
    """
    if prices.gpu_hour is None or cost <= 0 or saved_s <= 0:
        return None
    saved = gpu_hours(gpus, saved_s) * prices.gpu_hour
    if saved <= 0:
        return None
    steps = cost / saved
    return Payback(steps, None if step_s is None else steps * step_s / _DAY_S)
