"""What a placement takes when links are shared fairly and each flow is followed to its end: alone and all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topoplan.cost.filling import MOST_WORK, finish_seconds
from topoplan.cost.price import latency_seconds
from topoplan.cost.routes import Routes
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, slots=True)
class FairPrice:
    """Exposed ms of a placement, uplinks spread perfectly; beside it `Prediction.ideal_ms` looks at busiest links only.

    Parameters
    ----------
    axes
        Of each axis with the links to itself, as when axes take turns.
    together
        Until each axis ends when all start at once.
    """

    axes: Mapping[str, float]
    together: Mapping[str, float]

    @property
    def exposed_ms(self) -> float:
        """All axes, one after another."""
        return sum(self.axes.values())

    @property
    def together_ms(self) -> float:
        """Until the last axis ends when all start at once."""
        return max(self.together.values(), default=0.0)


def fair_price(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> FairPrice:
    """Price of placing rank r on global GPU gpu[r] ([ranks] int64) under max-min fair sharing.

    Of every flow the exposed share counts, alone and together.

    Raises
    ------
    LimitError
        Too many unlike flows to follow each.
    """
    every = [Routes.of_axis(fabric, traffic, gpu, a) for a in range(len(traffic.axes))]
    size = [share * flows.bytes for share, flows in zip(traffic.exposure, traffic.flows, strict=True)]
    wait = [
        float(share) * latency_seconds(fabric, routes, float(messages))
        for share, routes, messages in zip(traffic.exposure, every, traffic.messages, strict=True)
    ]
    alone = [finish_seconds(routes, part, MOST_WORK) for routes, part in zip(every, size, strict=True)]
    if not every:
        return FairPrice({}, {})
    if len(every) == 1:
        return _price(traffic, wait, alone, alone)
    joined = Routes.of(fabric, *(np.concatenate([getattr(r, end) for r in every]) for end in ("src", "dst")))
    first = np.cumsum([len(part) for part in size])[:-1]
    beside = np.split(finish_seconds(joined, np.concatenate(size), MOST_WORK), first)
    return _price(traffic, wait, alone, beside)


def _price(traffic: Traffic, wait: list[float], alone: list[FloatArray], beside: list[FloatArray]) -> FairPrice:
    """From seconds of latency of each axis, and seconds [flows] until its flows end."""

    def last(ends: list[FloatArray]) -> dict[str, float]:
        return {
            name: 1e3 * (float(part.max(initial=0.0)) + w)
            for name, part, w in zip(traffic.axes, ends, wait, strict=True)
        }

    return FairPrice(last(alone), last(beside))
