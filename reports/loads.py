"""Load of every NIC and uplink under several placements of one job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from topoplan.cost.routes import Loads, Routes, link_loads
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic


@dataclass(frozen=True, eq=False)
class LinkClass:
    """Links of one kind that carry bytes under at least one placement.

    Parameters
    ----------
    name
        "NICs", or "leaf uplinks" for each tier.
    total
        Links of the kind that exist.
    names
        Name of each link that carries bytes, as in `Prediction.busiest_links`.
    bytes, ms
        [links] float64 bytes of a step in the busier direction, and the time they take when spread perfectly, by
        name of the placement.
    """

    name: str
    total: int
    names: tuple[str, ...]
    bytes: Mapping[str, FloatArray]
    ms: Mapping[str, FloatArray]

    def busiest(self, placement: str) -> int:
        """Index of the busiest link under a placement."""
        return int(self.ms[placement].argmax())


def total_loads(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> Loads:
    """Loads of all axes together when rank r is on global GPU gpu[r] ([ranks] int64)."""
    port, uplink = np.zeros((2, len(fabric.port_bandwidth))), np.zeros((2, len(fabric.uplink_links)))
    scale_up = np.zeros((2, fabric.gpus))
    for a, flows in enumerate(traffic.flows):  # axis by axis: the routes of all flows at once would fill the memory
        loads = link_loads(Routes.of_axis(fabric, traffic, gpu, a), flows.bytes)
        scale_up += loads.scale_up
        port += loads.port
        uplink += loads.uplink
    return Loads(scale_up, port, uplink)


def link_classes(fabric: Fabric, traffic: Traffic, placements: Mapping[str, IntArray]) -> list[LinkClass]:
    """NICs, then the uplinks of each tier, closest first; kinds that carry nothing are left out.

    Parameters
    ----------
    placements
        Global GPU of each rank, [ranks] int64, by name.
    """
    return classes_of(fabric, {name: total_loads(fabric, traffic, gpu) for name, gpu in placements.items()})


def classes_of(fabric: Fabric, loads: Mapping[str, Loads]) -> list[LinkClass]:
    """The same of loads by name of the placement."""
    port = {name: load.port.max(0) for name, load in loads.items()}
    uplink = {name: load.uplink.max(0) for name, load in loads.items()}
    nics = np.arange(len(fabric.port_bandwidth))
    found = [_link_class("NICs", nics, fabric.port_bandwidth, port, _port_names(fabric))]
    capacity = fabric.uplink_links * fabric.uplink_link_bandwidth
    tier_of = np.repeat([group.tier for group in fabric.groups], fabric.rails)
    for tier, entry in enumerate(fabric.tiers):
        here = np.flatnonzero(tier_of == tier)
        found.append(_link_class(f"{entry.name} uplinks", here, capacity, uplink, _uplink_names(fabric)))
    return [kind for kind in found if kind.names]


def _link_class(
    name: str, links: IntArray, capacity: FloatArray, load: Mapping[str, FloatArray], names: Callable[[int], str]
) -> LinkClass:
    live = links[np.any([size[links] > 0 for size in load.values()], axis=0)]
    with np.errstate(divide="ignore", invalid="ignore"):  # bytes on a link without capacity take for ever
        ms = {key: np.where(size[live] > 0, 1e3 * size[live] / capacity[live], 0.0) for key, size in load.items()}
    exist = int((capacity[links] > 0).sum())
    return LinkClass(name, exist, tuple(names(int(k)) for k in live), {k: v[live] for k, v in load.items()}, ms)


def _port_names(fabric: Fabric) -> Callable[[int], str]:
    return lambda port: f"nic {fabric.host_names[port // fabric.rails]} rail {port % fabric.rails}"


def _uplink_names(fabric: Fabric) -> Callable[[int], str]:
    def name(uplink: int) -> str:
        group = fabric.groups[uplink // fabric.rails]
        return f"uplink {group.name}" + ("" if group.rails == 1 else f" rail {uplink % fabric.rails}")

    return name
