"""Rows of the tables that reports and terminals show of a plan: plain data, nothing printed or drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.job import Job, stage_of_rank
from topoplan.model.plan import Plan, Prediction
from topoplan.reports.amounts import change, counted, milliseconds, one_unit, percent, ranges
from topoplan.reports.where import next_stage_meetings, places

PLAN = "plan"
_OBJECTIVES = {
    "exposed_ms": "Exposed communication",
    "hop_bytes": "Bytes × distance",
    "busiest_uplink": "Busiest uplink",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A quantity of the plan and of each baseline.

    Parameters
    ----------
    unit
        "ms" or "bytes".
    values
        One for each of `columns`; None where a placement does not have it.
    notes
        What a value belongs to, such as the name of a link; "" for nothing.
    """

    name: str
    unit: str
    values: tuple[float | None, ...]
    notes: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Values with one unit for all, "-" for those that are missing."""
        text = one_unit([value for value in self.values if value is not None and isfinite(value)], self.unit)
        return tuple("-" if value is None else text(value) for value in self.values)

    @property
    def changes(self) -> tuple[str, ...]:
        """How much more than the plan each value is, "" for the plan itself."""
        return tuple(
            ""
            if i == 0 or value is None or self.values[0] is None
            else percent(change(value, self.values[0]), signed=True)
            for i, value in enumerate(self.values)
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """Values with their changes, for a terminal."""
        pairs = zip(self.texts, self.changes, strict=True)
        return tuple(f"{text} ({more})" if more else text for text, more in pairs)


@dataclass(frozen=True, slots=True)
class StageRow:
    """A pipeline rank: its layers, cost in FLOPs of a token, that over the mean, hosts, groups, next stage.

    Its virtual stages are taken together.
    """

    stage: int
    layers: str
    cost: float
    share: float
    hosts: int
    where: str
    next_stage: str


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A value with what no placement of a space can go below."""

    name: str
    value: str
    lower_bound: str
    gap: str
    verdict: str
    space: str


@dataclass(frozen=True, slots=True)
class ExpertRow:
    """A layer of an expert map.

    Parameters
    ----------
    balancedness
        Mean / max load of a GPU; None without known loads.
    possible
        Balancedness at the lower bound: no map can have more.
    gap
        Max load / lower bound - 1.
    most_copies
        Of any one expert.
    """

    layer: int
    balancedness: float | None
    possible: float | None
    gap: float | None
    most_copies: int


def columns(plan: Plan) -> tuple[str, ...]:
    """Names of the placements compared: the plan, then the baselines."""
    return (PLAN, *(plan.baselines or {}))


def comparison_rows(plan: Plan) -> list[Row]:
    """What placements cost; plan against baselines."""
    if plan.prediction is None:
        return []
    fabric = plan.placement.fabric if plan.placement else None
    return price_rows(fabric, [plan.prediction, *(plan.baselines or {}).values()])


def price_rows(fabric: Fabric | None, prices: list[Prediction]) -> list[Row]:
    """Exposed time, that of each axis of the first, ideal time, busiest links and bytes x distance."""
    rows = [_row("Exposed communication", "ms", [p.exposed_ms for p in prices])]
    rows += [_row(f"axis {axis}", "ms", [p.axes.get(axis) for p in prices]) for axis in prices[0].axes]
    rows.append(_row("With perfect spreading", "ms", [p.ideal_ms for p in prices]))
    rows += _link_rows(fabric, prices)
    rows.append(_row("Bytes × distance", "bytes", [p.hop_bytes for p in prices]))
    return rows


def step_rows(plan: Plan) -> list[Row]:
    """The whole step of the plan and of each baseline; none where the job does not say how fast it computes."""
    if plan.step is None or plan.plain_step_s is None:
        return []
    plain = [plan.plain_step_s.get(name) for name in plan.baselines or {}]
    seconds = [plan.step.total_s, *plain]
    return [_row("Whole step", "ms", [None if value is None else 1e3 * value for value in seconds])]


def _row(name: str, unit: str, values: list[float | None] | list[float], notes: list[str] | None = None) -> Row:
    return Row(name, unit, tuple(values), tuple(notes) if notes else ("",) * len(values))


def _link_rows(fabric: Fabric | None, prices: list[Prediction]) -> list[Row]:
    """Worst link of each kind: its time if spread perfectly, and its name."""
    kind_of = _link_kinds(fabric)
    found = [{kind_of(load.link): load for load in price.busiest_links} for price in prices]
    kinds = list(dict.fromkeys(kind for links in found for kind in links))
    tiers = [tier.name for tier in fabric.tiers] if fabric else []
    order = ["Busiest NIC", *(f"Busiest {tier} uplink" for tier in tiers)]
    kinds.sort(key=lambda kind: order.index(kind) if kind in order else len(order))
    return [
        _row(
            kind,
            "ms",
            [links[kind].ms if kind in links else None for links in found],
            [links[kind].link if kind in links else "" for links in found],
        )
        for kind in kinds
    ]


def _link_kinds(fabric: Fabric | None) -> Callable[[str], str]:
    """Kind of a link by its name."""
    tier_of: dict[str, str] = {}
    for group in fabric.groups if fabric else ():
        tier = fabric.tiers[group.tier].name if fabric else ""
        names = [f"uplink {group.name}", *(f"uplink {group.name} rail {rail}" for rail in range(group.rails))]
        tier_of |= dict.fromkeys(names, f"Busiest {tier} uplink")
    return lambda link: tier_of.get(link, "Busiest NIC" if link.startswith("nic ") else "Busiest uplink")


