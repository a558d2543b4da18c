"""Collected files -> what the readers of their sections make of them, all hosts together."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.topologies.collect import inside
from topoplan.topologies.collect.inside import Device
from topoplan.topologies.collect.sections import Collected, parse
from topoplan.topologies.hosts.parts import Notes
from topoplan.topologies.merge import Part, merge
from topoplan.topologies.names.table import Entry, key_of
from topoplan.topologies.readers.cables import lldp
from topoplan.topologies.readers.hosts import nvidia_smi_topo
from topoplan.topologies.readers.schedulers import fabric_clique, kubernetes, slurm_show
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK, ReadOptions, fabric_name

NAME = "collected"
_NO_FABRIC = "00000000-0000-0000-0000-000000000000"
# What reads the sections that tell where hosts are, and what those tell.
_CLIQUES, _LLDP, _SCONTROL, _KUBERNETES = "fabric-clique", "lldp", "scontrol", "kubernetes"
_READ = {
    _CLIQUES: (fabric_clique.read, frozenset({ISLANDS})),
    _LLDP: (lldp.read, frozenset({NETWORK})),
    _SCONTROL: (slurm_show.read, frozenset({NETWORK})),
    _KUBERNETES: (kubernetes.read, frozenset({NETWORK, ISLANDS})),
}
_PLACE_WORDS = ("topology", "rdma.", "clique", "nvlink", "rack", "fabric")  # in labels that tell where a node is


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of one host's file.

    Raises
    ------
    InputError
        Not a file of the script, or no section that tells anything.
    """
    fabric = merge(parts([(text, path)], options), fill=options.host_type is None)
    return dataclasses.replace(fabric, name=fabric_name(path))


def parts(texts: Iterable[tuple[str, str]], options: ReadOptions) -> list[Part]:
    """What the files of several hosts tell, (text, path) each.

    Raises
    ------
    InputError
        A file that the script did not write, a host with two files, or nothing told at all.
    """
    files = [parse(text, path) for text, path in texts]
    path_of: dict[str, str] = {}
    for file in files:
        if path_of.setdefault(file.host, file.path) != file.path:
            raise InputError(
                f"host {file.host} has two files, {path_of[file.host]} and {file.path}",
                hint="keep the newer one",
            )
    return _Sections(sorted(files, key=lambda file: file.host), options).parts()


def names(texts: Iterable[tuple[str, str]]) -> dict[str, Entry]:
    """Host and device of the GUIDs that the kernels of the hosts show; GUIDs that two hosts show are left out.

    Raises
    ------
    InputError
        A file that the script did not write.
    """
    found: dict[str, Entry] = {}
    twice: set[str] = set()
    for file in (parse(text, path) for text, path in texts):
        for device in inside.devices(file).values():
            key, entry = key_of(device.guid), Entry(file.host, device.name)
            if device.guid and found.setdefault(key, entry).host != file.host:
                twice.add(key)
    return {key: entry for key, entry in found.items() if key not in twice}


