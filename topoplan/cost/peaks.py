"""Time of axes on the links, alone and together: what peaks together shares links, what does not is not summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topoplan.cost.collectives.rates import link_class, rate
from topoplan.cost.price import hashed_seconds, latency_seconds, near_seconds, uplink_seconds
from topoplan.cost.routes import Routes, link_loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic

# Class of traffic of each axis in `topoplan.cost.collectives.rates`; others are rings.
_CLASS = {"cp": "p2p", "pp": "p2p", "ep": "moe"}


@dataclass(frozen=True, eq=False)
class Peaks:
    """Links of each axis of a placement.

    Parameters
    ----------
    axes
        Names of the axes.
    seconds
        [axes, links] float64 busy seconds of every NVLink, port and uplink in each direction, at the share of its line
        rate that such traffic reaches, uplinks spread perfectly.
    uneven
        [axes] float64 seconds that hashing adds to what the busiest link of an axis works when spread perfectly.
    wait
        [axes] float64 seconds of latency.
    """

    axes: tuple[str, ...]
    seconds: FloatArray
    uneven: FloatArray
    wait: FloatArray

    def alone(self, axis: str) -> float:
        """Seconds of an axis by itself, hashing and latency included; 0 for one that the job has not."""
        return self.together({axis: 1.0})

    def together(self, shares: Mapping[str, float]) -> float:
        """Seconds of shares of axes that start at once: their slowest link carries what each puts on it.

        What hashing adds to each is added up: the slowest of sums is no slower than the sum of the slowest.
        """
        weight = np.array([shares.get(name, 0.0) for name in self.axes])
        used = weight > 0
        if not used.any():
            return 0.0
        link = float((weight[used] @ self.seconds[used]).max(initial=0.0))
        return link + float(weight @ self.uneven) + float((weight * self.wait)[used].max())

    @property
    def busiest_s(self) -> float:
        """Seconds that the busiest link works in a step, all axes one after another."""
        return float(self.seconds.sum(0).max(initial=0.0))


def peaks(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> Peaks:
    """Links of the axes of `traffic` with rank r on global GPU gpu[r] ([ranks] int64)."""
    rows, uneven, wait = [], [], []
    for a, flows in enumerate(traffic.flows):
        size = flows.bytes
        routes = Routes.of_axis(fabric, traffic, gpu, a)
        loads = link_loads(routes, size)
        scale_up, port = near_seconds(fabric, loads.scale_up, loads.port)
        uplink = uplink_seconds(fabric, loads)
        near = float(max(scale_up.max(initial=0.0), port.max(initial=0.0)))
        spread = max(near, float(uplink.max(initial=0.0)))
        hashed = fabric.routing != "adaptive" and np.isfinite(spread)
        slow = hashed_seconds(routes, size, near) if hashed else spread
        inside, network = efficiency(fabric, traffic.axes[a])
        rows.append(np.concatenate([scale_up.ravel() / inside, port.ravel() / network, uplink.ravel() / network]))
        uneven.append(max(0.0, slow - spread) / network if np.isfinite(spread) else 0.0)
        wait.append(latency_seconds(fabric, routes, float(traffic.messages[a])))
    return Peaks(traffic.axes, np.array(rows) if rows else np.zeros((0, 1)), np.array(uneven), np.array(wait))


def efficiency(fabric: Fabric, axis: str) -> tuple[float, float]:
    """Shares of their line rates that NVLinks and network links reach for an axis."""
    wanted = _CLASS.get(axis, "ring")
    line = float(fabric.gpu_scale_up.max(initial=0.0)), float(fabric.port_bandwidth.max(initial=0.0))
    inside, network = (
        rate(link_class(fabric, kind), wanted, speed).share for kind, speed in zip(("nvlink", "nic"), line, strict=True)
    )
    return inside, network
