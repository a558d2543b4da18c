"""Cabling -> Fabric: find leaves, rails and tiers, and name them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from topoplan.model.fabric import Fabric, Group, Host, HostType, Link
from topoplan.names import natural_key
from topoplan.topologies.cables.cabling import Cabling
from topoplan.topologies.cables.host_kinds import HostPlan, make_types, plan_hosts
from topoplan.topologies.cables.leaves import LeafGroup, Leaves, find_leaves
from topoplan.topologies.cables.levels import Levels, Node, find_levels
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_SOURCE
from topoplan.topologies.reading import tiers

_GUID = re.compile(r"H-([0-9A-Fa-f]{1,16})")  # card of an adapter in ibnetdiscover's output


def to_fabric(
    cabling: Cabling,
    *,
    name: str,
    routing: str,
    host_type: HostType | None = None,
    types: Mapping[str, HostType] | None = None,
    told: str = "as the user said",
    assumed: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Fabric:
    """Infer the Fabric of `cabling`, which has at least one port.

    `host_type` is the kind of all hosts, `types` that of some by name; `told` says where they come from.

    Hosts stand in the order of the leaf groups, naturally sorted inside them. Each leaf group is the set of switches
    that the same hosts reach; groups above it are connected parts of the network without the levels above them.
    """
    leaves = find_leaves(cabling)
    levels = find_levels(cabling, leaves)
    tier_list = tiers(levels.tiers)
    order, names = _arrange(cabling, leaves, levels, [tier.name for tier in tier_list])
    index = {k: position for position, k in enumerate(order)}
    plans = plan_hosts(cabling.ports, leaves, host_type, types or {})
    kinds, kind_of = make_types(plans, cabling.others)
    group_index = [index[k] for k in range(len(leaves.groups))]
    plans.sort(key=lambda plan: group_index[plan.home])  # stable: keeps the natural order inside
    usual = _usual(cabling)
    return Fabric(
        name=name,
        routing=routing,
        host_types=tuple(kinds),
        hosts=tuple(_host(plan, kind_of[plan.signature], group_index) for plan in plans),
        tiers=tier_list,
        groups=tuple(
            _group(levels.nodes[k], names[k], index, usual, _switches(cabling, leaves, levels.nodes[k])) for k in order
        ),
        links=_links(cabling, leaves),
        assumed=(*assumed, *_assumed(plans, told)),
        warnings=(*warnings, *_warnings(cabling, leaves, levels, plans)),
    )


def _host(plan: HostPlan, kind: int, group_index: Sequence[int]) -> Host:
    attach = plan.attachments(group_index)
    short = plan.name.split(".")[0]
    aliases = (("short", short),) if short != plan.name and not short.isdigit() else ()
    return Host(plan.name, kind, -1 if attach else group_index[plan.home], attach, (*aliases, *_guids(plan)))


def _guids(plan: HostPlan) -> tuple[tuple[str, str], ...]:
    """GUID of each adapter as the alias "guid-N" of its first port's NIC N: joins this with what hosts say."""
    found: dict[str, tuple[str, str]] = {}
    for n, seat in enumerate(plan.seats):
        if match := _GUID.fullmatch(seat.port.card):
            found.setdefault(match[1], (f"guid-{n}", match[1].lower()))
    return tuple(found.values())


def _usual(cabling: Cabling) -> float:
    """Bandwidth that most cables between switches have."""
    speeds: Counter[float] = Counter()
    for (_, _, bandwidth), count in cabling.trunks.items():
        speeds[bandwidth] += count
    return max(speeds, key=lambda s: (speeds[s], s), default=0.0)


def _switches(cabling: Cabling, leaves: Leaves, node: Node) -> tuple[str, ...]:
    """Names of the leaf switches of a leaf group, rail by rail, "" where a rail has none."""
    if node.leaf < 0:
        return ()
    rail_of = leaves.groups[node.leaf].rail_of
    if node.rails == 1:
        return tuple(sorted((cabling.switches[s] for s in rail_of), key=natural_key))
    names = {rail: cabling.switches[s] for s, rail in rail_of.items()}  # a rail of a group is one switch
    return tuple(names.get(rail, "") for rail in range(node.rails))


def _group(node: Node, name: str, index: dict[int, int], usual: float, switches: tuple[str, ...]) -> Group:
    if node.parent < 0:
        return Group(name, node.tier, rails=node.rails, switches=switches)
    speeds: Counter[float] = Counter()
    for (_, bandwidth), count in node.uplinks.items():
        speeds[bandwidth] += count
    speed = max(speeds, key=lambda s: (speeds[s], s), default=usual)
    counts = [0.0] * node.rails
    for (rail, bandwidth), count in node.uplinks.items():
        counts[rail] += count * bandwidth / speed  # slower cables count as parts of a usual one
    return Group(name, node.tier, index[node.parent], node.rails, tuple(counts), speed, switches)


