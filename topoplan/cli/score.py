"""``topoplan score``."""

from __future__ import annotations

import click

from topoplan.cli import options, render

EPILOG = """\b
Examples:
  topoplan score job.yaml --topology fabric.yaml --observed ranks.txt
  mpirun sh -c 'echo $OMPI_COMM_WORLD_RANK $(hostname)' > ranks.txt

FILE has a line a rank, `RANK HOST [GPU]`, or is a CSV with a header, rankmap.json, or the
output of a probe."""


@click.command("score", epilog=EPILOG)
@click.argument("job", metavar="JOB")
@options.topology
@click.option("--observed", required=True, metavar="FILE", help="The order to price; - for stdin.")
@click.option("--exact-links", is_flag=True, help="Load every real cable as well, by equal-cost multipath.")
@click.option("--fair", is_flag=True, help="Follow every flow to its end too, links shared fairly (max-min).")
@options.output
def command(
    job: str,
    topology: tuple[str, ...],
    host_type: str | None,
    format_name: str | None,
    observed: str,
    exact_links: bool,
    fair: bool,
    output: str,
) -> None:
    """Price an order of ranks as it is, beside the plain orders of the same fabric."""
    from topoplan.cli import collectives, links, step  # noqa: PLC0415 - help stays quick
    from topoplan.cli import fair as sharing  # noqa: PLC0415 - help stays quick
    from topoplan.files.inputs import read_source  # noqa: PLC0415
    from topoplan.files.plan_text import prediction_record  # noqa: PLC0415
    from topoplan.files.step_text import step_record  # noqa: PLC0415
    from topoplan.launchers import parse_observed, place_observed  # noqa: PLC0415
    from topoplan.planning import score as pricing  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric, open_job  # noqa: PLC0415
    from topoplan.reports.tables import price_rows  # noqa: PLC0415

    read = open_job(job)
    fabric = open_fabric(topology, host_type=host_type, format=format_name).fabric
    source = read_source(observed, limit=2**30)
    placement = place_observed(fabric, parse_observed(source.text))
    result = pricing.score(read.job, fabric, placement)
    exact = pricing.exact_links(read.job, placement) if exact_links else None
    shared = pricing.fair(read.job, fabric, placement) if fair else {}
    prices = {"observed": result.observed, **result.baselines}
    if output != "table":
        records = {name: prediction_record(price) for name, price in prices.items()}
        for name, found in result.steps.items():
            records[name]["step"] = step_record(found)
        for name, price in shared.items():
            records[name]["fair"] = sharing.record(price)
        records["observed"]["collectives"] = collectives.records(result.collectives)
        if exact is not None:
            records["observed"] = {**records["observed"], "exact_links": links.record(exact)}
        render.document(records, output)
        return
    rows = [[row.name, *row.texts] for row in price_rows(fabric, list(prices.values()))]
    render.table(f"{read.job.name} on {fabric.name}, one step", ["", *prices], rows)
    if shared:
        sharing.show(shared, list(result.observed.axes))
    if result.steps:
        step.show(result.steps)
    if exact is not None:
        links.show(exact)
    else:
        links.brief(read.job, placement)
    collectives.show(result.collectives)
