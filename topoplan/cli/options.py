"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def topology(command: Command) -> Command:
    """--topology with --host-type and --format for foreign files."""
    for option in (
        click.option("--format", "format_name", metavar="FORMAT", help="Reader for FABRIC; by content otherwise."),
        click.option("--host-type", metavar="NAME", help="What the hosts of a foreign file are (topoplan catalog)."),
        click.option(
            "--topology",
            "-t",
            required=True,
            multiple=True,
            metavar="FABRIC",
            help="Fabric YAML, a foreign topology file, a folder of them, or a catalogue name; several merge.",
        ),
    ):
        command = option(command)
    return command


def output(command: Command) -> Command:
    """-o table|json|yaml."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="What to print on stdout.",
    )(command)


def seed(command: Command) -> Command:
    """--seed."""
    return click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")(
        command
    )


def settings(command: Command) -> Command:
    """--set of launch files."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Put a value into launch files; `topoplan export --help` lists the keys. Repeatable.",
    )(command)
