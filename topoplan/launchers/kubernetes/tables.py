"""The plan's table of hosts and the program that reads it in pods, in ConfigMaps of at most 1 MiB.

A small table is plain text. A larger one is compressed, and where even that exceeds what a ConfigMap may hold it is cut
into several, which the pods see in one folder.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.launchers.bundle import bundle
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.manifest import Object
from topoplan.launchers.portable.pod_table import DEVICES, PACKED, TABLE
from topoplan.launchers.table import HostRow, read_table, table_text

FOLDER = "/etc/topoplan"
PROGRAM = "pod.py"
SUFFIX = "-plan"
# kubectl apply repeats an object in an annotation, of which all together may have 256 KiB.
_PLAIN_BYTES = 150_000
# 1 MiB in all (https://kubernetes.io/docs/concepts/configuration/configmap/); the program and names need some of it.
_PART_BYTES = 900_000
_MOST_BYTES = 2**28  # of a table, so that a hostile one cannot fill the memory


def config_maps(job: KubernetesJob) -> list[Object]:
    """The first has the program too."""
    table = table_text(list(job.rows)).replace("\t", " ").encode()  # YAML shows lines with tabs as one long one
    first: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": job.metadata(SUFFIX),
        "immutable": True,
        "data": {PROGRAM: bundle("pod")},
    }
    devices = _devices(job)
    if devices:
        first["data"][DEVICES] = devices
    if len(table) <= _PLAIN_BYTES:
        first["data"][TABLE] = table.decode()
        return [first]
    packed = gzip.compress(table, mtime=0)
    maps = []
    for number, start in enumerate(range(0, len(packed), _PART_BYTES)):
        part = base64.b64encode(packed[start : start + _PART_BYTES]).decode()
        made = first if number == 0 else {**first, "metadata": job.metadata(f"{SUFFIX}-{number}")}
        if number:
            del made["data"]
        maps.append({**made, "binaryData": {f"{PACKED}{number:03d}": part}})
    return maps


def _devices(job: KubernetesJob) -> str:
    """GPUs that a pod gets on hosts where it does not get all; it sees them numbered anew from 0."""
    lines = []
    for row in job.rows:
        usable = job.usable(row)
        if usable[-1] != len(usable) - 1:
            lines.append(f"{row.host} {','.join(map(str, usable))}\n")
    return "".join(lines)


def volume(maps: Iterable[Object]) -> Object:
    """Volume that holds all maps in one folder."""
    return {
        "name": "topoplan",
        "projected": {"sources": [{"configMap": {"name": made["metadata"]["name"]}} for made in maps]},
    }


def rows_of(objects: Iterable[Object], path: str) -> list[HostRow]:
    """The table back from the ConfigMaps of a file.

    Raises
    ------
    InputError
        No table, or one that pods could not read.
    """
    maps = [made for made in objects if made["kind"] == "ConfigMap"]
    plain = [text for made in maps for text in [_section(made, "data").get(TABLE)] if isinstance(text, str)]
    if not any(PROGRAM in _section(made, "data") for made in maps):
        raise InputError(f"no ConfigMap has {PROGRAM}, which pods start through", place=Place(path))
    if plain:
        return read_table(plain[0], f"{path} ({TABLE})")
    parts = {name: text for made in maps for name, text in _section(made, "binaryData").items()}
    packed = b""
    for number, name in enumerate(sorted(name for name in parts if name.startswith(PACKED))):
        if name != f"{PACKED}{number:03d}":
            raise InputError(f"part {number} of the plan's table is missing", place=Place(path))
        packed += _decoded(parts[name], path)
    if not packed:
        raise InputError("no ConfigMap has the plan's table", place=Place(path))
    return read_table(_unpacked(packed, path), f"{path} ({TABLE})")


def _section(made: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = made.get(name)
    return found if isinstance(found, Mapping) else {}


def _decoded(text: object, path: str) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("a part of the plan's table is not base64", place=Place(path)) from None


def _unpacked(packed: bytes, path: str) -> str:
    gunzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        table = gunzip.decompress(packed, _MOST_BYTES)
        if not gunzip.eof:
            raise ValueError
        return table.decode()
    except (zlib.error, ValueError):
        raise InputError("the plan's table is not whole", place=Place(path)) from None
