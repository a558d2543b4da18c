"""``topoplan experts``."""

from __future__ import annotations

import shlex
import sys

import click

from topoplan.cli import options, render
from topoplan.cli.plans import report_html, show_plan

EPILOG = """\b
Examples:
  topoplan experts load.npy --topology gb200-nvl72x8 --gpus 32 --slots 288 --out plan
  topoplan experts load.csv -t fabric.yaml --gpus 32 --slots 288 --groups 8 --out plan"""


@click.command("experts", epilog=EPILOG)
@click.argument("load", metavar="LOAD")
@options.topology
@click.option("--gpus", type=click.IntRange(1), required=True, metavar="G", help="GPUs of the expert-parallel group.")
@click.option("--slots", type=click.IntRange(1), required=True, metavar="N", help="Expert slots, all GPUs together.")
@click.option("--groups", type=click.IntRange(0), default=0, metavar="K", help="Expert groups that stay on one host.")
@click.option("--expert-format", "formats", multiple=True, metavar="NAME", help="Map to write [sglang]; repeatable.")
@click.option("--out", metavar="DIR", help="Write plan.json, the expert map and a report there.")
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@options.output
def command(
    load: str,
    topology: str,
    host_type: str | None,
    format_name: str | None,
    gpus: int,
    slots: int,
    groups: int,
    formats: tuple[str, ...],
    out: str | None,
    no_report: bool,
    output: str,
) -> None:
    """Replicate and place experts from LOAD: tokens by layer and expert, .npy or .csv, [layers, experts]."""
    from topoplan.experts import DEFAULT_FORMATS  # noqa: PLC0415 - help stays quick
    from topoplan.files.arrays import parse_load, read_array_source  # noqa: PLC0415
    from topoplan.model.plan import InputFile  # noqa: PLC0415
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415
    from topoplan.planning.experts import ExpertRequest, plan_experts  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415

    source = read_array_source(load)
    fabric = open_fabric(topology, host_type=host_type, format=format_name)
    inputs = {"fabric": fabric.file, "load": InputFile(source.name, source.sha256)}
    plan = plan_experts(ExpertRequest(parse_load(source), gpus, slots, groups, inputs=inputs), fabric.fabric)
    render.notes("warning", plan.warnings)
    if out:
        shown = shlex.join(["topoplan", *sys.argv[1:]])
        contents = plan_artefacts(plan, None, (), formats or DEFAULT_FORMATS)
        if not no_report:
            contents.files["report.html"] = report_html(plan, None, shown)
        save(out, contents, {"command": shown})
        render.note(f"wrote {out}/")
    show_plan(plan, output)
