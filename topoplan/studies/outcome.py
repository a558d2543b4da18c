"""What came of a scenario, as plain data that a journal line holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

OK, INFEASIBLE, INVALID, ERROR = "ok", "infeasible", "invalid", "error"
STATUSES = (OK, INFEASIBLE, INVALID, ERROR)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Price of a scenario, or the reason why there is none.

    Parameters
    ----------
    status
        ok; infeasible (no placement); invalid (the combination makes no fabric or job); error (a defect of topoplan).
    gpus, hosts
        Usable GPUs of the fabric before the failure, and hosts that the job then uses.
    tokens
        Tokens of a step; 0 where the job does not say.
    uplink_bytes_per_s
        Of all uplinks for each usable GPU before the failure, each direction: what a 1:1 tier adds to is the NIC.
    before_ms
        Exposed time before the failure; as `exposed_ms` without one.
    moved
        Ranks that change their GPU after the failure.
    method
        How the placement was found.
    """

    status: str
    reason: str = ""
    ranks: int = 0
    gpus: int = 0
    hosts: int = 0
    tokens: int = 0
    nic_bytes_per_s: float = 0.0
    uplink_bytes_per_s: float = 0.0
    exposed_ms: float | None = None
    ideal_ms: float | None = None
    before_ms: float | None = None
    busiest_nic_ms: float | None = None
    busiest_uplink_ms: float | None = None
    busiest_uplink: str = ""
    hop_bytes: float | None = None
    moved: int = 0
    method: str = ""
    axes_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is a price."""
        return self.status == OK

    def record(self) -> dict[str, Any]:
        """Plain data that `from_record` reads back."""
        return asdict(self)


def from_record(data: object) -> Outcome:
    """Outcome of plain data; ValueError where it is not one."""
    if not isinstance(data, dict) or data.get("status") not in STATUSES:
        raise ValueError("not an outcome")
    try:
        return Outcome(**data)
    except TypeError as error:
        raise ValueError(str(error)) from None
