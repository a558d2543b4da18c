"""What a table says whatever was asked: how many scenarios have a price, why others have none, what is worth buying."""

from __future__ import annotations

import math
from collections import Counter

from topoplan.studies.fronts import Front, bandwidth, described
from topoplan.studies.table import Table
from topoplan.units import rate_text

NOTHING = 0.005  # time of the slowest choice above the fastest below which bandwidth buys nothing; assumed


def totals(table: Table) -> str:
    """How many scenarios have a price."""
    priced = sum(row.outcome.ok for row in table.rows)
    scenarios = f"{len(table.rows):,} scenario{'s' if len(table.rows) != 1 else ''}"
    return f"{scenarios}, all priced." if priced == len(table.rows) else f"{scenarios}, {priced:,} of them priced."


def reasons(table: Table) -> tuple[str, ...]:
    """Reasons why scenarios have no price, the commonest first, with how many."""
    count = Counter((row.outcome.status, row.outcome.reason) for row in table.rows if not row.outcome.ok)
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return tuple(f"{number:,} {status}: {reason}" for (status, reason), number in ordered)


def advice(front: Front) -> str:
    """What is worth buying for a job: the knee of its front, and what more bandwidth would gain."""
    best = [front.rows[i] for i in front.best]
    cheapest, fastest = best[0], best[-1]
    if len(best) == 1:
        return (
            f"{front.job}: {described(fastest, 'fabric')} has the least bandwidth of NICs and uplinks "
            "and is the fastest: more of it gains nothing."
        )
    ends = (
        f"from {cheapest.ms:,.4g} ms on {described(cheapest, 'fabric')} ({_rate(bandwidth(cheapest))} a GPU) "
        f"to {fastest.ms:,.4g} ms on {described(fastest, 'fabric')} ({_rate(bandwidth(fastest))})"
    )
    more = _above(cheapest.ms, fastest.ms)
    if more < NOTHING:
        return (
            f"{front.job}: {described(cheapest, 'fabric')} has the least bandwidth of NICs and uplinks "
            f"({_rate(bandwidth(cheapest))} a GPU) and is {100 * more:.2g} % above the fastest, {fastest.ms:,.4g} ms: "
            "more of it gains next to nothing."
        )
    if front.knee is None:
        return f"{front.job}: the choices that none beats have no knee; they go {ends}."
    bend = front.rows[front.knee]
    return (
        f"{front.job}: the knee is {described(bend, 'fabric')}, {bend.ms:,.4g} ms at {_rate(bandwidth(bend))} of NICs "
        f"and uplinks a GPU, {100 * _above(bend.ms, fastest.ms):.1f} % above the fastest with "
        f"{100 * (1 - bandwidth(bend) / bandwidth(fastest)):.0f} % less bandwidth; choices go {ends}."
    )


def _above(ms: float, least: float) -> float:
    """Share above the least; infinite above nothing."""
    if least > 0:
        return ms / least - 1
    return math.inf if ms > 0 else 0.0


def _rate(bytes_per_s: float) -> str:
    return rate_text(bytes_per_s)
