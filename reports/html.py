"""The report of a plan: one self-contained page, without scripts, that an engineer on call can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.job import Job, stage_of_rank
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.traffic import Traffic
from topoplan.names import compress
from topoplan.reports.amounts import change, counted, milliseconds, percent, quantity
from topoplan.reports.expert_section import ExpertView, expert_cards, expert_section, expert_verdict
from topoplan.reports.loads import LinkClass, link_classes
from topoplan.reports.real_cables import placement_cables
from topoplan.reports.svg import printable, safe
from topoplan.reports.tables import (
    PLAN,
    StageRow,
    bound_rows,
    columns,
    comparison_rows,
    stage_rows,
    worst_gap,
)
from topoplan.reports.where import expert_group_of_rank, levels, spread

if TYPE_CHECKING:
    from topoplan.planning.expert_outcome import ExpertOutcome

LINEAR = "linear"
MOST_LINES = 12  # warnings and assumptions shown before the rest is folded away
UNBALANCED = 0.05  # share above the mean from which a stage is pointed out; assumed


@dataclass(frozen=True, eq=False)
class ReportInput:
    """What a report is made from.

    Parameters
    ----------
    command
        Command line that makes the plan again.
    traffic
        Bytes of a step; without it link loads are left out.
    job
        Says which rank has which stage; without it hosts are coloured by rank.
    linear
        Ranks in physical host order, the order before planning; without it only the plan's loads are shown.
    load
        [layers, experts] float64 tokens of each expert, where the job does not hold them.
    moe_layers
        Model layer of each row of a map, where the job does not say; numbered from 0 when empty.
    outcome, before
        What planning experts alone found out, and the expert placement that was in force before.
    """

    plan: Plan
    command: str
    traffic: Traffic | None = None
    job: Job | None = None
    linear: RankPlacement | None = None
    load: FloatArray | None = None
    moe_layers: tuple[int, ...] = ()
    outcome: ExpertOutcome | None = None
    before: ExpertPlacement | None = None


def render_html(view: ReportInput) -> str:
    """Page of a plan; the same input gives the same bytes."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - only those who render pay for it

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_template),
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ms": milliseconds, "percent": percent, "counted": counted, "quantity": quantity}
    return environment.get_template("report.html.j2").render(_context(view))


def _template(name: str) -> str:
    return files("topoplan.reports").joinpath("templates", name).read_text("utf-8")


def _context(view: ReportInput) -> dict[str, Any]:
    plan = view.plan
    return {
        "plan": plan,
        "command": view.command,
        "columns": columns(plan),
        "comparison": comparison_rows(plan),
        "cards": _cards(plan, view.outcome),
        "bounds": bound_rows(plan),
        "placement": _placement(view),
        "stages": _stages(view),
        "expert_groups": _expert_groups(view),
        "loads": _loads(view),
        "experts": expert_section(_expert_view(view)),
        "verdict": plan.order_matters or expert_verdict(_expert_view(view)),
        "notes": [
            _folded("What was assumed", "assumed", plan.assumed, "Nothing: every number came from the inputs."),
            _folded("Warnings", "warnings", plan.warnings, "None."),
        ],
    }


@dataclass(frozen=True, slots=True)
class _Card:
    """A number worth a glance."""

    value: str
    what: str


def _cards(plan: Plan, outcome: ExpertOutcome | None) -> list[_Card]:
    cards = []
    if plan.placement is not None:
        hosts, used = len(plan.placement.fabric.hosts), len(plan.placement.host_order())
        noun = "ranks" if plan.prediction is not None else "GPUs"
        cards.append(_Card(f"{plan.placement.ranks:,}", f"{noun} on {used:,} of {counted(hosts, 'host')}"))
    if plan.prediction is not None:
        cards.append(_Card(milliseconds(plan.prediction.exposed_ms), "communication exposed per step"))
        for name, price in (plan.baselines or {}).items():
            if name == LINEAR:
                saved = percent(change(price.exposed_ms, plan.prediction.exposed_ms), signed=True)
                cards.append(_Card(saved, "exposed if hosts stay in physical order"))
    bound = (plan.certificate or {}).get(plan.objective)
    if bound is not None:
        text = "proven best" if bound.proven_optimal else f"≤ {percent(bound.gap)}"
        cards.append(_Card(text, "of the kind searched" if bound.proven_optimal else "above the lower bound"))
    if plan.prediction is None and plan.experts is not None:
        cards.append(_Card(f"{plan.experts.experts:,}", f"experts in {plan.experts.slots:,} slots a layer"))
        gap = worst_gap(plan.experts)
        if gap is not None:
            cards.append(_Card(f"≤ {percent(gap)}", "above the lower bound in the worst layer"))
    if outcome is not None:
        cards += [_Card(value, what) for value, what in expert_cards(outcome)]
    return cards


@dataclass(frozen=True, slots=True)
class _Notes:
    """Lines of text, the first few shown."""

    title: str
    key: str
    shown: tuple[str, ...]
    folded: tuple[str, ...]
    empty: str


def _folded(title: str, key: str, lines: Sequence[str], empty: str) -> _Notes:
    return _Notes(title, key, tuple(lines[:MOST_LINES]), tuple(lines[MOST_LINES:]), empty)


