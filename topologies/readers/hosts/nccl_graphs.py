"""NCCL's graphs XML (NCCL_GRAPH_DUMP_FILE): the rings and trees that NCCL found, and what they tell of the host.

A channel lists the NIC it enters by, its GPUs in order and the NIC it leaves by; the graph says what kind of path and
how much bandwidth each channel has. GPUs and NICs that no channel uses are not in the file, and PCIe is not either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.hosts.near import Path
from topoplan.topologies.hosts.nvlink import Joined
from topoplan.topologies.hosts.parts import FoundNic, HostParts, Notes, check_size, host_fabric, host_type
from topoplan.topologies.reading import ReadOptions, fabric_name, lines, quoted
from topoplan.topologies.xml_tree import Element, parse_xml, root_tag

MAX_GB_PER_S = 1e5  # of one channel; assumed: far above any link
_SPEED = re.compile(r"\d{1,6}(?:\.\d{1,9})?")
# NCCL's names of paths (graph/topo.h): PXN passes by another GPU's NIC, C2C through Grace
_PATHS = {"PIX": Path.PIX, "PXB": Path.PXB, "PXN": Path.PXB, "C2C": Path.PHB, "P2C": Path.PHB, "PHB": Path.PHB}


def sniff(text: str) -> bool:
    """Whether the first element is <graphs>."""
    return root_tag(text) == "graphs"


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host: the GPUs and NICs that NCCL's channels use.

    Raises
    ------
    InputError
        Not XML, or not of this kind; no GPU in it.
    """
    for _ in lines(text, path):  # bounds the size
        break
    root = parse_xml(text, path)
    if root.tag != "graphs":
        raise InputError(f"the first element is <{root.tag[:40]}>, not <graphs>", place=Place(path, root.line))
    graphs = [graph for graph in root.children if graph.tag == "graph"]
    gpu_number, nic_number = (_numbers(root, tag, path) for tag in ("gpu", "net"))
    check_size(len(gpu_number), len(nic_number), path)
    notes, name = Notes(), fabric_name(path)
    notes.warnings.append("a file of NCCL's graphs shows only what its channels use; the topology XML shows more")
    paths = np.full((len(gpu_number), len(nic_number)), Path.UNKNOWN, np.int64)
    for graph in graphs:
        how = _PATHS.get(graph.get("typeinter"), Path.SYS)
        for gpu, nic in _ends(graph):
            at = gpu_number[gpu], nic_number[nic]
            paths[at] = min(int(paths[at]), how)
    scale_up = max((_nvlink(graph) for graph in graphs), default=0.0)
    size = len(gpu_number) if scale_up else 1
    speeds = _nic_speeds(graphs)
    if speeds:
        notes.assumed.append("bandwidth of NICs: what NCCL's channels take of each, usable rather than nominal")
    if scale_up:
        notes.assumed.append("NVLink bandwidth of a GPU: what NCCL's channels take of it, usable rather than nominal")
    parts = HostParts(
        len(gpu_number),
        tuple(FoundNic("", speeds.get(net, 0.0)) for net in nic_number),
        paths,
        np.zeros_like(paths),
        Joined(tuple(0 if scale_up else gpu for gpu in range(len(gpu_number))), size, 0, False),
        scale_up_bytes_per_s=scale_up,
    )
    return host_fabric([(name, host_type(parts, name, options, notes))], (), path, options, notes)


def _numbers(root: Element, tag: str, path: str) -> dict[str, int]:
    """`dev` of all elements of a tag, in numerical order -> index."""
    found = {}
    for element in root.all(tag):
        dev = element.get("dev")
        if not re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,16}", dev):
            raise InputError(f"<{tag}> with dev {quoted(dev)}, not a number", place=Place(path, element.line))
        found[dev] = int(dev, 16 if not dev.isdecimal() else 10)
    return {dev: n for n, dev in enumerate(sorted(found, key=lambda dev: (found[dev], dev)))}


def _ends(graph: Element) -> list[tuple[str, str]]:
    """(GPU, NIC) that stand beside each other in a channel."""
    pairs = []
    for channel in graph.all("channel"):
        for a, b in zip(channel.children, channel.children[1:], strict=False):
            if {a.tag, b.tag} == {"gpu", "net"}:
                gpu, nic = (a, b) if a.tag == "gpu" else (b, a)
                pairs.append((gpu.get("dev"), nic.get("dev")))
    return pairs


def _speed(graph: Element, key: str) -> float:
    match = _SPEED.match(graph.get(key))
    return min(float(match[0]), MAX_GB_PER_S) * 1e9 if match else 0.0


def _nvlink(graph: Element) -> float:
    """Bytes/s that channels over NVLink take of a GPU."""
    channels = sum(child.tag == "channel" for child in graph.children)
    return channels * _speed(graph, "speedintra") if graph.get("typeintra") in ("NVL", "NVB") else 0.0


def _nic_speeds(graphs: Sequence[Element]) -> dict[str, float]:
    """Bytes/s that channels take of each NIC: the most of any graph."""
    most: dict[str, float] = {}
    for graph in graphs:
        uses = Counter(
            dev
            for channel in graph.all("channel")
            for dev in {child.get("dev") for child in channel.children if child.tag == "net"}
        )
        for dev, count in uses.items():
            most[dev] = max(most.get(dev, 0.0), count * _speed(graph, "speedinter"))
    return most
