"""Tables and sentences of what planning experts found out, for terminals and reports: plain text, nothing drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from topoplan.planning.expert_engines import ENGINES
from topoplan.reports.amounts import counted, milliseconds, percent, quantity

if TYPE_CHECKING:
    from topoplan.planning.expert_choice import Choice
    from topoplan.planning.expert_curve import Curve
    from topoplan.planning.expert_engines import Engine, Judgement
    from topoplan.planning.expert_moves import Migration
    from topoplan.planning.expert_outcome import ExpertOutcome, Foretold, Survival
    from topoplan.planning.expert_slots import SlotSweep

Rows = list[list[str]]
WEIGHTS_MATTER = 0.02  # assumed: balance that is worth a warning


def tables(outcome: ExpertOutcome) -> list[tuple[str, list[str], Rows]]:
    """Title, columns and rows of each table."""
    found: list[tuple[str, list[str], Rows]] = [("", ["", "mean of layers", "worst layer"], balance_rows(outcome))]
    if outcome.judgement is not None:
        found.append(("Under each engine's rule", *engine_table(outcome.judgement)))
    if outcome.choice is not None:
        found.append(("Kinds of placement", *choice_table(outcome.choice)))
    if outcome.curve is not None:
        found.append(("Balance against remote hosts", *curve_table(outcome.curve)))
    if outcome.foretold is not None and outcome.foretold.scores:
        found.append(("Forecasts, by back-test", *forecast_table(outcome.foretold)))
    if outcome.sweep is not None:
        found.append(("Slots of a GPU", *sweep_table(outcome.sweep)))
    if outcome.migration is not None and outcome.migration.rows:
        found.append(("Moves, chunk by chunk", *chunk_table(outcome.migration)))
    return found


def lines(outcome: ExpertOutcome) -> list[str]:
    """What the tables mean, in words."""
    found = survival_lines(outcome.survival, outcome.balance.mean)
    if outcome.foretold is not None:
        found += forecast_lines(outcome.foretold)
    if outcome.migration is not None:
        found += change_lines(outcome.migration)
    if outcome.judgement is not None:
        found += judgement_lines(outcome.judgement)
    if outcome.choice is not None:
        found += choice_lines(outcome.choice)
    if outcome.curve is not None:
        found += curve_lines(outcome.curve)
    if outcome.sweep is not None:
        found.append(recommendation(outcome.sweep))
    return found


def recommendation(sweep: SlotSweep) -> str:
    """How many slots a GPU should have, and why."""
    return f"Recommended: {sweep.recommended} slots a GPU: {sweep.reason}."


def balance_rows(outcome: ExpertOutcome) -> Rows:
    """Balance, gap to the bound and duplicates: quantity, layers' mean, worst layer."""
    b = outcome.balance
    rows = [["Balance (mean / largest GPU)", f"{b.mean:.4f}", f"{b.worst:.4f} (row {b.worst_layer})"]]
    if b.gap_mean is not None and b.gap_worst is not None:
        rows.append(["Largest GPU above its lower bound", percent(b.gap_mean), percent(b.gap_worst)])
    rows.append(["Duplicate slots, all layers", f"{b.duplicates:,}", ""])
    return rows


def engine_table(judgement: Judgement) -> tuple[list[str], Rows]:
    """Columns and rows: a column for each rule."""
    engines = judgement.engines
    rows = [
        ["Balance", *(f"{e.balance:.4f}" for e in engines)],
        ["... in one batch", *(f"{e.shown:.4f}" for e in engines)],
        ["Remote hosts", *(f"{e.remote_hosts:.3f}" for e in engines)],
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
    ("Busiest NIC", lambda e: e.nic_bytes),
    ("Busiest uplink", lambda e: e.uplink_bytes),
    ("Busiest NVLink", lambda e: e.nvlink_bytes),
)
_TIMES: tuple[tuple[str, Callable[[Engine], float | None]], ...] = (
    ("Dispatch", lambda e: e.dispatch_ms),
    ("Experts", lambda e: e.expert_ms),
    ("Combine", lambda e: e.combine_ms),
    ("Layer", lambda e: e.layer_ms),
)


def judgement_lines(judgement: Judgement) -> list[str]:
    """What the numbers were made from, and what of the balance can be seen at all."""
    made = {"trace": "the routing trace that was planned from", "rule": "loads and the routing rule"}[judgement.source]
    layers = f"{judgement.layers} of {counted(judgement.of, 'layer')}"
    return [
        *_weights_line(judgement),
        f"Priced from {made}, {judgement.kernel} kernels, {judgement.batch_tokens:,} tokens a batch, {layers}.",
        f"A perfectly even plan shows a balance of {judgement.noise_floor:.4f} in such a batch: its noise hides more.",
        "Remote hosts: those a token visits beside its own. Links: bytes of a layer, dispatch and combine. Times: of a "
        "layer's slowest link or GPU.",
    ]


def choice_table(choice: Choice) -> tuple[list[str], Rows]:
    """Columns and rows: a row for each kind of placement, the one planned marked."""
    rows = [
        [
            way.name + (" *" if i == choice.chosen else ""),
            f"{way.balance:.4f}",
            f"{way.remote_hosts:.3f}",
            *(milliseconds(ms) for ms in (way.dispatch_ms, way.expert_ms, way.combine_ms, way.layer_ms)),
        ]
        for i, way in enumerate(choice.candidates)
    ]
    return ["", "balance", "remote hosts", "dispatch", "experts", "combine", "layer"], rows


