"""What a report of a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.prices import Prices
from topoplan.model.traffic import Traffic

if TYPE_CHECKING:
    from topoplan.planning.collectives import AxisCollective
    from topoplan.planning.expert_outcome import ExpertOutcome
    from topoplan.studies.exposure import Sweep
    from topoplan.studies.sensitivity import Sensitivity

LINEAR = "linear"


@dataclass(frozen=True, eq=False)
class ReportInput:
    """What a report is made from.

    Parameters
    ----------
    command
        Command line that makes the plan again.
    traffic
        Bytes of a step; without it link loads are left out.
    job
        Says which rank has which stage; without it hosts are coloured by rank.
    linear
        Ranks in physical host order, the order before planning; without it only the plan's loads are shown.
    load
        [layers, experts] float64 tokens of each expert, where the job does not hold them.
    moe_layers
        Model layer of each row of a map, where the job does not say; numbered from 0 when empty.
    outcome, before
        What planning experts alone found out, and the expert placement that was in force before.
    sensitivity, exposures
        What changes of the fabric would give, and the price at other exposures; left out where None.
    collectives
        How each axis communicates; left out where empty.
    prices
        What things cost; money is left out where None.
    report_command
        Command line that makes this report again from the plan; "" where `command` makes it too.
    """

    plan: Plan
    command: str
    traffic: Traffic | None = None
    job: Job | None = None
    linear: RankPlacement | None = None
    load: FloatArray | None = None
    moe_layers: tuple[int, ...] = ()
    outcome: ExpertOutcome | None = None
    before: ExpertPlacement | None = None
    sensitivity: Sensitivity | None = None
    exposures: Sweep | None = None
    collectives: tuple[AxisCollective, ...] = ()
    prices: Prices | None = None
    report_command: str = ""
