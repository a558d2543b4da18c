"""``topoplan explain``."""

from __future__ import annotations

import click


@click.command("explain", epilog="\b\nExample:\n  topoplan explain plan")
@click.argument("plan", metavar="PLAN")
def command(plan: str) -> None:
    """Say in words what PLAN does, what it is worth, and what it assumes."""
    from topoplan.planning.folder import open_plan  # noqa: PLC0415 - help stays quick
    from topoplan.reports.tables import summary_lines  # noqa: PLC0415

    made = open_plan(plan).plan
    for line in summary_lines(made):
        click.echo(line)
    for title, lines in (("Assumed:", made.assumed), ("Warnings:", made.warnings)):
        if lines:
            click.echo(title)
        for line in lines:
            click.echo(f"  {line}")
