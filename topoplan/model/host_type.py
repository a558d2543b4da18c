"""A kind of host: its GPUs or slices of them, which of them NVLink joins, and the NICs beside each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from topoplan.errors import InputError


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of a host type; each port of an adapter that has a device name of its own counts as one.

    Parameters
    ----------
    rail
        Rail it belongs to: NICs of equal rail meet in one switch of a leaf group.
    bandwidth_bytes_per_s
        Each direction.
    gpu
        Index of the GPU it is closest to.
    name
        Device name such as mlx5_0; "" when unknown.
    also
        Further GPUs that use it, having no nearer one.
    plane
        Parallel network it leads to, where a host has several and no attachment says more.
    network
        What it is for: "" for the network that GPUs talk over, else storage, front-end and the like.
    """

    rail: int
    bandwidth_bytes_per_s: float
    gpu: int
    name: str = ""
    also: tuple[int, ...] = ()
    plane: int = 0
    network: str = ""


@dataclass(frozen=True, slots=True)
class HostType:
    """A kind of host.

    Parameters
    ----------
    gpus
        GPUs in the host, at least 1; where GPUs are cut into slices, the slices: places for one rank each.
    nics
        Its back-end NICs; may be empty.
    scale_up_gpus
        GPUs in one NVLink domain inside the host: `gpus` for HGX, 2 for pairs, 1 without NVLink; the largest of them
        where `domains` differ in size.
    scale_up_bandwidth_bytes_per_s
        Of one GPU, each direction.
    speed
        Compute speed relative to the other types.
    domains
        NVLink domain of each GPU, where domains are not runs of `scale_up_gpus` consecutive GPUs.
    switches
        PCIe switch (or NUMA node, without switches) of each GPU; empty when unknown.
    slices
        Places that each physical GPU is cut into (MIG), in order; empty where every place is a whole GPU.
    other_nics
        NICs of front-end, storage and management networks; ranks never talk over them.
    """

    name: str
    gpus: int
    nics: tuple[Nic, ...]
    scale_up_gpus: int
    scale_up_bandwidth_bytes_per_s: float
    gpu_memory_bytes: float | None = None
    flops_per_s: float | None = None
    speed: float = 1.0
    domains: tuple[int, ...] = ()
    switches: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()
    other_nics: tuple[Nic, ...] = ()

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError(f"host type {self.name}: at least one GPU is needed")
        self._normalise_parts()
        if not 1 <= self.scale_up_gpus <= self.gpus:
            raise InputError(f"host type {self.name}: a scale-up domain holds 1 to {self.gpus} GPUs")
        used = (gpu for nic in (*self.nics, *self.other_nics) for gpu in (nic.gpu, *nic.also))
        if any(not 0 <= gpu < self.gpus for gpu in used):
            raise InputError(f"host type {self.name}: a NIC names a GPU that the host does not have")
        if self.slices and (min(self.slices) < 1 or sum(self.slices) != self.gpus):
            raise InputError(f"host type {self.name}: its GPUs are cut into {sum(self.slices)} slices, not {self.gpus}")

    def _normalise_parts(self) -> None:
        """Number domains and switches by their first GPU, and drop domains that `scale_up_gpus` says as well."""
        for field in ("domains", "switches"):
            labels = getattr(self, field)
            if labels and len(labels) != self.gpus:
                raise InputError(f"host type {self.name}: {field} are given for {len(labels)} of {self.gpus} GPUs")
            object.__setattr__(self, field, numbered(labels))
        if self.domains:
            largest = max(self.domains.count(domain) for domain in self.domains)
            if largest != self.scale_up_gpus:
                raise InputError(f"host type {self.name}: its largest domain holds {largest} GPUs")
            if self.domains == _runs(self.gpus, largest):
                object.__setattr__(self, "domains", ())

    @property
    def domain_of_gpu(self) -> tuple[int, ...]:
        """NVLink domain of each GPU, numbered from 0 inside the host."""
        return self.domains or _runs(self.gpus, self.scale_up_gpus)

    @property
    def nics_of_gpu(self) -> tuple[tuple[int, ...], ...]:
        """NICs (indices) that each GPU uses: those beside it, else those it shares, else that of the nearest GPU."""
        return tuple(self._nics_of(gpu) for gpu in range(self.gpus))

    def _nics_of(self, gpu: int) -> tuple[int, ...]:
        own = tuple(i for i, nic in enumerate(self.nics) if nic.gpu == gpu)
        shared = tuple(i for i, nic in enumerate(self.nics) if gpu in nic.also)
        if own or shared:
            return own or shared
        return tuple(sorted(range(len(self.nics)), key=lambda i: (abs(self.nics[i].gpu - gpu), i))[:1])

    @property
    def nic_of_gpu(self) -> tuple[int, ...]:
        """Index of the first NIC that each GPU uses, -1 without NICs; its other NICs are in `nics_of_gpu`."""
        return tuple(nics[0] if nics else -1 for nics in self.nics_of_gpu)


def numbered(labels: Iterable[int]) -> tuple[int, ...]:
    """`labels` as numbers from 0 in the order in which they first appear."""
    number: dict[int, int] = {}
    return tuple(number.setdefault(label, len(number)) for label in labels)


def _runs(gpus: int, size: int) -> tuple[int, ...]:
    return tuple(gpu // max(size, 1) for gpu in range(gpus))
