"""LLDP tables of several machines as one text: a network is found in all of them together, not in each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.topologies.readers.cables.lldp_text import documents

FORMAT = "lldp"  # the reader's name
_HOST_KEYS = ("host", "hostname", "name", "node")


def join(files: Iterable[tuple[str, str]]) -> str:
    """One text for the reader of LLDP tables, of (text, path) of several files.

    A table that does not say whose it is belongs to the machine that its file is called after.

    Raises
    ------
    InputError
        A file that is in none of lldpcli's forms, or two files with tables of one machine.
    """
    tables: dict[str, Any] = {}
    source: dict[str, str] = {}
    for text, path in files:
        for data in documents(text, path):
            for name, table in _tables(data, path):
                if name in tables:
                    raise InputError(
                        f"{name} has two tables of neighbours, in {source[name]} and {path}", hint="keep the newer one"
                    )
                tables[name], source[name] = table, path
    return json.dumps(tables)


def _tables(data: Any, path: str) -> Iterable[tuple[str, Any]]:
    for item in data if isinstance(data, list) else [data]:
        if not isinstance(item, dict):
            raise InputError("this is no output of lldpcli", place=Place(path))
        if "lldp" not in item:
            yield from item.items()
            continue
        named = next((item[key] for key in _HOST_KEYS if isinstance(item.get(key), str)), PurePath(path).stem)
        yield named, {"lldp": item["lldp"]}
