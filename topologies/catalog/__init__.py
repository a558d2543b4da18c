"""The catalogue: reference fabrics and host types, as templates of Fabric YAML with the source of every number.

A file of the catalogue has `about`, `parameters` (sizes that can be changed), `sources`, `facts` (each number, its
source, and whether it is nominal, measured or assumed) and `fabric`, the template that `templates.py` writes out. Every
fabric also takes `broken`, a number of hosts or their names, and `seed`, which hosts those are.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from topoplan import names as host_names
from topoplan.errors import InputError
from topoplan.files import emit
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import HostType
from topoplan.names import closest
from topoplan.topologies.catalog.templates import Number, evaluate, expand

_HOST_TYPES = "host_types"
_FORMER = {"dgx-h100-superpod-4su": "dgx-h100-superpod", "gb200-nvl72x8": "gb200-nvl72"}  # names of earlier versions
_MAX_RATIO = 1000.0  # assumed: a fabric with less above its leaves is a mistake
_MAX_HOSTS = 131_072  # as many GPUs as a Fabric may hold, at eight a host

BASES = ("nominal", "measured", "assumed")
Value = int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A size of a fabric that can be changed: its usual value and limits; a float is a ratio, an int a count."""

    value: Number
    least: Number
    most: Number
    what: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A number of an entry: `basis` is nominal, measured or assumed; `source` a publication in words."""

    what: str
    value: str
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A fabric of the catalogue."""

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    facts: tuple[Fact, ...]


