"""Writers of Volcano's HyperNodes, and of Kueue's Topology with the labels that nodes need for it."""

from __future__ import annotations

from topoplan.errors import InputError
from topoplan.files.emit import scalar
from topoplan.model.fabric import Fabric
from topoplan.topologies.trees.site import unique_names
from topoplan.topologies.writers.outline import Branch, dns_names, island_hosts, node_names, outline, plain_names, title

_PREFIX = "topoplan.io"  # of the labels of levels
_ISLAND = "accelerator.topograph.run/domain"  # topograph's label of an NVLink domain, which schedulers know
_HOSTNAME = "kubernetes.io/hostname"
# Since Kueue 0.15; it stops serving v1beta1 in 0.20 (kubernetes-sigs/kueue issues 8018 and 13957).
_KUEUE = "kueue.x-k8s.io/v1beta2"
_MAX_LEVELS = 16  # of a Topology (Kueue's API reference), that of the host included


def write_hypernodes(fabric: Fabric) -> str:
    """HyperNodes, one a group, whose members are named one by one; tier 1 is that of the leaves.

    Left out, as HyperNodes have no place for it: what is inside a host, islands, aliases but k8s, unusable GPUs,
    bandwidths and uplinks, rails, planes, links, names and latencies of tiers, groups without hosts, and that parts of
    the fabric are not connected. Names of groups become lower case, and other characters than letters and digits "-"
    where Kubernetes refuses them.
    """
    nodes, branches = node_names(fabric), outline(fabric, dns_names)
    lines = [f"# {title(fabric)}: written by topoplan"]
    for branch in branches:
        lines += [
            "---",
            "apiVersion: topology.volcano.sh/v1alpha1",
            "kind: HyperNode",
            f"metadata: {{name: {scalar(branch.name)}}}",
            "spec:",
            f"  tier: {branch.tier + 1}",
            "  members:",
        ]
        lines += [_member("HyperNode", branches[k].name) for k in branch.children]
        lines += [_member("Node", nodes[h]) for h in branch.hosts]
    return "\n".join(lines) + "\n"


def _member(kind: str, name: str) -> str:
    return f"  - {{type: {kind}, selector: {{exactMatch: {{name: {scalar(name)}}}}}}}"


def write_kueue(fabric: Fabric) -> str:
    """Kueue's Topology, and each Node with the labels of its levels, to be given to kubectl apply.

    Every node has a label for every level, as Kueue leaves out the others: where a branch has no group of a tier, the
    group below stands for it. NVLink islands become topograph's label of accelerator domains.

    Left out: what is inside a host, aliases but k8s, unusable GPUs, bandwidths and uplinks, rails, planes, links,
    latencies of tiers, groups without hosts, and that parts of the fabric are not connected. Names of groups and
    islands that no label's value can be are changed.

    Raises
    ------
    InputError
        More levels than a Topology may have, or hosts that no node can be.
    """
    nodes, branches = node_names(fabric), outline(fabric, plain_names)
    keys = _level_keys(fabric, branches)
    lines = [
        f"# {title(fabric)}: written by topoplan; label the nodes with kubectl apply --server-side -f",
        f"apiVersion: {_KUEUE}",
        "kind: Topology",
        "metadata: {name: topoplan}",
        "spec:",
        "  levels:",
        *(f"  - nodeLabel: {scalar(key)}" for key in [*keys.values(), _HOSTNAME]),
    ]
    island_of = {h: name for name, hosts in island_hosts(fabric).items() for h in hosts}
    for k, branch in enumerate(branches):
        values = _values(branches, k, list(keys))
        for h in branch.hosts:
            labels = [f"{scalar(key)}: {scalar(values[tier])}" for tier, key in keys.items()]
            labels += [f"{_ISLAND}: {scalar(island_of[h])}"] if h in island_of else []
            lines += ["---", "apiVersion: v1", "kind: Node", "metadata:", f"  name: {scalar(nodes[h])}", "  labels:"]
            lines += [f"    {label}" for label in labels]
    return "\n".join(lines) + "\n"


def _level_keys(fabric: Fabric, branches: list[Branch]) -> dict[int, str]:
    """Tier -> label, coarsest first."""
    used = sorted({branch.tier for branch in branches}, reverse=True)
    if len(used) + 1 > _MAX_LEVELS:
        raise InputError(f"{len(used)} tiers are more than a Topology of Kueue has levels for ({_MAX_LEVELS - 1})")
    names = unique_names((fabric.tiers[tier].name if fabric.tiers else "leaf" for tier in used), "tier")
    return {tier: f"{_PREFIX}/{name[:63]}" for tier, name in zip(used, names, strict=True)}


def _values(branches: list[Branch], leaf: int, tiers: list[int]) -> dict[int, str]:
    """Name at each tier above and at `leaf`; where there is none, that of the tier below."""
    own = {}
    here = leaf
    while here >= 0:
        own[branches[here].tier] = branches[here].name
        here = branches[here].parent
    values: dict[int, str] = {}
    name = branches[leaf].name
    for tier in sorted(tiers):
        name = own.get(tier, name)
        values[tier] = name
    return values
