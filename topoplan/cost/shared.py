"""Jobs side by side on one fabric: what each puts on the uplinks, and how much the others there slow it down.

Where several jobs cross an uplink, its links serve them in turn: while each spreads its traffic over its step, a job
gets the share of the link that its bytes are of all bytes. That is the fluid picture of steps of equal length; jobs of
unlike steps or that take turns by chance slow each other less or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.cost.price import predict
from topoplan.cost.routes import Routes, link_loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.plan import Prediction
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, eq=False)
class Tenant:
    """A job on its GPUs: rank r of `traffic` on global GPU gpu[r] ([ranks] int64)."""

    fabric: Fabric
    traffic: Traffic
    gpu: IntArray

    @cached_property
    def by_axis(self) -> FloatArray:
        """[axes, 2, uplinks] float64 seconds of each uplink, up and down, when spread perfectly."""
        fabric, traffic = self.fabric, self.traffic
        capacity = fabric.uplink_links * fabric.uplink_link_bandwidth
        seconds = np.zeros((len(traffic.axes), 2, len(capacity)))
        for a, flows in enumerate(traffic.flows):
            load = link_loads(Routes.of_axis(fabric, traffic, self.gpu, a), flows.bytes).uplink
            np.divide(load, capacity, out=seconds[a], where=capacity > 0)
        return seconds

    @cached_property
    def uplinks(self) -> FloatArray:
        """[2, uplinks] float64 seconds of all axes together."""
        return np.asarray(self.by_axis.sum(0), np.float64)

    @cached_property
    def alone(self) -> Prediction:
        """Price without anyone else."""
        return predict(self.fabric, self.traffic, self.gpu)

    def beside(self, others: FloatArray) -> float:
        """Exposed ms while others keep the uplinks busy for `others` ([2, uplinks] float64) seconds a step."""
        stretch = np.divide(others, self.uplinks, out=np.zeros(others.shape), where=self.uplinks > 0)
        slowest = (self.by_axis * (1 + stretch)).max((1, 2), initial=0.0)
        weight = 1e3 * np.asarray(self.traffic.exposure, np.float64)
        alone = np.array([self.alone.axes.get(name, 0.0) for name in self.traffic.axes])
        return float(np.maximum(alone, weight * slowest).sum())


@dataclass(frozen=True, slots=True)
class Meeting:
    """The busiest uplink that a job shares: its name, and ms a step of this job and of all others there."""

    uplink: str
    own_ms: float
    others_ms: float
    others: tuple[int, ...]


def meeting(tenants: Sequence[Tenant], index: int) -> Meeting | None:
    """Where job `index` meets other jobs on an uplink, the busiest of such; None where it has its uplinks to itself."""
    me, fabric = tenants[index], tenants[index].fabric
    rest = [i for i in range(len(tenants)) if i != index]
    others = sum((tenants[i].uplinks for i in rest), np.zeros(me.uplinks.shape))
    both = np.where((me.uplinks > 0) & (others > 0), me.uplinks + others, 0.0)
    if not both.any():
        return None
    way, uplink = (int(x) for x in np.unravel_index(both.argmax(), both.shape))
    group, rail = divmod(uplink, fabric.rails)
    name = fabric.groups[group].name + ("" if fabric.groups[group].rails == 1 else f" rail {rail}")
    there = tuple(i for i in rest if tenants[i].uplinks[way, uplink] > 0)
    return Meeting(name, 1e3 * float(me.uplinks[way, uplink]), 1e3 * float(others[way, uplink]), there)