class _Sections:
    """Reads each section of all hosts together, with the reader that knows it."""

    def __init__(self, files: Sequence[Collected], options: ReadOptions) -> None:
        self._files = files
        self._routing = _routing(files)  # "" where adapters do not tell
        self._options = dataclasses.replace(options, routing=options.routing or self._routing or None)
        self._source = files[0].path if len(files) == 1 else f"{len(files)} collected files"
        self._devices = {file.host: inside.devices(file) for file in files}
        self._unread: Counter[str] = Counter()

    def parts(self) -> list[Part]:
        """Return a part for each kind of section."""
        found = [*self._networks(), *self._cliques(), *self._labels()]
        hosts = self._hosts()
        if hosts is not None:
            found.insert(0, hosts)
        if not found:
            raise InputError(
                "no GPU, no neighbour and no scheduler's topology is in here",
                place=Place(self._source),
                hint="run the script on hosts with GPUs, in an allocation that has them",
            )
        if self._unread:
            told = tuple(
                what if count == 1 else f"{what} ({count} times)" for what, count in sorted(self._unread.items())
            )
            first = found[0]
            fabric = dataclasses.replace(first.fabric, warnings=(*first.fabric.warnings, *told))
            found[0] = dataclasses.replace(first, fabric=fabric)
        return found

    def _part(self, section: str, fabric: Fabric, tells: frozenset[str], form: str = "") -> Part:
        return Part(f"{self._source} ({section})", form or section, fabric, tells)

    def _read(self, reader: str, text: str, section: str) -> Part | None:
        """Part of a composed text; a text that cannot be read is left out and said."""
        read, tells = _READ[reader]
        try:
            fabric = read(text, f"{fabric_name(self._source)}.{section}", self._options)
        except InputError as error:
            self._unread[f"section {section} is left out: {error.message}"] += 1
            return None
        return self._part(section, fabric, tells, reader)

    # ---- hosts -------------------------------------------------------------------------------------------------

    def _hosts(self) -> Part | None:
        """What is inside the hosts, and all their names."""
        kinds: dict[HostType, int] = {}
        hosts: list[Host] = []
        assumed: dict[str, None] = {}
        warned: defaultdict[str, list[str]] = defaultdict(list)
        options = dataclasses.replace(self._options, host_type=None, routing="adaptive")
        for file in self._files:
            notes = Notes()
            kind = inside.type_of(file, nvidia_smi_topo.read, options, notes)
            if not file.complete:
                warned["the script was stopped before its end"].append(file.host)
            for text in notes.warnings:
                warned[text].append(file.host)
            if kind is None:
                warned["no GPU seen, left out"].append(file.host)
                continue
            assumed |= dict.fromkeys(notes.assumed)
            n = kinds.setdefault(kind, len(kinds))
            hosts.append(Host(file.host, n, aliases=(*file.aliases, *self._guids(file.host, kind))))
        told = tuple(f"{_several(names)}: {text}" for text, names in warned.items())
        if not hosts:
            self._unread.update(told)
            return None
        fabric = Fabric(
            fabric_name(self._source), self._routing or "adaptive", _named_apart(kinds), tuple(hosts),
            assumed=(*assumed, *self._about_routing()), warnings=told,
        )  # fmt: skip
        return self._part("hosts", fabric, frozenset({HOST}), NAME)

    def _about_routing(self) -> list[str]:
        if not self._routing:
            return ["routing: adaptive; the files tell what is inside hosts"]
        link = "InfiniBand" if self._routing == "adaptive" else "Ethernet"
        return [f"how flows are spread: {self._routing}, as usual on {link}, which the adapters speak"]

    def _guids(self, host: str, kind: HostType) -> list[tuple[str, str]]:
        known = self._devices[host]
        return [
            (f"guid-{nic.name}", known[nic.name].guid)
            for nic in kind.nics
            if nic.name in known and known[nic.name].guid
        ]

    # ---- the network -------------------------------------------------------------------------------------------

    def _networks(self) -> list[Part]:
        topologies = sorted({file.sections.get("scontrol-topology", "") for file in self._files} - {""})
        read = (self._read(_SCONTROL, text, "scontrol-topology") for text in topologies)  # one, but for odd clusters
        found = [part for part in read if part]
        if len(found) > 1:
            found = [dataclasses.replace(part, source=f"{part.source} {n}") for n, part in enumerate(found, 1)]
        if part := self._neighbours():
            found.append(part)
        return found

    def _neighbours(self) -> Part | None:
        """LLDP tables of all hosts as one, network interfaces called by their RDMA devices."""
        tables: dict[str, dict[str, Any]] = {}
        for file in self._files:
            if "lldp" not in file.sections:
                continue
            try:
                table = json.loads(file.sections["lldp"])
            except (ValueError, RecursionError):
                self._unread["section lldp is left out: not JSON"] += 1
                continue
            kept = _rename(table, self._devices[file.host])
            if kept:
                tables[file.host] = {"lldp": {"interface": kept}}
        return self._read(_LLDP, json.dumps(tables), "lldp") if tables else None

    def _cliques(self) -> list[Part]:
        rows = []
        for file in self._files:
            found = _clique(file.sections.get("nvidia-smi-fabric", ""))
            if len(found) > 1:
                self._unread["GPUs of one host are in several NVLink domains: left out"] += 1
            elif found:
                rows.append(f"{file.host},{next(iter(found))}")
        part = self._read(_CLIQUES, "\n".join(rows) + "\n", "nvidia-smi-fabric") if rows else None
        return [part] if part else []

    def _labels(self) -> list[Part]:
        """Labels that tell places, as if they were the nodes' own."""
        items = []
        for file in self._files:
            labels = _placing(file.sections.get("kubernetes", ""))
            if labels:
                labels.setdefault("kubernetes.io/hostname", file.host)
                capacity = {"nvidia.com/gpu": str(len(_gpu_names(file)))} if _gpu_names(file) else {}
                items.append(
                    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": file.host, "labels": labels},
                     "status": {"capacity": capacity, "allocatable": capacity}}
                )  # fmt: skip
        if not items:
            return []
        part = self._read(_KUBERNETES, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "kubernetes")
        return [part] if part else []


