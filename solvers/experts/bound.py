"""What no placement can go below."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray


def replica_bound(load: FloatArray, slots: int) -> FloatArray:
    """[rows] float64 least possible largest replica when experts are copied into `slots` slots and split evenly.

    Handing each further copy to the expert with the largest replica is exact: any other choice leaves that replica.

    Parameters
    ----------
    load
        [rows, experts] float64.
    slots
        At least one an expert.
    """
    extra = slots - load.shape[1]
    width = min(extra + 1, load.shape[1])  # lighter experts never come to their second copy
    top = -np.partition(-load, width - 1, axis=1)[:, :width]
    copies, size, row = np.ones(top.shape), top.copy(), np.arange(len(top))
    for _ in range(extra):
        largest = size.argmax(1)
        copies[row, largest] += 1
        size[row, largest] = top[row, largest] / copies[row, largest]
    return np.asarray(size.max(1), np.float64)


def even_bound(load: FloatArray, slots: int, speed: FloatArray) -> FloatArray:
    """[rows] float64 load over speed of the largest GPU that no even split can go below.

    The largest of: all GPUs equally busy; the smallest largest replica, on the fastest GPU; the heaviest expert with a
    copy on every GPU (a GPU that holds k copies of it gains nothing by k > 1).

    Parameters
    ----------
    load
        [rows, experts] float64.
    slots
        Slots of all GPUs together.
    speed
        [gpus] float64 of the GPUs that have slots.
    """
    mean = load.sum(1) / speed.sum()
    alone = np.maximum(replica_bound(load, slots), load.max(1) / len(speed)) / speed.max()
    return np.asarray(np.maximum(mean, alone), np.float64)
