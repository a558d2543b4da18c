"""Reader of Oracle Cloud's RDMA topology: what each host's metadata says of HPC island, network and local block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.documents import is_json, list_at, load, mapping_at, text_at
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, lines, quoted
from topoplan.topologies.trees.rows import Row, site_of_rows
from topoplan.topologies.trees.site import host_name
from topoplan.topologies.trees.tree import build

_SNIFF = re.compile(
    r"\"(?:rdmaTopologyData|customerHPCIslandId|customerNetworkBlock|customerLocalBlock"
    r"|(?:compute[-_]?)?(?:hpc[-_]?island|network[-_]?block|local[-_]?block)[-_]?id)\"\s*:",
    re.IGNORECASE,
)
_HOST_LINE = re.compile(r"\s*([^\s:{}\[\]\",]+)\s*:\s*(\{.*\})\s*,?")  # as pdsh puts the host before its metadata
# Keys without case, hyphens and underscores: metadata, compute host API, capacity topology API. Coarsest first.
_LEVELS = (
    ("customerhpcislandid", "hpcislandid", "computehpcislandid"),
    ("customernetworkblock", "networkblockid", "computenetworkblockid"),
    ("customerlocalblock", "localblockid", "computelocalblockid"),
)
_ISLAND = ("customergpumemoryfabric", "gpumemoryfabricid", "computegpumemoryfabricid")
_NAMES = ("hostname", "nodename", "node", "name", "displayname", "instanceid", "id", "customerhostid")


def sniff(text: str) -> bool:
    """Whether `text` has RDMA topology keys."""
    return _SNIFF.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of JSON that lists hosts, maps them by name, or has one a line as pdsh prints ("node1: {...}").

    The three ids run from the HPC island to the local block; a GPU memory fabric is an NVLink island. Bare metal hosts
    that no instance runs on are never placed on.

    Raises
    ------
    InputError
        A host without a name, or one that stands twice.
    """
    entries: Iterator[tuple[object, Any, Place]]
    if is_json(text):
        entries = (entry for document in load(text, path) for entry in _entries(document.data, document.place()))
    else:
        entries = _lines(text, path)
    return build(site_of_rows(_row(name, data, place) for name, data, place in entries), path, options)


def _lines(text: str, path: str) -> Iterator[tuple[object, Any, Place]]:
    for number, line in lines(text, path):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = Place(path, number)
        match = _HOST_LINE.fullmatch(line)
        if not match:
            raise InputError(
                f"{quoted(line.strip())} is not a host and its metadata",
                place=place,
                hint="write 'node1: {\"customerHPCIslandId\": ...}', one host a line, or a JSON list",
            )
        try:
            data = load(match[2], path)[0].data
        except InputError as error:
            raise InputError(error.message, place=place) from None
        yield match[1], data, place


def _entries(data: Any, place: Place) -> Iterator[tuple[object, Any, Place]]:
    data = mapping_at(data, "data") or (data.get("data") if isinstance(data, dict) and "data" in data else data)
    for key in ("items", "hosts", "instances"):
        if isinstance(data, dict) and isinstance(data.get(key), list):
            data = list_at(data, key)
    if isinstance(data, list):
        for entry in data:
            yield _name(entry), entry, place
    elif isinstance(data, dict) and not _is_host(data):
        for name, entry in data.items():
            yield name, entry, place
    elif isinstance(data, dict):
        yield _name(data), data, place
    else:
        raise InputError("there is no list of hosts", place=place)


def _is_host(data: dict[str, Any]) -> bool:
    known = {key for keys in _LEVELS for key in keys} | set(_ISLAND) | {"rdmatopologydata"}
    return not known.isdisjoint(_plain(data))


def _plain(data: Any) -> dict[str, Any]:
    """`data` with keys in lower case, without hyphens and underscores."""
    return {re.sub(r"[-_]", "", key).lower(): value for key, value in data.items()} if isinstance(data, dict) else {}


def _name(entry: Any) -> object:
    own = _plain(entry)
    return next((own[key] for key in _NAMES if isinstance(own.get(key), str) and own[key]), None)


def _row(name: object, entry: Any, place: Place) -> Row:
    own = _plain(entry)
    data = own | _plain(own.get("rdmatopologydata"))
    if not isinstance(name, str):
        raise InputError("a host without a name", place=place, hint="add hostname, or map hosts by their names")
    ids = (next((data[key] for key in keys if data.get(key)), "") for keys in _LEVELS)
    island = next((data[key] for key in _ISLAND if data.get(key)), "")
    return Row(
        host_name(name, place),
        tuple(_id(value, place) for value in ids if value),
        _id(island, place) if island else "",
        text_at(own, "shape") or text_at(own, "instanceshape"),
        free=0 if "instanceid" in own and not own["instanceid"] else None,
        place=place,
    )


def _id(value: object, place: Place) -> str:
    """The telling end of an OCID, which is longer than names may be; other texts as they are."""
    if not isinstance(value, str):
        raise InputError(f"the id {quoted(str(value))} is not a text", place=place)
    return value.rsplit(".", 1)[-1] if value.startswith("ocid1.") else value
