"""What a placement takes when links are shared fairly and each flow is followed to its end: alone and all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topoplan.cost.filling import MOST_WORK, finish_seconds
from topoplan.cost.price import latency_seconds
from topoplan.cost.routes import Routes
from topoplan.errors import LimitError
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, slots=True)
class FairPrice:
    """Exposed ms of a placement, uplinks spread perfectly; beside it `Prediction.ideal_ms` looks at busiest links only.

    NaN is unknown: too many unlike flows to follow each.

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
        return float(np.max([*self.together.values(), 0.0]))  # unlike max, unknown where one is


def fair_price(fabric: Fabric, traffic: Traffic, gpu: IntArray, most_work: int = MOST_WORK) -> FairPrice:
    """Price of placing rank r on global GPU gpu[r] ([ranks] int64) under max-min fair sharing.

    Of every flow the exposed share counts, alone and together. Unknown, NaN, is what takes more than `most_work` to
    follow (`topoplan.cost.filling`): the same on every machine.
    """
    every = [Routes.of_axis(fabric, traffic, gpu, a) for a in range(len(traffic.axes))]
    size = [share * flows.bytes for share, flows in zip(traffic.exposure, traffic.flows, strict=True)]
    wait = [
        float(share) * latency_seconds(fabric, routes, float(messages))
        for share, routes, messages in zip(traffic.exposure, every, traffic.messages, strict=True)
    ]
    alone = [_ends(routes, part, most_work) for routes, part in zip(every, size, strict=True)]
    beside = alone
    if len(every) > 1:
        joined = Routes.of(fabric, *(np.concatenate([getattr(r, end) for r in every]) for end in ("src", "dst")))
        first = np.cumsum([len(part) for part in size])[:-1]
        beside = np.split(_ends(joined, np.concatenate(size), most_work), first)

    def last(ends: list[FloatArray]) -> dict[str, float]:
        known = zip(traffic.axes, ends, wait, strict=True)
        return {name: 1e3 * (float(part.max(initial=0.0)) + latency) for name, part, latency in known}

    return FairPrice(last(alone), last(beside))


def _ends(routes: Routes, size_bytes: FloatArray, most_work: int) -> FloatArray:
    """[flows] float64 seconds until each ends; NaN where they cannot be followed within `most_work`."""
    try:
        return finish_seconds(routes, size_bytes, most_work)
    except LimitError:
        return np.full(len(size_bytes), np.nan)
