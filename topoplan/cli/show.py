"""``topoplan show``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from topoplan.cli import options, render
from topoplan.reports.amounts import counted

if TYPE_CHECKING:
    from topoplan.model.fabric import Fabric

EPILOG = """\b
Examples:
  topoplan show fabric.yaml
  topoplan show two-pods-fragmented -o json
  topoplan show gb200-nvl72:racks=4,broken=3 --svg fabric.svg
  topoplan show ibnetdiscover.out nvidia-smi-topo.txt
  topoplan show plan --svg plan.svg"""

_TYPES_SHOWN = 4


@click.command("show", epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="FABRIC...|PLAN")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader for a foreign file; by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts of a foreign file are (topoplan catalog).")
@click.option("--svg", metavar="FILE", help="Draw the fabric, with the plan's stages on it, into FILE.")
@click.option(
    "--all", "everything", is_flag=True, help="Each group and host type; groups that are alike share a line else."
)
@options.output
def command(
    what: tuple[str, ...],
    format_name: str | None,
    host_type: str | None,
    svg: str | None,
    everything: bool,
    output: str,
) -> None:
    """Show a fabric (groups, uplinks, free and broken GPUs, the NICs of each GPU) or a plan.

    Several topology files, or a folder of them, are merged as by topoplan import.
    """
    from topoplan.planning.folder import is_plan, open_plan  # noqa: PLC0415 - help stays quick
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415
    from topoplan.planning.summary import fabric_summary  # noqa: PLC0415

    if len(what) == 1 and is_plan(Path(what[0])):
        from topoplan.cli.plans import draw_plan, show_experts, show_plan  # noqa: PLC0415
        from topoplan.planning.expert_record import read_outcome  # noqa: PLC0415

        opened = open_plan(what[0])
        if svg:
            draw_plan(opened.plan, opened.job, svg)
        outcome = read_outcome(opened.path, opened.plan)
        if outcome is None:
            show_plan(opened.plan, output)
        else:
            show_experts(outcome, output)
        return
    fabric = open_fabric(what, host_type=host_type, format=format_name).fabric
    if svg:
        from topoplan.files.atomic import write_file  # noqa: PLC0415
        from topoplan.reports.fabric_figure import fabric_svg  # noqa: PLC0415

        write_file(svg, fabric_svg(fabric, background="white"))
        render.note(f"wrote {svg}")
    facts = fabric_summary(fabric)
    if output != "table":
        from topoplan.planning.inside import gpu_map, used_types  # noqa: PLC0415 - help stays quick

        render.document(facts | {"inside": {kind.name: gpu_map(kind) for kind, _ in used_types(fabric)}}, output)
        return
    _head(fabric, facts)
    _tree(fabric, fold=not everything)
    _inside(fabric, everything=everything)
    render.notes("warning", fabric.warnings)
    render.notes("assumed", fabric.assumed)


def _head(fabric: Fabric, facts: dict[str, Any]) -> None:
    """What the fabric is, in a few lines."""
    from topoplan import names  # noqa: PLC0415 - help stays quick

    free = facts["free_gpus"]
    usable = f" ({free:,} usable)" if free < facts["gpus"] else ""
    click.echo(f"{facts['name']}: {counted(facts['hosts'], 'host')}, {counted(facts['gpus'], 'GPU')}{usable}")
    kinds = ", ".join(f"{count:,} x {name}" for name, count in facts["host_types"].items() if count)
    click.echo(f"  hosts: {kinds}")
    rails = f"{facts['rails']} rail{'s' * (facts['rails'] > 1)}"
    planes = f" in {facts['planes']} planes" if facts["planes"] > 1 else ""
    click.echo(f"  network: {counted(facts['nics'], 'NIC')}, {rails}{planes}, {facts['routing']} routing")
    domains = Counter(np.bincount(fabric.gpu_island).tolist())
    sizes = ", ".join(f"{n:,} of {counted(size, 'GPU')}" for size, n in sorted(domains.items()))
    click.echo(f"  NVLink domains: {sizes}")
    groups = ", ".join(f"{count:,} {tier}" for tier, count in facts["groups"].items() if count)
    cables = f"; {facts['links']:,} cables between switches are listed" if facts["links"] else ""
    click.echo(f"  groups: {groups or 'none'}{cables}")
    if facts["unavailable"]:
        listed = names.compress(facts["unavailable"]).replace(",", ", ")
        short = listed if len(listed) <= 56 else f"{facts['unavailable'][0]} .. {facts['unavailable'][-1]}"
        click.echo(f"  unavailable: {counted(len(facts['unavailable']), 'host')}, {short}")


def _inside(fabric: Fabric, *, everything: bool) -> None:
    """Which NICs each GPU uses, for each host type."""
    from topoplan.planning.inside import gpu_rows, scale_up_text, used_types  # noqa: PLC0415 - help stays quick

    kinds = used_types(fabric)
    click.echo()
    for kind, hosts in kinds if everything else kinds[:_TYPES_SHOWN]:
        places = counted(kind.gpus, "GPU")
        if kind.slices:
            places = f"{counted(kind.gpus, 'MIG slice')} on {counted(len(kind.slices), 'GPU')}"
        render.wrapped(f"inside {kind.name} ({counted(hosts, 'host')}): {places}, {scale_up_text(kind)}", 2)
        domains = len(set(kind.domain_of_gpu)) > 1
        for row in gpu_rows(kind):
            where = f"GPU {row.gpus}" if row.gpus else "not used by ranks"
            where += f" (domain {row.domain})" if row.domain and domains else ""
            rails = f"rail{'s' * (not row.rails.isdecimal())} {row.rails}" if row.rails else ""
            told = ", ".join(part for part in (row.nics or "no NIC", rails, row.bandwidth) if part)
            render.wrapped(f"  {where}: {told}", 4)
    if len(kinds) > _TYPES_SHOWN and not everything:
        click.echo(f"and {len(kinds) - _TYPES_SHOWN} more host types: --all lists each")


def _tree(fabric: Fabric, *, fold: bool) -> None:
    from topoplan.planning.tree import tree_rows  # noqa: PLC0415 - help stays quick

    rows = tree_rows(fabric, fold=fold)
    if not rows:
        return
    folded = any(len(row.groups) > 1 for row in rows)
    railed = any(row.rails > 1 for row in rows)
    lines = []
    for row in rows:
        alike = f"{len(row.groups)} x" if len(row.groups) > 1 else ""
        line = ["  " * row.depth + row.name, alike, f"{row.hosts:,}", f"{row.free:,}", f"{row.broken:,}"]
        lines.append([*line, str(row.rails), row.uplink or "-", row.oversubscription or "-"])
    keep = [True, folded, True, True, any(row.broken for row in rows), railed, True, True]
    titles = ["group", "alike", "hosts", "free", "broken", "rails", "uplinks", "over"]
    shown = [[cell for cell, kept in zip(line, keep, strict=True) if kept] for line in lines]
    click.echo()
    render.table("", [title for title, kept in zip(titles, keep, strict=True) if kept], shown)
    click.echo("free and broken count GPUs; over is NIC bandwidth below to uplink bandwidth")
    if folded:
        click.echo("figures are of each group alike, rows below it of the first; --all lists each")
