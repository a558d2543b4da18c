"""Show plans, on the terminal and as a report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import render, step
from topoplan.errors import InputError

if TYPE_CHECKING:
    from topoplan.model.job import Job
    from topoplan.model.plan import Plan
    from topoplan.model.prices import Prices
    from topoplan.planning.expert_outcome import ExpertOutcome


def show_plan(plan: Plan, output: str) -> None:
    """Print a plan: its comparison table and what it means, or plan.json itself as JSON or YAML."""
    if output != "table":
        from topoplan.files.plan_json import format_plan  # noqa: PLC0415 - help stays quick

        render.document(json.loads(format_plan(plan)), output)
        return
    from topoplan.reports.tables import columns, comparison_rows, summary_lines  # noqa: PLC0415

    if plan.prediction is not None:
        rows = [[row.name, *row.texts] for row in comparison_rows(plan)]
        render.table(f"{plan.job} on {plan.fabric_name}, one step", ["", *columns(plan)], rows)
        click.echo()
    for line in summary_lines(plan):
        click.echo(line)
    if plan.step is not None:
        step.show({"plan": plan.step}, plan.memory, plan.plain_step_s)


def show_experts(outcome: ExpertOutcome, output: str) -> None:
    """Print what planning experts alone found out, or plan.json with it as JSON or YAML."""
    from topoplan.files.plan_json import format_plan  # noqa: PLC0415 - help stays quick
    from topoplan.reports import expert_tables  # noqa: PLC0415
    from topoplan.reports.tables import summary_lines  # noqa: PLC0415

    if output != "table":
        render.document(json.loads(format_plan(outcome.plan)) | {"outcome": outcome.record()}, output)
        return
    for title, columns, rows in expert_tables.tables(outcome):
        render.table(title, columns, rows)
        click.echo()
    for line in [*summary_lines(outcome.plan), *expert_tables.lines(outcome)]:
        click.echo(line)


def report_html(
    plan: Plan,
    job: Job | None,
    command: str,
    hosts: tuple[str, ...] | None = None,
    *,
    prices: Prices | None = None,
    report_command: str = "",
    **experts: Any,
) -> str:
    """The report of a plan that was made within `hosts` (None for the whole fabric).

    Parameters
    ----------
    prices, report_command
        As in `ReportInput`.
    experts
        `load`, `moe_layers`, `outcome` and `before` of `ReportInput`, where experts alone were planned.
    """
    from topoplan.planning.collectives import axis_collectives  # noqa: PLC0415
    from topoplan.planning.hosts import allowed_hosts  # noqa: PLC0415
    from topoplan.planning.solve import job_traffic, linear_placement, model_of  # noqa: PLC0415
    from topoplan.reports.html import ReportInput, render_html  # noqa: PLC0415
    from topoplan.solvers.ranks import RankProblem  # noqa: PLC0415
    from topoplan.studies.exposure import sweep_exposure  # noqa: PLC0415
    from topoplan.studies.sensitivity import sensitivity  # noqa: PLC0415

    if job is None or plan.placement is None:
        return render_html(ReportInput(plan, command, **experts))
    placement, fabric = plan.placement, plan.placement.fabric
    allowed = allowed_hosts(fabric, hosts)
    traffic = job_traffic(job, fabric, allowed)
    linear = linear_placement(job, fabric, hosts)
    model = model_of(job, RankProblem(fabric, traffic, allowed=allowed)) if plan.step is not None else None
    if model is not None:
        plan = replace(plan, step=model.at(placement.gpu, drawn=True))
    view = ReportInput(
        plan, command, traffic, job, linear, prices=prices, report_command=report_command,
        sensitivity=sensitivity(job, placement, traffic, allowed),
        exposures=sweep_exposure(job, fabric, traffic, placement.gpu, linear.gpu),
        collectives=axis_collectives(job, traffic, fabric, placement.gpu),
    )  # fmt: skip
    return render_html(view)


def draw_plan(plan: Plan, job: Job | None, file: str) -> None:
    """Draw the fabric with the pipeline stages of a plan on it."""
    from topoplan.files.atomic import write_file  # noqa: PLC0415
    from topoplan.model.job import stage_of_rank  # noqa: PLC0415
    from topoplan.reports.fabric_figure import fabric_svg  # noqa: PLC0415

    if plan.placement is None:
        raise InputError("this plan places experts only: there is nothing to draw")
    write_file(file, fabric_svg(plan.placement.fabric, plan.placement, stage_of_rank(job), background="white"))
    render.note(f"wrote {file}")
