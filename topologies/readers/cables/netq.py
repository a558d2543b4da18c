"""Readers of NVIDIA's fabric managers: NetQ's topology graph, and the compute nodes that NMX lists for NVLink racks."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Host, HostType, Island, Nic
from topoplan.names import check_name, natural_key
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.documents import is_json, list_at, load, mapping_at
from topoplan.topologies.hosts.guess import assumed_type
from topoplan.topologies.names.roles import ASIDE, HOST, SWITCH, role_of_name, role_of_word
from topoplan.topologies.reading import MAX_HOSTS, SNIFF_CHARS, ReadOptions, clean_name, fabric_name, quoted

_GRAPH = re.compile(r'"compounded_(?:nodes|links)"\s*:')
_NMX = re.compile(r'"DomainUUID"\s*:')
# GB200/GB300: 18 NVLink 5 links of 50 GB/s each direction (NVIDIA's GB200 NVL72 datasheet).
_NVL72_BYTES_PER_S = 900e9


def sniff_graph(text: str) -> bool:
    """Whether `text` is a topology graph of NetQ."""
    return is_json(text) and _GRAPH.search(text, 0, SNIFF_CHARS) is not None


def sniff_nmx(text: str) -> bool:
    """Whether `text` lists compute nodes with the NVLink domain of each."""
    return is_json(text) and _NMX.search(text, 0, SNIFF_CHARS) is not None


def read_graph(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of NetQ's topologyGraph: hosts, switches and each cable between their interfaces, without speeds.

    Raises
    ------
    InputError
        JSON of another shape, links to nodes that are not listed, or no host.
    """
    wiring = Wiring()
    for document in load(text, path):
        for part in document.data if isinstance(document.data, list) else [document.data]:
            names = _nodes(part, wiring, path)
            for group in list_at(part, "links"):
                for link in list_at(group, "compounded_links"):
                    wiring.wires.append(_link(link, names, path))
    if not wiring.wires:
        raise InputError("there are no links in this graph", place=Place(path))
    return wired_fabric(wiring, path, options)


def _nodes(part: Any, wiring: Wiring, path: str) -> dict[str, str]:
    """Id -> name of the nodes of a graph; roles go to `wiring`: by device type, else by tier, hosts below switches."""
    found = [mapping_at(node) for group in list_at(part, "nodes") for node in list_at(group, "compounded_nodes")]
    names: dict[str, str] = {}
    tiers = [node["tier"] for node in found if isinstance(node.get("tier"), int)]
    lowest = min(tiers, default=0)
    for node in found:
        name = str(node.get("name") or node.get("id") or "")
        if not name:
            raise InputError("a node has neither name nor id", place=Place(path))
        names[str(node.get("id") or name)] = name
        by_name = role_of_name(name)
        role = by_name if by_name == ASIDE else role_of_word(str(node.get("device_type") or "")) or by_name
        if not role and len(set(tiers)) > 1 and isinstance(node.get("tier"), int):
            role = HOST if node["tier"] == lowest else SWITCH
        if role:
            wiring.roles[name] = role
    return names


def _link(link: Any, names: dict[str, str], path: str) -> Wire:
    ends = [mapping_at(end) for end in list_at(link, "interfaces")]
    if len(ends) != 2:
        raise InputError(f"link {quoted(str(mapping_at(link).get('id')))} has {len(ends)} ends", place=Place(path))
    found = []
    for end in ends:
        node = str(end.get("node") or "")
        if not node:
            raise InputError("a link's end names no node", place=Place(path))
        found += [names.get(node, node), str(end.get("interface") or "")]
    return Wire(found[0], found[1], found[2], found[3])


