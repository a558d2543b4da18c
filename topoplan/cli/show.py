"""``topoplan show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from topoplan.cli import options, render

EPILOG = """\b
Examples:
  topoplan show fabric.yaml
  topoplan show two-pods-fragmented -o json
  topoplan show plan"""


@click.command("show", epilog=EPILOG)
@click.argument("what", metavar="FABRIC|PLAN")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader for a foreign file; by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts of a foreign file are (topoplan catalog).")
@options.output
def command(what: str, format_name: str | None, host_type: str | None, output: str) -> None:
    """Show a fabric (tiers, groups, uplinks, free and broken hosts) or a plan."""
    from topoplan.planning.folder import is_plan, open_plan  # noqa: PLC0415 - help stays quick
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415
    from topoplan.planning.summary import fabric_summary, group_rows  # noqa: PLC0415

    if is_plan(Path(what)):
        from topoplan.cli.plans import show_plan  # noqa: PLC0415

        show_plan(open_plan(what).plan, output)
        return
    fabric = open_fabric(what, host_type=host_type, format=format_name).fabric
    facts: dict[str, Any] = fabric_summary(fabric)
    if output != "table":
        render.document(facts, output)
        return
    groups = ", ".join(f"{count} {tier}" for tier, count in facts["groups"].items())
    size = f"{facts['hosts']} hosts, {facts['gpus']} GPUs, {facts['nics']} NICs, {facts['islands']} NVLink domains"
    click.echo(f"{facts['name']}: {size}, {facts['routing']} routing")
    click.echo(f"  groups: {groups or 'none'}; unavailable hosts: {len(facts['unavailable'])}")
    rows = group_rows(fabric)
    if rows:
        render.table("", ["group", "hosts", "free GPUs", "broken GPUs", "uplinks", "oversubscribed"], rows)
    render.notes("warning", fabric.warnings)
    render.notes("assumed", fabric.assumed)
