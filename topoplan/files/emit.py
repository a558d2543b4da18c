"""Canonical YAML text of plain data: one entry a line, the same bytes for the same data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Text that every YAML reader takes for text without quotes, also in flow mappings.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*|[0-9]+ x [0-9.]+ [A-Za-z/]+|[0-9.]+ [A-Za-z/]+")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"))

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]


def scalar(value: str | int | float | bool) -> str:
    """A number or text, quoted where a YAML reader would take it for something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08x}"


def flow(value: Value) -> str:
    """Value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def document(sections: Mapping[str, Value]) -> str:
    """File text: scalars and short values on the key's line, the entries of block sections on lines of their own.

    A section whose value is a list or mapping of lists or mappings is a block; an empty one is left out.
    """
    lines = []
    for key, value in sections.items():
        if isinstance(value, Mapping) and any(isinstance(item, Mapping) for item in value.values()):
            lines.append(f"{key}:")
            lines += [f"  {scalar(name)}: {flow(item)}" for name, item in value.items()]
        elif isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value):
            lines.append(f"{key}:")
            lines += [f"  - {flow(item)}" for item in value]
        elif isinstance(value, Mapping | Sequence) and not value:
            continue
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"
