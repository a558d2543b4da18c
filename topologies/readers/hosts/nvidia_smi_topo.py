"""What `nvidia-smi topo -m` (or -mp) prints: GPUs, NVLink between them, and how near each NIC is.

The table may stand anywhere in a text: in a log, under escape codes, with other commands around it. Model names of GPUs
(`nvidia-smi -L`) and MIG slices that stand beside it are used. Speeds are nowhere in it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.host_type import numbered
from topoplan.topologies.hosts import devices
from topoplan.topologies.hosts.mig import Slices, find_slices
from topoplan.topologies.hosts.near import Path
from topoplan.topologies.hosts.nvlink import Joined, join, join_bonds
from topoplan.topologies.hosts.parts import FoundNic, HostParts, Notes, check_size, host_fabric, host_type
from topoplan.topologies.readers.hosts.smi_table import Table, find_table, has_row
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, fabric_name

MOST_LINKS = 18  # of one GPU: NVLink 4 and 5 (see devices.py)
_PATHS = {"PIX": Path.PIX, "PXB": Path.PXB, "PHB": Path.PHB, "NODE": Path.NODE, "SYS": Path.SYS, "SOC": Path.SYS}
_BY_LINKS = {18: "90", 12: "80"}  # links of a GPU -> sm; fewer are too many GPUs' to tell
TRAY = 4  # GPUs of a GB200 or GB300 tray, whose memory Grace counts as NUMA nodes; NICs are all NODE or SYS


def sniff(text: str) -> bool:
    """Whether a row of the table is near the beginning."""
    return has_row(text[:SNIFF_CHARS])


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host.

    Raises
    ------
    InputError
        No table, or one that is cut off.
    """
    table = find_table(text, path)
    notes, name = Notes(), fabric_name(path)
    check_size(len(table.gpus), len(table.nics), path)
    paths = _paths(table)
    joined = _joined(table, text, path)
    parts = HostParts(
        len(table.gpus),
        tuple(FoundNic(_device(table, nic)) for nic in table.nics),
        paths,
        np.zeros_like(paths),
        joined,
        _generation(table, text, joined, paths, notes),
        _switches(table, paths),
    )
    slices = find_slices(text)
    if any(slices.of_gpu):
        parts = _sliced(parts, slices, path, notes)
    if table.more:
        notes.warnings.append(f"the text holds {table.more + 1} such tables: only the first is read")
    return host_fabric([(name, host_type(parts, name, options, notes))], (), path, options, notes)


def _device(table: Table, label: str) -> str:
    """Device name of a NIC: the legend's, or its label where labels are device names, as old drivers have it."""
    return table.names.get(label, "" if label.startswith("NIC") else label)


def _paths(table: Table) -> IntArray:
    """[gpus, nics] int64 path of each pair."""
    cells = [[_PATHS.get(table.cell(gpu, nic), Path.SYS) for nic in table.nics] for gpu in table.gpus]
    return np.array(cells, np.int64).reshape(len(table.gpus), len(table.nics))


def _joined(table: Table, text: str, path: str) -> Joined | None:
    """NVLink domains; None where the table is one of PCIe alone (topo -mp)."""
    bonds = np.array([[_bonds(table.cell(a, b)) for b in table.gpus] for a in table.gpus], np.int64)
    if not bonds.any() and (re.search(r"topo\s+-(?:mp|p)\b", text) or (table.legend and "NV#" not in table.legend)):
        return None
    if (bonds != bonds.T).any():
        a, b = np.argwhere(bonds != bonds.T)[0].tolist()
        message = f"GPU{a} and GPU{b} show different NVLinks of each other"
        raise InputError(message, place=Place(path, table.line), hint="print the table again")
    return join_bonds(bonds, MOST_LINKS)


def _bonds(cell: str) -> int:
    return int(cell[2:]) if cell.startswith("NV") else 0


def _generation(
    table: Table, text: str, joined: Joined | None, paths: IntArray, notes: Notes
) -> devices.Generation | None:
    found = devices.by_name(text)
    if found is not None or joined is None or joined.size == 1:
        return found
    far = bool(table.nics) and bool((paths >= Path.NODE).all())
    if joined.links == MOST_LINKS and len(table.gpus) == TRAY and (far or len(table.own_memory) == TRAY):
        why = "no NIC nearer than NODE" if far else "NUMA nodes of their own"
        notes.assumed.append(
            f"GPUs: GB200, as 4 GPUs with NV18 and {why} are a tray of NVL72; GB300 shows the same with faster NICs"
        )
        notes.warnings.append("NVLink may go on beyond this host (NVL72): ClusterUUID and clique of the hosts tell")
        return devices.by_number(sm="100")
    sm = _BY_LINKS.get(joined.links, "")
    if joined.links == MOST_LINKS:
        notes.assumed.append("GPUs: H100 or H200, as of NV18; B200 shows the same with twice the bandwidth")
    return devices.by_number(sm=sm) if sm else None


def _switches(table: Table, paths: IntArray) -> tuple[int, ...]:
    """PCIe switch of each GPU by the GPUs and NICs it shares one with; NUMA node where that tells nothing."""
    gpus = range(len(table.gpus))
    behind = paths <= Path.PXB
    label = list(gpus)
    for a in gpus:
        for b in gpus[:a]:
            cell = table.cell(table.gpus[a], table.gpus[b])
            if _PATHS.get(cell, Path.SYS) <= Path.PXB or (behind[a] & behind[b]).any():
                label = [label[b] if mine == label[a] else mine for mine in label]
    nodes = [table.numa.get(gpu, "") for gpu in table.gpus]
    alone = any(label.count(mine) == 1 for mine in label)  # NVLink hides the PCIe path between two GPUs
    if alone and all(nodes):
        return numbered(map(nodes.index, nodes))
    return numbered(label) if len(set(label)) < len(label) else ()


def _sliced(parts: HostParts, slices: Slices, path: str, notes: Notes) -> HostParts:
    """Parts with a place for each slice; slices have no NVLink between them."""
    if len(slices.of_gpu) != parts.gpus:
        message = f"nvidia-smi -L lists {len(slices.of_gpu)} GPUs, the table {parts.gpus}"
        raise InputError(message, place=Place(path), hint="give the output of both commands on the same host")
    counts = tuple(max(1, len(profiles)) for profiles in slices.of_gpu)
    check_size(sum(counts), len(parts.nics), path)
    row = np.repeat(np.arange(parts.gpus), counts)
    notes.assumed.append("NVLink is not used: MIG slices cannot reach each other over it")
    places = [profile for profiles in slices.of_gpu for profile in profiles]
    return replace(
        parts,
        gpus=sum(counts),
        path=parts.path[row],
        hops=parts.hops[row],
        joined=join(np.zeros((sum(counts),) * 2, np.int64), np.zeros(sum(counts), np.int64)),
        switches=numbered(row.tolist()),  # slices of a GPU are closest of all
        slices=counts,
        gpu_memory_bytes=min(profile.memory_bytes for profile in places),
    )
