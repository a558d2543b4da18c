"""How each axis really communicates: cheapest algorithm, hashing, incast and whether order matters, as text."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from topoplan.reports.amounts import SAME, change, counted, milliseconds, percent, quantity
from topoplan.reports.view import ReportInput

if TYPE_CHECKING:
    from topoplan.cost.collectives.spreading import Hashing, Incast
    from topoplan.cost.collectives.timing import Timing
    from topoplan.planning.collectives import AxisCollective

# What the figures are not: they stand beside the exposed time, which is priced otherwise.
NOTE = (
    "An explanation beside the exposed time, which it does not enter. Cheapest: time of one call, alone on the fabric, "
    "at rates that links are measured to reach; so many groups of so many ranks run it together. Hashed: time of the "
    "slowest link for the bytes of a step at line rate, on average and at most in 95 of 100 hashings, and how much "
    "more than perfect spreading; where routing adapts nothing is hashed, and both are that of perfect spreading."
)
_ORDER = {
    "free": "does not matter",
    "free inside groups": "does not matter inside a group",
    "may matter": "may matter",
}
_OWNERS = {"once a host": "DeepEP, normal", "low latency": "DeepEP", "direct": "NCCL", "rail": "NCCL, PXN"}
_LINKS = {"nvlink": "NVLink", "nic": "NIC", "uplink": "uplink"}


@dataclass(frozen=True, slots=True)
class CollectiveRow:
    """A collective in words.

    Parameters
    ----------
    best, runner_up
        Algorithm and time of one call; "-" and "" where there is none.
    expected, p95
        Time of the slowest link for the bytes of a step, hashed, and the slowdown over perfect spreading, "" for none.
    order
        Whether the order of hosts matters, and why or why not.
    notes
        Efficiency with its source, senders that meet, and what SHARP would give, as far as known.
    """

    axis: str
    op: str
    ranks: str
    size: str
    calls: str
    best: tuple[str, str]
    runner_up: tuple[str, str]
    expected: tuple[str, str]
    p95: tuple[str, str]
    order: str
    notes: tuple[str, ...]


def collective_section(view: ReportInput) -> dict[str, Any] | None:
    """Table and notes; None where nothing is known."""
    if not view.collectives:
        return None
    return {"rows": collective_rows(view.collectives), "note": NOTE}


def collective_rows(found: tuple[AxisCollective, ...]) -> list[CollectiveRow]:
    """One row a collective."""
    return [_row(one) for one in found]


def _row(one: AxisCollective) -> CollectiveRow:
    known = one.best is not None
    return CollectiveRow(
        one.axis,
        one.op.replace("_", "-") or "measured",
        f"{one.groups:,} x {one.size:,}" if known else "-",
        quantity(one.call_bytes, "B") if known else "-",
        f"{one.calls:,.0f}" if known else "-",
        _algorithm(one.best),
        _algorithm(one.runner_up),
        _slowed(one.hashing, one.hashing.expected_s),
        _slowed(one.hashing, one.hashing.p95_s),
        f"{_ORDER[one.order]}: {one.why}",
        tuple(filter(None, (_rate(one), _ways(one), _incast(one.incast, one.axis), _sharp(one)))),
    )


def _algorithm(timing: Timing | None) -> tuple[str, str]:
    return ("-", "") if timing is None else (timing.algorithm, milliseconds(1e3 * timing.seconds))


def _slowed(hashing: Hashing, seconds: float) -> tuple[str, str]:
    more = change(seconds, hashing.perfect_s)
    return milliseconds(1e3 * seconds), percent(more, signed=True) if SAME <= more < inf else ""


def _rate(one: AxisCollective) -> str:
    if one.rate is None or one.best is None:
        return ""
    assumed = "assumed, " if one.rate.assumed else ""
    return (
        f"slowest link {_LINKS[one.best.slowest]}, at {percent(one.rate.share)} of line rate "
        f"({one.rate.link}, {one.rate.traffic}; {assumed}{one.rate.source})"
    )


def _ways(one: AxisCollective) -> str:
    """All ways to send tokens to experts, and whose they are."""
    if not any(timing.algorithm == "once a host" for timing in one.ways):
        return ""
    times = ", ".join(f"{' '.join(_algorithm(timing))} ({_OWNERS[timing.algorithm]})" for timing in one.ways)
    return f"{times}; all but once a host send a copy for each expert, {one.copies:.2f} x the size"


def _incast(incast: Incast | None, axis: str) -> str:
    if incast is None or not incast.senders:
        return ""
    what = "a combine" if axis == "ep" else "a call"
    return (
        f"incast at {what}: {counted(incast.senders, 'NIC')} into one, {quantity(incast.in_bytes, 'B')}, "
        f"{incast.over_mean:.2f} x the mean NIC"
    )


def _sharp(one: AxisCollective) -> str:
    timing = one.with_sharp
    if timing is None:
        return ""
    text = f"if the network's switches reduced (SHARP): {', '.join(_algorithm(timing))}"
    return f"{text}; {timing.order_free}" if one.order != "free" else text
