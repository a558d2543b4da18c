"""Loads of links: the busiest of each kind, all of them as curves, and by tier and rail as heat maps."""

from __future__ import annotations

from typing import Any

from topoplan.reports.amounts import change, milliseconds, percent, quantity
from topoplan.reports.loads import LinkClass, classes_of, total_loads
from topoplan.reports.real_cables import placement_cables
from topoplan.reports.svg import safe
from topoplan.reports.tables import PLAN
from topoplan.reports.view import LINEAR, ReportInput


def load_section(view: ReportInput) -> dict[str, Any] | None:
    """Table, curves and heat maps; None without traffic."""
    plan = view.plan
    if plan.placement is None or view.traffic is None:
        return None
    from topoplan.reports.heat_figure import heat_maps, heat_svg  # noqa: PLC0415 - only those who draw pay for it
    from topoplan.reports.load_figure import load_svg  # noqa: PLC0415

    fabric = plan.placement.fabric
    placements = {LINEAR: view.linear.gpu} if view.linear is not None else {}
    loads = {
        name: total_loads(fabric, view.traffic, gpu) for name, gpu in (placements | {PLAN: plan.placement.gpu}).items()
    }
    kinds = classes_of(fabric, loads)
    maps = heat_maps(fabric, loads[PLAN])
    top = max((heat.top for heat in maps), default=0.0)
    return {
        "columns": [*placements, PLAN],
        "figures": [safe(load_svg(kind, f"loads-{i}")) for i, kind in enumerate(kinds)],
        "maps": [safe(heat_svg(heat, top, f"heat-{i}")) for i, heat in enumerate(maps)],
        "rows": [_load_row(kind) for kind in kinds],
        "compared": view.linear is not None,
        "cables": placement_cables(plan.placement, view.traffic),
    }


def _load_row(kind: LinkClass) -> dict[str, Any]:
    busiest = {name: kind.busiest(name) for name in kind.ms}
    most = {name: float(kind.ms[name][at]) for name, at in busiest.items()}
    return {
        "name": kind.name,
        "links": f"{len(kind.names):,} of {kind.total:,}",
        "most": {name: (milliseconds(most[name]), kind.names[at]) for name, at in busiest.items()},
        "mean": {name: milliseconds(float(ms.mean())) for name, ms in kind.ms.items()},
        "change": percent(change(most[PLAN], most[LINEAR]), signed=True) if LINEAR in most else "",
        "size": quantity(float(kind.bytes[PLAN][busiest[PLAN]]), "B"),
    }
