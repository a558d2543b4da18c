"""What changes of the fabric would give: a table, a figure, and the one that helps most in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from topoplan.cost.bill import Bill, extra
from topoplan.reports.amounts import SAME, change, milliseconds, one_unit, percent
from topoplan.reports.money import Payback, money, payback
from topoplan.reports.svg import BLUE, INK, MUTED, ORANGE, draw, safe
from topoplan.reports.view import ReportInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from topoplan.studies.sensitivity import Effect, Priced, Sensitivity

NOTHING = 0.01  # a change of exposed time by less than this share is called nothing; assumed
LEAST = 0.001  # share of exposed time below which saving is noise: nothing is paid back by it; assumed
WIDTH, ROW, NAME = 560.0, 26.0, 160.0


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A change of the fabric in the words of the table; "" where something is not known."""

    name: str
    how: str
    kept: str
    kept_change: str
    again: str
    step: str
    costs: str
    pays: str


def sensitivity_section(view: ReportInput) -> dict[str, Any] | None:
    """Table, figure and notes."""
    found = view.sensitivity
    if found is None or not found.effects:
        return None
    rows = [_row(view, found, effect) for effect in found.effects]
    return {
        "rows": rows,
        "now": milliseconds(found.now.prediction.exposed_ms),
        "now_step": _step(found.now),
        "steps": found.now.step_s is not None,
        "costs": any(row.costs for row in rows),
        "pays": any(row.pays for row in rows),
        "figure": safe(sensitivity_svg(found, "changes")),
        "cheap": "" if found.cheap is None else f"{found.cheap:,}",
        "reasons": [f"{effect.change.name}: {effect.reason}." for effect in found.effects if effect.reason],
    }


def most_helpful(found: Sensitivity) -> tuple[Effect | None, list[str]]:
    """The change that saves most time, None where none saves any, and the names of those that do nothing."""
    saved = {i: _saved(found, effect) for i, effect in enumerate(found.effects) if not effect.change.loses_hosts}
    best = max(saved, key=lambda i: saved[i], default=None)
    idle = [found.effects[i].change.name for i, share in saved.items() if abs(share) < NOTHING]
    return (found.effects[best] if best is not None and saved[best] >= NOTHING else None), idle


def _saved(found: Sensitivity, effect: Effect) -> float:
    if effect.best is None:
        return 0.0
    return -gained(found, effect.best)


def gained(found: Sensitivity, priced: Priced) -> float:
    """Share by which the step changes where it is known, else exposed time; below zero is a gain."""
    if found.now.step_s is not None and priced.step_s is not None:
        return change(priced.step_s, found.now.step_s)
    return change(priced.prediction.exposed_ms, found.now.prediction.exposed_ms)


def measure(found: Sensitivity) -> str:
    """What `gained` is a share of."""
    return "of exposed time" if found.now.step_s is None else "of a step"


def broken_words(found: Sensitivity) -> str:
    """What the loss of the most used lowest group costs; "" where that was not asked."""
    for effect in found.effects:
        if effect.change.loses_hosts:
            if effect.best is None:
                return f"{effect.change.how}: {effect.reason}"
            more = gained(found, effect.best)
            said = "nothing" if abs(more) < SAME else f"{percent(more, signed=True)} {measure(found)}"
            return f"{effect.change.how}: {said} on other hosts"
    return ""


def _row(view: ReportInput, found: Sensitivity, effect: Effect) -> EffectRow:
    now = found.now.prediction.exposed_ms
    kept, again = effect.kept, effect.again
    costs, pays = "", None
    if view.prices is not None and view.plan.placement is not None and not effect.change.loses_hosts:
        more = extra(view.prices, view.plan.placement.fabric, effect.change.fabric)
        costs = "not in the prices" if effect.change.inside_hosts else _costs(more, view.prices.currency)
        if effect.best is not None and not more.unknown and not effect.change.inside_hosts:
            pays = _payback(view, found, effect.best, more)
    return EffectRow(
        effect.change.name,
        effect.change.how,
        "-" if kept is None else milliseconds(kept.prediction.exposed_ms),
        "" if kept is None else percent(change(kept.prediction.exposed_ms, now), signed=True),
        "" if again is None else _again(again, now),
        _step(effect.best),
        costs,
        "" if pays is None else pays.words,
    )


