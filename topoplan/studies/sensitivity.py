"""What a change of the fabric would give a plan: its placement priced again, and a new one where that is cheap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.price import predict
from topoplan.errors import InfeasibleError
from topoplan.model.fabric import BoolArray, IntArray
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Prediction
from topoplan.model.traffic import Traffic
from topoplan.planning.solve import model_of
from topoplan.solvers.ranks import RankProblem
from topoplan.studies.evaluate import quick, take_over
from topoplan.studies.upgrades import Change, upgrades

CHEAP = 4096  # ranks up to which the plain orders are priced on every changed fabric: about a tenth of a second each


@dataclass(frozen=True, eq=False)
class Priced:
    """A placement on a changed fabric; `step_s` where the job says how fast it computes."""

    gpu: IntArray
    prediction: Prediction
    step_s: float | None = None


@dataclass(frozen=True, eq=False)
class Effect:
    """What a change gives.

    Parameters
    ----------
    kept
        The same placement, ranks of lost hosts on the first free ones; None where it cannot stand.
    again
        The best plain order of the changed fabric where it is faster; None where it is not, or was not looked for.
    reason
        Why there is no price.
    """

    change: Change
    kept: Priced | None
    again: Priced | None = None
    reason: str = ""

    @property
    def best(self) -> Priced | None:
        """The faster of both."""
        return self.again or self.kept


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The plan as it is, and what changes of its fabric would give, in the order asked.

    `cheap` is the number of ranks above which only lost hosts are planned again; None where all changes are.
    """

    now: Priced
    effects: tuple[Effect, ...]
    cheap: int | None


def sensitivity(job: Job, placement: RankPlacement, traffic: Traffic, allowed: BoolArray | None = None) -> Sensitivity:
    """Effects of the changes that are worth asking about.

    All are priced with the traffic and the exposures of the plan; steps derive theirs from what compute hides.

    Parameters
    ----------
    allowed
        [hosts] bool hosts that the job may use; all of them by default.
    """
    pricing = _Pricing(job, placement, traffic, allowed)
    cheap = placement.ranks <= CHEAP
    changes = upgrades(placement.fabric, placement.host)
    return Sensitivity(
        pricing.now,
        tuple(pricing.effect(change, search=cheap or change.loses_hosts) for change in changes),
        None if cheap else CHEAP,
    )


class _Pricing:
    """A job at a placement, priced on other fabrics."""

    def __init__(self, job: Job, placement: RankPlacement, traffic: Traffic, allowed: BoolArray | None) -> None:
        self.traffic, self.allowed, self.gpu = traffic, allowed, placement.gpu
        # a measured step fixes compute on the fabric it was measured on
        self.model = model_of(job, RankProblem(placement.fabric, traffic, allowed=allowed))
        self.now = self._priced(Change("", "", placement.fabric), self.gpu)

    def effect(self, change: Change, *, search: bool) -> Effect:
        try:
            problem = RankProblem(change.fabric, self.traffic, allowed=self.allowed)
        except InfeasibleError as error:
            return Effect(change, None, reason=error.message)
        kept, reason = None, ""
        try:
            kept = self._priced(change, take_over(problem, self.gpu))
        except InfeasibleError as error:
            reason = error.message
        again = self._priced(change, quick(problem)[0]) if search else None
        if again and kept and again.prediction.exposed_ms >= kept.prediction.exposed_ms:
            again = None
        if again and not np.isfinite(again.prediction.exposed_ms):
            again = None
        return Effect(change, kept, again, reason)

    def _priced(self, change: Change, gpu: IntArray) -> Priced:
        price = predict(change.fabric, self.traffic, gpu)
        if self.model is None:
            return Priced(gpu, price)
        return Priced(gpu, price, replace(self.model, fabric=change.fabric).at(gpu).total_s)
