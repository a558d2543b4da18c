"""``topoplan report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from topoplan.cli import render


@click.command("report", epilog="\b\nExample:\n  topoplan report plan --pdf")
@click.argument("plan", metavar="PLAN")
@click.option("--pdf", is_flag=True, help="Write the same report as a PDF (needs topoplan[pdf]).")
@click.option("--prices", metavar="FILE", help="Prices of GPU-hours, NICs, switch ports and cables (YAML).")
@click.option("--figures", metavar="DIR", help="Write each figure there too, as an SVG of its own.")
@click.option("--out", metavar="FILE", help="Where to write it; PLAN/report.html or .pdf otherwise, - for stdout.")
def command(plan: str, pdf: bool, prices: str | None, figures: str | None, out: str | None) -> None:
    """Write the report of PLAN as HTML or PDF: self-contained, without scripts, readable offline."""
    import json  # noqa: PLC0415 - help stays quick
    import shlex  # noqa: PLC0415

    from topoplan.cli.plans import report_html  # noqa: PLC0415
    from topoplan.files.atomic import write_file  # noqa: PLC0415
    from topoplan.planning.expert_record import (  # noqa: PLC0415
        read_numbers,
        read_outcome,
        read_planned_load,
        read_previous,
    )
    from topoplan.planning.folder import open_plan  # noqa: PLC0415

    opened = open_plan(plan)
    run = opened.path / "run.json"
    made_by = json.loads(run.read_text()).get("command", "") if run.is_file() else ""
    experts: dict[str, Any] = {
        "load": read_planned_load(opened.path),
        "outcome": read_outcome(opened.path, opened.plan),
        "before": read_previous(opened.path),
        "moe_layers": read_numbers(opened.path).moe_layers,
    }
    quote, again = None, ""
    if prices is not None:
        from topoplan.files.prices_yaml import read_prices  # noqa: PLC0415

        again = f"topoplan report {shlex.quote(opened.path.name or '.')} --prices {shlex.quote(prices)}"
        quote = read_prices(prices)
    text = report_html(
        opened.plan, opened.job, str(made_by), opened.hosts, prices=quote, report_command=again, **experts
    )
    if figures is not None:
        from topoplan.reports.page_tree import figures as drawn  # noqa: PLC0415

        for name, figure in drawn(text).items():
            write_file(Path(figures) / name, figure)
        render.note(f"wrote figures in {figures}/")
    content: str | bytes = text
    if pdf:
        from topoplan.reports.pdf import render_pdf  # noqa: PLC0415

        content = render_pdf(text)
    if out == "-":
        click.echo(content, nl=not pdf)
        return
    target = out or str(opened.path / ("report.pdf" if pdf else "report.html"))
    write_file(target, content)
    render.note(f"wrote {target}")
