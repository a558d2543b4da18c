"""Host types and attachments: what the adapters that a network file shows make of each host."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from topoplan.model.fabric import Attachment, HostType, Nic
from topoplan.names import natural_key
from topoplan.topologies.cables.cabling import Port
from topoplan.topologies.cables.leaves import Leaves
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S


@dataclass(frozen=True, slots=True)
class Seat:
    """A port of a host with its place: `gpu` is the GPU nearest to it, `group` the leaf group it reaches.

    An adapter with a port in each of several planes has one seat with the bandwidth of all its ports; `planes` then
    lists the plane and group of each port.
    """

    port: Port
    rail: int
    gpu: int
    group: int
    planes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host in the making: seats in the order of its adapters, `gpus`, the leaf group most of them reach, its kind."""

    name: str
    home: int
    gpus: int
    seats: tuple[Seat, ...]
    kind: HostType | None = None

    @property
    def signature(self) -> tuple[object, ...]:
        """What makes two hosts the same type."""
        kind = self.kind.name if self.kind else ""
        return (self.gpus, kind, *((s.rail, s.gpu, s.port.bandwidth_bytes_per_s) for s in self.seats))

    def attachments(self, group_index: Sequence[int]) -> tuple[Attachment, ...]:
        """Where each NIC goes, empty when all go to the home group.

        NICs of one rail that reach different groups are put on different planes, as one port cannot be in two groups.
        """
        if any(seat.planes for seat in self.seats):
            return tuple(
                Attachment(nic, group_index[group], plane)
                for nic, seat in enumerate(self.seats)
                for plane, group in seat.planes or ((0, seat.group),)
            )
        if all(seat.group == self.home for seat in self.seats):
            return ()
        planes: defaultdict[int, list[int]] = defaultdict(list)
        for seat in self.seats:
            if seat.group not in planes[seat.rail]:
                planes[seat.rail].append(seat.group)
        return tuple(
            Attachment(nic, group_index[seat.group], planes[seat.rail].index(seat.group))
            for nic, seat in enumerate(self.seats)
        )


def plan_hosts(
    ports: Sequence[Port], leaves: Leaves, host_type: HostType | None, types: Mapping[str, HostType]
) -> list[HostPlan]:
    """Seat the ports of all hosts, of which `types` names the kinds; hosts follow the order of the leaf groups."""
    ports_of: defaultdict[str, list[Port]] = defaultdict(list)
    for port in ports:
        ports_of[port.host].append(port)
    planner = _Planner(ports_of, leaves, host_type, types)
    return [planner.plan(host, home) for home, group in enumerate(leaves.groups) for host in group.hosts]


