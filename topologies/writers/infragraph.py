"""Writer of InfraGraph YAML (MLCommons Chakra): a device for each host type and for switches, instances and edges.

What the format cannot hold, and what is therefore not written: routing, distances and latencies of tiers, names of
groups other than their switches', islands wider than a host, slices of GPUs, further GPUs that share a NIC, names of
NICs, unusable GPUs, aliases, NICs of other networks, speed, memory and FLOPS of host types, notes. Hosts without a
group cannot be written. A plane is told by the second cable of a NIC.
"""

from __future__ import annotations

import re
from collections import Counter

import yaml

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, HostType
from topoplan.topologies.writers.cables import Cable, cables

_ALLOWED = re.compile(r"[^A-Za-z0-9_-]")  # dots would end an endpoint; the schema allows little else
MAX_EDGES = 2_000_000  # assumed: as many as any reader would take


def write(fabric: Fabric) -> str:
    """Text of `fabric`.

    Raises
    ------
    InputError
        A host without a group, names that are equal without their dots, or too many cables.
    """
    found = cables(fabric)
    if sum(cable.cables for cable in found) > MAX_EDGES:
        raise InputError(f"more than {MAX_EDGES} cables")
    switches = sorted({end for cable in found for end in (cable.a, cable.b)} - fabric.host_index.keys())
    names = _names([*fabric.host_names, *switches])
    kinds = _names([kind.name for kind in fabric.host_types])
    ports = Counter[str]()
    for cable in found:
        ports.update({end: cable.cables for end in (cable.a, cable.b) if end not in fabric.host_index})
    links = {speed: f"link-{n}" for n, speed in enumerate(sorted({cable.bandwidth_bytes_per_s for cable in found}))}
    used = sorted({host.type for host in fabric.hosts})
    data = {
        "name": _ALLOWED.sub("-", fabric.name) or "fabric",
        "devices": [
            *(_host_device(kinds[fabric.host_types[n].name], fabric.host_types[n]) for n in used),
            *(_switch_device(count) for count in sorted(set(ports.values()))),
        ],
        "links": [_link(name, speed) for speed, name in links.items()],
        "instances": [
            *(_instance(names[host.name], kinds[fabric.host_types[host.type].name]) for host in fabric.hosts),
            *(_instance(names[name], f"switch-{ports[name]}") for name in switches),
        ],
        "edges": _edges(found, names, links),
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(data, Dumper=dumper, sort_keys=False, default_flow_style=None, width=160))


def _names(names: list[str]) -> dict[str, str]:
    """Name in the schema's letters for each name."""
    found = {name: _ALLOWED.sub("-", name) for name in names}
    if len(set(found.values())) < len(found):
        twice = next(name for name, count in Counter(found.values()).items() if count > 1)
        raise InputError(f"two names become {twice!r} in InfraGraph, which allows letters, digits, '-' and '_'")
    return found


def _instance(name: str, device: str) -> dict[str, object]:
    return {"name": name, "device": device, "count": 1}


def _link(name: str, bytes_per_s: float) -> dict[str, object]:
    return {
        "name": name,
        "physical": {
            "bandwidth": {"choice": "gigabits_per_second", "gigabits_per_second": bytes_per_s * 8 / 1e9},
        },
    }


def _host_device(name: str, kind: HostType) -> dict[str, object]:
    """A host: GPUs, NICs each at its GPU, and an NVLink switch for each domain."""
    domains = sorted(set(kind.domain_of_gpu))
    shared = kind.scale_up_gpus > 1
    components: list[dict[str, object]] = [{"name": "xpu", "choice": "xpu", "count": kind.gpus}]
    if kind.nics:
        components.append({"name": "nic", "choice": "nic", "count": len(kind.nics)})
    if shared:
        components.append({"name": "nvswitch", "choice": "switch", "count": len(domains)})
    near = [_edge("pcie", f"xpu[{nic.gpu}]", f"nic[{n}]") for n, nic in enumerate(kind.nics)]
    fast = [
        _edge("nvlink", f"xpu[{gpu}]", f"nvswitch[{domain}]") for gpu, domain in enumerate(kind.domain_of_gpu) if shared
    ]
    links: list[dict[str, object]] = [{"name": "pcie"}]
    if shared:
        speed = kind.scale_up_bandwidth_bytes_per_s / 1e9
        links.append(
            {
                "name": "nvlink",
                "physical": {"bandwidth": {"choice": "gigabytes_per_second", "gigabytes_per_second": speed}},
            }
        )
    return {"name": name, "components": components, "links": links, "edges": near + fast}


def _edge(link: str, a: str, b: str) -> dict[str, object]:
    return {"ep1": {"component": a}, "ep2": {"component": b}, "scheme": "one2one", "link": link}


def _switch_device(ports: int) -> dict[str, object]:
    return {
        "name": f"switch-{ports}",
        "components": [
            {"name": "asic", "choice": "switch", "count": 1},
            {"name": "port", "choice": "port", "count": ports},
        ],
        "links": [{"name": "ic"}],
        "edges": [{"ep1": {"component": "asic"}, "ep2": {"component": "port"}, "scheme": "many2many", "link": "ic"}],
    }


def _edges(found: list[Cable], names: dict[str, str], links: dict[float, str]) -> list[dict[str, object]]:
    """An edge for each bundle of cables, ports of switches counted up."""
    used: Counter[str] = Counter()
    edges: list[dict[str, object]] = []
    for cable in found:
        ends = []
        for end, nic in ((cable.a, cable.nic), (cable.b, -1)):
            if nic >= 0:
                part = f"nic[{nic}]"
            else:
                first = used[end]
                used[end] += cable.cables
                part = f"port[{first}:{first + cable.cables}]"
            ends.append({"instance": f"{names[end]}[0]", "component": part})
        link = links[cable.bandwidth_bytes_per_s]
        edges.append({"ep1": ends[0], "ep2": ends[1], "scheme": "one2one", "link": link})
    return edges
