"""A Kubernetes Node -> what it is as a host: GPUs, names, NVLink domain, and whether pods can run there."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from topoplan.model.host_type import HostType
from topoplan.names import check_name
from topoplan.topologies.documents import list_at, mapping_at, text_at, value_at
from topoplan.topologies.hosts import guess, mig
from topoplan.topologies.readers.schedulers.k8s_objects import Object

# Extended resources that are whole accelerators; MIG slices are nvidia.com/mig-*.
_GPU_RESOURCES = (
    "nvidia.com/gpu",
    "amd.com/gpu",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
    "aws.amazon.com/neuron",
    "google.com/tpu",
    "huawei.com/Ascend910",
)
_SLICES = "nvidia.com/mig-"
_PROFILE = re.compile(r"(?i)mig-(?:\d+c\.)?([1-7])g\.")
_MAX_GPUS = 1024  # assumed: more than any host has, slices counted
# Taints that GPU pods tolerate as a matter of course: they keep other pods away.
_GPU_TAINTS = re.compile(r"(?:.*/)?(?:gpu|gaudi|neuron|tpu|accelerator|sku|node)$|kwok\.x-k8s\.io/node")
_KEEPS_AWAY = ("NoSchedule", "NoExecute")
_ADDRESSES = {"InternalIP": "ip", "Hostname": "hostname", "InternalDNS": "fqdn"}
_CLIQUE = "nvidia.com/gpu.clique"
_PRODUCTS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node.

    Parameters
    ----------
    gpus
        In its capacity, 0 without any, -1 when no capacity is given.
    free
        Of them allocatable, 0 where no pod can run.
    kind
        None when it has no GPUs or does not say.
    guess
        What of `kind` the node does not tell, for `Fabric.assumed`; "" without a kind.
    reasons
        Why pods cannot run there; empty when they can.
    """

    name: str
    labels: dict[str, str]
    aliases: tuple[tuple[str, str], ...]
    gpus: int
    free: int
    kind: HostType | None
    guess: str
    reasons: tuple[str, ...]
    clique: str

    @property
    def is_worker(self) -> bool:
        """Whether jobs could run there at all."""
        roles = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
        return self.gpus > 0 or (self.gpus < 0 and not any(role in self.raw_roles for role in roles))

    @property
    def raw_roles(self) -> set[str]:
        """Labels that give it a role."""
        return {key for key in self.labels if key.startswith("node-role.kubernetes.io/")}


def facts(node: Object) -> NodeFacts:
    """What `node` is; InputError when it has no usable name."""
    labels = node.labels
    roles = mapping_at(node.data, "metadata", "labels")
    labels |= {key: "" for key in roles if key.startswith("node-role.kubernetes.io/") and key not in labels}
    gpus, sizes = _count(mapping_at(node.data, "status", "capacity"), labels)
    free = gpus
    if "allocatable" in mapping_at(node.data, "status"):
        free, free_sizes = _count(mapping_at(node.data, "status", "allocatable"), labels)
        if gpus < 0:
            gpus, sizes = free, free_sizes
    reasons = tuple(_reasons(node.data))
    return NodeFacts(
        node.name,
        labels,
        _aliases(node),
        gpus,
        0 if reasons else min(free, gpus),
        *_kind(gpus, sizes, labels),
        reasons,
        _clique(labels.get(_CLIQUE, "")),
    )


def _count(resources: dict[str, Any], labels: dict[str, str]) -> tuple[int, tuple[int, ...]]:
    """Places for ranks, and the sizes of all where some are MIG slices; -1 when there is no list of resources."""
    if not resources:
        return -1, ()
    whole = max((_number(resources.get(name)) for name in _GPU_RESOURCES), default=0)
    shared = _number(labels.get("nvidia.com/gpu.replicas"))
    whole = whole // shared if shared > 1 else whole  # time slicing counts each GPU several times
    # strategy "single" calls slices GPUs and puts their profile into the product's name; "mixed" has resources of them
    single = _PROFILE.search(next((labels[key] for key in _PRODUCTS if key in labels), ""))
    sizes = [int(single[1]) if single else mig.WHOLE] * whole
    for name in sorted(name for name in resources if name.startswith(_SLICES)):
        profile = _PROFILE.search(name)
        sizes += [int(profile[1]) if profile else 1] * _number(resources[name])
    sizes = sizes[:_MAX_GPUS]
    return len(sizes), tuple(sizes) if single or len(sizes) > whole else ()


