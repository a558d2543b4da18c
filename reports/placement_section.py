"""Where the job runs: the fabric, its pipeline stages and its expert groups."""

from __future__ import annotations

from typing import Any

from topoplan.model.fabric import IntArray
from topoplan.model.job import stage_of_rank
from topoplan.model.placement import RankPlacement
from topoplan.names import compress
from topoplan.reports.svg import safe
from topoplan.reports.tables import PLAN, StageRow, stage_rows
from topoplan.reports.view import LINEAR, ReportInput
from topoplan.reports.where import expert_group_of_rank, levels, spread

UNBALANCED = 0.05  # share above the mean from which a stage is pointed out; assumed


def placement_section(view: ReportInput) -> dict[str, Any] | None:
    """Figure of the fabric, and the hosts of each stage."""
    plan = view.plan
    if plan.placement is None:
        return None
    from topoplan.reports.fabric_figure import fabric_svg, reading_help  # noqa: PLC0415 - only those who draw pay

    stage = stage_of_rank(view.job)
    return {
        "figure": safe(fabric_svg(plan.placement.fabric, plan.placement, stage, key="stages")),
        "help": reading_help(plan.placement.fabric),
        "order": _host_list(plan.placement, plan.placement.host),
        "stages": [] if stage is None else _hosts_of_stages(plan.placement, stage),
    }


def _host_list(placement: RankPlacement, host_of_rank: IntArray) -> str:
    """Hosts of ranks in their order, runs folded."""
    hosts = dict.fromkeys(host_of_rank.tolist())
    return compress([placement.fabric.host_names[h] for h in hosts])


def _hosts_of_stages(placement: RankPlacement, stage: IntArray) -> list[str]:
    """Hosts of each stage where there are several."""
    stages = range(int(stage.max()) + 1)
    return [_host_list(placement, placement.host[stage == s]) for s in stages] if len(stages) > 1 else []


def stage_section(view: ReportInput) -> dict[str, Any] | None:
    """Layers, cost and place of each pipeline rank; None where there is one alone."""
    rows: list[StageRow] = stage_rows(view.plan, view.job)
    if len(rows) < 2 or view.plan.stages is None:
        return None
    return {
        "rows": rows,
        "virtual": len(view.plan.stages.cost) // len(rows),
        "imbalance": max(row.share for row in rows),
        "placed": any(row.hosts for row in rows),
        "unbalanced": 1 + UNBALANCED,
    }


def expert_group_section(view: ReportInput) -> dict[str, Any] | None:
    """How many expert groups stay inside one host, one group of each tier; figure of where they went."""
    plan, label = view.plan, expert_group_of_rank(view.plan)
    if plan.placement is None or plan.ep_rank_to_rank is None or label is None:
        return None
    if view.job is None and len(plan.ep_rank_to_rank) == 1:
        return None  # experts alone: all GPUs are one group
    placements = {PLAN: plan.placement} | ({LINEAR: view.linear} if view.linear is not None else {})
    whole = {name: (spread(placement, label) == 1).sum(0) for name, placement in placements.items()}
    names = levels(plan.placement.fabric)[:-1]
    groups, stage = len(plan.ep_rank_to_rank), stage_of_rank(view.job)
    as_stages = stage is not None and bool((stage == label).all())
    drawn = groups > 1 and not as_stages
    return {
        "groups": groups,
        "size": plan.ep_rank_to_rank.shape[1],
        "columns": list(whole),
        "rows": [(name, [int(count[level]) for count in whole.values()]) for level, name in enumerate(names)],
        "as_stages": as_stages and groups > 1,
        "figure": _expert_group_figure(plan.placement, label) if drawn else None,
    }


def _expert_group_figure(placement: RankPlacement, label: IntArray) -> Any:
    from topoplan.reports.fabric_figure import fabric_svg  # noqa: PLC0415 - only those who draw pay for it
    from topoplan.reports.labels import expert_group_labels  # noqa: PLC0415

    return safe(fabric_svg(placement.fabric, placement, labels=expert_group_labels(label), key="experts"))
