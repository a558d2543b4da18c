"""Kubernetes objects of a text: JSON or YAML, one document or many, lists taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.topologies.documents import list_at, load, mapping_at, text_at
from topoplan.topologies.reading import SNIFF_CHARS
from topoplan.topologies.trees.site import host_name


@dataclass(frozen=True, slots=True)
class Object:
    """An object: its kind, where it stands, and all its data."""

    kind: str
    data: dict[str, Any]
    place: Place

    @property
    def name(self) -> str:
        """metadata.name; InputError when it is not a name."""
        return host_name(mapping_at(self.data, "metadata").get("name"), self.place)

    @property
    def labels(self) -> dict[str, str]:
        """Labels that have a value."""
        found = mapping_at(self.data, "metadata", "labels")
        return {key: str(value) for key, value in found.items() if isinstance(value, str | int) and str(value)}


def has_kind(text: str, kind: str) -> bool:
    """Whether the beginning of `text` has an object of that kind; cheap."""
    return re.search(rf"[\"']?\bkind[\"']?\s*:\s*[\"']?{kind}\b(?![-./])", text[:SNIFF_CHARS]) is not None


def objects(text: str, path: str) -> list[Object]:
    """All objects of `text`, those inside lists too.

    Raises
    ------
    InputError
        Text that is neither JSON nor YAML, or a document that is no object.
    """
    found: list[Object] = []
    for document in load(text, path):
        data = document.data
        if isinstance(data, list):
            entries = [(entry, document.place((i,))) for i, entry in enumerate(data)]
        elif isinstance(data, dict) and isinstance(data.get("items"), list):
            default = text_at(data, "kind").removesuffix("List") or "Node"
            entries = [
                ({"kind": default} | entry if isinstance(entry, dict) else entry, document.place(("items", i)))
                for i, entry in enumerate(list_at(data, "items"))
            ]
        else:
            entries = [(data, document.place())]
        for entry, place in entries:
            if not isinstance(entry, dict):
                raise InputError("a Kubernetes object must be a mapping", place=place)
            found.append(Object(text_at(entry, "kind"), entry, place))
    return found
