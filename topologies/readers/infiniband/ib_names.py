"""What the node descriptions of an InfiniBand fabric say: hosts, their adapters, and what is no host at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from topoplan.names import check_name
from topoplan.topologies.cables.leaves import MAX_RAILS
from topoplan.topologies.names.roles import ASIDE
from topoplan.topologies.names.table import Entry, key_of
from topoplan.topologies.readers.infiniband.ib_dump import Node
from topoplan.topologies.reading import clean_name

# First words that say nothing about which machine it is: defaults of distributions and of drivers.
_GENERIC = frozenset(
    (
        *("localhost", "localhost.localdomain", "localhost4", "localhost6", "host", "hostname", "node", "server"),
        *("ubuntu", "debian", "centos", "rocky", "almalinux", "rhel", "fedora", "suse", "sles", "linux"),
        *("compute", "unknown", "none", "null", "default"),
    )
)
_VENDOR = re.compile(
    r"MT\d+|Mellanox|NVIDIA|Voltaire|QLogic|Intel(?:\(R\))?|ConnectX\S*|Connect-IB\S*|InfiniHost\S*|BlueField\S*|Infiniband",
    re.IGNORECASE,
)
_SHARP = re.compile(r"aggregation node", re.IGNORECASE)
_UFM = re.compile(r"(?:.*[-_.])?[a-z]?ufm(?:[-_.\d].*)?", re.IGNORECASE)
_HCA = re.compile(r"HCA-(\d{1,4})", re.IGNORECASE)
_DEVICE = re.compile(r"[A-Za-z][A-Za-z0-9]*_(\d{1,4})")
# Managed switches of NVIDIA call themselves "MF0;name:model/unit".
_MANAGED = re.compile(r"[^;]*;([^:;]+)(?::.*)?")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A channel adapter with a host's name.

    Parameters
    ----------
    device
        Device name such as mlx5_4, "" when the description has none.
    ordinal
        Position among the adapters of the host, counted from 0 with gaps ("HCA-5" and "mlx5_4" are both 4); -1 when
        unknown.
    """

    guid: str
    host: str
    device: str
    ordinal: int


@dataclass(slots=True)
class Census:
    """Channel adapters sorted by what they are; `nameless` maps the GUID to why nobody can say which host it is."""

    adapters: dict[str, Adapter]
    nameless: dict[str, str]
    aggregation: set[str]
    managers: set[str]


def take_census(
    nodes: Iterable[Node], names: Mapping[str, Entry] | None = None, known: Mapping[str, Entry] | None = None
) -> Census:
    """Sort the channel adapters among `nodes`.

    Parameters
    ----------
    names, known
        Hosts of GUIDs: `names` decides over descriptions, `known` tells of adapters whose description does not.
    """
    census = Census({}, {}, set(), set())
    cas = [node for node in nodes if node.kind == "ca"]
    first_hca = 0 if any(_hca(node.description) == 0 for node in cas) else 1
    for node in cas:
        if entry := _told(node, names or {}):
            if entry.role == ASIDE:
                census.nameless[node.guid] = "of another network, as the table says"
            else:
                census.adapters[node.guid] = _told_adapter(node, entry, first_hca)
        elif _SHARP.search(node.description):
            census.aggregation.add(node.guid)
        elif _UFM.fullmatch(_word(node.description)):
            census.managers.add(node.guid)
        elif reason := _why_nameless(node.description):
            census.nameless[node.guid] = reason
        else:
            census.adapters[node.guid] = _adapter(node, first_hca)
    _drop_shared_names(census, {node.guid: node.links for node in cas})
    for node in cas:
        if node.guid in census.nameless and (entry := _told(node, known or {})):
            del census.nameless[node.guid]
            census.adapters[node.guid] = _told_adapter(node, entry, first_hca)
    return census


def _told(node: Node, names: Mapping[str, Entry]) -> Entry | None:
    """What the user's table says of an adapter, by node GUID, GUID of a port or system image."""
    if not names:
        return None
    found = (names.get(key_of(guid)) for guid in (node.guid.partition("-")[2], *node.port_guids, node.image))
    return next((entry for entry in found if entry and (entry.host or entry.role == ASIDE)), None)


def _told_adapter(node: Node, entry: Entry, first_hca: int) -> Adapter:
    """Adapter of a host that the table names; its device too, where the table has one."""
    if entry.device:
        match = _DEVICE.fullmatch(entry.device)
        return Adapter(node.guid, entry.host, clean_name(entry.device), int(match[1]) if match else -1)
    own = _adapter(node, first_hca)
    return Adapter(node.guid, entry.host, own.device, own.ordinal)


def _word(description: str, number: int = 0) -> str:
    words = description.split(maxsplit=number + 1)
    return words[number].strip("'\"") if number < len(words) else ""


def _hca(description: str) -> int:
    match = _HCA.fullmatch(_word(description, 1))
    return int(match[1]) if match else -1


def _why_nameless(description: str) -> str:
    word = _word(description)
    if not word:
        return "no description"
    if _VENDOR.fullmatch(word) or "Technologies" in description:
        return " ".join(description.split())
    if word.lower() in _GENERIC:
        return word
    try:
        check_name(word)
    except ValueError:
        return f"{word[:40]} (not a host name)"
    return ""


def _adapter(node: Node, first_hca: int) -> Adapter:
    device = _word(node.description, 1)
    if (number := _hca(node.description)) >= 0:
        return Adapter(node.guid, _word(node.description), "", number - first_hca)
    match = _DEVICE.fullmatch(device)
    return Adapter(node.guid, _word(node.description), clean_name(device), int(match[1]) if match else -1)


def _drop_shared_names(census: Census, ports: dict[str, int]) -> None:
    """Move adapters to the nameless whose host name several machines must share."""
    uses = Counter((a.host, a.device, a.ordinal) for a in census.adapters.values() if a.device or a.ordinal >= 0)
    shared = {host for (host, _, _), count in uses.items() if count > 1}
    total: Counter[str] = Counter()
    for adapter in census.adapters.values():
        total[adapter.host] += ports[adapter.guid]
    shared |= {host for host, count in total.items() if count > MAX_RAILS}
    for guid in [guid for guid, adapter in census.adapters.items() if adapter.host in shared]:
        census.nameless[guid] = f"{census.adapters.pop(guid).host} (shared by several machines)"


def switch_names(nodes: Iterable[Node]) -> dict[str, str]:
    """GUID -> name of each switch: its own where that is usable and unique, else its GUID."""
    wanted = {}
    for node in nodes:
        match = _MANAGED.fullmatch(node.description)
        own = match[1] if match else node.description
        wanted[node.guid] = "" if _VENDOR.fullmatch(_word(own)) or "Technologies" in own else clean_name(own)
    uses = Counter(wanted.values())
    return {guid: name if name and uses[name] == 1 else guid for guid, name in wanted.items()}
