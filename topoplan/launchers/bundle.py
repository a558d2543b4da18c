"""Portable programs as single files: a module of `topoplan.launchers.portable` with those that it imports before it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "portable"
_PACKAGE = "topoplan.launchers.portable."


def bundle(module: str, values: Mapping[str, str] | None = None) -> str:
    """Source of a portable program that runs by itself, without a first line for the shell.

    Parameters
    ----------
    values
        Python text of constants of the program, by all that stands before their " = ": "PORT", or with its type.
    """
    text = _bundled(module)
    for name, value in (values or {}).items():
        text, count = re.subn(rf"^{re.escape(name)} = .*$", lambda _: f"{name} = {value}", text, flags=re.MULTILINE)  # noqa: B023 - called at once
        assert count == 1, name
    return text


@cache
def _bundled(module: str) -> str:
    parts: list[str] = []
    for name in _in_order(module):
        source = _source(name)
        tree = ast.parse(source)
        lines = source.splitlines()
        drop = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module == "__future__" or _is_ours(node)):
                drop |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        first = tree.body[0]
        if isinstance(first, ast.Expr):  # its docstring: only the program's own stays, at the top of the file
            drop |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
        kept = "\n".join(line for number, line in enumerate(lines, 1) if number not in drop)
        parts.append(kept.strip("\n"))
    doc = ast.get_docstring(ast.parse(_source(module)), clean=False)
    return "\n\n\n".join([f'"""{doc}"""\n\nfrom __future__ import annotations', *parts]) + "\n"


def _in_order(module: str) -> list[str]:
    """The module after all that it imports, each once."""
    found: list[str] = []
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            found += _in_order(str(node.module).removeprefix(_PACKAGE))
    return list(dict.fromkeys([*found, module]))


def _is_ours(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith(_PACKAGE)


def _source(module: str) -> str:
    return (_FOLDER / f"{module}.py").read_text(encoding="utf-8")