class _Planner:
    """Orders the adapters of each host and finds the rail and GPU of each."""

    def __init__(
        self,
        ports_of: dict[str, list[Port]],
        leaves: Leaves,
        host_type: HostType | None,
        types: Mapping[str, HostType],
    ) -> None:
        self._ports_of = ports_of
        self._groups = leaves.groups
        self._host_type = host_type
        self._types = types
        self._group_of = {switch: k for k, group in enumerate(leaves.groups) for switch in group.switches}
        # Ordinal of an adapter -> its number among those of a full host; empty when ordinals do not tell.
        self._number = {label: n for n, label in enumerate(leaves.labels or self._common_ordinals())}

    def _common_ordinals(self) -> list[int]:
        ordinals = {port.ordinal for ports in self._ports_of.values() for port in ports}
        most = max(len({port.card for port in ports}) for ports in self._ports_of.values())
        return sorted(ordinals) if len(ordinals) == most and -1 not in ordinals else []

    def plan(self, host: str, home: int) -> HostPlan:
        """Seat the ports of one host."""
        ports = sorted(self._ports_of[host], key=_physical_order)
        ordinal_of = {port.card: port.ordinal for port in ports}  # cards in physical order
        known = bool(self._number) and len(set(ordinal_of.values()) & self._number.keys()) == len(ordinal_of)
        number = {c: self._number[o] if known else i for i, (c, o) in enumerate(ordinal_of.items())}
        full = len(self._number) if known else len(ordinal_of)
        kind = self._types.get(host, self._host_type)
        gpus = kind.gpus if kind else len(ordinal_of)
        if kind and len(kind.nics) == full:
            gpu_of = {card: kind.nics[number[card]].gpu for card in ordinal_of}
        elif kind:
            gpu_of = {card: number[card] * gpus // full for card in ordinal_of}
        else:
            gpu_of = {card: rank for rank, card in enumerate(ordinal_of)}
        seats = [self._seat(port, number[port.card], gpu_of[port.card]) for port in ports]
        return HostPlan(host, home, gpus, self._join_planes(seats), kind)

    def _join_planes(self, seats: list[Seat]) -> tuple[Seat, ...]:
        """One seat for the ports of an adapter that reach a group of each of several planes."""
        of_card: defaultdict[str, list[Seat]] = defaultdict(list)
        for seat in seats:
            of_card[seat.port.card].append(seat)
        joined: list[Seat] = []
        for group in of_card.values():
            planes = sorted((self._groups[seat.group].plane, seat.group) for seat in group)
            if planes[-1][0] == 0 or len({plane for plane, _ in planes}) < len(group):
                joined.extend(group)
                continue
            first = min(group, key=lambda seat: self._groups[seat.group].plane)
            total = sum(seat.port.bandwidth_bytes_per_s for seat in group)
            port = dataclasses.replace(first.port, bandwidth_bytes_per_s=total)
            joined.append(dataclasses.replace(first, port=port, planes=tuple(planes)))
        return tuple(joined)

    def _seat(self, port: Port, number: int, gpu: int) -> Seat:
        group = self._group_of[port.switch]
        shared = self._groups[group].rails == 1
        return Seat(port, number if shared else self._groups[group].rail_of[port.switch], gpu, group)


def _physical_order(port: Port) -> tuple[object, ...]:
    return (port.ordinal < 0, port.ordinal, natural_key(port.device), port.card, port.switch)


def make_types(
    plans: Sequence[HostPlan], others: Mapping[str, tuple[Nic, ...]]
) -> tuple[list[HostType], dict[object, int]]:
    """Host types of `plans`, the most frequent first, and signature -> index; `others` are NICs of other networks.

    A type has those of other networks that all its hosts have: they decide nothing, so they make no further types.
    """
    count = Counter(plan.signature for plan in plans)
    speeds = Counter(seat.port.bandwidth_bytes_per_s for plan in plans for seat in plan.seats)
    usual = max(speeds, key=lambda s: (speeds[s], s))
    members: defaultdict[object, list[HostPlan]] = defaultdict(list)
    for plan in plans:
        members[plan.signature].append(plan)
    order = sorted(count, key=lambda signature: (-count[signature], str(signature)))
    types: list[HostType] = []
    for signature in order:
        name = _type_name(members[signature][0], usual)
        same = sum(kind.name == name or kind.name.startswith(f"{name}-v") for kind in types)
        kind = _make_type(f"{name}-v{same + 1}" if same else name, members[signature])
        if not kind.other_nics:
            kind = dataclasses.replace(kind, other_nics=_common([others.get(p.name, ()) for p in members[signature]]))
        types.append(kind)
    return types, {signature: n for n, signature in enumerate(order)}


def _common(lists: Sequence[tuple[Nic, ...]]) -> tuple[Nic, ...]:
    """NICs that stand in each of `lists`, by name."""
    if not all(lists):
        return ()
    shared = set(lists[0]).intersection(*lists[1:])
    return tuple(sorted(shared, key=lambda nic: (nic.network, natural_key(nic.name))))


def _type_name(plan: HostPlan, usual: float) -> str:
    """Name such as hca-4, or hca-3-rails-0-1-3 where adapters and rails do not run alike."""
    host_type = plan.kind
    name = host_type.name if host_type else f"hca-{plan.gpus}"
    rails = [seat.rail for seat in plan.seats]
    if rails != list(range(len(rails))):
        name += "-rails-" + "-".join(map(str, rails))
    elif host_type and len(rails) != len(host_type.nics):
        name += f"-nics-{len(rails)}"
    speeds = {seat.port.bandwidth_bytes_per_s for seat in plan.seats}
    if speeds != {usual}:
        name += "-" + "-".join(f"{speed * 8 / 1e9:.0f}g" for speed in sorted(speeds))
    return name


def _make_type(name: str, plans: Sequence[HostPlan]) -> HostType:
    host_type = plans[0].kind
    nics = []
    for i, seat in enumerate(plans[0].seats):
        devices = {plan.seats[i].port.device for plan in plans} - {""}
        device = devices.pop() if len(devices) == 1 else ""
        nics.append(Nic(seat.rail, seat.port.bandwidth_bytes_per_s, seat.gpu, device))
    if host_type:
        return dataclasses.replace(host_type, name=name, nics=tuple(nics))
    gpus = plans[0].gpus
    return HostType(name, gpus, tuple(nics), gpus, DEFAULT_SCALE_UP_BYTES_PER_S)
