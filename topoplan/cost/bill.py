"""What a fabric is made of, counted, and what that and waiting cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import Fabric
from topoplan.model.prices import Prices
from topoplan.units import rate_text

NIC, PORT, CABLE = "nic", "switch_port", "cable"
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one item of one speed, and what they cost together; None where the price is not known."""

    item: str
    bandwidth_bytes_per_s: float
    count: int
    price: float | None
    total: float | None


@dataclass(frozen=True, eq=False)
class Bill:
    """Lines of a fabric, or of what one has more than another; what has no price is named and left out."""

    lines: tuple[Line, ...]

    @property
    def total(self) -> float:
        """Sum of what has a price."""
        return sum(line.total or 0.0 for line in self.lines)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Items without a price."""
        return tuple(
            f"{line.item.replace('_', ' ')} of {rate_text(line.bandwidth_bytes_per_s)}"
            for line in self.lines
            if line.price is None
        )


def parts(fabric: Fabric) -> Mapping[tuple[str, float], int]:
    """Number of NICs, switch ports and cables of each speed, by (item, bytes/s).

    A NIC has a cable and a switch port in each plane it is attached to, an equal part of its bandwidth each; a link
    between switches is a cable and two ports. Optics and switch chassis are not counted apart.
    """
    found: Counter[tuple[str, float]] = Counter()
    ports = (fabric.port_group >= 0).sum(0).reshape(len(fabric.hosts), fabric.rails)
    for t, kind in enumerate(fabric.host_types):
        hosts = np.flatnonzero(fabric.host_type == t)
        for nic in kind.nics:
            found[NIC, nic.bandwidth_bytes_per_s] += len(hosts)
            plugged = int(ports[hosts, nic.rail].sum())
            if plugged:
                each = nic.bandwidth_bytes_per_s / fabric.planes
                found[CABLE, each] += plugged
                found[PORT, each] += plugged
    links: Counter[float] = Counter()
    for group in fabric.groups:
        links[group.link_bandwidth_bytes_per_s] += sum(group.uplinks)  # type: ignore[assignment]
    for speed, number in links.items():
        if number > 0:
            whole = math.ceil(number - 1e-6)
            found[CABLE, speed] += whole
            found[PORT, speed] += 2 * whole
    return found


def bill(prices: Prices, fabric: Fabric) -> Bill:
    """What the fabric costs to build."""
    return _priced(prices, parts(fabric))


def extra(prices: Prices, fabric: Fabric, more: Fabric) -> Bill:
    """What `more` costs beyond `fabric` when bought instead of it; lines may be below zero."""
    base, wanted = parts(fabric), parts(more)
    keys = sorted({*base, *wanted})
    return _priced(prices, {key: wanted.get(key, 0) - base.get(key, 0) for key in keys})


def gpu_hours(gpus: int, seconds: float) -> float:
    """GPU-hours of so many GPUs for so long."""
    return gpus * seconds / _HOUR_S


def _priced(prices: Prices, counts: Mapping[tuple[str, float], int]) -> Bill:
    lines = []
    for (item, speed), count in sorted(counts.items()):
        if count:
            price = prices.of(item, speed)
            lines.append(Line(item, speed, count, price, None if price is None else count * price))
    return Bill(tuple(lines))