def _links(cabling: Cabling, leaves: Leaves) -> tuple[Link, ...]:
    names = cabling.switches
    plane_of = {s: group.plane for group in leaves.groups if group.plane for s in group.switches}
    by_name = sorted(range(len(names)), key=lambda s: natural_key(names[s]))
    rank = {s: n for n, s in enumerate(by_name)}
    found = [
        (min(rank[a], rank[b]), max(rank[a], rank[b]), bandwidth, count, max(plane_of.get(a, 0), plane_of.get(b, 0)))
        for (a, b, bandwidth), count in cabling.trunks.items()
    ]
    return tuple(
        Link(names[by_name[a]], names[by_name[b]], count, bandwidth, plane)
        for a, b, bandwidth, count, plane in sorted(found)
    )


def _arrange(
    cabling: Cabling, leaves: Leaves, levels: Levels, tier_names: Sequence[str]
) -> tuple[list[int], dict[int, str]]:
    """Nodes from the top down, each before its children, siblings naturally sorted; and a name for each."""
    leaf_names = [_common_name([cabling.switches[s] for s in group.switches]) for group in leaves.groups]
    named = all(leaf_names) and len(set(leaf_names)) == len(leaf_names)
    keys = [natural_key(leaf_names[k]) if named else _host_key(group) for k, group in enumerate(leaves.groups)]
    for node in levels.nodes[len(keys) :]:  # children come before their parents
        node.children.sort(key=keys.__getitem__)
        keys.append(keys[node.children[0]])
    order: list[int] = []
    stack = sorted((k for k, node in enumerate(levels.nodes) if node.parent < 0), key=keys.__getitem__, reverse=True)
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(levels.nodes[order[-1]].children))
    return order, _names(order, levels.nodes, leaf_names if named else [], tier_names)


def _host_key(group: LeafGroup) -> tuple[tuple[int, int, str], ...]:
    return natural_key(group.hosts[0]) if group.hosts else ((2, group.switches[0], ""),)


def _names(
    order: Sequence[int], nodes: Sequence[Node], leaf_names: Sequence[str], tiers: Sequence[str]
) -> dict[int, str]:
    names: dict[int, str] = {}
    used = set(leaf_names)
    count: Counter[int] = Counter()
    for k in order:
        if nodes[k].leaf >= 0 and leaf_names:
            names[k] = leaf_names[k]
            continue
        stem = f"{tiers[nodes[k].tier]}-{count[nodes[k].tier]}"
        count[nodes[k].tier] += 1
        while stem in used:
            stem += "-x"
        names[k] = stem
        used.add(stem)
    return names


def _common_name(switches: Sequence[str]) -> str:
    """What the names of the switches of a group have in common, piece by piece; "" when that says nothing."""
    pieces = [re.split(r"[-_.]", name) for name in switches]
    if len({len(p) for p in pieces}) != 1:
        return ""
    return "-".join(column[0] for column in zip(*pieces, strict=True) if len(set(column)) == 1 and column[0])


def _assumed(plans: Sequence[HostPlan], told: str) -> list[str]:
    bare: defaultdict[object, set[bool]] = defaultdict(set)
    for plan in plans:
        bare[plan.signature].add(all(not seat.port.device for seat in plan.seats))
    found = ["device names of NICs that the file only numbers: as in hosts of the same type"] * any(
        len(kinds) > 1 for kinds in bare.values()
    )
    kinds = sorted({plan.kind.name for plan in plans if plan.kind})
    if kinds:
        which = f"{kinds[0]}, {told}" if len(kinds) == 1 else told
        found.append(f"GPUs and scale-up bandwidth of all hosts: {which}; their NICs as cabled")
    if all(plan.kind for plan in plans):
        return found
    return [
        *found,
        "GPUs of a host: one for each of its adapters, in the adapters' order (give the host type if not so)",
        f"scale-up bandwidth of a GPU: {DEFAULT_SCALE_UP_SOURCE}; NVLink domain: the host",
    ]


def _warnings(cabling: Cabling, leaves: Leaves, levels: Levels, plans: Sequence[HostPlan]) -> list[str]:
    found = []
    empty = len(leaves.level_zero) - sum(len(group.switches) for group in leaves.groups if not group.above)
    if empty:
        found.append(f"{empty} leaf switches reach left-out adapters alone and are in no group")
    sizes = Counter(len(plan.seats) for plan in plans)
    usual = max(sizes, key=lambda n: (sizes[n], n))
    fewer = sum(count for n, count in sizes.items() if n < usual)
    if fewer:
        found.append(f"{fewer} of {len(plans)} hosts show fewer than the {usual} NICs that most have")
    stray = sum(seat.group != plan.home and not seat.planes for plan in plans for seat in plan.seats)
    if stray:
        found.append(f"{stray} NICs reach another leaf group than their host's other NICs")
    inside = sum(len(group.hosts) for group in leaves.groups if group.above)
    if inside:
        found.append(f"{inside} hosts hang from switches above the leaves; each such switch counts as a leaf group too")
    if levels.direct:
        found.append("leaf switches are cabled to each other; that is priced as a tree with one switch above them")
    roots = sum(node.parent < 0 and 0 in node.planes(levels.nodes, leaves.groups) for node in levels.nodes)
    if roots > 1:
        found.append(f"the network falls into {roots} parts that no cable joins")
    return found
