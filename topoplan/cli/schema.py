"""``topoplan schema``."""

from __future__ import annotations

import click


@click.command("schema", epilog="\b\nExample:\n  topoplan schema fabric > fabric.schema.json")
@click.argument("kind", type=click.Choice(["fabric", "job", "plan", "prices", "study"]), metavar="KIND")
def command(kind: str) -> None:
    """Print the JSON Schema of Fabric, Job, plan, Prices or Study files, for editors."""
    from topoplan.cli import render  # noqa: PLC0415 - help stays quick
    from topoplan.files.schemas import schema  # noqa: PLC0415

    render.document(schema(kind), "json")
