"""Layers that have the same slots, with the GPUs that are alive there: what the solvers work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.problem import ExpertProblem


@dataclass(frozen=True, eq=False)
class Part:
    """Some layers of a problem.

    Parameters
    ----------
    layers
        [rows] int64 layers of the problem.
    load
        [rows, experts] float64.
    gpus
        [live] int64 GPUs that have slots; the arrays below are for these.
    slots, host, speed
        [live] int64, int64 and float64.
    """

    layers: IntArray
    load: FloatArray
    gpus: IntArray
    slots: IntArray
    host: IntArray
    speed: FloatArray

    @property
    def places(self) -> int:
        """Most slots of a GPU."""
        return int(self.slots.max())


def parts_of(problem: ExpertProblem) -> Iterator[Part]:
    """Parts of a problem, a single one unless layers differ in slots."""
    kinds, kind = np.unique(problem.layer_slots, axis=0, return_inverse=True)
    for k, slots in enumerate(kinds):
        layers, live = np.flatnonzero(kind.ravel() == k), np.flatnonzero(slots)
        yield Part(layers, problem.load[layers], live, slots[live], problem.host[live], problem.speed[live])


def columns(part: Part, slot_gpu: IntArray) -> tuple[IntArray, IntArray]:
    """Where a part's places are in a map: column of the map [n] and flat place of [live, places] [n], both int64.

    Parameters
    ----------
    slot_gpu
        [slots] int64 GPU of each column. GPUs it does not have, and places it has no column for, are left out.
    """
    first = np.searchsorted(slot_gpu, part.gpus)
    room = np.searchsorted(slot_gpu, part.gpus, side="right") - first
    place = np.arange(part.places)
    kept = place < np.minimum(room, part.slots)[:, None]
    return (first[:, None] + place)[kept], np.flatnonzero(kept)


def to_map(part: Part, rows: IntArray | FloatArray, slot_gpu: IntArray, out: IntArray | FloatArray) -> None:
    """Write [rows, live, places] values into the [layers, slots] map `out`."""
    column, place = columns(part, slot_gpu)
    out[part.layers[:, None], column] = rows.reshape(len(rows), -1)[:, place]


def from_map(part: Part, values: IntArray, slot_gpu: IntArray) -> IntArray:
    """[rows, live, places] int64 of a [layers, slots] map, -1 where the map has no such slot."""
    column, place = columns(part, slot_gpu)
    rows = np.full((len(part.layers), len(part.gpus) * part.places), -1, np.int64)
    rows[:, place] = values[part.layers[:, None], column]
    return rows.reshape(len(rows), len(part.gpus), part.places)
