"""topoplan: choose hosts, order ranks and place MoE experts on a GPU cluster's network, and prove it.

The public names are imported when first used, so that ``import topoplan`` is cheap::

    import topoplan
    fabric = topoplan.read_fabric("fabric.yaml")
    job = topoplan.read_job("job.yaml")
    plan = topoplan.solve(job, fabric)
    print(plan.order_matters, plan.prediction.exposed_ms, plan.certificate["hop_bytes"].gap)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from topoplan.errors import InfeasibleError, InputError, TopoplanError
    from topoplan.model.experts import ExpertPlacement
    from topoplan.model.fabric import Fabric
    from topoplan.model.job import Job
    from topoplan.model.placement import RankPlacement
    from topoplan.model.plan import Plan
    from topoplan.model.traffic import Traffic
    from topoplan.planning.api import place_experts, rank_costs, read_fabric, read_job, read_plan
    from topoplan.planning.drop_in import rebalance_experts
    from topoplan.planning.solve import SolveOptions, solve

__version__ = "0.1.0"

_PUBLIC = {
    "ExpertPlacement": "topoplan.model.experts",
    "Fabric": "topoplan.model.fabric",
    "InfeasibleError": "topoplan.errors",
    "InputError": "topoplan.errors",
    "Job": "topoplan.model.job",
    "Plan": "topoplan.model.plan",
    "RankPlacement": "topoplan.model.placement",
    "SolveOptions": "topoplan.planning.solve",
    "TopoplanError": "topoplan.errors",
    "Traffic": "topoplan.model.traffic",
    "place_experts": "topoplan.planning.api",
    "rank_costs": "topoplan.planning.api",
    "read_fabric": "topoplan.planning.api",
    "read_job": "topoplan.planning.api",
    "read_plan": "topoplan.planning.api",
    "rebalance_experts": "topoplan.planning.drop_in",
    "solve": "topoplan.planning.solve",
}

__all__ = [
    "ExpertPlacement",
    "Fabric",
    "InfeasibleError",
    "InputError",
    "Job",
    "Plan",
    "RankPlacement",
    "SolveOptions",
    "TopoplanError",
    "Traffic",
    "__version__",
    "place_experts",
    "rank_costs",
    "read_fabric",
    "read_job",
    "read_plan",
    "rebalance_experts",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'topoplan' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