def read_nmx(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of NMX's computeNodes: hosts with their GPUs, and an island for each DomainUUID.

    Hosts stand by domain, chassis, slot and tray. Nodes whose health is not HEALTHY, or that list fewer GPUs than most,
    have unusable GPUs. There is no network in this list.

    Raises
    ------
    InputError
        A node without name or domain, or a name that stands twice.
    """
    nodes = [mapping_at(node) for document in load(text, path) for node in _listed(document.data)]
    nodes.sort(key=_order)
    if not nodes or len(nodes) > MAX_HOSTS:
        raise InputError(f"{len(nodes)} compute nodes in this list", place=Place(path))
    gpus = Counter(len(list_at(node, "GpuIDList")) for node in nodes)
    del gpus[0]
    kind = options.host_type or _tray(max(gpus, key=lambda n: (gpus[n], n), default=0))
    hosts = tuple(Host(_name(node, path), 0, aliases=_aliases(node)) for node in nodes)
    domains: defaultdict[str, list[int]] = defaultdict(list)
    broken: set[tuple[int, int]] = set()
    for h, node in enumerate(nodes):
        domain = node.get("DomainUUID")
        if not isinstance(domain, str) or not domain:
            raise InputError(f"node {hosts[h].name} has no DomainUUID", place=Place(path))
        domains[domain].append(h)
        healthy = str(node.get("Health") or "HEALTHY").upper() == "HEALTHY"
        listed = len(list_at(node, "GpuIDList")) or kind.gpus
        broken |= {(h, gpu) for gpu in range(0 if not healthy else min(listed, kind.gpus), kind.gpus)}
    bandwidth = kind.scale_up_bandwidth_bytes_per_s or _NVL72_BYTES_PER_S
    return Fabric(
        name=fabric_name(path),
        routing=options.routing or "adaptive",
        host_types=(kind,),
        hosts=hosts,
        islands=tuple(
            Island(clean_name(d) or f"domain-{n}", tuple(h), bandwidth) for n, (d, h) in enumerate(domains.items())
        ),
        unusable_gpus=frozenset(broken),
        assumed=tuple(_nmx_assumed(kind, bandwidth, options)),
        warnings=tuple(_nmx_warnings(nodes, broken)),
    )


def _listed(data: Any) -> list[Any]:
    """Nodes of a list, bare or under the key that an API's answer has it."""
    if isinstance(data, list):
        return data
    return next((found for key in ("computeNodes", "data", "items") if (found := list_at(data, key))), [data])


def _order(node: dict[str, Any]) -> tuple[object, ...]:
    place = mapping_at(node, "LocationInfo")
    numbers = (place.get(key) for key in ("ChassisID", "SlotID", "TrayIndex", "HostID"))
    at = tuple(n if isinstance(n, int) else -1 for n in numbers)
    return (str(node.get("DomainUUID")), at, natural_key(str(node.get("Name"))))


def _name(node: dict[str, Any], path: str) -> str:
    name = node.get("Name")
    try:
        return check_name(name if isinstance(name, str) else "")
    except ValueError as error:
        raise InputError(str(error), place=Place(path), hint="set the node's Name in NMX") from None


def _aliases(node: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    ident = node.get("ID")
    return (("nmx", ident),) if isinstance(ident, str) and clean_name(ident) == ident and ident else ()


def _tray(gpus: int) -> HostType:
    """The usual compute tray, with as many GPUs as the list says."""
    usual = assumed_type(islands=True)
    if gpus in (0, usual.gpus):
        return usual
    nics = tuple(Nic(rail, usual.nics[0].bandwidth_bytes_per_s, rail) for rail in range(gpus))
    return HostType(f"assumed-{gpus}-gpu-tray", gpus, nics, gpus, usual.scale_up_bandwidth_bytes_per_s)


def _nmx_assumed(kind: HostType, bandwidth: float, options: ReadOptions) -> list[str]:
    found = [f"scale-up bandwidth of a GPU: {bandwidth / 1e9:g} GB/s each direction, as NVLink 5 of a GB200"]
    if options.host_type:
        found = [f"all hosts: {kind.name}, as the user said"]
    else:
        found.append("NICs: one of 400 Gb/s for each GPU (give the host type if not so)")
    found.append("network above the NVLink domains: none is listed, so any two domains meet at once")
    return found if options.routing else [*found, "routing: adaptive, as usual on InfiniBand"]


def _nmx_warnings(nodes: list[dict[str, Any]], broken: set[tuple[int, int]]) -> list[str]:
    sick = Counter(str(node.get("Health")) for node in nodes if str(node.get("Health") or "HEALTHY") != "HEALTHY")
    found = [f"{count} nodes are {health[:40]} and take no ranks" for health, count in sorted(sick.items())]
    if broken and not sick:
        found.append(f"{len(broken)} GPUs that most nodes have are not listed and take no ranks")
    return found
