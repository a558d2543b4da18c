"""NVLink domains of several files joined: each file may know some of a domain's hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from topoplan.errors import InputError
from topoplan.model.fabric import Island
from topoplan.topologies.cables.cabling import Components
from topoplan.topologies.merge.parts import SCALE_UP, Part, some
from topoplan.topologies.reading import ISLANDS


@dataclass(frozen=True, slots=True)
class _Claim:
    """An island of a file, in merged host indices; `finer` claims win over those that hold them."""

    part: int
    island: Island
    hosts: frozenset[int]


def join_islands(
    parts: Sequence[Part], host_of: Sequence[Mapping[int, int]], names: Sequence[str], scale_up: Sequence[float]
) -> tuple[tuple[Island, ...], list[str]]:
    """Islands of all parts, and where they disagree.

    Islands of one name, or that share a host, are one. Where one file splits what another holds together, the finer
    one counts: racks may be cut into partitions, which is what NVLink obeys.

    Parameters
    ----------
    host_of
        For each part, host in its fabric -> merged host.
    names
        Of the merged hosts.
    scale_up
        NVLink bytes/s of a GPU of each merged host, 0 where no file says; for islands whose bandwidth was assumed.

    Raises
    ------
    InputError
        Islands that cross: each file joins hosts that the other separates.
    """
    tellers = [p for p, part in enumerate(parts) if part.fabric.islands and ISLANDS in part.tells]
    tellers = tellers or [p for p, part in enumerate(parts) if part.fabric.islands]
    claims = [
        _Claim(p, island, frozenset(host_of[p][h] for h in island.hosts))
        for p in tellers
        for island in parts[p].fabric.islands
    ]
    islands: list[Island] = []
    warnings: list[str] = []
    for group in _related(claims):
        found, notes = _settle(parts, group, names)
        warnings += notes
        islands += [_island(parts, claim, hosts, scale_up) for claim, hosts in found]
    return _named_apart(islands), warnings


def _related(claims: Sequence[_Claim]) -> list[list[_Claim]]:
    """Claims that share hosts or, across files, a name; in the order of their first."""
    components = Components(len(claims))
    by_host: dict[int, int] = {}
    by_name: dict[str, int] = {}
    for c, claim in enumerate(claims):
        components.join([c, by_name.setdefault(claim.island.name, c)])
        for host in claim.hosts:
            components.join([c, by_host.setdefault(host, c)])
    groups: defaultdict[int, list[_Claim]] = defaultdict(list)
    for c, claim in enumerate(claims):
        groups[components.find(c)].append(claim)
    return list(groups.values())


def _settle(
    parts: Sequence[Part], group: Sequence[_Claim], names: Sequence[str]
) -> tuple[list[tuple[_Claim, frozenset[int]]], list[str]]:
    """Islands (with the claim that gives name and bandwidth) that related claims come to."""
    known: defaultdict[int, set[int]] = defaultdict(set)
    for claim in group:
        known[claim.part] |= claim.hosts
    count = {p: sum(claim.part == p for claim in group) for p in known}
    if max(count.values()) == 1:
        return [(group[0], frozenset().union(*(claim.hosts for claim in group)))], []
    fine = max(count, key=lambda p: (count[p], len(known[p]), -p))
    pieces = [claim for claim in group if claim.part == fine]
    left: list[tuple[_Claim, frozenset[int]]] = []
    coarse = set()
    for other in (claim for claim in group if claim.part != fine):
        touched = [piece for piece in pieces if piece.hosts & other.hosts]
        if len(touched) > 1:
            coarse.add(other.part)
            crossing = [piece for piece in touched if (piece.hosts & known[other.part]) - other.hosts]
            if crossing:
                raise _crossing(parts, other, crossing[0], names)
        rest = other.hosts - known[fine]
        if rest and len(touched) == 1:
            at = pieces.index(touched[0])
            pieces[at] = _Claim(fine, touched[0].island, touched[0].hosts | rest)
        elif rest:
            left.append((other, frozenset(rest)))
    notes = [
        f"NVLink domains are smaller in {parts[fine].source} than in {parts[p].source}, such as "
        f"{pieces[0].island.name} ({some(names[h] for h in pieces[0].hosts)}): the smaller ones count"
        for p in sorted(coarse)
    ]
    return [*((piece, piece.hosts) for piece in pieces), *left], notes


def _crossing(parts: Sequence[Part], a: _Claim, b: _Claim, names: Sequence[str]) -> InputError:
    return InputError(
        f"NVLink domain {a.island.name} of {parts[a.part].source} ({some(names[h] for h in a.hosts)}) crosses "
        f"{b.island.name} of {parts[b.part].source} ({some(names[h] for h in b.hosts)})",
        hint="one of the files is of another day or another cluster: leave it out",
    )


def _island(parts: Sequence[Part], claim: _Claim, hosts: frozenset[int], scale_up: Sequence[float]) -> Island:
    bandwidth = claim.island.bandwidth_bytes_per_s
    if not parts[claim.part].knows(SCALE_UP):
        bandwidth = max((scale_up[h] for h in hosts), default=0.0) or bandwidth
    return Island(claim.island.name, tuple(sorted(hosts)), bandwidth)


def _named_apart(islands: Sequence[Island]) -> tuple[Island, ...]:
    used: set[str] = set()
    found = []
    for island in islands:
        name, n = island.name, 1
        while name in used:
            n += 1
            name = f"{island.name}-{n}"
        used.add(name)
        found.append(Island(name, island.hosts, island.bandwidth_bytes_per_s))
    return tuple(found)
