"""``topoplan experts``."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import click

from topoplan.cli import options, render
from topoplan.cli.plans import report_html

if TYPE_CHECKING:
    from topoplan.planning.expert_outcome import ExpertOutcome

EPILOG = """\b
Examples:
  topoplan experts load.npy --topology gb200-nvl72x8 --gpus 32 --slots 288 --out plan
  topoplan experts load.csv -t fabric.yaml --gpus 32 --slots 288 --groups 8 --out plan
  topoplan experts new.npy -t fabric.yaml --gpus 32 --slots 288 --previous plan --max-moves 7% --out next"""


@click.command("experts", epilog=EPILOG)
@click.argument("load", metavar="LOAD")
@options.topology
@click.option("--gpus", type=click.IntRange(1), required=True, metavar="G", help="GPUs of the expert-parallel group.")
@click.option("--slots", type=click.IntRange(1), required=True, metavar="N", help="Expert slots, all GPUs together.")
@click.option("--groups", type=click.IntRange(0), default=0, metavar="K", help="Expert groups that stay on one host.")
@click.option("--previous", metavar="PLAN", help="Plan in force: keep its GPUs, move few experts.")
@click.option("--max-moves", default="", metavar="M|M%", help="Most slots that may change, over all layers.")
@click.option(
    "--model", default="", metavar="NAME", help="Preset that gives sizes; by the number of experts if unique."
)
@click.option("--routes", metavar="FILE", help="Routing trace (.npz): what tokens chose, and where they came from.")
@click.option(
    "--phase",
    type=click.Choice(["prefill", "decode"]),
    default="prefill",
    show_default=True,
    help="Prefill: DeepEP's normal kernels; decode: its low-latency ones.",
)
@click.option("--batch-tokens", type=click.IntRange(1), metavar="T", help="Tokens of a batch, all GPUs together.")
@click.option("--source-slots", is_flag=True, help="Also choose one copy of each expert for each source rank.")
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
    previous: str | None,
    max_moves: str,
    model: str,
    routes: str | None,
    phase: str,
    batch_tokens: int | None,
    source_slots: bool,
    formats: tuple[str, ...],
    out: str | None,
    no_report: bool,
    output: str,
) -> None:
    """Replicate and place experts from LOAD: tokens by layer and expert, .npy or .csv, [layers, experts]."""
    from topoplan.files.arrays import parse_load, parse_routes, read_array_source  # noqa: PLC0415 - help stays quick
    from topoplan.model.plan import InputFile  # noqa: PLC0415
    from topoplan.planning.experts import ExpertRequest, plan_experts  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415

    source = read_array_source(load)
    fabric = open_fabric(topology, host_type=host_type, format=format_name)
    inputs = {"fabric": fabric.file, "load": InputFile(source.name, source.sha256)}
    trace = read_array_source(routes) if routes else None
    if trace:
        inputs["routes"] = InputFile(trace.name, trace.sha256)
    request = ExpertRequest(
        parse_load(source),
        gpus,
        slots,
        groups,
        inputs=inputs,
        previous=open_plan(previous).plan if previous else None,
        max_moves=max_moves,
        model=model,
        routes=parse_routes(trace) if trace else None,
        phase=phase,
        batch_tokens=batch_tokens or 0,
        source_slots=source_slots,
    )
    outcome = plan_experts(request, fabric.fabric)
    render.notes("warning", outcome.plan.warnings)
    if out:
        _write(outcome, out, formats, report=not no_report)
    _show(outcome, output)


def _write(outcome: ExpertOutcome, out: str, formats: tuple[str, ...], *, report: bool) -> None:
    from topoplan.experts import DEFAULT_FORMATS  # noqa: PLC0415 - help stays quick
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415

    shown = shlex.join(["topoplan", *sys.argv[1:]])
    contents = plan_artefacts(outcome.plan, None, (), formats or DEFAULT_FORMATS)
    contents.files["experts/outcome.json"] = json.dumps(outcome.record(), indent=1) + "\n"
    if report:
        contents.files["report.html"] = report_html(outcome.plan, None, shown)
    save(out, contents, {"command": shown})
    render.note(f"wrote {out}/")


def _show(outcome: ExpertOutcome, output: str) -> None:
    from topoplan.cli import expert_tables  # noqa: PLC0415 - help stays quick
    from topoplan.files.plan_json import format_plan  # noqa: PLC0415
    from topoplan.reports.tables import summary_lines  # noqa: PLC0415

    if output != "table":
        render.document(json.loads(format_plan(outcome.plan)) | {"outcome": outcome.record()}, output)
        return
    render.table("", ["", "mean of layers", "worst layer"], expert_tables.balance_rows(outcome))
    if outcome.judgement is not None:
        click.echo()
        render.table("Under each engine's rule", *expert_tables.engine_table(outcome.judgement))
    click.echo()
    lines = summary_lines(outcome.plan)
    if outcome.change is not None:
        lines += expert_tables.change_lines(outcome.change)
    if outcome.judgement is not None:
        lines += expert_tables.judgement_lines(outcome.judgement)
    for line in lines:
        click.echo(line)
