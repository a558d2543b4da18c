"""A Fabric as one file told it, and what of it the file really knows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from topoplan.model.fabric import Fabric, HostType
from topoplan.names import compress, natural_key
from topoplan.topologies.reading import HOST, NETWORK

GPUS, NIC_SPEED, RAILS, SCALE_UP = "gpus", "nic speed", "rails", "scale-up"
UPLINKS, CABLES, NO_NETWORK, ROUTING = "uplinks", "cables", "no network", "routing"
OWN_FORMAT = "topoplan"  # our Fabric YAML, which tells all it holds
_SHORT = 60  # characters of a host list that a message shows whole
_SHOWN = 3  # names that it lists before it only counts them

_MAX_LINE = 500  # characters of a line that tell its subject

# Readers say in `Fabric.assumed` what they filled in, one line a subject; these tell what a line is about. A line may
# begin with the file that it is from, as those of a fabric that was merged before do.
_SUBJECTS = {
    GPUS: re.compile(
        r"^(?!.*\bas (?:the file|the platform|their devices) says?)"  # then they are known
        r"(?:(?:.*: )?(?:all hosts:|GPUs of a host|GPUs and scale-up|a node: one GPU)|.*number of GPUs"
        r"|.*\b\d+ GPUs, each with)"
    ),
    NIC_SPEED: re.compile(
        r"^(?!.*NICs as cabled)"
        r".*(?:\bNICs?\b.*(?:bandwidth|speed|[GT]b/s)|(?:bandwidth|speed)s?\b.*\b(?:NIC|cable)s?\b)",
        re.IGNORECASE,
    ),
    RAILS: re.compile(r"(?:^|: )rails\b", re.IGNORECASE),
    SCALE_UP: re.compile(r"scale-up|NVLink (?:bandwidth|domain|joins|inside)|no NVLink", re.IGNORECASE),
    UPLINKS: re.compile(r"\buplinks?\b", re.IGNORECASE),
    CABLES: re.compile(r"\bcables?\b|^roles\b|\bswitch(?:es)?\b", re.IGNORECASE),
    NO_NETWORK: re.compile(r"(?:^|: )the network between the hosts", re.IGNORECASE),
    ROUTING: re.compile(r"(?:^|: )routing\b", re.IGNORECASE),
}


@dataclass(frozen=True, eq=False)
class Part:
    """What one file described.

    Parameters
    ----------
    source
        The file, for messages; parts of one merge that differ have different ones.
    format
        Name of the reader, or `OWN_FORMAT`.
    tells
        Parts of `fabric` that the format knows: `HOST`, `NETWORK`, `ISLANDS`.
    hosts
        Hosts that the user says the file describes; only for files that describe one host.
    named
        Whether the names of the hosts stand in the file; where they do not, it may describe a type of host.
    generic
        Whether this is the description of a type, put on all hosts; `merge` sets it.
    """

    source: str
    format: str
    fabric: Fabric
    tells: frozenset[str]
    hosts: tuple[str, ...] = ()
    named: bool = True
    generic: bool = False
    _assumes: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        found = {subject for line in self.fabric.assumed for subject in subjects_of(line)}
        object.__setattr__(self, "_assumes", frozenset(found))

    @property
    def describes_hosts(self) -> bool:
        """Whether it is about the inside of hosts and not of the network, as `nvidia-smi topo -m` is."""
        return HOST in self.tells and NETWORK not in self.tells

    def knows(self, subject: str) -> bool:
        """Whether the fabric's values of a subject (`GPUS` ...) come from the file and not from an assumption."""
        return subject not in self._assumes

    def with_hosts(self, names: Sequence[str], *, generic: bool = False) -> Part:
        """Make a part that says of each of `names` what this says of its first host."""
        first = self.fabric.hosts[0]
        broken = [gpu for h, gpu in self.fabric.unusable_gpus if h == 0]
        hosts = tuple(dataclasses.replace(first, name=name, aliases=()) for name in names)
        unusable = frozenset((h, gpu) for h in range(len(names)) for gpu in broken)
        fabric = dataclasses.replace(self.fabric, hosts=hosts, islands=(), unusable_gpus=unusable)
        return dataclasses.replace(self, fabric=fabric, hosts=(), named=True, generic=generic)

    def type_of(self, h: int) -> HostType:
        """Type of host `h` of its fabric."""
        return self.fabric.host_types[self.fabric.hosts[h].type]


def subjects_of(line: str) -> frozenset[str]:
    """Subjects that a line of `Fabric.assumed` is about."""
    return frozenset(subject for subject, pattern in _SUBJECTS.items() if pattern.search(line[:_MAX_LINE]))


def some(names: Iterable[str]) -> str:
    """All of `names` as a host list where that is short, else the first and how many more there are."""
    found = sorted(set(names), key=natural_key)
    whole = compress(found)
    if len(whole) <= _SHORT or len(found) <= _SHOWN:
        return whole.replace(",", ", ")
    return f"{', '.join(found[:_SHOWN])} and {len(found) - _SHOWN} more"


def counted(number: int, word: str) -> str:
    """Return "1 host", "3 hosts"."""
    return f"{number} {word}{'s' * (number != 1)}"
