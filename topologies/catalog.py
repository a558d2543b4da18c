"""The catalogue: reference fabrics and host types, as Fabric YAML with the source of every number.

A file of the catalogue may have `parameters`, sizes that can be changed, and entries with `for`, which stand for one
entry for each value: ``{for: {r: racks}, name: "leaf-{r}", ...}`` with ``racks: 2`` is leaf-1 and leaf-2.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from topoplan.errors import InputError
from topoplan.files import emit
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import HostType
from topoplan.names import closest

_HOST_TYPES = "host_types"
_MAX_PARAMETER = 100_000  # assumed: more racks than any cluster has


@dataclass(frozen=True, slots=True)
class Entry:
    """A fabric of the catalogue: its name, what it is in one line, and the parameters with their usual values."""

    name: str
    description: str
    parameters: Mapping[str, int]


def names() -> tuple[str, ...]:
    """Names of all fabrics, sorted."""
    files = (resources.files("topoplan.topologies") / "catalog").iterdir()
    found = (file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    return tuple(sorted(name for name in found if name != _HOST_TYPES))


def entry(name: str) -> Entry:
    """What the fabric `name` is; InputError when there is none."""
    raw = _raw(name)
    return Entry(name, raw.split("\n", 1)[0].lstrip("# "), dict(_load(raw).get("parameters", {})))


def text(name: str, **parameters: int) -> str:
    """Fabric YAML of `name`, with its comments, each parameter at its usual value unless given.

    Raises
    ------
    InputError
        No such fabric or parameter, or a value below 1.
    """
    raw = _raw(name)
    content = _load(raw)
    values: dict[str, int] = content.pop("parameters", {})
    for key, value in parameters.items():
        if key not in values:
            hint = closest(key, values) or f"its parameters: {', '.join(values) or 'none'}"
            raise InputError(f"catalogue fabric {name} has no parameter {key!r}", hint=hint)
        if not 1 <= value <= _MAX_PARAMETER:
            raise InputError(f"parameter {key} of {name} is {value}, not 1 to {_MAX_PARAMETER}")
    if not values:
        return raw
    head = "".join(itertools.takewhile(lambda line: line.startswith("#"), raw.splitlines(keepends=True)))
    size = ", ".join(f"{key} = {value}" for key, value in (values | parameters).items())
    return f"{head}# Here: {size}.\n{emit.document(_expand(content, values | parameters))}"


def host_type_names() -> tuple[str, ...]:
    """Names that `host_type` knows, sorted."""
    return tuple(sorted(_host_types()))


def host_type(name: str) -> HostType:
    """Host type `name`; InputError when there is none."""
    try:
        return _host_types()[name]
    except KeyError:
        known = host_type_names()
        hint = closest(name, known) or f"host types: {', '.join(known)}"
        raise InputError(f"no host type {name!r} in the catalogue", hint=hint) from None


@functools.cache
def _host_types() -> Mapping[str, HostType]:
    fabric = parse_fabric(_read(_HOST_TYPES), f"catalogue/{_HOST_TYPES}.yaml")
    return {kind.name: kind for kind in fabric.host_types}


def _raw(name: str) -> str:
    known = names()
    if name not in known:
        hint = closest(name, known) or f"fabrics: {', '.join(known)}"
        raise InputError(f"no fabric {name!r} in the catalogue", hint=hint)
    return _read(name)


def _read(name: str) -> str:
    return (resources.files("topoplan.topologies") / "catalog" / f"{name}.yaml").read_text(encoding="utf-8")


def _load(raw: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(raw)  # our own file: nothing hostile in it
    return content


def _expand(content: Mapping[str, Any], values: Mapping[str, int]) -> dict[str, Any]:
    """`content` with each entry that has `for` written out."""
    return {
        key: [copy for item in section for copy in _copies(item, values)] if isinstance(section, list) else section
        for key, section in content.items()
    }


def _copies(item: Any, values: Mapping[str, int]) -> Iterator[Any]:
    if not isinstance(item, dict) or "for" not in item:
        yield item
        return
    loops: dict[str, str] = item["for"]
    for numbers in itertools.product(*(range(1, values[parameter] + 1) for parameter in loops.values())):
        here = dict(zip(loops, numbers, strict=True))
        yield {
            key: value.format_map(here) if isinstance(value, str) and "{" in value else value
            for key, value in item.items()
            if key != "for"
        }
