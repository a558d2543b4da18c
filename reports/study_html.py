"""The report of a study: the answer first, then what is worth buying, every case, and what has no price."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from topoplan.reports.amounts import milliseconds
from topoplan.reports.study_figures import (
    Panel,
    failures_svg,
    front_svg,
    losses,
    panels,
    panels_svg,
    shown_losses,
)
from topoplan.reports.svg import printable, safe
from topoplan.studies.fronts import Front, bandwidth, described, fronts
from topoplan.studies.summary import advice, reasons, totals
from topoplan.units import rate_text

if TYPE_CHECKING:
    from topoplan.studies.answers import Answer
    from topoplan.studies.model import Study
    from topoplan.studies.table import Row, Table

MOST_ROWS = 60  # of a table before the rest is left to results.csv
MOST_FRONTS = 8


def render_study(study: Study, table: Table, answer: Answer | None, command: str) -> str:
    """Page of a study, self-contained and without scripts; the same table gives the same bytes.

    Parameters
    ----------
    command
        Command line that makes the study again.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - only those who render pay for it

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_template),
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2").render(_context(study, table, answer, command))


def _template(name: str) -> str:
    return files("topoplan.reports").joinpath("templates", name).read_text("utf-8")


def _context(study: Study, table: Table, answer: Answer | None, command: str) -> dict[str, Any]:
    found = fronts(table)
    drawn: list[Panel] = panels(table)
    broken = losses(table)
    some = shown_losses(broken)
    return {
        "name": study.name,
        "about": study.about,
        "totals": totals(table),
        "verdict": answer.sentences[0] if answer else "",
        "sentences": answer.sentences[1:] if answer else (),
        "columns": answer.columns if answer else (),
        "rows": answer.rows[:MOST_ROWS] if answer else (),
        "more": max(0, len(answer.rows) - MOST_ROWS) if answer else 0,
        "fronts": [_front(front, f"front-{i}") for i, front in enumerate(found[:MOST_FRONTS])],
        "fronts_left": len(found) - MOST_FRONTS,
        "panels": safe(panels_svg(drawn, "panels")) if drawn else None,
        "failures": safe(failures_svg(some, "failures")) if some else None,
        "failures_left": len(broken) - len(some),
        "cases": _cases(table),
        "reasons": reasons(table),
        "search": "as topoplan solve does" if study.search == "full" else "the best of plain orders by price",
        "command": command,
    }


def _front(front: Front, key: str) -> dict[str, Any]:
    return {
        "job": front.job,
        "advice": advice(front),
        "knee": front.knee is not None,
        "figure": safe(front_svg(front, key)),
        "rows": [
            (
                described(row, "fabric"),
                rate_text(bandwidth(row)),
                milliseconds(row.ms),
                row.scenario.order,
                "knee" if i == front.knee else "yes" if i in front.best else "",
            )
            for i, row in enumerate(front.rows[:MOST_ROWS])
        ],
    }


def _cases(table: Table) -> dict[str, Any]:
    """Exposed time of every fabric and job by order, where nothing is broken."""
    orders = list(dict.fromkeys(row.scenario.order for row in table.rows))
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in table.rows:
        if row.healthy:
            cells.setdefault((described(row, "job"), described(row, "fabric")), {})[row.scenario.order] = row
    shown = list(cells.items())[:MOST_ROWS]
    return {
        "orders": orders,
        "rows": [
            (job, fabric, [_cell(by.get(order)) for order in orders], _least(by, orders)) for (job, fabric), by in shown
        ],
        "more": len(cells) - len(shown),
    }


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    return milliseconds(row.ms) if row.outcome.ok else row.outcome.status


def _least(by: dict[str, Row], orders: list[str]) -> int:
    """Index of the fastest order, -1 where none has a price."""
    priced = [(by[order].ms, i) for i, order in enumerate(orders) if order in by and by[order].outcome.ok]
    return min(priced)[1] if priced else -1
