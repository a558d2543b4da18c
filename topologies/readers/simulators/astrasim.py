"""Readers of ASTRA-sim's networks: analytical YAML, logical dimensions in JSON, and the .topo files of htsim.

The analytical backend describes dimensions, innermost first: npus_count, bandwidth (GB/s of a link, each direction) and
latency (ns) each. Here the first dimension is what happens inside a host, and each further one a tier of the network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.marked import Marked
from topoplan.model.fabric import Fabric, Group, Host
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies.documents import load
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S
from topoplan.topologies.reading import MAX_HOSTS, MAX_TIERS, SNIFF_CHARS, ReadOptions, fabric_name, lines, quoted
from topoplan.topologies.reading import tiers as usual_tiers

_YAML = re.compile(r"^npus_count[ \t]*:", re.MULTILINE)
_DIMS = re.compile(r'"logical-dims"\s*:')
_HTSIM = re.compile(r"^[ \t]*Nodes[ \t]+\d+[ \t]*\r?$", re.MULTILINE)
_TIER = re.compile(r"^[ \t]*Tiers[ \t]+\d+[ \t]*\r?$", re.MULTILINE)
_MAX_GPUS = 1024  # assumed: no scale-up domain is larger (Ironwood's cube aside); bounds a host
_NIC_BYTES_PER_S = 400e9 / 8  # assumed where no bandwidth is given: NDR or 400GbE
_SHAPES = ("Ring", "FullyConnected", "Switch")


def sniff(text: str) -> bool:
    """Whether `text` is YAML of the analytical backend."""
    return _YAML.search(text, 0, SNIFF_CHARS) is not None


def sniff_dims(text: str) -> bool:
    """Whether `text` is JSON with logical dimensions."""
    return text.lstrip()[:1] == "{" and _DIMS.search(text, 0, SNIFF_CHARS) is not None


def sniff_htsim(text: str) -> bool:
    """Whether `text` counts nodes and tiers as htsim's topologies do."""
    head = text[:SNIFF_CHARS]
    return _HTSIM.search(head) is not None and _TIER.search(head) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of an analytical network.

    Raises
    ------
    InputError
        Dimensions of unequal number, an unknown shape, or a number that is none ("tbd").
    """
    document = _document(text, path)
    shapes = [str(shape) for shape, _ in _list(document, "topology")]
    counts = [_count(value, place) for value, place in _list(document, "npus_count")]
    speeds = [_positive(value, "bandwidth", place) * 1e9 for value, place in _list(document, "bandwidth")]
    if not len(shapes) == len(counts) == len(speeds) >= 1:
        raise InputError(
            f"{len(shapes)} shapes, {len(counts)} counts and {len(speeds)} bandwidths",
            place=Place(path),
            hint="one each",
        )
    for shape in shapes:
        if shape not in _SHAPES:
            raise InputError(
                f"shape {quoted(shape)} is unknown", place=Place(path), hint=f"shapes: {', '.join(_SHAPES)}"
            )
    links = [_links_of(shape, count) for shape, count in zip(shapes, counts, strict=True)]
    per_gpu = [speed * n for speed, n in zip(speeds, links, strict=True)]
    assumed = ["dimension 1 is one NVLink domain in a host, further ones are tiers of the network"]
    if any(shape == "Ring" for shape in shapes):
        assumed.append("rings count as switches that carry all links of their members, so neighbours have no advantage")
    return _build(counts, per_gpu, path, options, assumed)


def read_dims(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of logical dimensions; the file has no bandwidths.

    Raises
    ------
    InputError
        Dimensions that are no numbers.
    """
    counts = [_count(value, place) for value, place in _list(_document(text, path), "logical-dims")]
    speeds = [DEFAULT_SCALE_UP_BYTES_PER_S, *[_NIC_BYTES_PER_S] * (len(counts) - 1)]
    assumed = [
        "dimension 1 is one NVLink domain in a host, further ones are tiers of the network",
        "bandwidths: 450 GB/s of NVLink and 400 Gb/s of network a GPU, as the file has none",
    ]
    return _build(counts, speeds, path, options, assumed)


def _document(text: str, path: str) -> Marked:
    documents = load(text, path)
    if not documents or not isinstance(documents[0].data, dict):
        raise InputError("this is no network of ASTRA-sim", place=Place(path))
    return documents[0]


def _list(document: Marked, key: str) -> list[tuple[Any, Place]]:
    """Values of a list, each with its place."""
    values = document.data.get(key)
    if not isinstance(values, list) or not values:
        raise document.error(f"there is no list {key}", (key,))
    return [(value, document.place((key, i))) for i, value in enumerate(values)]


def _count(value: Any, place: Place) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_HOSTS * _MAX_GPUS:
        raise InputError(f"{quoted(str(value))} is no number of NPUs", place=place)
    return number


