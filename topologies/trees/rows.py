"""Rows of clouds and Kubernetes, a host each: the ids above it, coarsest first, its NVLink domain and what it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.model.host_type import HostType
from topoplan.topologies.hosts import guess
from topoplan.topologies.reading import MAX_HOSTS
from topoplan.topologies.trees.site import MAX_ISLAND_HOSTS, Machine, Paths, Site


@dataclass(frozen=True, slots=True)
class Row:
    """A host.

    Parameters
    ----------
    ids
        Of the network above it, coarsest first; empty when it has no place.
    island
        NVLink domain wider than the host, "" for none.
    instance_type
        The cloud's word for its kind, "" when unknown.
    kind, free
        As in `Machine`.
    """

    name: str
    ids: tuple[str, ...] = ()
    island: str = ""
    instance_type: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    kind: HostType | None = None
    free: int | None = None
    place: Place | None = None


def site_of_rows(rows: Iterable[Row]) -> Site:
    """Site of `rows`; several topmost ids are joined by the network above them, which every cloud has.

    Instances of families without GPUs, login nodes as a rule, are left out where others remain.

    Raises
    ------
    InputError
        A host that stands in two rows.
    """
    site, paths, seen = Site(joined=True), Paths(), set[str]()
    unknown: Counter[str] = Counter()
    used: Counter[str] = Counter()
    islands: defaultdict[str, list[str]] = defaultdict(list)
    rows = list(rows)
    bare = [row.name for row in rows if row.kind is None and guess.has_no_gpus(row.instance_type)]
    if 0 < len(bare) < len(rows):
        site.warnings.append(f"left out, being of kinds without GPUs: {len(bare)} instances such as {min(bare)}")
        rows = [row for row in rows if row.kind is not None or not guess.has_no_gpus(row.instance_type)]
    for row in rows:
        if row.name in seen:
            raise InputError(f"host {row.name} is listed twice", place=row.place)
        seen.add(row.name)
        if len(seen) > MAX_HOSTS:
            raise InputError("more hosts than any fabric has", place=row.place)
        kind = row.kind or guess.of_instance(row.instance_type)
        (used if kind is not None and row.kind is None else unknown)[row.instance_type] += row.kind is None
        site.machines[row.name] = Machine(kind, row.aliases, row.free, bool(row.instance_type))
        paths.add(row.name, row.ids)
        if row.island:
            islands[row.island].append(row.name)
    paths.into(site)
    site.islands = dict(islands)
    _notes(site, used, unknown)
    return site


def _notes(site: Site, used: Counter[str], unknown: Counter[str]) -> None:
    known = sorted(name for name, count in used.items() if name and count)
    if known:
        site.assumed.append(guess.told_of(", ".join(known[:5])))
    strange = sorted(name for name, count in unknown.items() if name and count)
    if strange:
        site.warnings.append(f"instance types not known here, such as {strange[0][:60]}: give --host-type")
    wide = sorted((-len(hosts), name) for name, hosts in site.islands.items() if len(hosts) > MAX_ISLAND_HOSTS)
    if wide:
        site.warnings.append(f"NVLink domain {wide[0][1]} has {-wide[0][0]} hosts; NVL72 racks have {MAX_ISLAND_HOSTS}")
