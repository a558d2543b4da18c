"""Rows that `topoplan experts` prints."""

from __future__ import annotations

from topoplan.planning.expert_outcome import Change, ExpertOutcome
from topoplan.reports.amounts import percent, quantity

Rows = list[list[str]]


def balance_rows(outcome: ExpertOutcome) -> Rows:
    """Balance, gap to the bound and duplicates: quantity, layers' mean, worst layer."""
    b = outcome.balance
    rows = [["Balance (mean / largest GPU)", f"{b.mean:.4f}", f"{b.worst:.4f} (row {b.worst_layer})"]]
    if b.gap_mean is not None and b.gap_worst is not None:
        rows.append(["Largest GPU above its lower bound", percent(b.gap_mean), percent(b.gap_worst)])
    rows.append(["Duplicate slots, all layers", f"{b.duplicates:,}", ""])
    return rows


def change_lines(change: Change) -> list[str]:
    """What moves from the previous plan, in words."""
    size = "" if change.bytes is None else f", {quantity(change.bytes, 'B')} of weights"
    lines = [
        f"Moves {change.slots:,} slots ({percent(change.share)}){size}; "
        f"balance {change.before:.4f} as it was, {change.after:.4f} now."
    ]
    if change.lost:
        lines.append(f"Others stand in for lost GPUs of the previous plan: {', '.join(change.lost)}.")
    return lines
