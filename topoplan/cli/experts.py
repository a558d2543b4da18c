"""``topoplan experts``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render
from topoplan.cli.plans import report_html, show_experts
from topoplan.errors import InputError

if TYPE_CHECKING:
    from topoplan.cli.expert_files import MapFiles
    from topoplan.model.plan import InputFile
    from topoplan.planning.expert_inputs import LayerNumbers, LoadFile
    from topoplan.planning.expert_outcome import ExpertOutcome
    from topoplan.planning.expert_request import ExpertRequest

EPILOG = """\b
Examples, with a fabric of the catalogue (your own file does as well):
  topoplan experts load.npy -t two-pods-fragmented --gpus 32 --slots 288 --out serving
\b
Groups of experts whole on a host, as EPLB's hierarchical rule has it:
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 288 --groups 8 --out serving
\b
Few remote hosts a token, from a routing trace; then fewer still at a balance of 0.95:
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 288 --routes trace.npz --out serving
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 288 --routes trace.npz --min-balance 0.95 --out serving
\b
Rebalance a running engine, moving at most 7 % of the slots; from a plan or from the engine's own map:
  topoplan experts new.npy -t FABRIC --gpus 32 --slots 288 --previous serving --max-moves 7% --out next
  topoplan experts new.npy -t FABRIC --gpus 32 --slots 288 --previous map.json --max-moves 7% --out next
\b
What SGLang's recorder wrote, decode priced, for several engines:
  topoplan experts recorder.pt -t FABRIC --gpus 32 --slots 288 --phase decode --engine sglang --engine trtllm --out next
\b
The quickest kind of placement for a model, by predicted time of a layer:
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 288 --model deepseek-v3 --phase decode --out serving
\b
How many slots; what one lost host must not lose:
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 288 --sweep-slots
  topoplan experts load.npy -t FABRIC --gpus 32 --slots 544 --replicas-across host 2 --out serving"""
PHASES = click.Choice(["prefill", "decode"])


@click.command("experts", epilog=EPILOG)
@click.argument("load", metavar="LOAD")
@options.topology
@click.option("--gpus", type=click.IntRange(1), required=True, metavar="G", help="GPUs of the expert-parallel group.")
@click.option("--slots", type=click.IntRange(1), required=True, metavar="N", help="Expert slots, all GPUs together.")
@click.option("--groups", type=click.IntRange(0), default=0, metavar="K", help="Expert groups that stay on one host.")
@click.option("--routes", metavar="FILE", help="Routing trace (.npz): what tokens chose, and where they came from.")
@click.option("--min-balance", type=float, metavar="B", help="With --routes: fewest remote hosts at this balance.")
@click.option("--previous", metavar="PLAN|MAP", help="In force: a plan, or an engine's map. Move few experts from it.")
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
    help="Prefill: DeepEP's normal kernels; decode: its low-latency ones. Plan each from its own load.",
)
@click.option(
    "--objective",
    type=click.Choice(["time", "balance"]),
    help="Time: the kind of placement with the least predicted layer time [where --model is named].",
)
@click.option("--batch-tokens", type=click.IntRange(1), metavar="T", help="Tokens of a batch, all GPUs together.")
@click.option("--sweep-slots", is_flag=True, help="Also price other numbers of slots a GPU, and recommend one.")
@click.option("--source-slots", is_flag=True, help="Also choose one copy of each expert for each source rank.")
@click.option("--model", default="", metavar="NAME", help="Preset that gives sizes [by the number of experts].")
@click.option(
    "--moe-layers", metavar="LIST", help="Layers of the model that the rows are, such as 3-60 [by the model]."
)
@click.option(
    "--expert-format", "--engine", "formats", multiple=True, metavar="NAME",
    help="Map to write [sglang]; repeatable: sglang vllm trtllm vllm-ascend omni-infer eplb sglang-rank-costs.",
)  # fmt: skip
@click.option("--out", metavar="DIR", help="Write plan.json, the expert map and a report there.")
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@options.output
def command(
    load: str, topology: str, host_type: str | None, format_name: str | None, moe_layers: str | None,
    formats: tuple[str, ...], out: str | None, no_report: bool, output: str, **asked: Any,
) -> None:  # fmt: skip
    """Replicate and place experts from LOAD: tokens by layer and expert.

    LOAD is .npy or .csv of [layers, experts], or what SGLang's recorder wrote (.pt, .csv). With steps,
    [steps, layers, experts], it is a history: the loads to plan for are forecast from it.
    """
    from topoplan.cli.expert_files import map_files  # noqa: PLC0415 - help stays quick
    from topoplan.planning.expert_inputs import open_load, parse_layers  # noqa: PLC0415
    from topoplan.planning.experts import plan_experts  # noqa: PLC0415
    from topoplan.planning.folder import check_target  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415

    if out:
        check_target(out, ranks=False)  # before the work, not after it
    given = open_load(load, parse_layers(moe_layers) if moe_layers else ())
    fabric = open_fabric(topology, host_type=host_type, format=format_name)
    request, numbers = _request(given, {"fabric": fabric.file, "load": given.file}, **asked)
    with _working("placing experts"):
        outcome = plan_experts(request, fabric.fabric)
    outcome = _with_curve(request, outcome, numbers)
    maps = map_files(outcome.plan, formats, numbers)  # before anything is shown: it may be refused
    render.notes("warning", outcome.plan.warnings)
    if out:
        _write(request, outcome, numbers, maps, out, report=not no_report)
    show_experts(outcome, output)


def _request(
    given: LoadFile, inputs: dict[str, InputFile], *, routes: str | None, previous: str | None, horizon: str | None,
    chunk: str | None, replicas_across: tuple[str, int] | None, batch_tokens: int | None, sweep_slots: bool,
    objective: str | None, **plain: Any,
) -> tuple[ExpertRequest, LayerNumbers]:  # fmt: skip
    """What is asked for, and which layers of the model the rows of the load are."""
    from topoplan.files.arrays import parse_routes, read_array_source  # noqa: PLC0415 - help stays quick
    from topoplan.model.plan import InputFile as File  # noqa: PLC0415
    from topoplan.planning.expert_inputs import number_layers, open_previous  # noqa: PLC0415
    from topoplan.planning.expert_model import model_of  # noqa: PLC0415
    from topoplan.planning.expert_request import CHUNK_BYTES, HORIZON_S, ExpertRequest  # noqa: PLC0415
    from topoplan.units import parse_bytes, parse_seconds  # noqa: PLC0415

    layers, experts = given.load.shape[-2:]
    numbers = number_layers(given.numbers, layers, model_of(plain["model"], experts)[0], sure=bool(plain["model"]))
    trace = read_array_source(routes) if routes else None
    if trace:
        inputs["routes"] = File(trace.name, trace.sha256)
    old = None
    if previous:
        old, inputs["previous"] = open_previous(previous, plain["gpus"], numbers, layers)
    request = ExpertRequest(
        load=given.load,
        inputs=inputs,
        routes=parse_routes(trace) if trace else None,
        previous=old,
        across=replicas_across[0] if replicas_across else "",
        least=replicas_across[1] if replicas_across else 0,
        horizon_s=_quantity(parse_seconds, "--horizon", horizon, HORIZON_S),
        chunk_bytes=_quantity(parse_bytes, "--chunk", chunk, CHUNK_BYTES),
        batch_tokens=batch_tokens or 0,
        objective=objective or "",
        sweep=sweep_slots,
        **plain,
    )
    return request, numbers


def _quantity(parse: Callable[[object], float], option: str, text: str | None, default: float) -> float:
    """Value of an option with a unit."""
    try:
        return default if text is None else parse(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


@contextmanager
def _working(text: str) -> Iterator[None]:
    """Say on a terminal that something is being done; Ctrl-C ends it."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal

    with Console(stderr=True).status(f"{text} (Ctrl-C ends it)"):
        yield


