"""A subnet of nodes and cables, however it was read -> Fabric: what is a host, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.cables.cabling import Cabling, Port
from topoplan.topologies.cables.infer import to_fabric
from topoplan.topologies.cables.nics import select_nics
from topoplan.topologies.cables.wiring import USUAL_BYTES_PER_S
from topoplan.topologies.readers.infiniband.ib_dump import Cable, Dump, Node
from topoplan.topologies.readers.infiniband.ib_names import Census, switch_names, take_census
from topoplan.topologies.reading import ReadOptions, fabric_name, quoted
from topoplan.units import format_bandwidth

_SHOWN = 5  # kinds of nameless adapters that a warning lists


def subnet_fabric(dump: Dump, path: str, options: ReadOptions, *, warnings: Iterable[str] = ()) -> Fabric:
    """Fabric of `dump`.

    Aggregation nodes, UFM hosts and routers are dropped. Adapters whose description names no host are reported in
    `warnings` and left out; the switches they hang from stay leaves.

    Raises
    ------
    InputError
        No adapter names its host, or no cable joins a host to a switch.
    """
    census = take_census(dump.nodes.values(), options.names, options.known)
    if not census.adapters:
        raise InputError(
            f"no adapter names its host{_nameless(census)}",
            place=Place(path),
            hint="set the node descriptions (rdma-ndd does) and ask again, give what the script of --collect-script "
            "wrote on the hosts beside this file, or a CSV with the header guid,host,device (--names)",
        )
    cables, unknown = _with_speeds(dump.cables)
    chassis = _chassis(dump)
    cabling, left = select_nics(_cabling(dump, cables, census, chassis), options.nics)
    return to_fabric(
        cabling,
        name=fabric_name(path),
        routing=options.routing or "adaptive",
        host_type=options.host_type,
        assumed=_assumed(options, chassis, unknown if unknown == len(cables) else 0),
        warnings=[*warnings, *_warnings(dump, census, unknown), *left],
    )


def _with_speeds(cables: list[Cable]) -> tuple[list[Cable], int]:
    """Cables with unknown speeds at the speed most have, and how many those were."""
    speeds = Counter(cable.bandwidth_bytes_per_s for cable in cables if cable.bandwidth_bytes_per_s)
    usual = max(speeds, key=lambda s: (speeds[s], s), default=USUAL_BYTES_PER_S)
    known = [
        cable if cable.bandwidth_bytes_per_s else Cable(cable.a, cable.a_port, cable.b, cable.b_port, usual)
        for cable in cables
    ]
    return known, sum(not cable.bandwidth_bytes_per_s for cable in cables)


def _chassis(dump: Dump) -> dict[str, list[Node]]:
    """Switch records of each box: director chassis list each of their chips, all with one system image GUID."""
    boxes: dict[str, list[Node]] = {}
    for node in dump.nodes.values():
        if node.kind == "switch":
            boxes.setdefault(node.image or node.guid, []).append(node)
    return boxes


def _cabling(dump: Dump, cables: Iterable[Cable], census: Census, chassis: dict[str, list[Node]]) -> Cabling:
    names = switch_names([nodes[0] for nodes in chassis.values()])
    switch = {node.guid: number for number, nodes in enumerate(chassis.values()) for node in nodes}
    ports: list[Port] = []
    cabling = Cabling(tuple(names[nodes[0].guid] for nodes in chassis.values()), (), Counter())
    for cable in cables:
        for here, there in ((cable.a, cable.b), (cable.b, cable.a)):
            s = switch.get(there, -1)
            adapter = census.adapters.get(here)
            if s >= 0 and adapter:
                speed = cable.bandwidth_bytes_per_s
                ports.append(Port(adapter.host, adapter.device, adapter.ordinal, adapter.guid, s, speed))
            elif s >= 0 and here in census.nameless:
                cabling.nameless[s] += 1
        a, b = sorted((switch.get(cable.a, -1), switch.get(cable.b, -1)))
        if 0 <= a != b:
            cabling.trunks[a, b, cable.bandwidth_bytes_per_s] += 1
    if not ports:
        raise InputError("no cable joins a host to a switch")
    cabling.ports = tuple(ports)
    return cabling


def _assumed(options: ReadOptions, chassis: dict[str, list[Node]], without: int) -> list[str]:
    found = [] if options.routing else ["routing: adaptive, as usual on InfiniBand"]
    if without:
        found.append(f"bandwidth of cables: {format_bandwidth(USUAL_BYTES_PER_S)}, as the file has no speeds")
    directors = sum(len(nodes) > 1 for nodes in chassis.values())
    if directors:
        found.append(f"{directors} director chassis count as one switch each, without bottlenecks inside")
    return found


def _warnings(dump: Dump, census: Census, unknown: int) -> list[str]:
    found = []
    if census.nameless:
        count = len(census.nameless)
        found.append(f"{count} adapters were left out, as nobody can say which host they are in{_nameless(census)}")
    if census.aggregation:
        found.append(f"{len(census.aggregation)} SHARP aggregation nodes were left out")
    if census.managers:
        found.append(f"{len(census.managers)} adapters of UFM hosts were left out")
    if routers := sum(node.kind == "router" for node in dump.nodes.values()):
        found.append(f"{routers} routers and their links were left out")
    if 0 < unknown < len(dump.cables):
        found.append(f"{unknown} links show no speed; they count as fast as most others")
    return found


def _nameless(census: Census) -> str:
    kinds = Counter(census.nameless.values()).most_common()
    shown = ", ".join(f"{count} {quoted(kind)}" for kind, count in sorted(kinds[:_SHOWN], key=lambda k: (-k[1], k[0])))
    more = len(kinds) - _SHOWN
    return (f": {shown}" if shown else "") + (f" and {more} other kinds" if more > 0 else "")
