"""Rows that `topoplan experts` prints."""

from __future__ import annotations

from collections.abc import Callable

from topoplan.planning.expert_engines import ENGINES, Engine, Judgement
from topoplan.planning.expert_outcome import Change, ExpertOutcome
from topoplan.reports.amounts import counted, milliseconds, percent, quantity

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


def engine_table(judgement: Judgement) -> tuple[list[str], Rows]:
    """Columns and rows: a column for each rule."""
    engines = judgement.engines
    rows = [
        ["Balance, expected", *(f"{e.balance:.4f}" for e in engines)],
        ["Balance that a batch shows", *(f"{e.shown:.4f}" for e in engines)],
        ["Remote hosts per token", *(f"{e.remote_hosts:.3f}" for e in engines)],
    ]
    for name, read in _SIZES:
        values = [read(e) for e in engines]
        if any(values):
            rows.append([name, *("-" if v is None else quantity(v, "B") for v in values)])
    for name, read in _TIMES:
        values = [read(e) for e in engines]
        if any(values):
            rows.append([name, *("-" if v is None else milliseconds(v) for v in values)])
    return ["", *(ENGINES[e.rule] for e in engines)], rows


_SIZES: tuple[tuple[str, Callable[[Engine], float | None]], ...] = (
    ("Busiest NIC, a layer", lambda e: e.nic_bytes),
    ("Busiest uplink, a layer", lambda e: e.uplink_bytes),
    ("Busiest NVLink, a layer", lambda e: e.nvlink_bytes),
)
_TIMES: tuple[tuple[str, Callable[[Engine], float | None]], ...] = (
    ("Dispatch", lambda e: e.dispatch_ms),
    ("Experts, slowest GPU", lambda e: e.expert_ms),
    ("Combine", lambda e: e.combine_ms),
    ("Layer", lambda e: e.layer_ms),
)


def judgement_lines(judgement: Judgement) -> list[str]:
    """What the numbers were made from, and what of the balance can be seen at all."""
    made = {"trace": "the routing trace that was planned from", "rule": "loads and the routing rule"}[judgement.source]
    layers = f"{judgement.layers} of {counted(judgement.of, 'layer')}"
    return [
        f"Priced from {made}, {judgement.kernel} kernels, {judgement.batch_tokens:,} tokens a batch, {layers}.",
        f"A perfectly even plan shows a balance of {judgement.noise_floor:.4f} in such a batch: its noise hides more.",
    ]
