"""Which GPUs of a host a job takes that does not need them all, and in which order ranks go onto a host's GPUs.

Two GPUs that share a NIC halve each other's way out, two that no NVLink joins meet over it. So a job that spans hosts
takes GPUs with NICs of their own first, one that lies inside a host GPUs of one NVLink domain first; then the fewest
PCIe switches, then GPUs beside their NIC before those that use one of a GPU's further away, then the lowest numbers,
which is what every launcher takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from topoplan.model.fabric import Fabric, HostType, IntArray

MAX_SETS = 20_000  # sets of GPUs tried; C(16, 8) is 12,870, larger hosts are filled greedily

Key = tuple[float, ...]


def choose(kind: HostType, free: Sequence[int], count: int, *, alone: bool) -> tuple[int, ...]:
    """`count` of the GPUs `free`, ascending.

    Parameters
    ----------
    alone
        Whether the job lies on this host alone, so that no traffic of it needs a NIC.
    """
    if count >= len(free):
        return tuple(free)
    worth = _Worth(kind, alone)
    if comb(len(free), count) <= MAX_SETS:
        return min(combinations(free, count), key=worth)  # the first of equals has the lowest numbers
    taken: tuple[int, ...] = ()
    while len(taken) < count:
        taken = min((tuple(sorted((*taken, gpu))) for gpu in free if gpu not in taken), key=worth)
    return taken


class _Worth:
    """Key of a set of GPUs, lower is better."""

    def __init__(self, kind: HostType, alone: bool) -> None:
        self._domain = kind.domain_of_gpu
        self._switch = kind.switches
        self._nics = kind.nics_of_gpu
        self._speed = [nic.bandwidth_bytes_per_s for nic in kind.nics]
        self._beside = {nic.gpu for nic in kind.nics}
        self._alone = alone

    def __call__(self, gpus: Sequence[int]) -> Key:
        nics = {nic for gpu in gpus for nic in self._nics[gpu]}
        out = -sum(self._speed[nic] for nic in sorted(nics))
        domains = len({self._domain[gpu] for gpu in gpus})
        switches = len({self._switch[gpu] for gpu in gpus}) if self._switch else 0
        far = sum(gpu not in self._beside for gpu in gpus)
        return (domains, switches, out) if self._alone else (out, domains, switches, far)


def in_order(fabric: Fabric, gpu: IntArray) -> IntArray:
    """[gpus] int64 place of each GPU in the order in which consecutive ranks go onto its host: NVLink domains whole."""
    tables = [sorted(range(kind.gpus), key=kind.domain_of_gpu.__getitem__) for kind in fabric.host_types]
    place = np.zeros((len(tables), max(map(len, tables))), np.int64)
    for row, order in zip(place, tables, strict=True):
        row[order] = np.arange(len(order))
    return np.asarray(place[fabric.host_type[fabric.gpu_host[gpu]], fabric.gpu_local[gpu]], np.int64)


def last_host_well(fabric: Fabric, ordered: IntArray, ranks: int) -> IntArray:
    """[ranks] int64 the first GPUs of `ordered`, those of the last host well chosen where not all of it is needed.

    Parameters
    ----------
    ordered
        [gpus] int64 GPUs that may be used, those of a host together.
    """
    taken = ordered[:ranks]
    host = int(fabric.gpu_host[taken[-1]])
    mine = ordered[fabric.gpu_host[ordered] == host]
    before = taken[fabric.gpu_host[taken] != host]
    count = ranks - len(before)
    if count >= len(mine):
        return taken
    first = int(fabric.gpu_offset[host])
    kind = fabric.host_types[fabric.hosts[host].type]
    chosen = choose(kind, sorted((mine - first).tolist()), count, alone=not len(before))
    kept = np.isin(mine - first, chosen)
    return np.concatenate([before, mine[kept]])
