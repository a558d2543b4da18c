"""The reader of Kubernetes nodes, with Kueue's Topology and without."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats

GPUS = {"nvidia.com/gpu": "8"}
TOPOLOGY = {
    "apiVersion": "kueue.x-k8s.io/v1beta2",
    "kind": "Topology",
    "spec": {"levels": [{"nodeLabel": "x/block"}, {"nodeLabel": "x/rack"}, {"nodeLabel": "kubernetes.io/hostname"}]},
}


def node(name: str, labels: dict[str, str] | None = None, **parts: Any) -> dict[str, Any]:
    """A Node; `capacity`, `allocatable`, `conditions`, `addresses` go to its status, the rest to its spec."""
    known = ("capacity", "allocatable", "conditions", "addresses")
    status = {"capacity": GPUS} | {key: parts.pop(key) for key in known if key in parts}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": parts,
        "status": status,
    }


def read(*items: dict[str, Any]) -> Fabric:
    return formats.read(json.dumps({"kind": "List", "items": list(items)}), name="nodes.json", format="kubernetes")


def refusal(*items: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        read(*items)
    return str(caught.value)


def above(fabric: Fabric, name: str) -> list[str]:
    here, found = fabric.hosts[fabric.host_index[name]].group, []
    while here >= 0:
        found.append(fabric.groups[here].name)
        here = fabric.groups[here].parent
    return found


def islands(fabric: Fabric) -> dict[str, list[str]]:
    return {i.name: [fabric.host_names[h] for h in i.hosts] for i in fabric.islands}


def test_levels_that_are_the_machine_itself_are_no_groups() -> None:
    levels = [f"cloud.google.com/gce-topology-{level}" for level in ("block", "subblock", "host")]
    spec = {"levels": [{"nodeLabel": label} for label in [*levels, "kubernetes.io/hostname"]]}
    nodes = [node(f"n{n}", dict(zip(levels, ("b", "s", f"h{n}"), strict=True))) for n in range(2)]
    assert above(read(TOPOLOGY | {"spec": spec}, *nodes), "n1") == ["s", "b"]


@pytest.mark.parametrize(
    "keys",
    [
        tuple(f"fabric.topograph.run/tier-{n}" for n in (0, 1, 2)),
        tuple(f"network.topology.nvidia.com/tier-{n}" for n in (0, 1, 2)),
        tuple(f"network.topology.nvidia.com/{level}" for level in ("leaf", "spine", "core")),
        tuple(f"network.topology.nvidia.com/{level}" for level in ("block", "spine", "datacenter")),
        tuple(f"topology.k8s.aws/network-node-layer-{n}" for n in (3, 2, 1)),
        tuple(f"topology.nebius.com/tier-{n}" for n in (1, 2, 3)),
        tuple(f"oci.oraclecloud.com/rdma.{level}_id" for level in ("local_block", "network_block", "hpc_island")),
        tuple(f"backend.coreweave.cloud/{level}" for level in ("leafgroup", "superpod", "fabric")),
        tuple(f"ib.coreweave.cloud/{level}" for level in ("leafgroup", "superpod", "fabric")),
    ],
    ids=["topograph", "topograph 2026", "topograph 2025", "topograph 2024", "aws", "nebius", "oci", "coreweave", "ib"],
)
def test_label_schemes(keys: tuple[str, ...]) -> None:
    """`keys` run from the leaf to the top."""
    assert above(read(node("n1", dict(zip(keys, "abc", strict=True)))), "n1") == ["a", "b", "c"]


def test_numbers_of_different_levels_are_different_groups() -> None:
    keys = ("crusoe.ai/ib.partition.id", "crusoe.ai/pod.id")
    nodes = [node(f"n{pod}", dict(zip(keys, ("1", str(pod)), strict=True))) for pod in (1, 2)]
    fabric = read(*nodes)
    assert [above(fabric, name) for name in ("n1", "n2")] == [[f"pod.id-{n}", "ib.partition.id-1"] for n in (1, 2)]


def test_google_subblocks() -> None:
    labels = {"cloud.google.com/gce-topology-block": "b", "cloud.google.com/gce-topology-host": "h"}
    items = [
        node(
            f"n{i}",
            labels
            | {
                "cloud.google.com/gce-topology-subblock": f"s{i // 2}",
                "node.kubernetes.io/instance-type": "a4x-highgpu-4g",
            },
            capacity={"nvidia.com/gpu": "4"},
        )
        for i in range(4)
    ]
    fabric = read(*items)
    assert above(fabric, "n3") == ["s1", "b"]
    assert islands(fabric) == {"s0": ["n0", "n1"], "s1": ["n2", "n3"]}
    assert fabric.host_types[0].name == "a4x-highgpu-4g"


def test_the_labels_that_most_nodes_have() -> None:
    tor = {"volcano.sh/tor": "t"}
    items = [node(f"n{i}", {"fabric.topograph.run/tier-0": f"leaf{i}"} | (tor if i else {})) for i in range(3)]
    assert above(read(*items), "n1") == ["leaf1", "above"]


def test_cliques_come_before_other_domains() -> None:
    uuid = "0a1b2c3d-0000-4000-8000-00000000000a"
    zero = "00000000-0000-0000-0000-000000000000.0"
    label = {"accelerator.topograph.run/domain": "d"}
    fabric = read(
        node("a1", {"nvidia.com/gpu.clique": f"{uuid}.1"} | label), node("a2", {"nvidia.com/gpu.clique": f"{uuid}.1"}),
        node("a3", {"nvidia.com/gpu.clique": f"{uuid}.2"}), node("b1", label), node("b2", label),
        node("c1", {"nvidia.com/gpu.clique": zero}), node("c2", {"nvidia.com/gpu.clique": zero}),
    )  # fmt: skip
    assert islands(fabric) == {f"{uuid}.1": ["a1", "a2"], "d": ["b1", "b2"]}


def test_names() -> None:
    fabric = read(
        node(
            "ip-10-0-0-1.internal",
            {"kubernetes.io/hostname": "worker-1"},
            providerID="aws:///us-west-2a/i-0abc",
            addresses=[
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "fd00::1"},
                {"type": "Hostname", "address": "ip-10-0-0-1.internal"},
                {"type": "InternalDNS", "address": "w1.example"},
                {"type": "ExternalIP", "address": "1.2.3.4"},
            ],
        )
    )
    assert set(fabric.hosts[0].aliases) == {
        ("ip", "10.0.0.1"), ("fqdn", "w1.example"), ("instance", "i-0abc"), ("hostname", "worker-1")
    }  # fmt: skip
    assert fabric.alias_index["10.0.0.1"] == fabric.alias_index["ip-10-0-0-1.internal"] == 0
    assert parse_fabric(format_fabric(fabric), "x").hosts == fabric.hosts


def test_an_alias_of_two_nodes_is_nobodys() -> None:
    address = [{"type": "InternalIP", "address": "10.0.0.1"}]
    assert "10.0.0.1" not in read(node("n1", addresses=address), node("n2", addresses=address)).alias_index


def test_unavailable_nodes_are_kept_and_noted() -> None:
    unready = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "Unknown"}]
    taint = [{"key": "team", "value": "x", "effect": "NoSchedule"}]
    fabric = read(
        node("n1"), node("n2", unschedulable=True), node("n3", conditions=unready), node("n4", taints=taint),
        node("n5", taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]),
        node("n6", taints=[{"key": "soft", "effect": "PreferNoSchedule"}]),
        node("n7", unschedulable=True, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]),
    )  # fmt: skip
    assert fabric.free_gpus.tolist() == [8, 0, 0, 0, 8, 8, 0]
    assert {w for w in fabric.warnings if "unavailable" in w} == {
        "cordoned, so unavailable: n2,n7",
        "not ready, so unavailable: n3",
        "tainted team:NoSchedule, so unavailable: n4",
    }


def test_gpus_come_from_the_node() -> None:
    fabric = read(
        node("n1", {"nvidia.com/gpu.product": "NVIDIA-H200", "nvidia.com/gpu.memory": "143771"}, allocatable=GPUS),
        node("n2", {"nvidia.com/gpu.product": "NVIDIA-A100-PCIE-40GB"}, capacity={"nvidia.com/gpu": "2"}),
        node("n3", allocatable={"nvidia.com/gpu": "6"}),
        node("n4", capacity={"amd.com/gpu": "8"}),
        node("n5", capacity={"nvidia.com/mig-1g.10gb": "14", "nvidia.com/gpu": "0"}),
        node("n6", {"nvidia.com/gpu.replicas": "4"}, capacity={"nvidia.com/gpu": "32"}),
        node("cpu", capacity={"cpu": "64"}),
    )
    kind = {h.name: fabric.host_types[h.type] for h in fabric.hosts}
    assert [kind[f"n{i}"].gpus for i in range(1, 7)] == [8, 2, 8, 8, 14, 8]
    assert (kind["n1"].scale_up_bandwidth_bytes_per_s, kind["n1"].gpu_memory_bytes) == (450e9, 143771 * 2**20)
    assert (kind["n2"].scale_up_gpus, kind["n5"].scale_up_gpus) == (1, 1)
    assert kind["n5"].slices == (7, 7)
    assert fabric.free_gpus.tolist()[2] == 6
    assert "cpu" not in kind
    assert [line.split(":")[0] for line in fabric.assumed][:2] == ["MIG slices", "NICs"]
    assert "without GPUs and left out: cpu" in fabric.warnings
    assert any("some GPUs are not allocatable" in w and w.endswith("n3") for w in fabric.warnings)


def test_the_instance_type_counts_where_no_capacity_is_listed() -> None:
    fabric = read(
        node("n1", {"node.kubernetes.io/instance-type": "a4x-highgpu-4g"}, capacity={}), node("n2", capacity={})
    )
    kind = {h.name: fabric.host_types[h.type].name for h in fabric.hosts}
    assert kind == {"n1": "a4x-highgpu-4g", "n2": "assumed-8-gpu"}
    assert any("a4x-highgpu-4g: assumed from memory" in line for line in fabric.assumed)
    empty = node("n1", {"node.kubernetes.io/instance-type": "a4x-highgpu-4g"}, capacity={"cpu": "8"})
    assert [h.name for h in read(empty, node("n2", capacity=GPUS)).hosts] == ["n2"]


def test_mig_slices_are_places_on_gpus() -> None:
    single = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", "nvidia.com/gpu.count": "16"}
    fabric = read(
        node("n1", single, capacity={"nvidia.com/gpu": "16"}),
        node("n2", {"nvidia.com/gpu.count": "4"}, capacity={"nvidia.com/mig-1g.12gb": "16"}),
        node("n3", capacity={"nvidia.com/mig-4g.40gb": "1", "nvidia.com/mig-3g.40gb": "3", "nvidia.com/gpu": "1"}),
    )
    kind = {h.name: fabric.host_types[h.type] for h in fabric.hosts}
    assert [kind[f"n{i}"].slices for i in (1, 2, 3)] == [(2,) * 8, (4,) * 4, (1, 2, 2)]
    assert [nic.gpu for nic in kind["n2"].nics] == [0, 4, 8, 12]
    assert kind["n2"].nics_of_gpu[7] == (1,)
    assert {k.scale_up_gpus for k in kind.values()} == {1}


def test_nodes_that_tell_of_no_gpus() -> None:
    control = node("cp", {"node-role.kubernetes.io/control-plane": ""}, capacity={})
    fabric = read(node("n1", capacity={}), control)
    assert (fabric.host_names, fabric.gpus) == (("n1",), 8)


def test_kueue_topology_names_the_levels() -> None:
    other = {"fabric.topograph.run/tier-0": "leaf"}
    items = [node(f"n{i}", {"x/block": f"b{i // 2}", "x/rack": f"r{i % 2}"} | other) for i in range(4)]
    fabric = read(TOPOLOGY, *items, node("n9", {"x/rack": "r1"}))
    assert above(fabric, "n3") == ["b1-r1", "b1", "above"]
    assert above(fabric, "n9") == ["unplaced", "above"]
    assert any("the Topology's levels, coarsest first: x/block, x/rack" in line for line in fabric.assumed)


def test_a_topology_alone_says_what_is_missing() -> None:
    message = refusal(TOPOLOGY)
    assert "names the levels (x/block, x/rack) and no hosts" in message
    assert "kubectl get nodes" in message


def test_documents_and_lists_mix() -> None:
    text = "\n---\n".join(
        json.dumps(part) for part in (TOPOLOGY, {"kind": "NodeList", "items": [node("n1")]}, node("n2"))
    )
    assert formats.read(text, name="x", format="kubernetes").host_names == ("n1", "n2")
    assert formats.read(json.dumps([node("n1")]), name="x").host_names == ("n1",)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ((node("n1"), node("n1")), "host n1 is listed twice"),
        ((node("a b"),), "refused"),
        (({"kind": "Pod", "metadata": {"name": "p"}},), "there is no Node in this file, only Pod"),
        ((TOPOLOGY, TOPOLOGY | {"spec": {"levels": [{"nodeLabel": "y"}]}}, node("n")), "two Topologies"),
        ((TOPOLOGY | {"spec": {}}, node("n")), "spec.levels"),
        ((TOPOLOGY | {"spec": {"levels": [{"nodeLabel": "a"}] * 2}}, node("n")), "levels that differ"),
    ],
)
def test_refusals(items: tuple[dict[str, Any], ...], message: str) -> None:
    assert message in refusal(*items)


def test_deep_and_twice() -> None:
    for text in ('{"kind": "Node", "kind": "Node"}', '{"kind": "Node", "a": ' + "[" * 50 + "]" * 50 + "}"):
        with pytest.raises(InputError, match=r"stands twice|levels deep"):
            formats.read(text, name="x", format="kubernetes")


def test_kind_cluster(shared_dir: Path) -> None:
    path = shared_dir / "k8s_tas" / "kind-cluster-tas.yaml"
    text = path.read_text()
    fabric = formats.read(text, name=path.name)
    labels = re.findall(r"topology-block: (\S+)\n +\S+topology-rack: (\S+)", text)
    assert len(fabric.hosts) == len(labels) == text.count("role: worker")
    assert fabric.host_names[:2] == ("kind-worker", "kind-worker2")
    assert sum(g.tier == 0 for g in fabric.groups) == len(set(labels))
    assert above(fabric, "kind-worker8") == ["b2-r2", "b2", "above"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kueue-sample-queues.yaml", "topology-rack"),
        ("kueue-sample-gpu-queues.yaml", "no hosts"),
        ("block-topology-tas-small-job.yaml", "only Job"),
        ("host-topology-tas-small-job.yaml", "only Job"),
        ("rack-topology-tas-small-job.yaml", "only Job"),
    ],
)
def test_real_files_without_nodes_are_explained(shared_dir: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        formats.read((shared_dir / "k8s_tas" / name).read_text(), name=name)
