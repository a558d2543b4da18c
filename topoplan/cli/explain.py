"""``topoplan explain``."""

from __future__ import annotations

import click


@click.command("explain", epilog="\b\nExamples:\n  topoplan explain plan\n  topoplan explain plan --exact-links")
@click.argument("plan", metavar="PLAN")
@click.option("--exact-links", is_flag=True, help="Load every real cable, by equal-cost multipath.")
def command(plan: str, exact_links: bool) -> None:
    """Say in words what PLAN does, what it is worth, and what it assumes."""
    from topoplan.cli import links  # noqa: PLC0415 - help stays quick
    from topoplan.errors import InputError  # noqa: PLC0415
    from topoplan.planning import score  # noqa: PLC0415
    from topoplan.planning.expert_record import read_outcome  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415
    from topoplan.reports import expert_tables  # noqa: PLC0415
    from topoplan.reports.tables import summary_lines  # noqa: PLC0415

    opened = open_plan(plan)
    made = opened.plan
    outcome = read_outcome(opened.path, made)
    for line in [*summary_lines(made), *(expert_tables.lines(outcome) if outcome is not None else ())]:
        click.echo(line)
    if exact_links:
        if made.placement is None or opened.job is None:
            raise InputError("--exact-links needs a plan of ranks, with its job beside it")
        links.show(score.exact_links(opened.job, made.placement, opened.hosts))
    else:
        links.brief(opened.job, made.placement, opened.hosts)
    for title, lines in (("Assumed:", made.assumed), ("Warnings:", made.warnings)):
        if lines:
            click.echo(title)
        for line in lines:
            click.echo(f"  {line}")
