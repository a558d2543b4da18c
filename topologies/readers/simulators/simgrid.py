"""Reader of flat SimGrid platforms: hosts that say which machine they are a GPU of, routers, and routes of one link.

That is what topoplan writes, and what scripts write that list every cable. Clusters, nested zones and routes over many
links describe no cables and are refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Island
from topoplan.model.host_type import HostType, Nic, numbered
from topoplan.names import natural_key
from topoplan.topologies.cables.cabling import Components
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.hosts.devices import DEFAULT_SCALE_UP_BYTES_PER_S
from topoplan.topologies.names.roles import HOST, SWITCH
from topoplan.topologies.reading import ReadOptions, clean_name, quoted
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag
from topoplan.units import parse_bandwidth

_HINT = "give a platform of one zone with hosts, routers, and a route of one link for each cable"
_DETOUR = "detour"  # what topoplan's writer lengthens routes with
_NIC = re.compile(r".*-nic(\d{1,4})-p(\d{1,4})")


def sniff(text: str) -> bool:
    """Whether the first element is <platform>."""
    return root_tag(text) == "platform"


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a platform: a host without properties is a machine of one GPU.

    Raises
    ------
    InputError
        Clusters or nested zones, a route over a link that is not defined, or no cable from a host to a router.
    """
    root = parse_xml(text, path)
    zones = [element for element in root.children if element.tag in ("zone", "AS")]
    inside = zones[0].children if len(zones) == 1 else []
    odd = next((element for element in inside if element.tag in ("zone", "AS", "cluster", "peer", "cabinet")), None)
    if len(zones) != 1 or odd is not None:
        line = odd.line if odd else root.line
        raise InputError("this platform is not one flat zone", place=Place(path, line), hint=_HINT)
    props = {element.get("id"): _props(element) for element in inside if element.tag == "host"}
    routers = {element.get("id") for element in inside if element.tag == "router"}
    speeds = {element.get("id"): _bandwidth(element, path) for element in inside if element.tag == "link"}
    machine = {name: about.get("host") or name for name, about in props.items()}
    wiring = Wiring(roles=dict.fromkeys(machine.values(), HOST) | dict.fromkeys(routers, SWITCH))
    cabling = _Cabling(machine, props, routers, speeds, wiring, path)
    for element in inside:
        if element.tag == "route":
            cabling.add(element)
    if not wiring.wires:
        raise InputError("there is no cable in this platform", place=Place(path), hint=_HINT)
    types = _types(machine, props, cabling.nic_gpus, cabling.near)
    name = clean_name(zones[0].get("id"))
    fabric = wired_fabric(wiring, path, options, name=name, types=types, told="as the platform says")
    return dataclasses.replace(fabric, islands=_islands(fabric, props))


class _Cabling:
    """Sorts routes into cables, which go to `wiring`, and NVLink of GPUs (to each other or to a router), to `near`."""

    def __init__(
        self,
        machine: dict[str, str],
        props: dict[str, dict[str, str]],
        routers: set[str],
        speeds: dict[str, float],
        wiring: Wiring,
        path: str,
    ) -> None:
        self._machine, self._props, self._routers, self._speeds = machine, props, routers, speeds
        self._wiring, self._path = wiring, path
        self._seen: set[tuple[str, str, str]] = set()
        self.nic_gpus: defaultdict[str, dict[int, list[int]]] = defaultdict(dict)
        self.near: list[tuple[str, str, float]] = []

    def add(self, route: Element) -> None:
        """Take a route; each cable has one in each direction, and counts once."""
        links = [child.get("id") for child in route.children if child.tag == "link_ctn" and child.get("id") != _DETOUR]
        a, b = route.get("src"), route.get("dst")
        place = Place(self._path, route.line)
        known = all(end in self._machine or end in self._routers for end in (a, b))
        if not known or any(link not in self._speeds for link in links):
            raise InputError(f"the route from {quoted(a)} to {quoted(b)} uses what is not defined", place=place)
        fast = [link for link in links if link.endswith("-nvlink")]
        if (a in self._machine and b in self._machine) or fast:
            self.near.append((a, b, min((self._speeds[link] for link in links), default=0.0)))
            return
        if len(links) != 1:
            raise InputError(f"a route of {len(links)} links is no cable", place=place, hint=_HINT)
        a, b = (b, a) if b in self._machine else (a, b)
        nic = plane = -1
        if a in self._machine:
            nic, plane = self._seat(a, links[0])
            a = self._machine[a]
        key = (min(a, b), max(a, b), links[0])
        if key not in self._seen:
            self._seen.add(key)
            port = f"nic{nic}" if nic >= 0 else ""
            self._wiring.wires.append(Wire(a, port, b, "", self._speeds[links[0]], plane=plane))

    def _seat(self, gpu: str, link: str) -> tuple[int, int]:
        """NIC and plane of a link, -1 where its name does not say; the GPU joins those that use the NIC."""
        match = _NIC.fullmatch(link)
        nics = self.nic_gpus[self._machine[gpu]]
        number = int(match[1]) if match else len(nics)
        nics.setdefault(number, []).append(_number(self._props[gpu].get("gpu", "0")))
        return (number, int(match[2])) if match else (-1, -1)


