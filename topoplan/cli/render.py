"""Print results: tables for people, one JSON or YAML document for programs."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import click


def document(value: Any, output: str) -> None:
    """Print plain data as JSON or YAML on stdout."""
    if output == "json":
        click.echo(json.dumps(value, indent=2, allow_nan=False))
        return
    import yaml  # noqa: PLC0415 - only for this output

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Print a table on stdout; all columns but the first `left` are set right. Lines of a cell stay whole."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415

    shown = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    cells = [tuple(row) for row in rows]
    console = Console(soft_wrap=False, highlight=False, width=None)
    widths = _widths(list(zip(columns, *cells, strict=True)), console.width)
    whole = sum(widths) + 2 * (len(widths) - 1) <= console.width
    for i, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if i < left else "right"
        shown.add_column(column, justify=justify, overflow="fold", width=widths[i] if whole else None)
    for row in cells:
        # names come from files: brackets in them are not markup
        shown.add_row(*(cell.replace("[", "\\[") for cell in row))
    console.print(shown)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Width of each column: its longest word, and whole cells where there is room, those that need least first.

    rich by itself narrows the widest columns, cutting words there although others could be broken between words.
    """
    found = [max(len(word) for text in column for word in _unbroken(text)) for column in columns]
    spare = room - sum(found) - 2 * (len(found) - 1)
    whole = [max(len(line) for text in column for line in text.split("\n")) for column in columns]
    wanted = [most - least for most, least in zip(whole, found, strict=True)]
    for i in sorted(range(len(found)), key=lambda i: wanted[i]):
        more = max(0, min(wanted[i], spare))
        found[i] += more
        spare -= more
    return found


def _unbroken(text: str) -> list[str]:
    """Parts of a cell that are not broken: its lines where it has several, else its words."""
    return (text.split("\n") if "\n" in text else text.split()) or [""]


def wrapped(text: str, indent: int) -> None:
    """Print a line on stdout, broken at the terminal's width, its further lines indented."""
    width = max(40, shutil.get_terminal_size().columns)
    click.echo(textwrap.fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False))


def note(text: str) -> None:
    """Say something on stderr."""
    click.echo(text, err=True)


def notes(kind: str, lines: Sequence[str], most: int = 8) -> None:
    """Warnings or assumptions on stderr, the first few."""
    for line in lines[:most]:
        note(f"{kind}: {line}")
    if len(lines) > most:
        note(f"{kind}: and {len(lines) - most} more, in the plan")
