"""Reader of Volcano's HyperNodes: tiers of groups whose members are named, matched by pattern or by label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.names import closest
from topoplan.topologies.documents import list_at, mapping_at, text_at, value_at
from topoplan.topologies.readers.schedulers.k8s_node import NodeFacts, facts
from topoplan.topologies.readers.schedulers.k8s_objects import Object, has_kind, objects
from topoplan.topologies.readers.schedulers.kubernetes import add_islands, choose_workers
from topoplan.topologies.readers.schedulers.name_patterns import all_names, compile_pattern
from topoplan.topologies.reading import MAX_HOSTS, SNIFF_CHARS, ReadOptions, quoted
from topoplan.topologies.trees.site import Machine, Site, Switch, host_name
from topoplan.topologies.trees.tree import build

_MAX_MATCHES = 20_000_000  # pattern times name, assumed: 1,000 HyperNodes over 20,000 nodes
_DISCOVERY = re.compile(r"^networkTopologyDiscovery\s*:", re.MULTILINE)


def sniff(text: str) -> bool:
    """Whether `text` has HyperNodes, or configures their discovery (which `read` explains)."""
    return has_kind(text, "HyperNode") or _DISCOVERY.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of HyperNodes; Nodes in the same file tell of GPUs, and labels and patterns are matched with them.

    The height of a HyperNode above the nodes is its tier here; `spec.tier` must agree in order, not in number.

    Raises
    ------
    InputError
        A selector that cannot be resolved, a HyperNode that is missing, doubled or its own member.
    """
    found = objects(text, path)
    hypernodes = [item for item in found if item.kind == "HyperNode"]
    if not hypernodes:
        raise InputError(
            "there is no HyperNode in this file: it tells Volcano how to discover them",
            place=Place(path),
            hint="kubectl get hypernodes -o yaml, or kubectl get nodes -o yaml with the labels that it names",
        )
    site = Site(entry="HyperNode", joined=True, hint_two_switches="a node is a member of one HyperNode of a tier")
    listed = [facts(item) for item in found if item.kind == "Node"]
    nodes = choose_workers(listed, site, options) if listed else []
    members = _Members(hypernodes, nodes, site)
    for item in hypernodes:
        site.add(members.switch(item))
    _check_tiers(hypernodes, site)
    for node in nodes:
        free = None if node.gpus < 0 and not node.reasons else max(node.free, 0)
        site.machines[node.name] = Machine(node.kind, node.aliases, free)
    placed = set(site.host_names)
    site.unplaced = [node.name for node in nodes if node.name not in placed]
    return build(add_islands(site, nodes), path, options)


class _Members:
    """Resolves the selectors of HyperNodes."""

    def __init__(self, hypernodes: Sequence[Object], nodes: Sequence[NodeFacts], site: Site) -> None:
        self._pools: dict[str, dict[str, dict[str, str]]] = {
            "Node": {node.name: node.labels for node in nodes},
            "HyperNode": {item.name: item.labels for item in hypernodes},
        }
        self._site = site
        self._left = _MAX_MATCHES
        self._hosts = MAX_HOSTS
        self._pick = {"exactMatch": self._exact, "regexMatch": self._regex, "labelMatch": self._label}

    def switch(self, item: Object) -> Switch:
        """`item` with its members."""
        switch = Switch(item.name, item.place)
        known: dict[tuple[str, str], None] = {}
        for member in list_at(item.data, "spec", "members"):
            kind = text_at(member, "type") or "Node"
            if kind not in self._pools:
                hint = closest(kind, self._pools)
                raise InputError(f"HyperNode {item.name}: member type {quoted(kind)}", place=item.place, hint=hint)
            into = switch.hosts if kind == "Node" else switch.children
            fresh = [name for name in self._resolve(item, kind, member) if (kind, name) not in known]
            known |= dict.fromkeys((kind, name) for name in fresh)
            into += fresh
        self._hosts -= len(switch.hosts)
        if not switch.hosts and not switch.children:
            self._site.warnings.append(f"HyperNode {item.name} has no members")
        return switch

    def _resolve(self, item: Object, kind: str, member: Any) -> list[str]:
        selector = mapping_at(member, "selector")
        used = [key for key in self._pick if selector.get(key)]
        if len(used) != 1:
            raise InputError(
                f"HyperNode {item.name}: a member needs one of {', '.join(self._pick)}, not {len(used)}",
                place=item.place,
            )
        try:
            return self._pick[used[0]](kind, selector[used[0]], item)
        except ValueError as error:
            raise InputError(f"HyperNode {item.name}: {error}", place=item.place) from None

    def _exact(self, kind: str, match: Any, item: Object) -> list[str]:
        name = host_name(value_at(match, "name"), item.place)
        if kind == "Node" and self._pools["Node"] and name not in self._pools["Node"]:
            self._site.warnings.append(f"HyperNode {item.name}: node {name} is not among the nodes and left out")
            return []
        return [name]

    def _regex(self, kind: str, match: Any, item: Object) -> list[str]:
        text = text_at(match, "pattern")
        pattern = compile_pattern(text)
        pool = self._pools[kind]
        if kind == "Node" and not pool:
            names = [host_name(name, item.place) for name in all_names(text, max(self._hosts, 0))]
            self._site.warnings.append(
                f"HyperNode {item.name}: all {len(names)} names of pattern {text[:60]} are taken"
            )
            return names
        self._left -= len(pool)
        if self._left < 0:
            raise ValueError("too many patterns for so many nodes")
        # As Volcano does, the pattern may match a part of the name; a HyperNode is no member of itself.
        return [name for name in pool if pattern.search(name) and not (kind == "HyperNode" and name == item.name)]

    def _label(self, kind: str, match: Any, item: Object) -> list[str]:
        pool = self._pools[kind]
        if not pool:
            raise ValueError("its nodes are chosen by label: add the nodes to the file (kubectl get nodes -o yaml)")
        tests = [(key, "In", {str(value)}) for key, value in mapping_at(match, "matchLabels").items()]
        for part in list_at(match, "matchExpressions"):
            values = {str(value) for value in list_at(part, "values")}
            tests.append((text_at(part, "key"), text_at(part, "operator"), values))
        unknown = next((operator for _, operator, _ in tests if operator not in _OPERATORS), None)
        if unknown is not None or not tests:
            raise ValueError(f"operator {quoted(unknown or '')} is none of {', '.join(_OPERATORS)}")
        self._left -= len(pool) * len(tests)
        if self._left < 0:
            raise ValueError("too many selectors for so many nodes")
        return [name for name, labels in pool.items() if all(_fits(labels, *test) for test in tests)]


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def _fits(labels: dict[str, str], key: str, operator: str, values: set[str]) -> bool:
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return (labels.get(key) in values) == (operator == "In")


def _check_tiers(hypernodes: Sequence[Object], site: Site) -> None:
    """A member's tier must be below that of the HyperNode that holds it."""
    tier = {item.name: value_at(item.data, "spec", "tier") for item in hypernodes}
    for item in hypernodes:
        for child in site.switches[item.name].children:
            low, high = tier.get(child), tier[item.name]
            if isinstance(low, int) and isinstance(high, int) and low >= high:
                raise InputError(
                    f"HyperNode {item.name} of tier {high} has member {child} of tier {low}",
                    place=item.place,
                    hint="tier 1 is the lowest, and members are of lower tiers",
                )
