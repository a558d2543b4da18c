"""What the numbers of a report rest on, each with where it is from."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.cost.calibration import QUEUE_PAIRS, SAME_LEAF_LATENCY_S, SCALE_UP_LATENCY_S, TIER_LATENCY_S
from topoplan.cost.hardware import MEMORY_EFFICIENCY
from topoplan.cost.schedules import SCHEDULES
from topoplan.cost.step import gpu_of
from topoplan.model.plan import Plan
from topoplan.reports.amounts import percent
from topoplan.reports.view import ReportInput

_LATENCY = "DeepSeek-V3 hardware paper, ISCA 2025, arXiv 2505.09343, table 5"
_META = "Gangidi et al., RDMA over Ethernet at Meta Scale, SIGCOMM 2024, section 5"


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something taken for granted, and its source; "assumed" where there is none."""

    what: str
    source: str


def assumptions(view: ReportInput) -> list[Assumption]:
    """What the inputs left open, then what the cost model takes for granted of this plan."""
    plan = view.plan
    found = [Assumption(line, "not in the inputs: a default of topoplan") for line in plan.assumed]
    if plan.prediction is None:
        return found
    found += _network(plan)
    if plan.step is not None:
        found += _step(view)
    if view.sensitivity is not None:
        found.append(
            Assumption("what-if fabrics keep the job's traffic and exposures; only the network changes", "assumed")
        )
    if view.prices is not None:
        found.append(
            Assumption(
                "a NIC has one cable and one switch port in each plane, a link between switches one cable and two "
                "ports; optics, chassis and power are in the prices or left out",
                "assumed",
            )
        )
    return found


def _network(plan: Plan) -> list[Assumption]:
    found = [
        Assumption(
            "in the prices of orders every link carries its line rate; an axis lasts as long as its slowest link",
            "assumed",
        ),
        Assumption(
            "bytes and messages of collectives: rings for all-reduce, all-gather and reduce-scatter, direct copies for "
            "all-to-all",
            "NVIDIA NCCL's algorithms; Thakur et al. 2005",
        ),
        Assumption(
            f"a message waits {_us(SCALE_UP_LATENCY_S)} over NVLink, {_us(SAME_LEAF_LATENCY_S)} below one leaf and "
            f"{_us(TIER_LATENCY_S)} more for each tier, where the fabric does not say",
            _LATENCY,
        ),
    ]
    fabric = plan.placement.fabric if plan.placement is not None else None
    if fabric is not None and fabric.routing != "adaptive":
        found.append(
            Assumption(f"a flow is {QUEUE_PAIRS} queue pairs, each hashed onto one uplink; the expected maximum", _META)
        )
    elif fabric is not None:
        found.append(Assumption("adaptive routing spreads every flow perfectly over all links", "assumed"))
    return found


def _step(view: ReportInput) -> list[Assumption]:
    step, placement = view.plan.step, view.plan.placement
    assert step is not None
    found = [Assumption(f"pipeline schedule {step.schedule}", SCHEDULES[step.schedule].source)]
    kind = gpu_of(view.job, placement.fabric, placement.gpu).kind if view.job is not None and placement else None
    if kind is not None:
        found.append(
            Assumption(
                f"large BF16 matrix products reach {percent(kind.efficiency['bf16'])} of the peak of {kind.name}, "
                f"training keeps {percent(kind.sustained)} of that",
                f"stas00/ml-engineering, maximum achievable matmul FLOPS; fitted to {kind.source}",
            )
        )
    found.append(
        Assumption(f"other kernels reach {percent(MEMORY_EFFICIENCY)} of memory bandwidth", "calculon, a100_80g.json")
    )
    return found


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} us"
