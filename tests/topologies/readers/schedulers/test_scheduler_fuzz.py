"""Readers of schedulers, clouds and Kubernetes meet data of the right words in any shape: a Fabric or an InputError."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.topologies import formats

KEYS = {
    "slurm-yaml": "topology cluster_default tree block ring torus3d flat switches switch children nodes blocks "
    "block_sizes rings dims",
    "topograph": "switches blocks switch nodes annotations labels accelerator.topology.test/domain "
    "accelerator.topology.test/sub-domain instances id network_layers provider engine",
    "aws": "Instances Nodes InstanceId NetworkNodes CapacityBlockId InstanceType Name Topology "
    "topology.k8s.aws/network-node-layer-1",
    "gcp": "items name id machineType resourceStatus physicalHost physicalHostTopology block subblock cluster host",
    "oci": "data items hostname id rdmaTopologyData customerHPCIslandId customerNetworkBlock customerLocalBlock "
    "customerGpuMemoryFabric shape",
    "kubernetes": "kind items metadata name labels spec status capacity allocatable nvidia.com/gpu nvidia.com/mig-1 "
    "conditions type taints key effect addresses address providerID levels nodeLabel nvidia.com/gpu.clique "
    "fabric.topograph.run/tier-0 fabric.topograph.run/tier-1 nvidia.com/gpu.memory nvidia.com/gpu.replicas nodes role",
    "hypernode": "kind metadata name labels spec tier members type selector exactMatch regexMatch labelMatch pattern "
    "matchLabels matchExpressions operator values key",
}
VALUES = ["n1", "n2", "n[1-3]", "n[", "a", "b", "/a/b/c", "Node", "HyperNode", "Topology", "List", "Cluster", "worker"]
VALUES += ["p5.48xlarge", "Ready", "NoSchedule", "10.0.0.1", "x" * 300, "ü", "", "8", "In", "a/b/c/d/e/f"]
LEAVES = st.one_of(
    st.sampled_from(VALUES), st.none(), st.booleans(), st.integers(-2, 9), st.floats(), st.text(max_size=4)
)


def data_of(words: str) -> st.SearchStrategy[object]:
    keys = st.sampled_from(words.split())
    return st.recursive(
        LEAVES,
        lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(keys, part, max_size=4)),
        max_leaves=12,
    )


def check(text: str, name: str) -> None:
    with contextlib.suppress(InputError):
        fabric = formats.read(text, name="fuzz", format=name)
        assert parse_fabric(format_fabric(fabric), "fuzz").hosts == fabric.hosts


@pytest.mark.parametrize("name", sorted(KEYS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_shape(name: str, data: st.DataObject) -> None:
    check(json.dumps(data.draw(data_of(KEYS[name]))), name)


@st.composite
def nodes(draw: st.DrawFn) -> list[object]:
    """Objects that are nearly right, so that fuzzing gets behind the first check."""
    words = data_of(KEYS["kubernetes"])
    found: list[object] = []
    for i in range(draw(st.integers(1, 4))):
        labels = draw(st.dictionaries(st.sampled_from(KEYS["kubernetes"].split()), LEAVES, max_size=4))
        status = draw(
            st.fixed_dictionaries({"capacity": words, "allocatable": words, "conditions": words, "addresses": words})
        )
        metadata = {"name": draw(st.sampled_from([f"n{i}", "n0"])), "labels": labels}
        found.append({"kind": "Node", "metadata": metadata, "spec": draw(words), "status": status})
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=nodes())
def test_nodes_that_are_nearly_right(items: list[object]) -> None:
    check(json.dumps({"kind": "List", "items": items}), "kubernetes")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=nodes(), members=st.lists(data_of(KEYS["hypernode"]), max_size=4))
def test_hypernodes_that_are_nearly_right(items: list[object], members: list[object]) -> None:
    top = {"kind": "HyperNode", "metadata": {"name": "h"}, "spec": {"tier": 1, "members": members}}
    check(json.dumps({"kind": "List", "items": [top, *items]}), "hypernode")
