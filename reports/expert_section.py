"""The expert part of a report: balance before and after, what each engine will give, and what else was weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.plan import Plan
from topoplan.planning.expert_engines import ENGINES
from topoplan.reports import expert_tables as tables
from topoplan.reports.amounts import milliseconds, percent, significant
from topoplan.reports.svg import safe
from topoplan.reports.tables import ExpertRow, expert_rows, worst_gap

if TYPE_CHECKING:
    from topoplan.planning.expert_choice import Candidate
    from topoplan.planning.expert_engines import Engine
    from topoplan.planning.expert_outcome import ExpertOutcome

TRIVIAL = "without a plan"
PREVIOUS = "previous plan"


@dataclass(frozen=True, eq=False)
class ExpertView:
    """What is known of the experts of a plan.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens of each expert, or None.
    moe_layers
        Model layer of each row; numbered from 0 when empty.
    outcome
        What planning found out beside the plan, where experts alone were planned.
    before
        The placement that was in force; None compares with what engines start with.
    """

    plan: Plan
    load: FloatArray | None = None
    moe_layers: tuple[int, ...] = ()
    outcome: ExpertOutcome | None = None
    before: ExpertPlacement | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A heading with figures, a table and sentences."""

    title: str
    lines: tuple[str, ...]
    figures: tuple[Any, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Figures:
    """Figures side by side where there is room, and what they show."""

    svgs: tuple[Any, ...]
    caption: str


def expert_section(view: ExpertView) -> dict[str, Any] | None:
    """Values for the template; None where the plan has no experts."""
    experts = view.plan.experts
    if experts is None:
        return None
    load = _fitting(view.load, experts)
    rows = expert_rows(experts, load, view.moe_layers, _speed(view, experts.gpus))
    balanced = [row.balancedness for row in rows if row.balancedness is not None]
    gaps = [row.gap for row in rows if row.gap is not None]
    return {
        "map": experts,
        "rows": rows,
        "figures": [] if load is None else _figures(view, experts, load, rows),
        "balance": (min(balanced), sum(balanced) / len(balanced)) if balanced else None,
        "gap": (max(gaps), sum(gaps) / len(gaps)) if gaps else None,
        "extra": experts.slots - experts.experts,
        "parts": [] if view.outcome is None else _parts(view.outcome),
    }


def expert_verdict(view: ExpertView) -> str:
    """One sentence on what the placement is worth; "" where loads are not known."""
    experts = view.plan.experts
    load = None if experts is None else _fitting(view.load, experts)
    if experts is None or load is None:
        return ""
    name, before = _before(view, experts)
    was, now = (float(_relative(p, load, view).max(1).mean()) for p in (before, experts))
    text = (
        f"The busiest GPU has {significant(now, 4)} times the mean GPU's load (mean of layers); "
        f"{name}: {significant(was, 3)} times."
    )
    gap = worst_gap(experts)
    if gap is not None:
        text += f" No layer is more than {percent(gap)} above what any placement could reach."
    if experts.dispatch is not None:
        even = float(_relative(replace(experts, dispatch=None), load, view).max(1).mean())
        text += f" That is with the planned dispatch weights; copies used evenly: {significant(even, 3)} times."
    return text


def expert_cards(outcome: ExpertOutcome) -> list[tuple[str, str]]:
    """Numbers worth a glance and what they are."""
    cards = [(f"{outcome.balance.mean:.3f}", "balance: mean over largest GPU load, mean of layers")]
    judged = outcome.judgement
    if judged is not None:
        best = next((e for e in judged.engines if e.rule == "weights"), judged.engines[0])
        cards.append((f"{best.remote_hosts:.2f}", f"remote hosts a token visits, {ENGINES[best.rule]}"))
        if best.layer_ms is not None:
            cards.append((milliseconds(best.layer_ms), f"dispatch, experts and combine of a layer, {judged.kernel}"))
    if outcome.migration is not None:
        cards.append((f"{outcome.migration.slots:,}", f"slots moved ({percent(outcome.migration.share)})"))
    return cards


def trivial_placement(placement: ExpertPlacement) -> ExpertPlacement:
    """What engines start with on the same slots: slot i holds expert i modulo the number of experts, in every layer."""
    row = np.arange(placement.slots) % placement.experts
    return ExpertPlacement(placement.gpus, np.tile(row, (placement.layers, 1)), placement.experts, placement.slot_gpu)


def _fitting(load: FloatArray | None, experts: ExpertPlacement) -> FloatArray | None:
    return load if load is not None and load.shape == (experts.layers, experts.experts) else None


def _before(view: ExpertView, experts: ExpertPlacement) -> tuple[str, ExpertPlacement]:
    old = view.before
    if old is not None and (old.layers, old.experts, old.gpus) == (experts.layers, experts.experts, experts.gpus):
        return PREVIOUS, old
    return TRIVIAL, trivial_placement(experts)


def _relative(placement: ExpertPlacement, load: FloatArray, view: ExpertView) -> FloatArray:
    """[layers, GPUs with slots] float64 load over speed; 1 is what all would have if load could be poured."""
    speed = _speed(view, placement.gpus)
    used = np.unique(placement.slot_gpu)
    level = load.sum(1, keepdims=True) / speed[used].sum()
    return np.asarray((placement.gpu_load(load) / speed)[:, used] / level, np.float64)


def _speed(view: ExpertView, gpus: int) -> FloatArray:
    """[gpus] float64 relative speed of each; alike where the plan does not say which GPUs they are."""
    where, ranks = view.plan.placement, view.plan.ep_rank_to_rank
    if where is None or ranks is None or ranks.shape[1] != gpus:
        return np.ones(gpus)
    kinds = np.array([kind.speed for kind in where.fabric.host_types])
    return np.asarray(kinds[where.fabric.host_type[where.host[ranks[0]]]], np.float64)


def _figures(view: ExpertView, experts: ExpertPlacement, load: FloatArray, rows: list[ExpertRow]) -> list[_Figures]:
    from topoplan.reports.expert_figure import balance_svg, heat_svg, sharing  # noqa: PLC0415 - only those who draw pay

    name, before = _before(view, experts)
    was, now = (_relative(p, load, view) for p in (before, experts))
    layers = [row.layer for row in rows]
    earlier = (1 / was.max(1)).tolist()
    start = (
        "engines then put expert i modulo the number of experts into slot i"
        if name == TRIVIAL
        else "the placement in force, under the loads planned for"
    )
    pair = [heat_svg(name, was, layers, "heat-before"), heat_svg("this plan", now, layers, "heat-after")]
    caption = (
        "Load of each GPU before and after, this plan under its own dispatch; dark is busy. "
        f"{sharing(now.shape[1], len(layers))}"
    )
    return [
        _Figures((safe(balance_svg(rows, "balance", earlier, name)),), f"{name.capitalize()}: {start}."),
        _Figures(tuple(map(safe, pair)), caption.strip()),
    ]


def _parts(outcome: ExpertOutcome) -> list[_Part]:
    """Everything that was weighed, in the order in which a reader asks for it."""
    from topoplan.reports.expert_curves import curve_svg, gain_svg, memory_svg  # noqa: PLC0415 - only those who draw pay for it

    found = []
    judged, curve, sweep = outcome.judgement, outcome.curve, outcome.sweep
    if judged is not None:
        title, table = "Under each engine's rule", tables.engine_table(judged)
        bars = [(ENGINES[e.rule], _times(e)) for e in judged.engines if e.layer_ms is not None]
        found.append(
            _part(title, tables.judgement_lines(judged), table, _bars("Time of a layer by rule", bars, "rules"))
        )
    if outcome.choice is not None:
        title, table = "Kinds of placement", tables.choice_table(outcome.choice)
        bars = [(way.name, _times(way)) for way in outcome.choice.candidates]
        figures = _bars("Time of a layer by kind of placement", bars, "kinds")
        found.append(_part(title, tables.choice_lines(outcome.choice), table, figures))
    if curve is not None:
        figures = [curve_svg(curve, "curve")]
        table = tables.curve_table(curve)
        found.append(_part("Balance against remote hosts", tables.curve_lines(curve), table, figures))
    if sweep is not None:
        figures = [gain_svg(sweep, "gain"), memory_svg(sweep, "memory")]
        found.append(_part("Slots of a GPU", [tables.recommendation(sweep)], tables.sweep_table(sweep), figures))
    failures = tables.survival_lines(outcome.survival, outcome.balance.mean)
    if failures:
        found.append(_part("Failures", failures))
    if outcome.migration is not None:
        change = outcome.migration
        chunks = tables.chunk_table(change) if change.rows else None
        found.append(_part("Moves from the previous plan", tables.change_lines(change), chunks))
    if outcome.foretold is not None:
        told = outcome.foretold
        scores = tables.forecast_table(told) if told.scores else None
        found.append(_part("Forecast", tables.forecast_lines(told), scores))
    return found


def _times(way: Engine | Candidate) -> tuple[float, float, float]:
    """ms of dispatch, experts and combine."""
    return way.dispatch_ms or 0.0, way.expert_ms or 0.0, way.combine_ms or 0.0


def _bars(title: str, bars: list[tuple[str, tuple[float, float, float]]], key: str) -> list[str]:
    from topoplan.reports.expert_curves import times_svg  # noqa: PLC0415 - only those who draw pay for it

    return [times_svg(title, [name for name, _ in bars], [times for _, times in bars], key)] if bars else []


def _part(
    title: str,
    lines: Sequence[str],
    table: tuple[list[str], tables.Rows] | None = None,
    figures: list[str] | None = None,
) -> _Part:
    columns, rows = table or ([], [])
    drawn = tuple(safe(figure) for figure in figures or () if figure)
    return _Part(title, tuple(lines), drawn, tuple(columns), tuple(map(tuple, rows)))