def names() -> tuple[str, ...]:
    """Names of all fabrics, sorted."""
    files = (resources.files("topoplan.topologies") / "catalog").iterdir()
    found = (file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    return tuple(sorted(name for name in found if name != _HOST_TYPES))


def known(name: str) -> bool:
    """Whether `text` has a fabric of that name, or had one in an earlier version."""
    return name in _FORMER or name in names()


@functools.cache
def entry(name: str) -> Entry:
    """What the fabric `name` is; InputError when there is none."""
    content = _content(name)
    parameters = {
        key: Parameter(item["value"], item.get("least", 1), item.get("most", _MAX_RATIO), item["what"])
        for key, item in content.get("parameters", {}).items()
    }
    kinds = content["fabric"]["host_types"]
    return Entry(
        _FORMER.get(name, name), content["about"], parameters, (*_facts(content), *(f for k in kinds for f in facts(k)))
    )


def facts(host_type_name: str) -> tuple[Fact, ...]:
    """Facts of a host type; empty when there is none of that name."""
    return _facts(_load(_HOST_TYPES), host_type_name)


def parse_spec(spec: str) -> tuple[str, dict[str, Value]]:
    """Name and parameters of ``NAME`` or ``NAME:key=value,key=value``; commas inside brackets separate nothing.

    Raises
    ------
    InputError
        A parameter without a value.
    """
    name, _, rest = spec.partition(":")
    parameters: dict[str, Value] = {}
    for item in re.split(r",(?![^\[]*\])", rest) if rest else []:
        key, equals, text_ = item.partition("=")
        if not equals or not text_.strip():
            raise InputError(f"{item!r} is not key=value", hint="such as meta-roce-24k:pods=2,broken=3")
        parameters[key.strip()] = _plain(text_.strip())
    return name, parameters


def _plain(value: str) -> Value:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def text(name: str, **parameters: Value) -> str:
    """Fabric YAML of `name` with its sources as comments, each parameter at its usual value unless given.

    Parameters
    ----------
    parameters
        Those of the entry; `broken`, a number of hosts or a list of names (``a-[1-3]+b-7``); and `seed`, a number that
        decides which hosts are broken. A larger `broken` with the same seed breaks the same hosts and more.

    Raises
    ------
    InputError
        No such fabric or parameter, a value outside its limits, or a broken host that does not exist.
    """
    found = entry(name)
    given = dict(parameters)
    broken, seed = given.pop("broken", 0), given.pop("seed", 0)
    sizes = _sizes(found, given)
    content = _content(name)
    inside: dict[str, Number] = dict(sizes)
    for key, expression in content.get("let", {}).items():
        inside[key] = evaluate(expression, inside)
    sections = {"apiVersion": "topoplan/v1", "kind": "Fabric", "name": found.name, **expand(content["fabric"], inside)}
    sections["host_types"] = {kind: _type_shapes()[kind] for kind in sections["host_types"]}
    _break(sections, broken, seed)
    sections["assumed"] = [f"{fact.what}: {fact.value}" for fact in found.facts if fact.basis == "assumed"]
    return _head(found, sizes, broken, seed) + emit.document(sections)


def _sizes(found: Entry, given: Mapping[str, Value]) -> dict[str, Number]:
    sizes: dict[str, Number] = {key: parameter.value for key, parameter in found.parameters.items()}
    for key, value in given.items():
        parameter = found.parameters.get(key)
        if parameter is None:
            keys = (*found.parameters, "broken", "seed")
            hint = closest(key, keys) or f"its parameters: {', '.join(keys)}"
            raise InputError(f"catalogue fabric {found.name} has no parameter {key!r}", hint=hint)
        number = isinstance(value, int) or (isinstance(value, float) and isinstance(parameter.value, float))
        if not number or not parameter.least <= float(value) <= parameter.most:
            what = "a number" if isinstance(parameter.value, float) else "a whole number"
            raise InputError(
                f"parameter {key} of {found.name} is {value}, not {what} from {parameter.least} to {parameter.most:g}"
            )
        assert not isinstance(value, str)
        sizes[key] = value
    return sizes


def _break(sections: dict[str, Any], broken: Value, seed: Value) -> None:
    """Add `broken` hosts to the unavailable ones of `sections`."""
    down: list[str] = [item["text"] for item in sections.get("unavailable", [])]
    all_hosts = [host for item in sections["hosts"] for host in host_names.expand(item["names"], limit=_MAX_HOSTS)]
    if broken:
        # "host:3" is one GPU of a host; such a host is not broken again
        taken = {host for item in down for host in host_names.expand(item.partition(":")[0], limit=_MAX_HOSTS)}
        down.append(host_names.compress(_broken(all_hosts, taken, broken, seed)))
    sections.pop("unavailable", None)
    if down:
        sections["unavailable"] = down if len(down) > 1 else down[0]


def _broken(all_hosts: list[str], taken: set[str], broken: Value, seed: Value) -> list[str]:
    if isinstance(broken, str):
        try:
            chosen = set(host_names.expand(broken.replace("+", ","), limit=_MAX_HOSTS))
        except ValueError as error:
            raise InputError(f"broken: {error}") from None
        if unknown := sorted(chosen - set(all_hosts)):
            raise InputError(f"broken host {unknown[0]!r} is not in this fabric", hint=closest(unknown[0], all_hosts))
    else:
        if not isinstance(broken, int) or not isinstance(seed, int) or not 0 <= broken <= len(all_hosts) - len(taken):
            raise InputError(f"broken is {broken} with seed {seed}, not 0 to {len(all_hosts) - len(taken)} hosts")
        # by hash, not by a generator whose stream may change with its library
        free = [host for host in all_hosts if host not in taken]
        chosen = set(sorted(free, key=lambda host: hashlib.sha256(f"{seed} {host}".encode()).digest())[:broken])
    return [host for host in all_hosts if host in chosen]


def _head(found: Entry, sizes: Mapping[str, Number], broken: Value, seed: Value) -> str:
    values = ", ".join(f"{key} = {value:g}" for key, value in sizes.items())
    lines = [found.description, *([f"Here: {values}."] if values else [])]
    if broken:
        lines.append(f"Broken hosts: {broken}" + (f", chosen by seed {seed}." if isinstance(broken, int) else "."))
    lines += [f"- {fact.what}: {fact.value} ({fact.basis}; {fact.source})" for fact in found.facts]
    return "".join(f"# {line}\n" for line in lines)


# ---- host types ------------------------------------------------------------------------------------------------


def host_type_names() -> tuple[str, ...]:
    """Names that `host_type` knows, sorted."""
    return tuple(sorted(_type_shapes()))


def host_type(name: str) -> HostType:
    """Host type `name`; InputError when there is none."""
    if name not in _type_shapes():
        hint = closest(name, host_type_names()) or f"host types: {', '.join(host_type_names())}"
        raise InputError(f"no host type {name!r} in the catalogue", hint=hint)
    return _host_types()[name]


@functools.cache
def _host_types() -> Mapping[str, HostType]:
    hosts = [{"names": f"{name}-1", "type": name} for name in _type_shapes()]
    head = {"apiVersion": "topoplan/v1", "kind": "Fabric", "name": "host-types", "routing": "adaptive"}
    sections: dict[str, Any] = {**head, "host_types": dict(_type_shapes()), "hosts": hosts}
    fabric = parse_fabric(emit.document(sections), f"catalogue/{_HOST_TYPES}.yaml")
    return {kind.name: kind for kind in fabric.host_types}


@functools.cache
def _type_shapes() -> Mapping[str, Any]:
    shapes: dict[str, Any] = expand(_load(_HOST_TYPES)["fabric"]["host_types"], {})
    return shapes


# ---- files -----------------------------------------------------------------------------------------------------


def _facts(content: Mapping[str, Any], kind: str | None = None) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            f"{kind}, {item['what']}" if kind else item["what"],
            str(item["value"]),
            item["basis"],
            content["sources"][item["source"]],
        )
        for item in content["facts"]
        if item.get("type") == kind
    )


def _content(name: str) -> dict[str, Any]:
    name = _FORMER.get(name, name)
    if name not in names():
        hint = closest(name, names()) or f"fabrics: {', '.join(names())}"
        raise InputError(f"no fabric {name!r} in the catalogue", hint=hint)
    return _load(name)


@functools.cache
def _load(name: str) -> dict[str, Any]:
    file = resources.files("topoplan.topologies") / "catalog" / f"{name}.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))  # our own file: nothing hostile in it
    return content
