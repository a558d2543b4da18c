"""Links that leave each group: as counted, from an oversubscription, or assumed 1:1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from topoplan.errors import InputError
from topoplan.files.fabric_shape import GroupShape
from topoplan.files.marked import Marked
from topoplan.files.shapes import MAX_COUNT
from topoplan.model.fabric import Host, HostType

_NAMED = 4  # groups that a message lists before it only counts them


class Uplinks:
    """Uplinks of the groups of a file.

    Parameters
    ----------
    parents
        Index of each group's parent, -1 at the top.
    hosts
        All listed hosts, broken ones too: oversubscription counts them.
    """

    def __init__(
        self,
        marked: Marked,
        items: Sequence[GroupShape],
        parents: Sequence[int],
        hosts: Sequence[Host],
        types: Sequence[HostType],
    ) -> None:
        self.marked = marked
        self.items = items
        if sum(item.rails for item in items) > MAX_COUNT:
            raise marked.error(f"more than {MAX_COUNT} rail switches", ("groups",))
        self.parents = parents
        self.types = types
        self.below = self._nics_below(hosts)
        self.default_bandwidth = _commonest(sum((Counter(nics) for nics in self.below), Counter()))
        self._assumed: list[int] = []
        self._idle: list[int] = []

    def _nics_below(self, hosts: Sequence[Host]) -> list[Counter[tuple[int, float]]]:
        """For each group, how many NICs of each (rail, bandwidth) hang below it."""
        below: list[Counter[tuple[int, float]]] = [Counter() for _ in self.items]
        for (kind, group, attach), count in Counter((host.type, host.group, host.attach) for host in hosts).items():
            nics = self.types[kind].nics
            if attach:  # a NIC with several attachments splits its bandwidth over them
                ports = Counter(item.nic for item in attach)
                for item in attach:
                    nic = nics[item.nic]
                    below[item.group][nic.rail, nic.bandwidth_bytes_per_s / ports[item.nic]] += count
            elif group >= 0:
                for nic in nics:
                    below[group][nic.rail, nic.bandwidth_bytes_per_s] += count
        return _summed_upwards(below, self.parents)

    def of(self, k: int) -> tuple[tuple[float, ...], float]:
        """Links on each rail of group `k`, and the bandwidth of one in bytes/s; nothing at the top."""
        item, loc = self.items[k], ("groups", k)
        self._check_rails(k)
        if item.oversubscription is not None and (item.uplink is not None or item.rail_links is not None):
            raise self._error("give uplink or oversubscription, not both", (*loc, "oversubscription"))
        if item.rail_links is not None and (item.uplink is None or item.uplink[0] != 1):
            raise self._error("rail_links needs uplink with the bandwidth of one link, such as 400 Gb/s", loc)
        if item.rail_links is not None and len(item.rail_links) != item.rails:
            raise self._error(f"{len(item.rail_links)} counts for {item.rails} rails", (*loc, "rail_links"))
        if self.parents[k] < 0:
            if item.uplink or item.oversubscription or item.rail_links:
                raise self._error(f"group {item.name} has an uplink but no parent", loc, hint="name the group above it")
            return (), 0.0
        if item.uplink is not None:
            count, bandwidth = item.uplink
            return tuple(map(float, item.rail_links or [count / item.rails] * item.rails)), bandwidth
        if item.oversubscription is None:
            self._assumed.append(k)
        return self._matching(k, item.oversubscription or 1.0)

    def _matching(self, k: int, oversubscription: float) -> tuple[tuple[float, ...], float]:
        """Links as fast as the commonest NIC below that carry all NICs below / `oversubscription`."""
        link = _commonest(self.below[k]) or self.default_bandwidth
        rails = self.items[k].rails
        total = [0.0] * rails
        for (rail, bandwidth), count in sorted(self.below[k].items()):
            total[0 if rails == 1 else rail] += bandwidth * count
        return tuple(part / oversubscription / link if link else 0.0 for part in total), link

    def _check_rails(self, k: int) -> None:
        item = self.items[k]
        used = {rail for rail, _ in self.below[k]}
        if item.rails > 1 and used and max(used) >= item.rails:
            raise self._error(
                f"group {item.name} has {item.rails} rails, but a host below has a NIC on rail {max(used)}",
                ("groups", k, "rails"),
                hint="rails are counted from 0; rails: 1 is one switch that all rails share",
            )
        if item.rails > 1 and used and set(range(item.rails)) - used:
            self._idle.append(k)

    def assumed(self) -> list[str]:
        """What to say about uplinks that the file does not give."""
        return [f"uplinks of {self._named(self._assumed)} are not given: 1:1"] if self._assumed else []

    def warnings(self) -> list[str]:
        """What to say about rails that no NIC uses."""
        return [f"some rails of {self._named(self._idle)} have no NIC below"] if self._idle else []

    def _named(self, groups: Sequence[int]) -> str:
        named = [self.items[k].name for k in groups]
        if len(named) <= _NAMED:
            return ", ".join(named)
        return f"{len(named)} groups ({named[0]} to {named[-1]})"

    def _error(self, message: str, loc: tuple[str | int, ...], *, hint: str = "") -> InputError:
        return self.marked.error(message, loc, hint=hint)


def _commonest(nics: Counter[tuple[int, float]]) -> float:
    """Bandwidth of most NICs, the larger of two equally common ones; 0 without NICs."""
    totals: Counter[float] = Counter()
    for (_, bandwidth), count in nics.items():
        totals[bandwidth] += count
    return max(totals, key=lambda bandwidth: (totals[bandwidth], bandwidth), default=0.0)


def _summed_upwards(
    below: list[Counter[tuple[int, float]]], parents: Sequence[int]
) -> list[Counter[tuple[int, float]]]:
    """Each group's own counts plus those of all groups under it."""
    waiting = Counter(parent for parent in parents if parent >= 0)
    ready = [k for k in range(len(parents)) if not waiting[k]]
    while ready:
        k = ready.pop()
        parent = parents[k]
        if parent >= 0:
            below[parent].update(below[k])
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    return below
