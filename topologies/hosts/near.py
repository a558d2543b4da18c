"""Which NIC is near which GPU: by the path between them, never by index."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray

MAX_OWN = 4  # NICs of one GPU: AWS p5 has 4, the most of any host known; more are virtual functions


class Path(IntEnum):
    """How a GPU reaches a NIC, in the words of nvidia-smi and NCCL, nearest first."""

    PIX = 0  # across one PCIe switch
    PXB = 1  # across several PCIe switches
    PHB = 2  # across the CPU's PCIe host bridge
    NODE = 3  # across host bridges of one NUMA node
    SYS = 4  # across NUMA nodes
    UNKNOWN = 5


def nearest(path: IntArray) -> BoolArray:
    """[nics] bool whether some GPU has no nearer NIC; the others belong to storage, front-end or management.

    Parameters
    ----------
    path
        [gpus, nics] `Path` of each pair. NICs across one and across several PCIe switches count as equally near.
    """
    level = np.maximum(path, Path.PXB)
    return np.asarray((level == level.min(axis=1, keepdims=True)).any(axis=0), bool)


def pair(path: IntArray, hops: IntArray) -> list[tuple[int, ...]]:
    """GPUs of each NIC, its first GPU first; () for a NIC that none uses.

    Every GPU takes a NIC with the nearest path, as NCCL does. Of the ways to do so, all GPUs together take the one that
    shares NICs least, then the one with fewest hops, then the one that keeps the order of both. NICs left over go to
    their nearest GPU that has fewest.

    Parameters
    ----------
    path, hops
        [gpus, nics] `Path` and PCIe hops of each pair; at least one of each.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - help stays quick

    gpus, nics = path.shape
    _, column = linear_sum_assignment(_cost(path, hops, gpus))  # rows come back in order
    chosen = column // gpus
    served: list[list[int]] = [[] for _ in range(nics)]
    for g, n in enumerate(chosen.tolist()):
        served[n].append(g)
    count = [1] * gpus
    for n in range(nics):
        if not served[n]:
            near = np.flatnonzero(path[:, n] == path[:, n].min())
            g = int(min(near.tolist(), key=lambda g: (count[g], abs(g * nics - n * gpus))))
            count[g] += 1
            if count[g] <= MAX_OWN:
                served[n].append(g)
    return [tuple(gpus_of) for gpus_of in served]


def _cost(path: IntArray, hops: IntArray, copies: int) -> FloatArray:
    """[gpus, nics * copies] float64: copy c of a NIC is its use by a (c + 1)-th GPU."""
    gpus, nics = path.shape
    gap = (np.arange(gpus)[:, None] * nics - np.arange(nics)[None] * gpus).astype(float) ** 2
    order = gap / (gap.max() * gpus + 1)  # all of them together are less than one hop
    near = path == path.min(axis=1, keepdims=True)
    few = np.where(near, np.minimum(hops, 255), 0) + order
    share = 256.0 * gpus * np.arange(copies)  # a shared NIC is worse than any number of hops
    far = np.where(near, 0.0, 256.0 * gpus * (copies + 1) * gpus)
    return np.asarray((few + far)[:, :, None] + share, float).reshape(gpus, nics * copies)
