"""What planning experts found out beside the plan itself: plain numbers for tables and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from topoplan.model.plan import Plan
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_choice import Choice
from topoplan.planning.expert_curve import Curve
from topoplan.planning.expert_engines import Judgement
from topoplan.planning.expert_moves import Migration
from topoplan.planning.expert_slots import SlotSweep


@dataclass(frozen=True, slots=True)
class Foretold:
    """How loads were foretold from a history: steps, method, and what each method reached in the back-test."""

    steps: int
    method: str
    tests: int
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Survival:
    """What losing a failure domain costs.

    Parameters
    ----------
    domain
        "host" or "leaf".
    domains
        How many the experts are on.
    least
        Copies in different domains that were asked for; 0 for none.
    lost
        Most experts of a layer that have no copy left after losing any one domain.
    free_balance
        Mean balance that would be possible without the rule; None where there is none.
    """

    domain: str
    domains: int
    least: int
    lost: int
    free_balance: float | None


@dataclass(frozen=True, eq=False)
class ExpertOutcome:
    """A plan of experts and what is worth saying about it; parts that were not asked for are None."""

    plan: Plan
    balance: Balance
    survival: Survival
    migration: Migration | None = None
    judgement: Judgement | None = None
    sweep: SlotSweep | None = None
    foretold: Foretold | None = None
    curve: Curve | None = None
    choice: Choice | None = None

    def record(self) -> dict[str, Any]:
        """Everything but the plan as plain data; deterministic."""
        parts: dict[str, Any] = {
            "balance": self.balance,
            "survival": self.survival,
            "judgement": self.judgement,
            "sweep": self.sweep,
            "forecast": self.foretold,
            "curve": self.curve,
            "choice": self.choice,
        }
        result: dict[str, Any] = {name: asdict(part) for name, part in parts.items() if part is not None}
        if self.migration is not None:
            names = ("slots", "share", "bytes", "seconds", "before", "after", "left", "lost")
            result["change"] = {name: getattr(self.migration, name) for name in names}
            result["change"]["chunks"] = [asdict(row) for row in self.migration.rows]
        return result
