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
  topoplan show plan --svg plan.svg"""


@click.command("show", epilog=EPILOG)
@click.argument("what", metavar="FABRIC|PLAN")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader for a foreign file; by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts of a foreign file are (topoplan catalog).")
@click.option("--svg", metavar="FILE", help="Draw the fabric, with the plan's stages on it, into FILE.")
@options.output
def command(what: str, format_name: str | None, host_type: str | None, svg: str | None, output: str) -> None:
    """Show a fabric (tiers, groups, uplinks, free and broken hosts) or a plan."""
    from topoplan.planning.folder import is_plan, open_plan  # noqa: PLC0415 - help stays quick
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415
    from topoplan.planning.summary import fabric_summary, group_rows  # noqa: PLC0415

    if is_plan(Path(what)):
        from topoplan.cli.plans import draw_plan, show_plan  # noqa: PLC0415

        opened = open_plan(what)
        if svg:
            draw_plan(opened.plan, opened.job, svg)
        show_plan(opened.plan, output)
        return
    fabric = open_fabric(what, host_type=host_type, format=format_name).fabric
    if svg:
        from topoplan.files.atomic import write_file  # noqa: PLC0415
        from topoplan.reports.fabric_figure import fabric_svg  # noqa: PLC0415

        write_file(svg, fabric_svg(fabric, background="white"))
        render.note(f"wrote {svg}")
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
