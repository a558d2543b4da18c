"""What moves buy when a plan in force is changed, as rows and as records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from topoplan.planning.replan import Step

MOVE_COLUMNS = ("", "ranks moved", "new hosts", "exposed ms", "TB x hops", "loss", "state to copy")


def move_rows(steps: Sequence[Step]) -> list[list[str]]:
    """A row for each step of the curve; the one that the plan is gets an arrow."""
    return [
        [
            "->" if step.chosen else "",
            f"{step.moved:,}",
            f"{step.hosts:,}",
            f"{step.prediction.exposed_ms:,.2f}",
            f"{step.prediction.hop_bytes / 1e12:,.2f}",
            f"{100 * step.loss:.2f} %",
            "unknown" if step.state_bytes is None else f"{step.state_bytes / 1e9:,.1f} GB",
        ]
        for step in steps
    ]


def move_records(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The curve as plain data."""
    return [
        {
            "moved": step.moved,
            "new_hosts": step.hosts,
            "exposed_ms": step.prediction.exposed_ms,
            "busiest_uplink_ms": step.prediction.busiest_uplink_ms,
            "hop_bytes": step.prediction.hop_bytes,
            "loss": step.loss,
            "state_bytes": step.state_bytes,
            "chosen": step.chosen,
        }
        for step in steps
    ]
