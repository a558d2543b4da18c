"""Kubernetes objects as YAML text and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from topoplan.errors import InputError, Place

Object = dict[str, Any]

# etcd takes requests of up to 1.5 MiB (--max-request-bytes, https://etcd.io/docs/v3.6/dev-guide/limit/).
MAX_OBJECT_BYTES = 1_500_000
_MAX_NAME = 40  # leaves room in the 63 characters of a pod's host name for what operators append
# Text that YAML 1.1 and 1.2 readers, in Python and in Go, all take for text without quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_ENDLESS = 1_000_000  # columns: lines are never folded


def object_name(label: str) -> str:
    """A name that every kind of object, and the names of its pods, take: lower case, at most 40 characters."""
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    if not name[:1].isalpha():
        name = f"job-{name}"
    return name[:_MAX_NAME].strip("-")


def check_sizes(objects: Iterable[Object]) -> None:
    """Refuse an object that no API server stores."""
    for made in objects:
        size = len(json.dumps(made))
        if size > MAX_OBJECT_BYTES:
            raise InputError(
                f"{made['kind']} {made['metadata']['name']} would have {size / 1e6:.1f} MB; Kubernetes stores objects "
                f"of up to {MAX_OBJECT_BYTES / 1e6:.1f} MB",
                hint="use --set pin=true, which needs one template for all pods, instead of pin=index",
            )


def dump(objects: Iterable[Object]) -> str:
    """Documents of one file; every text that could be anything else is quoted."""
    import yaml  # noqa: PLC0415 - loaded for these launchers alone

    return str(
        yaml.dump_all(
            objects,
            Dumper=_dumper(),
            sort_keys=False,
            default_flow_style=False,
            explicit_start=True,
            width=_ENDLESS,
        )
    )


@cache
def _dumper() -> Any:
    import yaml  # noqa: PLC0415

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc]  # either of two classes
        def ignore_aliases(self, data: object) -> bool:
            return True  # a template that is used twice is written twice

    def text(dumper: Any, value: str) -> Any:
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        style = None if plain else "|" if "\n" in value else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper


def load(text: str, path: str) -> list[Object]:
    """Documents of a file.

    Raises
    ------
    InputError
        No YAML, or a document that is no Kubernetes object.
    """
    import yaml  # noqa: PLC0415

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [document for document in yaml.load_all(text, Loader=loader) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"not YAML: {error}", place=Place(path, mark.line + 1 if mark else 0)) from None
    for document in documents:
        if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str):
            raise InputError("a document is not a Kubernetes object", place=Place(path))
    return documents


def of_kind(objects: Iterable[Object], kind: str, path: str) -> Object:
    """The only object of a kind."""
    found = [made for made in objects if made["kind"] == kind]
    if len(found) != 1:
        raise InputError(f"{len(found)} objects of kind {kind}, 1 is expected", place=Place(path))
    return found[0]
