"""``topoplan experts``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render
from topoplan.cli.plans import report_html
from topoplan.errors import InputError

if TYPE_CHECKING:
    from topoplan.planning.expert_outcome import ExpertOutcome

EPILOG = """\b
Examples:
  topoplan experts load.npy --topology gb200-nvl72x8 --gpus 32 --slots 288 --out plan
  topoplan experts load.csv -t fabric.yaml --gpus 32 --slots 288 --groups 8 --out plan
  topoplan experts load.npy -t fabric.yaml --gpus 32 --slots 288 --routes trace.npz --out plan
  topoplan experts new.npy -t fabric.yaml --gpus 32 --slots 288 --previous plan --max-moves 7% --out next
  topoplan experts load.npy -t fabric.yaml --gpus 32 --slots 544 --replicas-across host 2 --out plan"""
PHASES = click.Choice(["prefill", "decode"])


@click.command("experts", epilog=EPILOG)
@click.argument("load", metavar="LOAD")
@options.topology
@click.option("--gpus", type=click.IntRange(1), required=True, metavar="G", help="GPUs of the expert-parallel group.")
@click.option("--slots", type=click.IntRange(1), required=True, metavar="N", help="Expert slots, all GPUs together.")
@click.option("--groups", type=click.IntRange(0), default=0, metavar="K", help="Expert groups that stay on one host.")
@click.option("--routes", metavar="FILE", help="Routing trace (.npz): what tokens chose, and where they came from.")
@click.option("--min-balance", type=float, metavar="B", help="With --routes: fewest remote hosts at this balance.")
@click.option("--previous", metavar="PLAN", help="Plan in force: keep its GPUs, move few experts.")
@click.option("--max-moves", default="", metavar="M|M%", help="Most slots that may change, over all layers.")
@click.option("--horizon", metavar="TIME", help="How long new loads last; moves must pay within that [600 s].")
@click.option("--chunk", metavar="SIZE", help="Most bytes that a GPU sends or receives at a time [1 GB].")
@click.option(
    "--replicas-across",
    type=(click.Choice(["host", "leaf"]), click.IntRange(1)),
    metavar="host|leaf N",
    help="At least N copies of every expert on different hosts or leaves.",
)
@click.option(
    "--forecast", default="", metavar="METHOD", help="Of a load with steps [by back-test]: mean, ewma 0.5 ..."
)
@click.option(
    "--phase",
    type=PHASES,
    default="prefill",
    show_default=True,
    help="Prefill: DeepEP's normal kernels; decode: its low-latency ones.",
)
@click.option("--batch-tokens", type=click.IntRange(1), metavar="T", help="Tokens of a batch, all GPUs together.")
@click.option("--sweep-slots", is_flag=True, help="Also price other numbers of slots a GPU, and recommend one.")
@click.option("--source-slots", is_flag=True, help="Also choose one copy of each expert for each source rank.")
@click.option("--model", default="", metavar="NAME", help="Preset that gives sizes [by the number of experts].")
@click.option("--expert-format", "formats", multiple=True, metavar="NAME", help="Map to write [sglang]; repeatable.")
@click.option("--out", metavar="DIR", help="Write plan.json, the expert map and a report there.")
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@options.output
def command(
    load: str, topology: str, host_type: str | None, format_name: str | None, routes: str | None, previous: str | None,
    horizon: str | None, chunk: str | None, replicas_across: tuple[str, int] | None, batch_tokens: int | None,
    formats: tuple[str, ...], out: str | None, no_report: bool, output: str, sweep_slots: bool, **plain: Any,
) -> None:  # fmt: skip
    """Replicate and place experts from LOAD: tokens by layer and expert, .npy or .csv, [layers, experts].

    A load of shape [steps, layers, experts] is a history: the loads to plan for are forecast from it.
    """
    from topoplan.files.arrays import parse_history, parse_routes, read_array_source  # noqa: PLC0415 - help stays quick
    from topoplan.model.plan import InputFile  # noqa: PLC0415
    from topoplan.planning.expert_request import CHUNK_BYTES, HORIZON_S  # noqa: PLC0415
    from topoplan.planning.experts import ExpertRequest, plan_experts  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415
    from topoplan.units import parse_bytes, parse_seconds  # noqa: PLC0415

    source = read_array_source(load)
    history = parse_history(source)
    fabric = open_fabric(topology, host_type=host_type, format=format_name)
    inputs = {"fabric": fabric.file, "load": InputFile(source.name, source.sha256)}
    trace = read_array_source(routes) if routes else None
    if trace:
        inputs["routes"] = InputFile(trace.name, trace.sha256)
    request = ExpertRequest(
        load=history if len(history) > 1 else history[0],
        inputs=inputs,
        routes=parse_routes(trace) if trace else None,
        previous=open_plan(previous).plan if previous else None,
        across=replicas_across[0] if replicas_across else "",
        least=replicas_across[1] if replicas_across else 0,
        horizon_s=_quantity(parse_seconds, "--horizon", horizon, HORIZON_S),
        chunk_bytes=_quantity(parse_bytes, "--chunk", chunk, CHUNK_BYTES),
        batch_tokens=batch_tokens or 0,
        sweep=sweep_slots,
        **plain,
    )
    outcome = plan_experts(request, fabric.fabric)
    render.notes("warning", outcome.plan.warnings)
    if out:
        _write(outcome, out, formats, report=not no_report)
    _show(outcome, output)


def _quantity(parse: Callable[[object], float], option: str, text: str | None, default: float) -> float:
    """Value of an option with a unit."""
    try:
        return default if text is None else parse(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def _write(outcome: ExpertOutcome, out: str, formats: tuple[str, ...], *, report: bool) -> None:
    from topoplan.experts import DEFAULT_FORMATS  # noqa: PLC0415 - help stays quick
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415

    shown = shlex.join(["topoplan", *sys.argv[1:]])
    contents = plan_artefacts(outcome.plan, None, (), formats or DEFAULT_FORMATS)
    contents.files["experts/outcome.json"] = json.dumps(outcome.record(), indent=1) + "\n"
    if outcome.migration is not None:
        contents.files["experts/moves.json"] = json.dumps(outcome.migration.record()) + "\n"
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
    for title, columns, rows in expert_tables.tables(outcome):
        render.table(title, columns, rows)
        click.echo()
    for line in [*summary_lines(outcome.plan), *expert_tables.lines(outcome)]:
        click.echo(line)
