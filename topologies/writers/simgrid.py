"""Writer of SimGrid platform XML (DTD 4.1): GPUs as SimGrid hosts, switches as routers, cables as split-duplex links.

One zone with Dijkstra routing: each GPU reaches the switch of each of its NICs, and a router that stands for its NVLink
domain. Routes are lengthened so that NVLink serves its domain alone and rails meet in the network where they can.
Cables alike between two switches are one link of their bandwidth together, as SimGrid shares links fairly: what comes
of hashing flows onto them is not simulated.

What the format cannot hold, and what is therefore not written: routing, rails and planes as such, distances of tiers,
names of groups other than their switches', PCIe, unusable GPUs, notes. Host types, hosts, NICs and islands stand as
properties, which SimGrid ignores. Where no latency is known, it is assumed (see the constants).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies.writers.cables import Cable, cables

# Assumed where tiers say nothing: half a microsecond a hop of InfiniBand (SimAI's default for NICs), 25 ns for NVLink.
_HOP_S = 0.5e-6
_NVLINK_S = 25e-9
_FLOPS = 1e12  # assumed where the host type has none: communication is what is simulated
DETOUR = "detour"  # link that only makes routes longer
NVLINK = "nvlink"  # what routers of NVLink domains, and links to them, are called by
# SimGrid's Dijkstra counts links. With t tiers a way between two NICs' switches has 2 (t - 1) links at most; links that
# cost nothing make NVLink (2 + 2 x 4) longer than that up to 5 tiers, so that no GPU relays for others where the
# network
# offers a way, and two NICs (2 + 2 x 6) longer than NVLink, so that GPUs of one domain use it.
_NVLINK_DETOUR = 4
_NIC_DETOUR = 6
MAX_ROUTES = 4_000_000  # assumed: SimGrid needs about 1 kB for each


def write(fabric: Fabric) -> str:
    """Text of `fabric`.

    Raises
    ------
    InputError
        A host without a group, or a fabric too large to be written out.
    """
    found = cables(fabric)
    zone = ET.Element("zone", id=fabric.name, routing="Dijkstra")
    domains: defaultdict[int, list[int]] = defaultdict(list)
    for gpu, domain in enumerate(fabric.gpu_island.tolist()):
        domains[domain].append(gpu)
    if 2 * len(found) * int(max(fabric.host_gpus)) > MAX_ROUTES:
        raise InputError(f"more than {MAX_ROUTES} routes", hint="write a part of the fabric (--hosts)")
    names = [f"{fabric.hosts[h].name}-gpu{local}" for h, local in zip(fabric.gpu_host, fabric.gpu_local, strict=True)]
    _add_gpus(zone, fabric, names)
    for name in sorted({end for cable in found for end in (cable.a, cable.b)} - fabric.host_index.keys()):
        ET.SubElement(zone, "router", id=name)
    routes = [*_nvlink(zone, fabric, names, domains), *_network(zone, fabric, names, found)]
    for source, target, links in routes:
        route = ET.SubElement(zone, "route", src=source, dst=target, symmetrical="NO")
        for link, direction in links:
            ET.SubElement(route, "link_ctn", {"id": link} | ({"direction": direction} if direction else {}))
    root = ET.Element("platform", version="4.1")
    root.append(zone)
    ET.indent(root, space=" ")
    head = '<?xml version="1.0"?>\n<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n'
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _add_gpus(zone: ET.Element, fabric: Fabric, names: list[str]) -> None:
    for gpu, name in enumerate(names):
        host = fabric.hosts[fabric.gpu_host[gpu]]
        kind = fabric.host_types[host.type]
        element = ET.SubElement(zone, "host", id=name, speed=f"{kind.flops_per_s or _FLOPS:.6g}f")
        about = {"host": host.name, "gpu": fabric.gpu_local[gpu], "type": kind.name, "island": fabric.gpu_island[gpu]}
        for key, value in about.items():
            ET.SubElement(element, "prop", id=key, value=str(value))


_Route = tuple[str, str, list[tuple[str, str]]]


def _nvlink(zone: ET.Element, fabric: Fabric, names: list[str], domains: dict[int, list[int]]) -> list[_Route]:
    """A router for each NVLink domain, and a link and routes of one hop to it for each of its GPUs."""
    ET.SubElement(zone, "link", id=DETOUR, bandwidth="1e18Bps", latency="0s", sharing_policy="FATPIPE")
    routes: list[_Route] = []
    for domain, gpus in domains.items():
        if len(gpus) < 2:
            continue
        router = f"{NVLINK}-{domain}"
        ET.SubElement(zone, "router", id=router)
        for gpu in gpus:
            link = f"{names[gpu]}-{NVLINK}"
            _link(zone, link, float(fabric.gpu_scale_up[gpu]), _NVLINK_S)
            detour = [(DETOUR, "")] * _NVLINK_DETOUR
            routes += [
                (names[gpu], router, [(link, "UP"), *detour]),
                (router, names[gpu], [*detour, (link, "DOWN")]),
            ]
    return routes


def _link(zone: ET.Element, name: str, bytes_per_s: float, latency_s: float) -> None:
    ET.SubElement(
        zone,
        "link",
        id=name,
        bandwidth=f"{bytes_per_s:.15g}Bps",
        latency=f"{latency_s:.9g}s",
        sharing_policy="SPLITDUPLEX",
    )


def _network(zone: ET.Element, fabric: Fabric, names: list[str], found: list[Cable]) -> list[_Route]:
    """A link for each NIC and for each pair of switches, and routes of one hop over them."""
    routes: list[_Route] = []
    trunks: defaultdict[tuple[str, str], float] = defaultdict(float)
    for cable in found:
        if cable.nic < 0:
            trunks[min(cable.a, cable.b), max(cable.a, cable.b)] += cable.cables * cable.bandwidth_bytes_per_s
            continue
        h = fabric.host_index[cable.a]
        link = f"{cable.a}-nic{cable.nic}-p{cable.plane}"
        _link(zone, link, cable.bandwidth_bytes_per_s, _HOP_S)
        kind = fabric.host_types[fabric.hosts[h].type]
        for local, nics in enumerate(kind.nics_of_gpu):
            if cable.nic in nics:
                gpu = names[int(fabric.gpu_offset[h]) + local]
                detour = [(DETOUR, "")] * _NIC_DETOUR
                routes += [(gpu, cable.b, [(link, "UP"), *detour]), (cable.b, gpu, [*detour, (link, "DOWN")])]
    for (a, b), bandwidth in trunks.items():
        link = f"{a}--{b}"
        _link(zone, link, bandwidth, _HOP_S)
        routes += [(a, b, [(link, "UP")]), (b, a, [(link, "DOWN")])]
    return routes
