"""Reader of `kubectl get nodes -o json|yaml`, with Kueue's Topology objects beside them where there are some."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.names import compress, natural_key
from topoplan.topologies.documents import list_at, mapping_at, text_at
from topoplan.topologies.readers.schedulers.k8s_node import NodeFacts, facts
from topoplan.topologies.readers.schedulers.k8s_objects import Object, has_kind, objects
from topoplan.topologies.readers.schedulers.topograph import Domains
from topoplan.topologies.reading import MAX_TIERS, SNIFF_CHARS, ReadOptions
from topoplan.topologies.trees.rows import Row, site_of_rows
from topoplan.topologies.trees.site import Site
from topoplan.topologies.trees.tree import build

HOSTNAME = "kubernetes.io/hostname"
_HOSTS = (HOSTNAME, "cloud.google.com/gce-topology-host")  # levels that are the machine itself, no group of hosts
# Labels of the network, coarsest first. Which end a number counts from differs: AWS's layer 1 is the top, Nebius's and
# topograph's lowest tier is the leaf. Sources: the documentation of each provider; topograph's docs/engines/k8s.md.
_SCHEMES: tuple[tuple[str, ...], ...] = (
    tuple(f"fabric.topograph.run/tier-{n}" for n in range(MAX_TIERS - 1, -1, -1)),
    tuple(f"network.topology.nvidia.com/tier-{n}" for n in range(MAX_TIERS - 1, -1, -1)),
    tuple(f"network.topology.nvidia.com/{level}" for level in ("core", "spine", "leaf")),
    tuple(f"network.topology.nvidia.com/{level}" for level in ("datacenter", "spine", "block")),
    tuple(f"network.topology.kubernetes.io/{level}" for level in ("datacenter", "spine", "block")),
    tuple(f"topology.k8s.aws/network-node-layer-{n}" for n in range(1, 9)),
    tuple(f"cloud.google.com/gce-topology-{level}" for level in ("block", "subblock")),
    tuple(f"oci.oraclecloud.com/rdma.{level}_id" for level in ("hpc_island", "network_block", "local_block")),
    tuple(f"oci.oraclecloud.com/host.{level}" for level in ("network_block_id", "rack_id")),
    tuple(f"topology.nebius.com/tier-{n}" for n in range(MAX_TIERS, 0, -1)),
    tuple(f"backend.coreweave.cloud/{level}" for level in ("fabric", "superpod", "leafgroup")),
    tuple(f"ib.coreweave.cloud/{level}" for level in ("fabric", "superpod", "leafgroup")),
    tuple(f"crusoe.ai/{level}" for level in ("ib.partition.id", "pod.id")),
    tuple(f"volcano.sh/{level}" for level in ("hypercluster", "hypernode")),
    ("volcano.sh/tor",),
    tuple(f"cloud.provider.com/topology-{level}" for level in ("block", "rack")),
    tuple(f"topology.kubernetes.io/{level}" for level in ("block", "rack")),
)
# What else says that Kubernetes is meant: Kueue's objects and requests, and the file of a kind cluster.
_WORDS = ("kueue.x-k8s.io/", "kind.x-k8s.io/")
_ULTRASERVER = "topology.k8s.aws/ultraserver-id"
_A4X = re.compile(r"a4x-")  # Google's GB200 machines, where a subblock is an NVLink domain
_GCE_SUBBLOCK = "cloud.google.com/gce-topology-subblock"


def sniff(text: str) -> bool:
    """Whether `text` has Nodes, a kind cluster or objects of Kueue (which `read` explains), and no HyperNodes."""
    if has_kind(text, "HyperNode"):
        return False
    return has_kind(text, "Node") or has_kind(text, "NodeList") or any(word in text[:SNIFF_CHARS] for word in _WORDS)


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of nodes and their labels.

    The workers of a kind cluster's file are nodes too, by the names that kind gives them. A Topology object names the
    levels; without one the known labels that most nodes have are taken. Nodes without GPUs are left out; those that
    are not ready, cordoned or tainted are in the Fabric but never placed on.

    Raises
    ------
    InputError
        No Nodes, two Topologies that differ, or a node that stands twice.
    """
    found = objects(text, path)
    nodes = [facts(item) for item in [*found, *_kind_workers(found)] if item.kind == "Node"]
    levels = kueue_levels(item for item in found if item.kind == "Topology")
    if not nodes:
        raise _no_nodes(found, levels, path)
    site = Site()
    workers = choose_workers(nodes, site, options)
    scheme = levels or _choose_scheme(workers)
    rows = [node_row(node, _ids(node, scheme, told=bool(levels))) for node in workers]
    whole = site_of_rows(rows)
    whole.warnings += site.warnings
    whole.assumed += site.assumed
    note_levels(whole, scheme, told=bool(levels))
    return build(add_islands(whole, workers), path, options)


def _ids(node: NodeFacts, scheme: Sequence[str], *, told: bool) -> tuple[str, ...]:
    """Ids above a node; none where a level that a Topology names is missing, as Kueue then leaves the node out."""
    found = tuple(node.labels[key] if told else _id(key, node.labels[key]) for key in scheme if node.labels.get(key))
    return () if told and len(found) < len(scheme) else found


def _id(key: str, value: str) -> str:
    """Value of a label; a bare number with the label's own word, as rack 1 of block 1 is not the block."""
    return f"{key.rpartition('/')[2]}-{value}" if value.isdecimal() else value