def _with_curve(request: ExpertRequest, outcome: ExpertOutcome, numbers: LayerNumbers) -> ExpertOutcome:
    """The outcome with what was assumed of its inputs and, for a plan from a trace, the curve that it was taken from.

    Ctrl-C leaves the curve out: the plan is made already.
    """
    from topoplan.planning.expert_curve import draw_curve  # noqa: PLC0415 - help stays quick
    from topoplan.planning.expert_record import planned_load  # noqa: PLC0415

    assumed = [numbers.reason] if numbers.reason else []
    if request.previous is not None and request.previous.placement is None:
        assumed.append("the map in force says nothing of hosts: its ranks are taken to run on the GPUs chosen here")
    if assumed:
        outcome = replace(outcome, plan=replace(outcome.plan, assumed=(*outcome.plan.assumed, *assumed)))
    if request.routes is None or request.groups:
        return outcome
    try:
        with _working("balance against remote hosts"):
            curve = draw_curve(replace(request, load=planned_load(request, outcome)), outcome.plan)
    except KeyboardInterrupt:
        render.note("interrupted: the plan is kept, the curve of balance against remote hosts is left out")
        return outcome
    return replace(outcome, curve=curve)


def _write(
    request: ExpertRequest, outcome: ExpertOutcome, numbers: LayerNumbers, maps: MapFiles, out: str, *, report: bool
) -> None:
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415 - help stays quick
    from topoplan.planning.expert_record import outcome_files, planned_load  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415

    shown = shlex.join(["topoplan", *sys.argv[1:]])
    contents = plan_artefacts(outcome.plan, None)
    contents.files.update(outcome_files(request, outcome, numbers))
    contents.files.update({f"experts/{name}": content for name, content in maps.content.items()})
    if report:
        contents.files["report.html"] = report_html(
            outcome.plan,
            None,
            shown,
            load=planned_load(request, outcome),
            moe_layers=numbers.moe_layers,
            outcome=outcome,
            before=request.previous.experts if request.previous is not None else None,
        )
    save(out, contents, {"command": shown})
    render.note(f"wrote {out}/")
    maps.say()
