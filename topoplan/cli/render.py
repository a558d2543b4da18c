"""Print results: tables for people, one JSON or YAML document for programs."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click


def document(value: Any, output: str) -> None:
    """Print plain data as JSON or YAML on stdout."""
    if output == "json":
        click.echo(json.dumps(value, indent=2, allow_nan=False))
        return
    import yaml  # noqa: PLC0415 - only for this output

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Print a table on stdout; all columns but the first `left` are set right."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415

    shown = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        shown.add_column(column, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        # names come from files: brackets in them are not markup
        shown.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console(soft_wrap=False, highlight=False, width=None).print(shown)


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
