"""What schedulers, clouds and Kubernetes tell alike: switches, the hosts under them, NVLink domains and aliases.

A reader fills a `Site`, with switches and their children or with `Paths`, the ordered ids above each host;
`topoplan.topologies.trees.tree` turns it into a Fabric.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.model.host_type import HostType
from topoplan.names import check_name
from topoplan.topologies.reading import MAX_TIERS, clean_name, quoted

MAX_ISLAND_HOSTS = 18  # compute trays of an NVL72 rack, the widest NVLink domain there is (NVIDIA's GB200 NVL72 guide)


@dataclass(slots=True)
class Switch:
    """A node of the tree: `children` are names of switches, `hosts` names of hosts; `build` fills the rest."""

    name: str
    place: Place | None = None
    children: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    parent: str = ""
    height: int = 0
    nics: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What a source tells of a host beside its place.

    Parameters
    ----------
    kind
        None when the source does not say; then the user's or an assumed type.
    free
        How many GPUs can be used, all when None. Sources give a count and no indices: the last ones are left out.
    named
        Whether the source says what it is, if in words that are not known here.
    """

    kind: HostType | None = None
    aliases: tuple[tuple[str, str], ...] = ()
    free: int | None = None
    named: bool = False


@dataclass(slots=True)
class Site:
    """What a source tells.

    Parameters
    ----------
    switches
        By name, in the order of the source.
    unplaced
        Hosts that the source names without saying where they hang.
    islands
        NVLink domains wider than a host: name -> hosts, in any order.
    in_order
        Whether switches and hosts stand in an order that means something; else they are sorted naturally.
    joined
        Whether the network goes on above the topmost switches, so that several of them get a group above.
    entry
        What defines a switch in the source, for messages.
    """

    switches: dict[str, Switch] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    unplaced: list[str] = field(default_factory=list)
    islands: dict[str, list[str]] = field(default_factory=dict)
    in_order: bool = False
    joined: bool = False
    entry: str = "SwitchName"
    hint_two_switches: str = "a host hangs from one switch"
    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, switch: Switch) -> None:
        """Take a switch; InputError when one of its name is there."""
        first = self.switches.setdefault(switch.name, switch)
        if first is not switch:
            line = f" (first in line {first.place.line})" if first.place and first.place.line else ""
            raise InputError(f"switch {switch.name} is listed twice{line}", place=switch.place)

    @property
    def host_names(self) -> list[str]:
        """All hosts, in the order of the source."""
        return [*(host for switch in self.switches.values() for host in switch.hosts), *self.unplaced]


class Paths:
    """Collects hosts by the ids above them, coarsest first, and makes switches of them.

    A switch is its whole path: rack r1 of block b1 is not rack r1 of block b2. Its name is its own id where no other
    switch has that, else the ids of its path joined by "-". An id that follows itself stands for no level of its own.
    """

    def __init__(self) -> None:
        self._hosts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        self._nodes: dict[tuple[str, ...], None] = {}

    def add(self, host: str, ids: Sequence[str]) -> None:
        """Put `host` under the switch of the last of `ids`."""
        path = tuple(name for i, name in enumerate(ids) if not i or name != ids[i - 1])
        for depth in range(1, min(len(path), MAX_TIERS + 1) + 1):
            self._nodes.setdefault(path[:depth])
        self._hosts[path].append(host)

    def into(self, site: Site) -> None:
        """Add the switches to `site`, and hosts without any id to its unplaced ones."""
        site.unplaced += self._hosts.get((), [])
        name_of = self._names()
        for path, name in name_of.items():
            site.add(Switch(name, hosts=self._hosts.get(path, [])))
        for path, name in name_of.items():
            if len(path) > 1:
                site.switches[name_of[path[:-1]]].children.append(name)

    def _names(self) -> dict[tuple[str, ...], str]:
        count = Counter(path[-1] for path in self._nodes)
        wanted = ["-".join(path) if count[path[-1]] > 1 else path[-1] for path in self._nodes]
        return dict(zip(self._nodes, unique_names(wanted, "group"), strict=True))


def unique_names(wanted: Iterable[str], default: str, taken: Collection[str] = ()) -> list[str]:
    """`wanted` made into names that differ from each other and from `taken`, by a number at the end where needed."""
    used = set(taken)
    last: Counter[str] = Counter()  # highest number tried at the end of a name, so that a million equal ones are quick
    found = []
    for text in wanted:
        stem = clean_name(text) or default
        name = stem
        while name in used:
            last[stem] += 1
            name = f"{stem[:56]}-{last[stem] + 1}"
        used.add(name)
        found.append(name)
    return found


def host_name(text: object, place: Place | None = None) -> str:
    """`text` as the name of a host.

    Raises
    ------
    InputError
        Not a text, or one that launch files cannot hold.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)  # YAML reads a name of digits as a number
    if not isinstance(text, str) or not text:
        raise InputError("the name of a host must be a text", place=place)
    try:
        return check_name(text)
    except ValueError as error:
        raise InputError(str(error), place=place) from None


def check_text(value: object, what: str, place: Place) -> str:
    """`value` as a text that is not empty; InputError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    raise InputError(f"{what} must be a text, not {quoted(str(value))}", place=place)