def stage_rows(plan: Plan, job: Job | None = None) -> list[StageRow]:
    """Stages of the plan; hosts and places only where the job says which rank has which stage."""
    if plan.stages is None:
        return []
    label = stage_of_rank(job)
    stages, cost = plan.stages, np.array(plan.stages.cost)
    pipeline = int(label.max()) + 1 if label is not None else len(cost)
    whole = [float(cost[rank::pipeline].sum()) for rank in range(pipeline)]  # a rank runs all its virtual stages
    nearness = next_stage_meetings(plan.placement, job) if plan.placement and job and label is not None else []
    rows = []
    for rank, mine in enumerate(whole):
        hosts, where = 0, ""
        if plan.placement is not None and label is not None:
            used = np.unique(plan.placement.host[label == rank])
            hosts, where = len(used), places(plan.placement.fabric, used)
        own = [i for s in range(rank, len(cost), pipeline) for i in range(stages.first[s], stages.first[s + 1])]
        following = str(nearness[rank]) if rank < len(nearness) else ""
        rows.append(StageRow(rank, ranges(own), mine, mine * pipeline / sum(whole), hosts, where, following))
    return rows


def bound_rows(plan: Plan) -> list[BoundRow]:
    """Certificate of the plan, one row a quantity."""
    rows = []
    for name, bound in (plan.certificate or {}).items():
        text = one_unit([bound.value, bound.lower_bound], "ms" if name.endswith("_ms") else "bytes")
        verdict = "proven best" if bound.proven_optimal else "not proven best"
        label = _OBJECTIVES.get(name, name)
        rows.append(
            BoundRow(label, text(bound.value), text(bound.lower_bound), percent(bound.gap), verdict, bound.space)
        )
    return rows


def expert_rows(
    experts: ExpertPlacement,
    load: FloatArray | None = None,
    layers: tuple[int, ...] = (),
    speed: FloatArray | None = None,
) -> list[ExpertRow]:
    """Layers of an expert map.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens; without it balancedness is not known.
    layers
        Model layer of each row; numbered from 0 when empty.
    speed
        [gpus] float64 relative speed of each GPU; all alike when None.
    """
    names = layers if len(layers) == experts.layers else tuple(range(experts.layers))
    balanced = _balanced(experts, load, np.ones(experts.gpus) if speed is None else speed)
    gap = _expert_gap(experts)
    copies = experts.copies.max(1)
    rows = []
    for i, layer in enumerate(names):
        b = float(balanced[i]) if balanced is not None else None
        g = float(gap[i]) if gap is not None else None
        possible = min(1.0, b * (1 + g)) if b is not None and g is not None else None
        rows.append(ExpertRow(layer, b, possible, g, int(copies[i])))
    return rows


def _balanced(experts: ExpertPlacement, load: FloatArray | None, speed: FloatArray) -> FloatArray | None:
    """[layers] float64 load over speed that all GPUs would have if it could be poured, over the largest."""
    if load is None:
        return None
    level = load.sum(1) / speed[np.unique(experts.slot_gpu)].sum()
    return np.asarray(level / (experts.gpu_load(load) / speed).max(1), np.float64)


def worst_gap(experts: ExpertPlacement) -> float | None:
    """Largest of the layers' max load / lower bound - 1; None where no bound is known."""
    gap = _expert_gap(experts)
    return None if gap is None else float(gap.max())


def _expert_gap(experts: ExpertPlacement) -> FloatArray | None:
    if experts.max_load is None or experts.lower_bound is None:
        return None
    bound = experts.lower_bound
    ratio = np.divide(experts.max_load, bound, out=np.ones_like(bound), where=bound > 0)
    return np.asarray(np.maximum(ratio - 1, 0.0), np.float64)


def summary_lines(plan: Plan) -> list[str]:
    """The plan in a few sentences: whether the order matters, its size, its cost, how far from the bound."""
    lines = [plan.order_matters] if plan.order_matters else []
    if plan.placement is not None:
        used = len(plan.placement.host_order())
        hosts = counted(len(plan.placement.fabric.hosts), "host")
        noun = "GPU" if plan.prediction is None and plan.experts is not None else "rank"
        lines.append(f"{counted(plan.placement.ranks, noun)} on {used:,} of {hosts} of {plan.fabric_name}.")
    if plan.prediction is not None:
        lines.append(f"{milliseconds(plan.prediction.exposed_ms)} of communication exposed per step.")
    lines += [_bound_line(row) for row in bound_rows(plan)]
    if plan.experts is not None:
        gap = worst_gap(plan.experts)
        worst = f"; worst layer {percent(gap)} above its lower bound" if gap is not None else ""
        lines.append(
            f"{plan.experts.experts} experts of {counted(plan.experts.layers, 'layer')} in {plan.experts.slots} slots "
            f"on {counted(plan.experts.gpus, 'GPU')}{worst}."
        )
    return lines


def _bound_line(row: BoundRow) -> str:
    if row.verdict == "proven best":
        return f"{row.name}: {row.value}, proven best ({row.space})."
    return f"{row.name}: {row.value}, at most {row.gap} above the best possible ({row.space})."
