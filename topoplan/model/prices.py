"""What things cost, as a planner was quoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ITEMS = ("nic", "switch_port", "cable")
ALIKE = 1e-6  # bandwidths that differ by less than this share are one


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices in one currency.

    Parameters
    ----------
    name
        Of the quote.
    gpu_hour
        Of one GPU; None where not given.
    items
        Price of one nic, switch_port or cable by its bytes/s in each direction; the key None holds for every speed.
    """

    name: str
    currency: str = "USD"
    gpu_hour: float | None = None
    items: Mapping[str, Mapping[float | None, float]] = field(default_factory=dict)

    def of(self, item: str, bandwidth_bytes_per_s: float) -> float | None:
        """Price of an item of a speed; None where it is not known."""
        known = self.items.get(item, {})
        for speed, price in known.items():
            if speed is not None and abs(speed / bandwidth_bytes_per_s - 1) < ALIKE:
                return price
        return known.get(None)