def _placement(view: ReportInput) -> dict[str, Any] | None:
    """Figure of the fabric, and the hosts of each stage."""
    plan = view.plan
    if plan.placement is None:
        return None
    from topoplan.reports.fabric_figure import fabric_svg, reading_help  # noqa: PLC0415 - only those who draw pay

    stage = stage_of_rank(view.job)
    return {
        "figure": safe(fabric_svg(plan.placement.fabric, plan.placement, stage, key="stages")),
        "help": reading_help(plan.placement.fabric),
        "order": _host_list(plan.placement, plan.placement.host),
        "stages": [] if stage is None else _hosts_of_stages(plan.placement, stage),
    }


def _host_list(placement: RankPlacement, host_of_rank: IntArray) -> str:
    """Hosts of ranks in their order, runs folded."""
    hosts = dict.fromkeys(host_of_rank.tolist())
    return compress([placement.fabric.host_names[h] for h in hosts])


def _hosts_of_stages(placement: RankPlacement, stage: IntArray) -> list[str]:
    """Hosts of each stage where there are several."""
    stages = range(int(stage.max()) + 1)
    return [_host_list(placement, placement.host[stage == s]) for s in stages] if len(stages) > 1 else []


def _stages(view: ReportInput) -> dict[str, Any] | None:
    rows: list[StageRow] = stage_rows(view.plan, view.job)
    if len(rows) < 2 or view.plan.stages is None:
        return None
    cost = view.plan.stages.cost
    pipeline = view.job.parallel.pp if view.job is not None and view.job.parallel is not None else len(cost)
    ranks = [sum(cost[rank::pipeline]) for rank in range(pipeline)]  # a rank runs all its virtual stages
    return {
        "rows": rows,
        "ranks": len(ranks),
        "imbalance": max(ranks) * len(ranks) / sum(ranks),
        "placed": any(row.hosts for row in rows),
        "unbalanced": 1 + UNBALANCED,
    }


def _expert_groups(view: ReportInput) -> dict[str, Any] | None:
    """How many expert groups stay inside one host, one group of each tier; figure of where they went."""
    plan, label = view.plan, expert_group_of_rank(view.plan)
    if plan.placement is None or plan.ep_rank_to_rank is None or label is None:
        return None
    if view.job is None and len(plan.ep_rank_to_rank) == 1:
        return None  # experts alone: all GPUs are one group
    placements = {PLAN: plan.placement} | ({LINEAR: view.linear} if view.linear is not None else {})
    whole = {name: (spread(placement, label) == 1).sum(0) for name, placement in placements.items()}
    names = levels(plan.placement.fabric)[:-1]
    groups, stage = len(plan.ep_rank_to_rank), stage_of_rank(view.job)
    as_stages = stage is not None and bool((stage == label).all())
    drawn = groups > 1 and not as_stages
    return {
        "groups": groups,
        "size": plan.ep_rank_to_rank.shape[1],
        "columns": list(whole),
        "rows": [(name, [int(count[level]) for count in whole.values()]) for level, name in enumerate(names)],
        "as_stages": as_stages and groups > 1,
        "figure": _expert_group_figure(plan.placement, label) if drawn else None,
    }


def _expert_group_figure(placement: RankPlacement, label: IntArray) -> Any:
    from topoplan.reports.fabric_figure import fabric_svg  # noqa: PLC0415 - only those who draw pay for it
    from topoplan.reports.labels import expert_group_labels  # noqa: PLC0415

    return safe(fabric_svg(placement.fabric, placement, labels=expert_group_labels(label), key="experts"))


def _loads(view: ReportInput) -> dict[str, Any] | None:
    plan = view.plan
    if plan.placement is None or view.traffic is None:
        return None
    from topoplan.reports.load_figure import load_svg  # noqa: PLC0415 - only those who draw pay for it

    placements = {LINEAR: view.linear.gpu} if view.linear is not None else {}
    kinds = link_classes(plan.placement.fabric, view.traffic, placements | {PLAN: plan.placement.gpu})
    return {
        "columns": [*placements, PLAN],
        "figures": [safe(load_svg(kind, f"loads-{i}")) for i, kind in enumerate(kinds)],
        "rows": [_load_row(kind) for kind in kinds],
        "compared": view.linear is not None,
        "cables": placement_cables(plan.placement, view.traffic),
    }


def _load_row(kind: LinkClass) -> dict[str, Any]:
    busiest = {name: kind.busiest(name) for name in kind.ms}
    most = {name: float(kind.ms[name][at]) for name, at in busiest.items()}
    return {
        "name": kind.name,
        "links": f"{len(kind.names):,} of {kind.total:,}",
        "most": {name: (milliseconds(most[name]), kind.names[at]) for name, at in busiest.items()},
        "mean": {name: milliseconds(float(ms.mean())) for name, ms in kind.ms.items()},
        "change": percent(change(most[PLAN], most[LINEAR]), signed=True) if LINEAR in most else "",
        "size": quantity(float(kind.bytes[PLAN][busiest[PLAN]]), "B"),
    }


def _expert_view(view: ReportInput) -> ExpertView:
    settings = view.job.experts if view.job is not None else None
    load = settings.load if settings is not None and settings.load is not None else view.load
    layers = settings.moe_layers if settings is not None else view.moe_layers
    return ExpertView(view.plan, load, layers, view.outcome, view.before)
