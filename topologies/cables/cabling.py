"""Cabling: which port of which host is plugged into which switch, before anybody spoke of rails and tiers.

Readers of network files fill it; `topoplan.topologies.cables.infer` turns it into a Fabric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from topoplan.model.host_type import Nic


@dataclass(frozen=True, slots=True)
class Port:
    """A cable from a host to a switch.

    Parameters
    ----------
    device
        Adapter's name, "" when unknown.
    ordinal
        Adapter's position in the host, gaps allowed; -1 when unknown.
    card
        What distinguishes the adapters of a host; ports of one adapter share it.
    switch
        Index into `Cabling.switches`.
    plane
        Which of the ports of its adapter it is, for readers that know; -1 otherwise.
    """

    host: str
    device: str
    ordinal: int
    card: str
    switch: int
    bandwidth_bytes_per_s: float
    plane: int = -1


@dataclass(slots=True)
class Cabling:
    """Hosts, switches and cables.

    Parameters
    ----------
    switches
        Their names, all different.
    trunks
        (lower switch index, higher switch index, bytes/s of one cable) -> number of cables.
    nameless
        Switch index -> cables to adapters that are left out, as nobody knows their host or they carry other traffic.
    others
        Host -> its NICs of other networks (storage, management ...), each once.
    """

    switches: tuple[str, ...]
    ports: tuple[Port, ...]
    trunks: Counter[tuple[int, int, float]]
    nameless: Counter[int] = field(default_factory=Counter)
    others: dict[str, tuple[Nic, ...]] = field(default_factory=dict)

    def neighbours(self) -> list[Counter[int]]:
        """For each switch, the cables to each other switch."""
        table: list[Counter[int]] = [Counter() for _ in self.switches]
        for (a, b, _), count in self.trunks.items():
            table[a][b] += count
            table[b][a] += count
        return table


class Components:
    """Sets that grow together (union-find)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        """Return the member that stands for the set of `item`."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join_pair(self, a: int, b: int) -> None:
        """Make one set of the sets of two items; quicker than `join`."""
        a, b = self.find(a), self.find(b)
        if a < b:
            self._parent[b] = a
        elif b < a:
            self._parent[a] = b

    def join(self, items: Iterable[int]) -> None:
        """Make one set of the sets of all `items`; its smallest stands for it."""
        roots = sorted({self.find(item) for item in items})
        for root in roots[1:]:
            self._parent[root] = roots[0]
