"""``topoplan diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render

if TYPE_CHECKING:
    from topoplan.model.plan import Prediction
    from topoplan.planning.diff import PlanDiff

EPILOG = """\b
Examples:
  topoplan diff plan plan-after-failure
  topoplan diff plan plan-after-failure -o json

Prices are those that each plan states. The state to copy is what the ranks that
change their host hold: BF16 weights and FP32 weights and Adam moments, shared
out as the job's `zero` says. The exit code is 0 whether or not the plans differ."""

SHOWN = 64  # ranks listed one by one; -o json has all


@click.command("diff", epilog=EPILOG)
@click.argument("before", metavar="PLAN")
@click.argument("after", metavar="PLAN")
@options.output
def command(before: str, after: str, output: str) -> None:
    """Show which ranks move between two plans, what it costs, and the bytes of state to copy."""
    from topoplan.planning.diff import diff_plans  # noqa: PLC0415 - help stays quick
    from topoplan.planning.folder import open_plan  # noqa: PLC0415

    first, second = open_plan(before), open_plan(after)
    found = diff_plans(first.plan, second.plan, second.job or first.job)
    if output != "table":
        render.document(record(found), output)
        return
    for line in lines(found):
        click.echo(line)


def record(found: PlanDiff) -> dict[str, Any]:
    """The difference as plain data."""
    return {
        "ranks": found.ranks,
        "moved": len(found.moves),
        "hosts_left": list(found.left),
        "hosts_joined": list(found.joined),
        "moves": [
            {
                "rank": m.rank,
                "from": {"host": m.from_host, "gpu": m.from_gpu},
                "to": {"host": m.to_host, "gpu": m.to_gpu},
            }
            for m in found.moves
        ],
        "before": _price(found.before),
        "after": _price(found.after),
        "state_bytes": found.state_bytes,
    }


def _price(price: Prediction | None) -> dict[str, float] | None:
    if price is None:
        return None
    values = {"exposed_ms": price.exposed_ms, "hop_bytes": price.hop_bytes}
    # JSON has no infinity: a plan whose ranks cannot reach each other has no time
    return {name: value for name, value in values.items() if value < float("inf")}


def lines(found: PlanDiff) -> list[str]:
    """The difference in words, a line a host that changes and a line a rank."""
    if not found.moves:
        return [f"No rank moves: both plans place {found.ranks} ranks alike.", *_costs(found)]
    from topoplan.reports.amounts import counted, ranges  # noqa: PLC0415 - help stays quick

    text = [f"{counted(len(found.moves), 'rank')} of {found.ranks} move."]
    text += [f"  - {name}" for name in found.left] + [f"  + {name}" for name in found.joined]
    text += [
        f"  ~ {was} -> {now}  {counted(len(ranks), 'rank')}: {ranges(ranks)}"
        for (was, now), ranks in found.by_host.items()
    ]
    text.append("")
    text += [
        f"  ~ rank {m.rank}  {m.from_host}:gpu{m.from_gpu} -> {m.to_host}:gpu{m.to_gpu}" for m in found.moves[:SHOWN]
    ]
    if len(found.moves) > SHOWN:
        text.append(f"  and {len(found.moves) - SHOWN} more ranks (-o json lists all)")
    return [*text, "", *_costs(found)]


def _costs(found: PlanDiff) -> list[str]:
    result = []
    if found.before is not None and found.after is not None:
        pairs = (
            ("exposed_ms", found.before.exposed_ms, found.after.exposed_ms, 1.0, "ms"),
            ("hop_bytes", found.before.hop_bytes, found.after.hop_bytes, 1e12, "TB x hops"),
        )
        for name, was, now, unit, suffix in pairs:
            change = f"  ({100 * (now / was - 1):+.2f} %)" if 0 < was < float("inf") and now < float("inf") else ""
            result.append(f"{name}  {was / unit:,.2f} -> {now / unit:,.2f} {suffix}{change}")
    if found.state_bytes is None:
        result.append("state to copy  unknown: the job gives traffic, not its model")
    else:
        result.append(f"state to copy  {found.state_bytes / 1e9:,.2f} GB (weights and optimizer)")
    return result
