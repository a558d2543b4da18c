"""Where each rank runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, IntArray


@dataclass(frozen=True, eq=False)
class RankPlacement:
    """A one-to-one map of ranks onto usable GPUs of a fabric.

    Parameters
    ----------
    fabric
        The fabric that `gpu` indexes.
    gpu
        [ranks] int64 global GPU of each rank.

    Raises
    ------
    InputError
        Two ranks share a GPU, or a GPU does not exist or is not usable.
    """

    fabric: Fabric
    gpu: IntArray

    def __post_init__(self) -> None:
        gpu = np.ascontiguousarray(self.gpu, np.int64)
        object.__setattr__(self, "gpu", gpu)
        gpu.flags.writeable = False
        if gpu.ndim != 1 or not len(gpu):
            raise InputError("a placement needs at least one rank")
        if gpu.min() < 0 or gpu.max() >= self.fabric.gpus:
            raise InputError("a rank is placed on a GPU that the fabric does not have")
        used = np.bincount(gpu, minlength=self.fabric.gpus)
        if used.max() > 1:
            first, second = np.flatnonzero(gpu == used.argmax())[:2]
            raise InputError(f"ranks {first} and {second} share {self.fabric.host_names[self.host[first]]}")
        if not self.fabric.gpu_free[gpu].all():
            rank = int(np.flatnonzero(~self.fabric.gpu_free[gpu])[0])
            raise InputError(
                f"rank {rank} is placed on {self.fabric.host_names[self.host[rank]]}, which is unavailable"
            )

    @classmethod
    def from_hosts(cls, fabric: Fabric, hosts: list[str], local: list[int]) -> RankPlacement:
        """Placement from the host name (or alias) and the GPU index inside the host of each rank."""
        index = np.empty(len(hosts), np.int64)
        for rank, (name, gpu) in enumerate(zip(hosts, local, strict=True)):
            h = fabric.alias_index.get(name, -1)
            if h < 0:
                raise InputError(f"rank {rank} is on host {name!r}, which the fabric does not have")
            if not 0 <= gpu < fabric.host_gpus[h]:
                raise InputError(f"rank {rank} is on GPU {gpu} of {name}, which has {fabric.host_gpus[h]}")
            index[rank] = fabric.gpu_offset[h] + gpu
        return cls(fabric, index)

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return len(self.gpu)

    @property
    def host(self) -> IntArray:
        """[ranks] int64 index of each rank's host."""
        return np.asarray(self.fabric.gpu_host[self.gpu], np.int64)

    @property
    def local(self) -> IntArray:
        """[ranks] int64 index of each rank's GPU inside its host."""
        return np.asarray(self.fabric.gpu_local[self.gpu], np.int64)

    @property
    def nic(self) -> IntArray:
        """[ranks] int64 index inside the host of the NIC of each rank's GPU, -1 without one."""
        return np.asarray(self.fabric.gpu_nic[self.gpu], np.int64)

    def host_order(self) -> IntArray:
        """Hosts in the order in which ranks first use them."""
        hosts, first = np.unique(self.host, return_index=True)
        return np.asarray(hosts[np.argsort(first)], np.int64)
