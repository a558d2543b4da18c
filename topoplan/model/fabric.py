"""The fabric: hosts, GPUs, NICs, rails, islands and tiers of groups with counted uplinks, as immutable arrays.

Index conventions, used everywhere: host h, GPU g (global, host-major), rail q, group k (switch or rail-aligned set of
switches), tier t (0 is closest to the hosts). A *port* is the bundle of NICs of one host on one rail, numbered
``host * rails + rail``. An *uplink* is the bundle of links that leaves a group on one rail, numbered
``group * rails + rail``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError
from topoplan.model.fabric_parts import (
    Attachment,
    Group,
    Host,
    Island,
    Link,
    Tier,
    check_groups,
    check_hosts,
    check_members,
    check_unique,
)
from topoplan.model.host_type import HostType, Nic

__all__ = [
    "FIRST_DISTANCE", "ROUTINGS", "Attachment", "BoolArray", "Fabric", "FloatArray", "Group", "Host", "HostType",
    "IntArray", "Island", "Link", "Nic", "Tier",
]  # fmt: skip

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ROUTINGS = ("adaptive", "ecmp", "static")
FIRST_DISTANCE = 10.0  # contract of hop_bytes: 10 inside a group of the first tier, doubling with each tier above


@dataclass(frozen=True, eq=False)
class Fabric:
    """A cluster's network as planners see it.

    Hosts stand in physical order (groups as listed, hosts as listed inside them); the linear baseline follows it.

    Parameters
    ----------
    routing
        "ecmp" hashes flows onto links, "adaptive" spreads perfectly, "static" is priced as ecmp.
    unusable_gpus
        (host index, GPU index) pairs never placed on; a broken host lists all its GPUs.
    assumed
        What the input did not say and a default filled in, for reports.
    warnings
        What the reader could not use.
    """

    name: str
    routing: str
    host_types: tuple[HostType, ...]
    hosts: tuple[Host, ...]
    tiers: tuple[Tier, ...] = ()
    groups: tuple[Group, ...] = ()
    islands: tuple[Island, ...] = ()
    links: tuple[Link, ...] = ()
    unusable_gpus: frozenset[tuple[int, int]] = frozenset()
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.routing not in ROUTINGS:
            raise InputError(f"routing {self.routing!r} is not one of {', '.join(ROUTINGS)}")
        if not self.hosts:
            raise InputError("the fabric has no hosts")
        check_unique("group", [group.name for group in self.groups])
        check_unique("host type", [kind.name for kind in self.host_types])
        check_groups(self.tiers, self.groups)
        check_hosts(self.host_types, self.hosts, len(self.groups))
        check_members(self.host_types, self.hosts, self.islands, self.unusable_gpus)

    # ---- hosts and GPUs ----------------------------------------------------------------------------------------

    @cached_property
    def host_names(self) -> tuple[str, ...]:
        """Name of each host, in physical order."""
        return tuple(host.name for host in self.hosts)

    @cached_property
    def host_index(self) -> dict[str, int]:
        """Host name -> index."""
        return {name: h for h, name in enumerate(self.host_names)}

    @cached_property
    def alias_index(self) -> dict[str, int]:
        """Any name of a host (its own or an alias) -> index; an alias that several hosts share is left out."""
        names: dict[str, int] = {}
        for h, host in enumerate(self.hosts):
            for _, alias in host.aliases:
                names[alias] = -1 if names.get(alias, h) != h else h
        return {name: h for name, h in names.items() if h >= 0} | self.host_index

    @cached_property
    def rails(self) -> int:
        """Number of rails: one more than the highest rail of any NIC, at least 1."""
        return max((nic.rail for kind in self.host_types for nic in kind.nics), default=0) + 1

    @cached_property
    def host_type(self) -> IntArray:
        """[hosts] int64 index into `host_types`."""
        return np.array([host.type for host in self.hosts], np.int64)

    @cached_property
    def host_gpus(self) -> IntArray:
        """[hosts] int64 GPUs in each host, unusable ones too."""
        return np.array([kind.gpus for kind in self.host_types], np.int64)[self.host_type]

    @cached_property
    def gpu_offset(self) -> IntArray:
        """[hosts + 1] int64 first global GPU of each host."""
        return np.concatenate([[0], np.cumsum(self.host_gpus)]).astype(np.int64)

    @property
    def gpus(self) -> int:
        """Number of GPUs, unusable ones too."""
        return int(self.gpu_offset[-1])

    @cached_property
    def gpu_host(self) -> IntArray:
        """[gpus] int64 host of each GPU."""
        return np.repeat(np.arange(len(self.hosts)), self.host_gpus)

    @cached_property
    def gpu_local(self) -> IntArray:
        """[gpus] int64 index of each GPU inside its host."""
        return np.asarray(np.arange(self.gpus) - self.gpu_offset[self.gpu_host], np.int64)

    @cached_property
    def gpu_free(self) -> BoolArray:
        """[gpus] bool whether a rank may be placed there."""
        free = np.ones(self.gpus, bool)
        if self.unusable_gpus:
            pairs = np.array(sorted(self.unusable_gpus), np.int64)
            free[self.gpu_offset[pairs[:, 0]] + pairs[:, 1]] = False
        return free

    @cached_property
    def free_gpus(self) -> IntArray:
        """[hosts] int64 usable GPUs of each host."""
        return np.bincount(self.gpu_host, self.gpu_free, len(self.hosts)).astype(np.int64)

    @cached_property
    def gpu_nic(self) -> IntArray:
        """[gpus] int64 index inside the host of the NIC each GPU uses, -1 without NICs."""
        return self._per_gpu([list(kind.nic_of_gpu) for kind in self.host_types])

    @cached_property
    def gpu_rail(self) -> IntArray:
        """[gpus] int64 rail of the NIC each GPU uses; 0 without NICs."""
        return self._per_gpu(
            [[kind.nics[n].rail if n >= 0 else 0 for n in kind.nic_of_gpu] for kind in self.host_types]
        )

    @cached_property
    def rail_bundle(self) -> IntArray:
        """[rails] int64 lowest of the rails that some GPU uses together with each: itself where GPUs use one each."""
        bundle = np.arange(self.rails)
        for kind in self.host_types:
            for nics in kind.nics_of_gpu:
                together = bundle[[kind.nics[n].rail for n in nics]]
                if len(set(together.tolist())) > 1:
                    bundle[np.isin(bundle, together)] = together.min()
        return bundle

    @cached_property
    def gpu_island(self) -> IntArray:
        """[gpus] int64 NVLink domain of each GPU: a number per domain, in physical order."""
        domain = self._per_gpu([list(kind.domain_of_gpu) for kind in self.host_types])
        width = int(domain.max()) + 1
        key = self.gpu_host * width + domain
        if self.islands:
            first = np.full(len(self.hosts), -1, np.int64)
            for island in self.islands:
                first[list(island.hosts)] = min(island.hosts)
            joined = first[self.gpu_host]
            key = np.where(joined >= 0, joined * width, key)
        return np.asarray(np.unique(key, return_inverse=True)[1], np.int64)

    @cached_property
    def gpu_scale_up(self) -> FloatArray:
        """[gpus] float64 NVLink bytes/s of each GPU, each direction."""
        bandwidth = np.array([kind.scale_up_bandwidth_bytes_per_s for kind in self.host_types])[self.host_type]
        for island in self.islands:
            bandwidth[list(island.hosts)] = island.bandwidth_bytes_per_s
        return np.repeat(bandwidth, self.host_gpus)

    def _per_gpu(self, per_type: list[list[int]]) -> IntArray:
        """[gpus] int64 from one list a host type."""
        table = np.zeros((len(per_type), max(map(len, per_type))), np.int64)
        for row, values in zip(table, per_type, strict=True):
            row[: len(values)] = values
        result: IntArray = table[self.host_type[self.gpu_host], self.gpu_local]
        return result

    # ---- ports: (host, rail) -----------------------------------------------------------------------------------

    @cached_property
    def port_bandwidth(self) -> FloatArray:
        """[hosts * rails] float64 bytes/s of the NICs of a host on a rail, each direction; 0 where there is none."""
        table = np.zeros((len(self.host_types), self.rails))
        for row, kind in zip(table, self.host_types, strict=True):
            for nic in kind.nics:
                row[nic.rail] += nic.bandwidth_bytes_per_s
        result: FloatArray = table[self.host_type].ravel()
        return result

    @cached_property
    def gpu_first_port(self) -> IntArray:
        """[gpus] int64 port of rail 0 of each GPU's host."""
        return self.gpu_host * self.rails

    @cached_property
    def gpu_port(self) -> IntArray:
        """[gpus] int64 port of the NIC that each GPU uses."""
        return self.gpu_first_port + self.gpu_rail

    @cached_property
    def host_group(self) -> IntArray:
        """[hosts] int64 group each host hangs from (its first attachment where it has several), -1 without one."""
        return np.array([host.attach[0].group if host.attach else host.group for host in self.hosts], np.int64)

    @cached_property
    def planes(self) -> int:
        """Number of planes: parallel groups that one port is attached to, at least 1."""
        return 1 + max((a.plane for host in self.hosts for a in host.attach), default=0)

    @cached_property
    def port_group(self) -> IntArray:
        """[planes, hosts * rails] int64 group that a port reaches in each plane, -1 without one.

        A port that a plane does not list uses its group of the nearest lower plane.
        """
        table = np.tile(np.repeat(self.host_group, self.rails), (self.planes, 1))
        for h, host in enumerate(self.hosts):
            nics = self.host_types[host.type].nics
            for item in sorted(host.attach, key=lambda a: a.plane):
                table[item.plane :, h * self.rails + nics[item.nic].rail] = item.group
        return table

    # ---- groups ------------------------------------------------------------------------------------------------

    @cached_property
    def group_ancestor(self) -> IntArray:
        """[tiers, groups + 1] int64 group of tier t that holds group k (itself at its own tier), else -1.

        The last column, index -1, is all -1: the ancestors of hosts without a group.
        """
        table = np.full((len(self.tiers), len(self.groups) + 1), -1, np.int64)
        for k in range(len(self.groups)):
            here = k
            while here >= 0:
                table[self.groups[here].tier, k] = here
                here = self.groups[here].parent
        return table

    @cached_property
    def host_ancestor(self) -> IntArray:
        """[tiers, hosts] int64 group of each tier that holds each host, -1 where none does."""
        result: IntArray = self.group_ancestor[:, self.host_group]
        return result

    @cached_property
    def host_component(self) -> IntArray:
        """[hosts] int64 topmost group above each host, all 0 without groups.

        Hosts of different components cannot reach each other.
        """
        top = np.zeros(len(self.hosts), np.int64)
        for ancestors in self.host_ancestor:
            top = np.where(ancestors >= 0, ancestors, top)
        return top

    @cached_property
    def uplink_links(self) -> FloatArray:
        """[groups * rails] float64 links that leave each group on each rail; 0 at the top and beyond `group_rails`.

        What is less than a link (4 links shared by 8 rails) is one slower link: flows cannot miss it.
        """
        table = self._uplink_table
        return np.where(table > 0, np.maximum(table, 1.0), 0.0)

    @cached_property
    def uplink_link_bandwidth(self) -> FloatArray:
        """[groups * rails] float64 bytes/s of one link of each uplink, each direction."""
        link = np.repeat(np.array([group.link_bandwidth_bytes_per_s for group in self.groups]), self.rails)
        return np.where(self._uplink_table > 0, link * np.minimum(self._uplink_table, 1.0), link)

    @cached_property
    def _uplink_table(self) -> FloatArray:
        """[groups * rails] float64 uplinks as stated, also less than one."""
        table = np.zeros((len(self.groups), self.rails))
        for row, group in zip(table, self.groups, strict=True):
            row[: len(group.uplinks)] = group.uplinks[: self.rails]
        return table.ravel()

    @cached_property
    def group_rails(self) -> IntArray:
        """[groups] int64 rail switches of each group; where it is 1 all rails share uplink 0 of the group."""
        return np.array([group.rails for group in self.groups], np.int64)

    @cached_property
    def port_uplink(self) -> IntArray:
        """[planes, tiers, hosts * rails] int64 uplink (group * rails + rail) of each port at each tier, -1 without one.

        A port's group of a tier has one uplink a rail, or one for all rails.
        """
        if not self.groups:
            return np.full((self.planes, 0, len(self.port_bandwidth)), -1, np.int64)
        group = self.group_ancestor[:, self.port_group].swapaxes(0, 1)
        rail = np.arange(len(self.port_bandwidth)) % self.rails * (self.group_rails[group] > 1)
        return np.asarray(np.where(group >= 0, group * self.rails + rail, -1), np.int64)

    @property
    def top_distance(self) -> float:
        """Distance of two hosts that share no group of any tier."""
        return 2 * self.tiers[-1].distance if self.tiers else FIRST_DISTANCE