def _routing(files: Sequence[Collected]) -> str:
    """How networks of the adapters' kind usually route; "" where they are of none or of both kinds."""
    links = {row.get("link", "") for file in files for row in inside.port_rows(file)} - {""}
    return {"InfiniBand": "adaptive", "Ethernet": "ecmp"}.get(links.pop(), "") if len(links) == 1 else ""


def _several(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{hosts[0]} and {len(hosts) - 1} more hosts"


def _named_apart(kinds: Iterable[HostType]) -> tuple[HostType, ...]:
    """Types with names that differ."""
    count: Counter[str] = Counter()
    found = []
    for kind in kinds:
        count[kind.name] += 1
        n = count[kind.name]
        found.append(dataclasses.replace(kind, name=kind.name if n == 1 else f"{kind.name}-v{n}"))
    return tuple(found)


def _rename(table: Any, known: dict[str, Device]) -> list[dict[str, Any]]:
    """Rows of an LLDP table in the shape of json, interfaces called by their RDMA devices.

    Where the host has RDMA devices, interfaces without one are left out: they belong to management.
    """
    device_of = {net: device.name for device in known.values() for net in device.nets}
    lldp = table.get("lldp") if isinstance(table, dict) else None
    kept: list[dict[str, Any]] = []
    for block in lldp if isinstance(lldp, list) else [lldp]:
        rows = block.get("interface") if isinstance(block, dict) else None
        rows = [{name: body} for name, body in rows.items()] if isinstance(rows, dict) else rows
        for row in rows if isinstance(rows, list) else ():
            if not isinstance(row, dict):
                continue
            named = [(row["name"], row)] if isinstance(row.get("name"), str) else list(row.items())
            for name, body in named:
                if isinstance(body, dict) and (not device_of or name in device_of):
                    kept.append({device_of.get(name, str(name)): {k: v for k, v in body.items() if k != "name"}})
    return kept


def _clique(text: str) -> set[str]:
    """Texts "UUID,clique" of the GPUs of a host, from the lines of nvidia-smi -q; none where no fabric is."""
    found: set[str] = set()
    clique = ""
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        word, value = key.replace(" ", "").lower(), value.strip()
        if word == "cliqueid":
            clique = value if value.isdecimal() else ""
        elif word == "clusteruuid" and value and value not in ("N/A", _NO_FABRIC):
            found.add(f"{value},{clique}" if clique else value)
    return found


def _placing(text: str) -> dict[str, str]:
    """Labels key="value" of the downward API that tell where a node is."""
    found = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals and any(word in key for word in _PLACE_WORDS) and len(key) < 400:
            found[key.strip()] = value.strip().strip('"')
    return found


def _gpu_names(file: Collected) -> list[str]:
    return [line for line in file.sections.get("nvidia-smi-list", "").split("\n") if line.startswith("GPU ")]
