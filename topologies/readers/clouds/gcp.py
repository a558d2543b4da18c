"""Reader of Google Cloud's instance lists: physicalHost as a path, or physicalHostTopology as a mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.marked import Marked
from topoplan.model.fabric import Fabric
from topoplan.topologies.documents import list_at, load, mapping_at, text_at, value_at
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, lines
from topoplan.topologies.trees.rows import Row, site_of_rows
from topoplan.topologies.trees.site import host_name
from topoplan.topologies.trees.tree import build

_SNIFF = re.compile(r"[\"']?(?:physicalHost|physicalHostTopology|physical_host|physical_host_topology)[\"']?\s*:")
# "name /cluster/rack/host", as gcloud's formats table, value and csv print it; a header may stand above
_LINE = re.compile(r"\s*\"?([A-Za-z0-9][\w.-]*)\"?[\s,;:]\s*\"?(/[\w-]+(?:/[\w-]+){1,3})/?\"?\s*")
_HEADER = re.compile(r"\s*name[\s,;]+\S*physical.?host\s*", re.IGNORECASE)
_MAX_LINE = 1024  # assumed: no name and path are longer
_HINT = "gcloud compute instances list --format='csv(name,resourceStatus.physicalHost)'"
_LEVELS = ("cluster", "block", "subblock")  # coarsest first; "host" is the machine itself


def sniff(text: str) -> bool:
    """Whether `text` has physical hosts of instances."""
    named = _SNIFF.search(text, 0, SNIFF_CHARS) is not None and "kind: Node" not in text[:SNIFF_CHARS]
    return named or _is_table(text)


def _is_table(text: str) -> bool:
    """Whether the first line is an instance and its physical host, or says that such lines follow."""
    first = next((line for line in text[:SNIFF_CHARS].lstrip("\ufeff").split("\n") if line.strip()), "")
    return len(first) < _MAX_LINE and any(pattern.fullmatch(first) for pattern in (_HEADER, _LINE))


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of `gcloud compute instances list --format json` (or yaml, or a table of names and physical hosts).

    A path "/cluster/rack/host" and a mapping of cluster, block, subblock and host are both read; the host is the
    machine itself, so it is no group. On A4X a subblock is an NVLink domain and so an island. Instances that do not run
    are never placed on.

    Raises
    ------
    InputError
        Not a list of instances, or an instance that stands twice.
    """
    rows = _lines(text, path) if _is_table(text) else (row for item in load(text, path) for row in _rows(item))
    return build(site_of_rows(rows), path, options)


def _lines(text: str, path: str) -> Iterator[Row]:
    for number, line in lines(text, path):
        place = Place(path, number)
        bare = line.lstrip("\ufeff")
        match = _LINE.fullmatch(bare) if len(bare) < _MAX_LINE else None
        if match:
            yield _row(match[1], {"physicalHost": match[2]}, place)
        elif bare.strip() and not (len(bare) < _MAX_LINE and _HEADER.fullmatch(bare)):
            raise InputError("this line is no instance and its physicalHost", place=place, hint=_HINT)


def _rows(document: Marked) -> Iterator[Row]:
    data = document.data
    if isinstance(data, dict) and not any(key in data for key in ("items", "instances", "name")):
        named = [(name, entry) for name, entry in data.items() if isinstance(entry, dict | str)]
    elif isinstance(data, dict) and "name" in data:
        named = [(data["name"], data)]
    else:
        entries = data if isinstance(data, list) else list_at(data, "items") or list_at(data, "instances")
        named = [(value_at(entry, "name") or value_at(entry, "id"), entry) for entry in entries]
    if not named:
        raise document.error("there is no list of instances, as gcloud compute instances list prints it")
    for name, entry in named:
        yield _row(name, {"physicalHost": entry} if isinstance(entry, str) else entry, document.place())


def _row(name: object, entry: Any, place: Place) -> Row:
    status = mapping_at(entry, "resourceStatus") or mapping_at(entry, "resource_status") or entry
    machine = text_at(entry, "machineType").rsplit("/", 1)[-1]
    ids = _ids(status, place)
    aliases = []
    number = text_at(entry, "id")
    if number and number != name:
        aliases.append(("instance", host_name(number, place)))
    island = ids[-1] if machine.startswith("a4x") and ids else ""
    stopped = text_at(entry, "status") not in ("", "RUNNING")
    return Row(host_name(name, place), ids, island, machine, tuple(aliases), free=0 if stopped else None, place=place)


def _ids(status: Any, place: Place) -> tuple[str, ...]:
    """Ids above a host: the mapping where there is one, since it has a level more than the path."""
    levels = mapping_at(status, "physicalHostTopology") or mapping_at(status, "physical_host_topology")
    if levels:
        return tuple(text for level in _LEVELS if (text := text_at(levels, level)))
    path = text_at(status, "physicalHost") or text_at(status, "physical_host")
    parts = [part for part in path.split("/") if part]
    if len(parts) > len(_LEVELS) + 1:
        raise InputError(f"physicalHost has {len(parts)} levels, more than cluster, block, subblock, host", place=place)
    return tuple(parts[:-1])