def _number(value: object) -> int:
    text = str(value)
    return min(int(text), _MAX_GPUS) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def _kind(gpus: int, sizes: tuple[int, ...], labels: dict[str, str]) -> tuple[HostType | None, str]:
    """Type of a node's host, and what of it is a guess."""
    instance = labels.get("node.kubernetes.io/instance-type", "")
    by_type = guess.of_instance(instance)
    if by_type and gpus in (-1, by_type.gpus) and not sizes:
        return by_type, guess.told_of(instance)
    if gpus <= 0:
        return None, ""
    if sizes:
        count = _number(labels.get("nvidia.com/gpu.count"))  # GPUs, but of strategy "single" slices
        cut = mig.on_gpus(sizes, count if count < len(sizes) else 0)
        return guess.of_slices(cut), (
            "MIG slices: which GPU holds which (alike, or on as few as hold them), no NVLink between them, "
            "and a NIC of 400 Gb/s for each GPU"
        )
    memory = _number(labels.get("nvidia.com/gpu.memory"))  # MiB
    product = next((labels[key] for key in _PRODUCTS if key in labels), "")
    size = float(labels["nvidia.com/gpu.memory"]) * 2**20 if memory else None
    kind = guess.of_product(product, gpus, size)
    return kind, "NICs: one of 400 Gb/s a GPU, and NVLink bandwidth by the product's name, as nodes tell of neither"


def _reasons(data: dict[str, Any]) -> list[str]:
    found = []
    ready = [item for item in list_at(data, "status", "conditions") if text_at(item, "type") == "Ready"]
    if ready and text_at(ready[0], "status") != "True":
        found.append("not ready")
    if value_at(data, "spec", "unschedulable") is True:
        found.append("cordoned")
    for taint in list_at(data, "spec", "taints"):
        key, effect = text_at(taint, "key"), text_at(taint, "effect")
        implied = key.startswith("node.kubernetes.io/") and bool(found)
        if effect in _KEEPS_AWAY and not _GPU_TAINTS.fullmatch(key) and not implied:
            found.append(f"tainted {key[:80]}:{effect}")
    return found


def _aliases(node: Object) -> tuple[tuple[str, str], ...]:
    """Other names of a node: its addresses, and the cloud's instance."""
    found: dict[tuple[str, str], None] = {}
    for item in list_at(node.data, "status", "addresses"):
        kind = _ADDRESSES.get(text_at(item, "type"))
        if kind:
            found[kind, text_at(item, "address")] = None
    provider = text_at(node.data, "spec", "providerID")
    if provider:
        found["instance", provider.rsplit("/", 1)[-1]] = None
    host = node.labels.get("kubernetes.io/hostname", "")
    if host and not any(name == host for _, name in found):
        found["hostname", host] = None
    kept: dict[str, tuple[str, str]] = {}
    for kind, name in found:
        usable = _usable(name)
        if usable and usable != node.name:
            kept.setdefault(kind, (kind, usable))  # one name of a kind, as Fabric files have it
    return tuple(kept.values())


def _usable(name: str) -> str:
    """`name` where a Fabric can hold it, "" otherwise."""
    if ":" in name:
        try:
            return str(ipaddress.IPv6Address(name))
        except ValueError:
            return ""
    try:
        return check_name(name)
    except ValueError:
        return ""


def _clique(text: str) -> str:
    """ClusterUUID.CliqueID, "" where it is all zero, as it is until a fabric is there."""
    return "" if not text.split(".", maxsplit=1)[0].strip("0-") else text