def _again(again: Priced, now: float) -> str:
    ms = again.prediction.exposed_ms
    return f"{milliseconds(ms)} ({percent(change(ms, now), signed=True)})"


def _step(priced: Priced | None) -> str:
    return "" if priced is None or priced.step_s is None else milliseconds(1e3 * priced.step_s)


def _costs(more: Bill, currency: str) -> str:
    if more.unknown:
        return f"no price of {more.unknown[0]}"
    return money(more.total, currency) if more.lines else "nothing to buy"


def _payback(view: ReportInput, found: Sensitivity, best: Priced, more: Bill) -> Payback | None:
    assert view.prices is not None
    if change(best.prediction.exposed_ms, found.now.prediction.exposed_ms) > -LEAST:
        return None
    if found.now.step_s is not None and best.step_s is not None:
        saved_s, step_s = found.now.step_s - best.step_s, best.step_s
    else:
        saved_s, step_s = 1e-3 * (found.now.prediction.exposed_ms - best.prediction.exposed_ms), None
    return payback(more.total, len(best.gpu), saved_s, view.prices, step_s)


def sensitivity_svg(found: Sensitivity, key: str) -> str:
    """SVG element of the exposed time of each change beside the plan's."""
    told = "; ".join(
        f"{effect.change.name} {milliseconds(effect.best.prediction.exposed_ms) if effect.best else 'does not fit'}"
        for effect in found.effects
    )
    size = (WIDTH, 52 + ROW * len(found.effects))
    text = f"The plan as it is: {milliseconds(found.now.prediction.exposed_ms)} exposed per step. {told}."
    return draw(key, "What changes of the fabric would give", text, size, partial(_paint, found))


def _paint(found: Sensitivity, figure: Figure) -> None:
    height = figure.get_size_inches()[1] * 72
    axes = figure.add_axes((NAME / WIDTH, 34 / height, (WIDTH - NAME - 76) / WIDTH, (height - 58) / height))
    now = found.now.prediction.exposed_ms
    times = [now]
    for row, effect in enumerate(found.effects):
        kept, again = effect.kept, effect.again
        both = kept is not None and again is not None
        for priced, at, colour, hatch in (
            (kept, row - 0.19 * both, BLUE, None), (again, row + 0.19 * both, ORANGE, "///"),
        ):  # fmt: skip
            if priced is not None and np.isfinite(priced.prediction.exposed_ms):
                ms = priced.prediction.exposed_ms
                times.append(ms)
                axes.barh(at, ms, 0.36 if both else 0.62, color=colour, edgecolor=INK, hatch=hatch, linewidth=0.5)
        said = (
            "does not fit" if effect.best is None
            else percent(change(effect.best.prediction.exposed_ms, now), signed=True)
        )  # fmt: skip
        axes.text(1.02, row, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.axvline(now, color=INK, linewidth=1.0, linestyle="--")
    names = [effect.change.name for effect in found.effects]
    axes.set_yticks(range(len(names)), names, fontsize=8.5, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.02 * max(times) or 1.0)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("ms exposed per step")
    axes.grid(axis="x", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(figure, found, one_unit([now], "ms")(now))


def _legend(figure: Figure, found: Sensitivity, now: str) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - only those who draw pay for it
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Any] = [Line2D([], [], color=INK, linestyle="--", linewidth=1.0, label=f"the plan as it is, {now}")]
    handles.append(Patch(facecolor=BLUE, edgecolor=INK, linewidth=0.5, label="same placement"))
    if any(effect.again for effect in found.effects):
        handles.append(Patch(facecolor=ORANGE, edgecolor=INK, hatch="///", linewidth=0.5, label="planned again"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.02, 1), frameon=False, ncols=3, fontsize=8,
        borderaxespad=0.2, labelcolor=MUTED,
    )  # fmt: skip