def _islands(fabric: Fabric, props: dict[str, dict[str, str]]) -> tuple[Island, ...]:
    """NVLink domains that properties of GPUs of several machines share."""
    members: defaultdict[str, set[int]] = defaultdict(set)
    for name, about in props.items():
        host = fabric.host_index.get(about.get("host") or name)
        if about.get("island") and host is not None:
            members[about["island"]].add(host)
    joined: set[int] = set()
    found: list[Island] = []
    for name, hosts in members.items():
        if len(hosts) > 1 and not hosts & joined:
            joined |= hosts
            speed = min(fabric.host_types[fabric.hosts[h].type].scale_up_bandwidth_bytes_per_s for h in hosts)
            found.append(Island(f"island-{clean_name(name) or len(found)}", tuple(sorted(hosts)), speed))
    return tuple(found)


def _props(element: Element) -> dict[str, str]:
    return {child.get("id"): child.get("value") for child in element.children if child.tag == "prop"}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else 0


def _bandwidth(element: Element, path: str) -> float:
    text = element.get("bandwidth")
    try:
        return parse_bandwidth(text)
    except ValueError:
        raise InputError(f"bandwidth {quoted(text)} of a link", place=Place(path, element.line)) from None


def _types(
    machine: dict[str, str],
    props: dict[str, dict[str, str]],
    nic_gpus: dict[str, dict[int, list[int]]],
    near: list[tuple[str, str, float]],
) -> dict[str, HostType]:
    """Host type of each machine: its GPUs in the order of their numbers, NVLink from the routes between them."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for gpu, host in machine.items():
        members[host].append(gpu)
    fast: defaultdict[str, list[tuple[str, str, float]]] = defaultdict(list)
    for a, b, speed in near:
        for host in {machine[end] for end in (a, b) if end in machine}:
            fast[host].append((a, b, speed))
    found: dict[str, HostType] = {}
    for host, gpus in members.items():
        gpus.sort(key=lambda gpu: (_number(props[gpu].get("gpu", "0")), natural_key(gpu)))
        index = {gpu: n for n, gpu in enumerate(gpus)}
        for a, b, _ in fast[host]:
            index.setdefault(a, len(index))
            index.setdefault(b, len(index))
        parts = Components(len(index))
        for a, b, _ in fast[host]:
            parts.join_pair(index[a], index[b])
        domains = numbered(parts.find(n) for n in range(len(gpus)))
        speed = min((speed for _, _, speed in fast[host]), default=DEFAULT_SCALE_UP_BYTES_PER_S)
        nics = [Nic(n, 0.0, min(*users, len(gpus) - 1)) for n, (_, users) in enumerate(sorted(nic_gpus[host].items()))]
        name = clean_name(props[gpus[0]].get("type", "")) or f"host-{len(gpus)}-gpus"
        largest = max(domains.count(domain) for domain in domains)
        found[host] = HostType(name, len(gpus), tuple(nics), largest, speed, domains=domains)
    return found
