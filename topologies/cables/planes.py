"""Planes: which port of each adapter a leaf switch serves, where adapters have a port in each of several planes.

Dual-ToR and multi-plane fabrics give an adapter two ports or more, each on a switch of its own. Only readers that know
which port of its adapter a cable is in (`Port.plane`) lead to planes; elsewhere each port is a NIC of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from topoplan.topologies.cables.cabling import Port

_AGREE = 0.9  # assumed: a switch whose ports agree less on their plane serves both ports of the adapters alike


def find_planes(ports: Sequence[Port], members: Iterable[int]) -> dict[int, int]:
    """Switch -> plane of the switches of one leaf group, whose ports are given; empty when they are of one plane.

    Adapters whose ports reach different switches vote; each switch takes the plane of most.
    """
    inside = set(members)
    if len(inside) == 1:
        return {}
    cards: defaultdict[tuple[str, str], list[Port]] = defaultdict(list)
    for port in ports:
        if port.plane >= 0:
            cards[port.host, port.card].append(port)
    votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for group in cards.values():
        if len({port.switch for port in group}) == len({port.plane for port in group}) == len(group) > 1:
            for plane, port in enumerate(sorted(group, key=lambda p: p.plane)):
                votes[port.switch][plane] += 1
    if set(votes) != inside:
        return {}
    plane_of = {switch: min(count, key=lambda p: (-count[p], p)) for switch, count in votes.items()}
    agreed = sum(votes[switch][plane] for switch, plane in plane_of.items())
    planes = set(plane_of.values())
    clear = agreed >= _AGREE * sum(count.total() for count in votes.values())
    return plane_of if clear and planes == set(range(len(planes))) and len(planes) > 1 else {}


def split(members: tuple[int, ...], plane_of: dict[int, int]) -> list[tuple[int, ...]]:
    """`members` by plane, plane 0 first."""
    if not plane_of:
        return [members]
    return [tuple(s for s in members if plane_of[s] == plane) for plane in range(max(plane_of.values()) + 1)]
