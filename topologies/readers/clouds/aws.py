"""Reader of AWS's DescribeInstanceTopology (JSON), and of node lists with EKS labels made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.marked import Marked
from topoplan.model.fabric import Fabric
from topoplan.topologies.documents import is_json, list_at, load, mapping_at, text_at, value_at
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions
from topoplan.topologies.trees.rows import Row, site_of_rows
from topoplan.topologies.trees.site import check_text, host_name
from topoplan.topologies.trees.tree import build

_SNIFF = re.compile(
    r'"(?:NetworkNodes|networkNodeSet|network_nodes)"\s*:|"Topology"\s*:\s*\{\s*"topology\.', re.IGNORECASE
)
_YAML = re.compile(r"^(?:Instances|- ?InstanceId|- CapacityBlockId|- AvailabilityZone):?", re.MULTILINE)
_YAML_NODES = re.compile(r"^[ -]+NetworkNodes:\s*$", re.MULTILINE)
_LAYERS = tuple(f"topology.k8s.aws/network-node-layer-{n}" for n in range(1, 9))  # 1 is the top
_ULTRASERVER = "topology.k8s.aws/ultraserver-id"


def sniff(text: str) -> bool:
    """Whether `text` has network nodes as the API gives them, or topology labels under "Topology"."""
    if is_json(text):
        return _SNIFF.search(text, 0, SNIFF_CHARS) is not None
    head = text[:SNIFF_CHARS]  # --output yaml
    return _YAML.search(head) is not None and _YAML_NODES.search(head) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of the API's answer, one page or several one after another.

    NetworkNodes run from the top to the leaf. Instances of one CapacityBlockId are an NVLink island: AWS gives one to
    UltraServers alone, and there it identifies the domain.

    Raises
    ------
    InputError
        Not such an answer, or an instance that stands twice.
    """
    rows = [row for document in load(text, path) for row in _rows(document)]
    return build(site_of_rows(rows), path, options)


def _rows(document: Marked) -> Iterator[Row]:
    data = document.data
    entries = data if isinstance(data, list) else list_at(data, "Instances") or list_at(data, "Nodes")
    if not entries and not (isinstance(data, dict) and ("Instances" in data or "Nodes" in data)):
        raise document.error("there is no list of Instances, as describe-instance-topology prints it")
    place = document.place()
    for entry in entries:
        if not isinstance(entry, dict):
            raise document.error("an instance must be a mapping")
        yield _labelled(entry, place) if "Topology" in entry else _instance(entry, place)


def _instance(entry: dict[str, Any], place: Place) -> Row:
    nodes = value_at(entry, "NetworkNodes") or []
    if not isinstance(nodes, list):
        raise InputError("NetworkNodes must be a list", place=place)
    return Row(
        host_name(entry.get("InstanceId"), place),
        tuple(check_text(node, "a network node", place) for node in nodes),
        text_at(entry, "CapacityBlockId"),
        text_at(entry, "InstanceType"),
        place=place,
    )


def _labelled(entry: dict[str, Any], place: Place) -> Row:
    labels = mapping_at(entry, "Topology")
    instance = text_at(entry, "InstanceId")
    return Row(
        host_name(entry.get("Name"), place),
        tuple(check_text(labels[key], key, place) for key in _LAYERS if labels.get(key)),
        text_at(labels, _ULTRASERVER),
        text_at(labels, "node.kubernetes.io/instance-type"),
        (("instance", host_name(instance, place)),) if instance else (),
        place=place,
    )