def _positive(value: Any, what: str, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InputError(
            f"{what} {quoted(str(value))} is no number",
            place=place,
            hint="measure it and write GB/s; some published examples leave it open",
        )
    return float(value)


def _links_of(shape: str, count: int) -> int:
    """Links of one NPU in a dimension (ASTRA-sim's analytical network: rings have two, cliques one to each other)."""
    return {"Ring": min(2, count - 1), "FullyConnected": count - 1, "Switch": 1}[shape] or 1


def _build(
    counts: Sequence[int], per_gpu: Sequence[float], path: str, options: ReadOptions, assumed: list[str]
) -> Fabric:
    """Hosts of the first dimension under a tier for each other; each GPU leaves a group by links of its own."""
    gpus, outer = counts[0], counts[1:]
    hosts = math.prod(outer)
    if gpus > _MAX_GPUS or hosts > MAX_HOSTS or len(outer) > MAX_TIERS:
        raise InputError(f"{hosts} hosts of {gpus} GPUs are more than any fabric has", place=Place(path))
    nics = tuple(Nic(i, per_gpu[1], i) for i in range(gpus)) if outer else ()
    kind = options.host_type or HostType(f"npu-x{gpus}", gpus, nics, gpus, per_gpu[0])
    groups: list[Group] = []
    parents = [-1]
    for tier in range(len(outer) - 1, -1, -1):
        above = []
        for parent in parents:
            for _ in range(outer[tier + 1] if tier + 1 < len(outer) else 1):
                above.append(len(groups))
                members = float(math.prod(outer[: tier + 1]))
                uplinks = () if parent < 0 else (members,) * gpus
                speed = 0.0 if parent < 0 else per_gpu[tier + 2]
                groups.append(Group(f"dim{tier + 2}-{len(above) - 1}", tier, parent, gpus, uplinks, speed))
        parents = above
    leaf = [parents[h // outer[0]] if outer else -1 for h in range(hosts)]
    return Fabric(
        name=fabric_name(path),
        routing=options.routing or "adaptive",
        host_types=(kind,),
        hosts=tuple(Host(f"host-{h}", 0, leaf[h]) for h in range(hosts)),
        tiers=usual_tiers(len(outer)) if outer else (),
        groups=tuple(groups),
        assumed=(*assumed, *([] if options.routing else ["routing: adaptive, as the simulator spreads perfectly"])),
    )


def read_htsim(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a fat tree of htsim (fat_tree_topology): hosts of one NIC under switches of two or three tiers.

    Raises
    ------
    InputError
        A key that is missing or no number, or radixes that do not divide the nodes.
    """
    top, tiers = _htsim_parts(text, path)
    nodes, pod = top["nodes"], top.get("podsize", top["nodes"])
    if top["tiers"] != len(tiers) or not 2 <= len(tiers) <= 3:
        raise InputError(f"Tiers {top['tiers']}, but {len(tiers)} are described", place=Place(path))
    per_leaf = _need(tiers, 0, "radix_down", path)
    if pod % per_leaf or nodes % pod or nodes > MAX_HOSTS:
        raise InputError(f"{nodes} nodes, pods of {pod} and leaves of {per_leaf} do not divide", place=Place(path))
    speed = [_need(tiers, t, "downlink_speed_gbps", path) * 1e9 / 8 for t in range(len(tiers))]
    leaf_up = float(_need(tiers, 0, "radix_up", path))
    core = Group("core-0" if len(tiers) == 3 else "spine-0", len(tiers) - 1)
    groups = [core]
    parent_of_leaf = [0] * (nodes // per_leaf)
    if len(tiers) == 3:
        aggs = (pod // per_leaf) * leaf_up / _need(tiers, 1, "radix_down", path)
        pod_up = aggs * _need(tiers, 1, "radix_up", path)
        groups += [Group(f"pod-{p}", 1, 0, 1, (pod_up,), speed[2]) for p in range(nodes // pod)]
        parent_of_leaf = [1 + k * per_leaf // pod for k in range(nodes // per_leaf)]
    first = len(groups)
    groups += [Group(f"leaf-{k}", 0, parent, 1, (leaf_up,), speed[1]) for k, parent in enumerate(parent_of_leaf)]
    kind = options.host_type or HostType("node", 1, (Nic(0, speed[0], 0),), 1, DEFAULT_SCALE_UP_BYTES_PER_S)
    assumed = [] if options.host_type else ["a node: one GPU with one NIC (give the host type if not so)"]
    return Fabric(
        name=fabric_name(path),
        routing=options.routing or "ecmp",
        host_types=(kind,),
        hosts=tuple(Host(f"node-{h}", 0, first + h // per_leaf) for h in range(nodes)),
        tiers=usual_tiers(len(tiers)),
        groups=tuple(groups),
        assumed=(*assumed, *([] if options.routing else ["routing: ecmp, as the file does not say"])),
    )


def _htsim_parts(text: str, path: str) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Numbers of the head and of each tier, keys in small letters."""
    top: dict[str, int] = {}
    tiers: list[dict[str, int]] = []
    for number, line in lines(text, path):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal() or len(words[1]) > 9:
            raise InputError("this line is no key with a number", place=Place(path, number))
        if words[0].lower() == "tier":
            if int(words[1]) != len(tiers):
                raise InputError(f"tier {words[1]} comes after {len(tiers)} tiers", place=Place(path, number))
            tiers.append({})
        else:
            (tiers[-1] if tiers else top)[words[0].lower()] = int(words[1])
    if missing := {"nodes", "tiers"} - top.keys():
        raise InputError(f"{', '.join(sorted(missing))} is not given", place=Place(path))
    if not all(top.values()):
        raise InputError("a count is zero", place=Place(path))
    return top, tiers


def _need(tiers: Sequence[dict[str, int]], tier: int, key: str, path: str) -> int:
    value = tiers[tier].get(key, 0)
    if value < 1:
        raise InputError(f"tier {tier} has no {key}", place=Place(path))
    return value
