"""What waiting costs in GPU-hours, and what the fabric and the waiting cost where prices are given."""

from __future__ import annotations

from typing import Any

from topoplan.cost.bill import Line, bill, gpu_hours
from topoplan.reports.amounts import significant
from topoplan.reports.money import money
from topoplan.reports.tables import columns
from topoplan.reports.view import ReportInput
from topoplan.units import rate_text

STEPS = 1000  # steps that waiting is told for
_NAMES = {"nic": "NICs", "switch_port": "switch ports", "cable": "cables"}


def cost_section(view: ReportInput) -> dict[str, Any] | None:
    """GPU-hours of each order's steps, or of what they expose, and the bill; None without a price of the placement."""
    plan = view.plan
    if plan.prediction is None or plan.placement is None:
        return None
    step, ranks = plan.step, plan.placement.ranks
    exposed_s = [1e-3 * price.exposed_ms for price in (plan.prediction, *(plan.baselines or {}).values())]
    seconds: list[float | None] = list(exposed_s)
    if step is not None:
        exposed_s[0] = step.exposed_s
        seconds = [step.total_s, *((plan.plain_step_s or {}).get(name) for name in plan.baselines or {})]
    hours = [None if s is None else gpu_hours(ranks, STEPS * s) for s in seconds]
    waiting = gpu_hours(ranks, STEPS * exposed_s[0])
    quote = view.prices
    rate = quote.gpu_hour if quote is not None else None
    total = bill(quote, plan.placement.fabric) if quote is not None and quote.items else None
    currency = quote.currency if quote is not None else ""
    return {
        "steps": f"{STEPS:,}",
        "columns": columns(plan),
        "what": "Exposed communication" if step is None else "All GPUs",
        "hours": ["-" if value is None else significant(value) for value in hours],
        "sums": ["-" if value is None else money(value * rate, currency) for value in hours]
        if rate is not None
        else [],
        "waiting": significant(waiting),
        "waiting_sum": "" if rate is None else money(waiting * rate, currency),
        "rate": "" if rate is None else money(rate, currency),
        "quote": quote.name if quote is not None else "",
        "lines": [_line(line, currency) for line in total.lines] if total is not None else [],
        "total": money(total.total, currency) if total is not None else "",
        "unknown": ", ".join(total.unknown) if total is not None else "",
    }


def _line(line: Line, currency: str) -> tuple[str, str, str, str, str]:
    each = "-" if line.price is None else money(line.price, currency)
    total = "-" if line.total is None else money(line.total, currency)
    return _NAMES[line.item], rate_text(line.bandwidth_bytes_per_s), f"{line.count:,}", each, total
