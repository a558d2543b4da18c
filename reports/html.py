"""The report of a plan: one self-contained page, without scripts, that an engineer on call can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from topoplan.model.plan import Plan
from topoplan.reports.amounts import change, counted, milliseconds, percent, quantity
from topoplan.reports.assumptions import assumptions
from topoplan.reports.collective_section import collective_section
from topoplan.reports.cost_section import cost_section
from topoplan.reports.executive import executive_rows
from topoplan.reports.expert_section import ExpertView, expert_cards, expert_section, expert_verdict
from topoplan.reports.exposure_section import exposure_section
from topoplan.reports.load_section import load_section
from topoplan.reports.placement_section import expert_group_section, placement_section, stage_section
from topoplan.reports.sensitivity_section import sensitivity_section
from topoplan.reports.svg import printable, safe
from topoplan.reports.tables import bound_rows, columns, comparison_rows, step_rows, worst_gap
from topoplan.reports.view import LINEAR, ReportInput

if TYPE_CHECKING:
    from topoplan.planning.expert_outcome import ExpertOutcome

__all__ = ["ReportInput", "render_html"]

MOST_LINES = 12  # warnings and assumptions shown before the rest is folded away


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
        "commands": [line for line in (view.command, view.report_command) if line],
        "executive": executive_rows(view),
        "columns": columns(plan),
        "comparison": [*comparison_rows(plan), *step_rows(plan)],
        "cards": _cards(plan, view.outcome),
        "bounds": bound_rows(plan),
        "placement": placement_section(view),
        "stages": stage_section(view),
        "expert_groups": expert_group_section(view),
        "loads": load_section(view),
        "collectives": collective_section(view),
        "step": _step(view),
        "sensitivity": sensitivity_section(view),
        "exposures": exposure_section(view),
        "cost": cost_section(view),
        "experts": expert_section(_expert_view(view)),
        "verdict": plan.order_matters or expert_verdict(_expert_view(view)),
        "assumed": assumptions(view),
        "warnings": _folded("Warnings", "warnings", plan.warnings, "None."),
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
    if plan.step is not None:
        exposed = milliseconds(1e3 * plan.step.exposed_s)
        cards.append(_Card(milliseconds(1e3 * plan.step.total_s), f"a step, {exposed} of it exposed communication"))
        linear_s = (plan.plain_step_s or {}).get(LINEAR)
        if linear_s is not None:
            longer = percent(change(linear_s, plan.step.total_s), signed=True)
            cards.append(_Card(longer, "step if hosts stay in physical order"))
    elif plan.prediction is not None:
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


def _step(view: ReportInput) -> dict[str, Any] | None:
    """Figures of a step: its parts, and what each pipeline rank does where that is known."""
    from topoplan.reports.step_figure import step_bars, step_svg, timeline_svg  # noqa: PLC0415 - only those who draw pay

    bars = step_bars(view.plan, view.exposures)
    if not bars:
        return None
    step = view.plan.step
    return {
        "known": step is not None,
        "schedule": "" if step is None else step.schedule,
        "lines": _beside(view.plan),
        "bars": safe(step_svg(bars, "step")),
        "timeline": safe(timeline_svg(step.timeline, "timeline")) if step is not None and step.timeline else None,
    }


def _beside(plan: Plan) -> list[str]:
    """What else is known of a step: memory, and flows of storage."""
    lines = []
    if plan.memory is not None:
        parts = ", ".join(f"{name} {quantity(size, 'B')}" for name, size in plan.memory.parts.items() if size > 0)
        whole, rank = quantity(plan.memory.total, "B"), plan.memory.rank
        lines.append(f"Memory of the fullest GPU, pipeline rank {rank}: {whole} ({parts}).")
    for flow in plan.step.storage if plan.step is not None else ():
        time = "of unknown time" if flow.seconds is None else f"{milliseconds(1e3 * flow.seconds)} on its slowest link"
        often = "every step" if flow.steps == 1 else f"every {flow.steps:,} steps"
        lines.append(
            f"{flow.name.capitalize()} over the {flow.network}: {quantity(flow.total_bytes, 'B')} {often}, {time}."
        )
    return lines


def _expert_view(view: ReportInput) -> ExpertView:
    settings = view.job.experts if view.job is not None else None
    load = settings.load if settings is not None and settings.load is not None else view.load
    layers = settings.moe_layers if settings is not None else view.moe_layers
    return ExpertView(view.plan, load, layers, view.outcome, view.before)
