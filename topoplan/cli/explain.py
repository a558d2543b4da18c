"""``topoplan explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render

if TYPE_CHECKING:
    from topoplan.cost.exact import ExactPrice
    from topoplan.planning.collectives import AxisCollective
    from topoplan.planning.folder import PlanFolder


@click.command("explain", epilog="\b\nExamples:\n  topoplan explain plan\n  topoplan explain plan --exact-links")
@click.argument("plan", metavar="PLAN")
@click.option("--exact-links", is_flag=True, help="Load every real cable, by equal-cost multipath.")
@options.output
def command(plan: str, exact_links: bool, output: str) -> None:
    """Say in words what PLAN does, what it is worth, how its axes communicate, and what it assumes."""
    from topoplan.cli import collectives, links  # noqa: PLC0415 - help stays quick
    from topoplan.planning import score  # noqa: PLC0415
    from topoplan.planning.expert_record import read_outcome  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415
    from topoplan.reports import expert_tables  # noqa: PLC0415
    from topoplan.reports.tables import summary_lines  # noqa: PLC0415

    opened = open_plan(plan)
    made = opened.plan
    outcome = read_outcome(opened.path, made)
    summary = [*summary_lines(made), *(expert_tables.lines(outcome) if outcome is not None else ())]
    exact = _exact(opened) if exact_links else None
    found: tuple[AxisCollective, ...] = ()
    if opened.job is not None and made.placement is not None:
        found = score.collectives_of(opened.job, made.placement, opened.hosts)
    if output != "table":
        document: dict[str, Any] = {"summary": summary, "collectives": collectives.records(found)}
        document |= {} if exact is None else {"exact_links": links.record(exact)}
        render.document(document | {"assumed": list(made.assumed), "warnings": list(made.warnings)}, output)
        return
    for line in summary:
        click.echo(line)
    if exact is not None:
        links.show(exact)
    else:
        links.brief(opened.job, made.placement, opened.hosts)
    collectives.show(found)
    for title, lines in (("Assumed:", made.assumed), ("Warnings:", made.warnings)):
        if lines:
            click.echo(title)
        for line in lines:
            click.echo(f"  {line}")


def _exact(opened: PlanFolder) -> ExactPrice:
    from topoplan.errors import InputError  # noqa: PLC0415
    from topoplan.planning.score import exact_links  # noqa: PLC0415

    if opened.plan.placement is None or opened.job is None:
        raise InputError("--exact-links needs a plan of ranks, with its job beside it")
    return exact_links(opened.job, opened.plan.placement, opened.hosts)