def _kind_workers(found: Iterable[Object]) -> Iterator[Object]:
    """Workers of a kind cluster's file as Nodes: NAME-worker, NAME-worker2 and so on."""
    for item in found:
        if item.kind != "Cluster":
            continue
        stem = text_at(item.data, "name") or "kind"
        workers = [node for node in list_at(item.data, "nodes") if text_at(node, "role") == "worker"]
        for n, node in enumerate(workers, 1):
            metadata = {"name": f"{stem}-worker{n if n > 1 else ''}", "labels": mapping_at(node, "labels")}
            yield Object("Node", {"metadata": metadata}, item.place)


def _no_nodes(found: Iterable[Object], levels: Sequence[str], path: str) -> InputError:
    if levels:
        return InputError(
            f"a Kueue Topology names the levels ({', '.join(levels)}) and no hosts",
            place=Place(path),
            hint="add the nodes to the same file: kubectl get nodes -o yaml (after a line with ---)",
        )
    kinds = sorted({item.kind for item in found if item.kind})
    return InputError(
        f"there is no Node in this file{', only ' + ', '.join(kinds[:5]) if kinds else ''}",
        place=Place(path),
        hint="what holds the topology are the nodes' labels: kubectl get nodes -o json",
    )


def kueue_levels(topologies: Iterable[Object]) -> tuple[str, ...]:
    """Labels of the levels of Kueue's Topology, coarsest first, without those of the host itself.

    Raises
    ------
    InputError
        Levels that cannot be read, or two Topologies with different ones.
    """
    found: dict[tuple[str, ...], Object] = {}
    for item in topologies:
        labels = [text_at(level, "nodeLabel") for level in list_at(item.data, "spec", "levels")]
        if not labels or not all(labels):
            raise InputError("a Topology's spec.levels must each have a nodeLabel", place=item.place)
        if len(labels) > MAX_TIERS or len(set(labels)) < len(labels):
            raise InputError(f"a Topology has 1 to {MAX_TIERS} levels that differ", place=item.place)
        found.setdefault(tuple(label for label in labels if label not in _HOSTS), item)
    if len(found) > 1:
        last = list(found.values())[-1]
        raise InputError("two Topologies with different levels", place=last.place, hint="leave one of them in the file")
    return next(iter(found), ())


def choose_workers(nodes: Sequence[NodeFacts], site: Site, options: ReadOptions) -> list[NodeFacts]:
    """Nodes that jobs can use, where any tells of its GPUs; notes on the others and on those that are not available."""
    workers = [node for node in nodes if node.is_worker]
    if workers:
        left = [node.name for node in nodes if not node.is_worker]
        if left:
            site.warnings.append(f"without GPUs and left out: {_names(left)}")
    else:
        workers = list(nodes)
        site.assumed.append("GPUs: no node tells of any")
        site.warnings.append("no node has GPUs in its capacity: is the device plugin running?")
    if options.host_type is None:
        site.assumed += sorted({node.guess for node in workers if node.guess})
    for reason, names in sorted(_by_reason(workers).items()):
        site.warnings.append(f"{reason}, so unavailable: {_names(names)}")
    partly = [node.name for node in workers if not node.reasons and 0 <= node.free < node.gpus]
    if partly:
        site.warnings.append(
            f"some GPUs are not allocatable, which ones nobody tells (the last are taken): {_names(partly)}"
        )
    return workers


def _by_reason(nodes: Iterable[NodeFacts]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for reason in node.reasons:
            found[reason].append(node.name)
    return found


def _names(names: list[str]) -> str:
    text = compress(sorted(names, key=natural_key))
    return text if len(text) <= 200 else f"{text[:200].rsplit(',', 1)[0]} and others, {len(names)} in all"


def _choose_scheme(nodes: Sequence[NodeFacts]) -> tuple[str, ...]:
    """Labels that most nodes have; of several as common, those with more levels."""
    scores = []
    for rank, scheme in enumerate(_SCHEMES):
        used = tuple(key for key in scheme if any(node.labels.get(key) for node in nodes))
        covered = sum(1 for node in nodes if any(node.labels.get(key) for key in used))
        scores.append((-covered, -len(used), rank, used))
    best = min(scores)
    return best[3]


def note_levels(site: Site, scheme: Sequence[str], *, told: bool) -> None:
    """Say which labels were used."""
    if scheme:
        source = "the Topology's levels" if told else "the labels found"
        site.assumed.append(f"network: {source}, coarsest first: {', '.join(scheme)}")
    else:
        site.warnings.append(
            "no known topology labels: all nodes are taken as equally far from each other (a Kueue Topology in the "
            "same file names others: kind Topology, spec.levels of nodeLabel, coarsest first)"
        )


def node_row(node: NodeFacts, ids: tuple[str, ...]) -> Row:
    """Row of a node under `ids`."""
    free = None if node.gpus < 0 and not node.reasons else max(node.free, 0)
    return Row(node.name, ids, aliases=node.aliases, kind=node.kind, free=free)


def add_islands(site: Site, nodes: Iterable[NodeFacts]) -> Site:
    """NVLink domains of nodes: the GPU operator's clique, else topograph's or AWS's label, else A4X subblocks."""
    domains = Domains()
    other: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        labels = node.labels
        if node.clique:
            other[node.clique].append(node.name)
        elif not domains.add(node.name, labels):
            machine = labels.get("node.kubernetes.io/instance-type", "")
            key = _ULTRASERVER if labels.get(_ULTRASERVER) else _GCE_SUBBLOCK if _A4X.match(machine) else ""
            if labels.get(key):
                other[labels[key]].append(node.name)
    site.islands = domains.islands() | dict(other)
    sizes = Counter(len(hosts) for hosts in site.islands.values())
    if sizes and max(sizes) == 1:
        site.islands = {}
    return site