def choice_lines(choice: Choice) -> list[str]:
    """Why this kind was planned."""
    way = choice.candidates[choice.chosen]
    return [
        f"Planned: {way.name}, for the least predicted time of a layer over {choice.layers} of "
        f"{counted(choice.of, 'layer')}; the plainest kind among equals. --objective balance plans for balance alone."
    ]


def curve_table(curve: Curve) -> tuple[list[str], Rows]:
    """Columns and rows: a row for each way, the plan and balance alone among them, best balance first."""
    ways = [("another way", point) for point in curve.points]
    ways += [("this plan *", curve.chosen), ("balance alone, copies used evenly", curve.plain)]
    ways.sort(key=lambda way: (-way[1].balance, way[1].remote_hosts))
    return ["", "balance", "remote hosts"], [[name, f"{p.balance:.4f}", f"{p.remote_hosts:.3f}"] for name, p in ways]


def curve_lines(curve: Curve) -> list[str]:
    """What the curve was made of, and how to move along it."""
    return [
        f"The curve is the mean of {curve.layers} of {counted(curve.of, 'layer')} on the trace that was planned from; "
        "--min-balance moves along it."
    ]


def _weights_line(judgement: Judgement) -> list[str]:
    """What becomes of a plan with dispatch weights in an engine that has none: no format of a map holds them."""
    shown = {engine.rule: engine.shown for engine in judgement.engines}
    if "weights" not in shown or shown["even"] > shown["weights"] - WEIGHTS_MATTER:
        return []
    return [
        "The plan needs an engine that follows its dispatch (weights, or one copy a source, in plan.json): one that "
        f"uses copies evenly gets a balance of {shown['even']:.3f}. Without such an engine, plan without --routes."
    ]


def survival_lines(survival: Survival, balance: float) -> list[str]:
    """What a failure would lose, and what the rule against it cost."""
    if survival.domains < 2:
        return []
    many = {"leaf": "leaves"}.get(survival.domain, f"{survival.domain}s")
    lost = f"all {survival.domains} {many} hold experts; losing any one loses "
    text = "no expert" if not survival.lost else f"up to {survival.lost} experts of a layer"
    found = [f"Failures: {lost}{text}."]
    if survival.free_balance is not None:
        found.append(
            f"Keeping {survival.least} copies on different {many} costs "
            f"{max(0.0, survival.free_balance - balance):.4f} of balance ({survival.free_balance:.4f} without)."
        )
    return found


def forecast_table(foretold: Foretold) -> tuple[list[str], Rows]:
    """Columns and rows: a row for each method."""
    rows = [
        [name + (" *" if name == foretold.method else ""), f"{score:.4f}"] for name, score in foretold.scores.items()
    ]
    return ["", "balance"], rows


def forecast_lines(foretold: Foretold) -> list[str]:
    """Which forecast was planned from."""
    how = (
        f"best of {len(foretold.scores)} in {counted(foretold.tests, 'back-test')}" if foretold.tests else "not tested"
    )
    return [f"Planned for the loads that {foretold.method} of {counted(foretold.steps, 'step')} foretells ({how})."]


def change_lines(change: Migration) -> list[str]:
    """What moves from the previous plan."""
    size = "" if change.bytes is None else f", {quantity(change.bytes, 'B')} of weights"
    time = "" if change.seconds is None else f" in {milliseconds(1e3 * change.seconds)} of the slowest links"
    found = [
        f"Moves {change.slots:,} slots ({percent(change.share)}){size}{time}; "
        f"balance {change.before:.4f} as it was, {change.after:.4f} now."
    ]
    if change.left:
        found.append(f"Moves in {counted(len(change.left), 'layer')} would not pay and are left out.")
    if change.lost:
        found.append(f"Others stand in for lost GPUs of the previous plan: {', '.join(change.lost)}.")
    return found


def chunk_table(change: Migration) -> tuple[list[str], Rows]:
    """Columns and rows of the first chunks."""
    most = 12
    rows = []
    for i, row in enumerate(change.rows[:most]):
        sizes = (row.bytes, row.most_received, row.nic_bytes, row.uplink_bytes)
        time = "-" if row.seconds is None else milliseconds(1e3 * row.seconds)
        rows.append(
            [
                str(i),
                str(len(row.layers)),
                str(row.moves),
                *("-" if b is None else quantity(b, "B") for b in sizes),
                time,
            ]
        )
    if len(change.rows) > most:
        rows.append([f"and {len(change.rows) - most} more", *[""] * 7])
    return ["chunk", "layers", "moves", "weights", "a GPU gets at most", "busiest NIC", "busiest uplink", "time"], rows


def sweep_table(sweep: SlotSweep) -> tuple[list[str], Rows]:
    """Columns and rows: a row for each number of slots."""
    rows = [
        [
            f"{row.per_gpu}" + (" *" if row.per_gpu == sweep.recommended else ""),
            f"{row.slots:,}",
            f"{row.balance:.4f}",
            percent(row.gain, signed=True) if row is not sweep.rows[0] else "",
            "-" if row.bytes is None else quantity(row.bytes, "B"),
            "-" if row.kv_tokens is None else f"{row.kv_tokens:,.0f}",
            "-" if row.worth is None else f"{row.worth:.3f}",
        ]
        for row in sweep.rows
    ]
    return ["", "slots", "balance", "layer time saved", "memory", "KV tokens left", "KV tokens / time"], rows
