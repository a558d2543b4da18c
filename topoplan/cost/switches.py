"""The real graph of a fabric: its switches, the cables between them, and the switch that each port is plugged into.

Switches and cables come from `Fabric.links`, the leaf switches of a group from `Group.switches` or, where a group is
one switch, from its name. A fabric without links is taken as the tree of its groups: a node for each rail switch (or
group), joined to the one above by its uplink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, FloatArray, Group, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Sparse = csr_array[np.float64, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class SwitchGraph:
    """Switches and the cables between them.

    Parameters
    ----------
    names
        Of the switches.
    a, b
        [links] int64 switches at both ends.
    count
        [links] float64 cables.
    bandwidth
        [links] float64 bytes/s of one cable, each direction.
    plane
        [links] int64 plane that the cables belong to; all 0 where planes share them.
    port_switch
        A [ports, switches] matrix for each plane: the share of a port's bytes that goes through each switch, all of it
        through one unless a group has several switches a rail. A row of zeros is a port that reaches no switch.
    """

    names: tuple[str, ...]
    a: IntArray
    b: IntArray
    count: FloatArray
    bandwidth: FloatArray
    plane: IntArray
    port_switch: tuple[Sparse, ...]

    @property
    def capacity(self) -> FloatArray:
        """[links] float64 bytes/s of all cables of a link, each direction."""
        return self.count * self.bandwidth

    def in_plane(self, plane: int) -> IntArray:
        """Indices of the links that carry the traffic of `plane`; a link of no cables carries none."""
        return np.flatnonzero((self.count > 0) & ((self.plane == plane) | (not self.plane.any())))


def switch_graph(fabric: Fabric) -> SwitchGraph:
    """Graph of the switches of `fabric`.

    Raises
    ------
    InputError
        Links that do not say which switch is a group's.
    """
    return _Builder(fabric).graph()


class _Builder:
    """Numbers switches as they come up."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.index: dict[str, int] = {}
        self.links: list[tuple[int, int, float, float, int]] = [
            (self._node(link.a), self._node(link.b), float(link.count), link.bandwidth_bytes_per_s, link.plane)
            for link in fabric.links
        ]
        self.cabled = frozenset(self.index)

    def graph(self) -> SwitchGraph:
        if not self.cabled:
            self._add_uplinks()
        ports = [self._ports(plane) for plane in range(self.fabric.planes)]
        columns = np.array(self.links, np.float64).reshape(-1, 5).T
        return SwitchGraph(
            tuple(self.index),
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2],
            columns[3],
            columns[4].astype(np.int64),
            tuple(self._matrix(rows) for rows in ports),
        )

    def _node(self, name: str) -> int:
        return self.index.setdefault(name, len(self.index))

    def switches(self, group: Group, rail: int) -> list[int]:
        """Switches of a rail of a group; none where the rail has none."""
        rail = rail if group.rails > 1 else 0
        if self.cabled and group.switches:
            share = len(group.switches) // group.rails
            return [self._node(name) for name in group.switches[rail * share : (rail + 1) * share] if name]
        if not self.cabled:
            return [self._tree_node(group, rail)]
        if group.name not in self.cabled:
            raise InputError(
                f"the links do not say which switches group {group.name} is made of",
                hint="name them under `switches` of the group, rail by rail",
            )
        return [self._node(group.name)]

    def _add_uplinks(self) -> None:
        """Links of a fabric that lists none: each rail of a group to that of the group above."""
        for group in self.fabric.groups:
            for rail, count in enumerate(group.uplinks):
                if count > 0:
                    low = self._tree_node(group, rail)
                    high = self._tree_node(self.fabric.groups[group.parent], rail)
                    self.links.append((low, high, count, group.link_bandwidth_bytes_per_s, 0))

    def _tree_node(self, group: Group, rail: int) -> int:
        return self._node(f"{group.name} rail {rail}" if group.rails > 1 else group.name)

    def _ports(self, plane: int) -> list[tuple[int, int, float]]:
        """(port, switch, share) of all ports with bandwidth."""
        fabric = self.fabric
        found: list[tuple[int, int, float]] = []
        cache: dict[tuple[int, int], list[int]] = {}
        for port in np.flatnonzero(fabric.port_bandwidth > 0).tolist():
            key = (int(fabric.port_group[plane, port]), port % fabric.rails)
            if key[0] < 0:
                continue
            if key not in cache:
                cache[key] = self.switches(fabric.groups[key[0]], key[1])
            found += [(port, switch, 1 / len(cache[key])) for switch in cache[key]]
        return found

    def _matrix(self, entries: list[tuple[int, int, float]]) -> Sparse:
        from scipy.sparse import csr_array  # noqa: PLC0415 - slow to import, and few commands need a graph

        port, switch, share = np.array(entries, np.float64).reshape(-1, 3).T
        shape = (len(self.fabric.port_bandwidth), len(self.index))
        return csr_array((share, (port.astype(np.int64), switch.astype(np.int64))), shape=shape)
