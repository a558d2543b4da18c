"""What was measured, set beside what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.links.cells import TRANSPORTS, Cell, all_cells, default_order

NOT_COMPARED = "tp"  # memory that the processes of a host share; its rate is assumed
BUSY = 0.1  # a launch during which this machine's cores idled for less was short of processors


@dataclass(frozen=True)
class Row:
    """A cell over a transport: ms of a step by order, the medians of its axes added up; and the predicted ones."""

    cell: Cell
    transport: str
    ms: Mapping[str, float]
    predicted_ms: Mapping[str, float]

    @property
    def default_ms(self) -> float:
        """The order that the launcher makes by itself."""
        return self.ms[default_order(self.transport)]

    @property
    def gain(self) -> float:
        """Times that the plan is faster than that."""
        return self.default_ms / self.ms["plan"]

    @property
    def predicted_gain(self) -> float:
        """Times that it was predicted to be."""
        return self.predicted_ms[default_order(self.transport)] / self.predicted_ms["plan"]

    @property
    def behind(self) -> float:
        """Share by which the plan is slower than the best order tried."""
        return self.ms["plan"] / min(self.ms.values()) - 1


@dataclass(frozen=True)
class Point:
    """An axis of an order of a cell: predicted ms, and the median measured one."""

    cell: Cell
    transport: str
    order: str
    axis: str
    bottleneck: str  # uplink or NIC
    predicted_ms: float
    measured_ms: float

    @property
    def ratio(self) -> float:
        """Measured / predicted."""
        return self.measured_ms / self.predicted_ms


def rows(results: Mapping[str, Any]) -> list[Row]:
    """Cells that were measured, in the order of `all_cells`; an order that is another one shares its time."""
    found = []
    for cell, record in _measured(results):
        for transport in TRANSPORTS:
            launches = record["launches"].get(transport, {})
            ms = {order: sum(_medians(launches[like]).values()) for order, like in record["same"].items()
                  if like in launches}  # fmt: skip
            if len(ms) == len(record["same"]):
                predicted = {order: sum(axes.values()) for order, axes in record["predicted"].items()}
                found.append(Row(cell, transport, ms, predicted))
    return found


def points(results: Mapping[str, Any]) -> list[Point]:
    """Axes of all orders that were launched, but for the one that no network carries."""
    found = []
    for cell, record in _measured(results):
        for transport in TRANSPORTS:
            for order, launches in record["launches"].get(transport, {}).items():
                for axis, measured in _medians(launches).items():
                    if axis != NOT_COMPARED:
                        bottleneck = "uplink" if axis in record["uplink_bound"][order] else "NIC"
                        predicted = record["predicted"][order][axis]
                        found.append(Point(cell, transport, order, axis, bottleneck, predicted, measured))
    return found


def launch_errors(results: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Share of time that cores idled in each launch, and how far off its uplink-bound axes were, on average."""
    idle, error = [], []
    for _, record in _measured(results):
        for transport in TRANSPORTS:
            for order, launches in record["launches"].get(transport, {}).items():
                bound = [axis for axis in record["uplink_bound"][order] if axis != NOT_COMPARED]
                for launch in launches if bound else ():
                    idle.append(launch["idle"])
                    off = [
                        step[axis] / record["predicted"][order][axis] - 1 for step in launch["steps"] for axis in bound
                    ]
                    error.append(float(np.mean(np.abs(off))))
    return idle, error


def _measured(results: Mapping[str, Any]) -> Iterator[tuple[Cell, Any]]:
    return ((cell, results[str(cell)]) for cell in all_cells() if str(cell) in results)


def _medians(launches: list[dict[str, Any]]) -> dict[str, float]:
    """Median ms of each axis over all steps of all launches."""
    steps = [step for launch in launches for step in launch["steps"]]
    return {axis: float(np.median([step[axis] for step in steps])) for axis in steps[0]}
