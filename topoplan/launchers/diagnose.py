"""Why ranks are not where the plan says, told from the order in which they came.

Each check knows one thing that launchers do to an order. Several may fit (two hosts that changed places are sorted,
reversed and rotated); all are found, the likeliest first, and whoever knows the launcher picks what that one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from topoplan.launchers.base import Seat, Symptom
from topoplan.names import natural_key

_NAMED = 4  # hosts or ranks that a message names


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that fits what was observed.

    Parameters
    ----------
    host
        A host that shows it.
    detail
        What was seen, in words that name no launcher; "" when the symptom says it all.
    """

    symptom: Symptom
    host: str
    detail: str = ""


@dataclass(frozen=True)
class Orders:
    """A planned and an observed order, as the checks see them.

    Parameters
    ----------
    planned, seen
        Index of each rank's host; in `seen`, -1 for a host that the fabric does not have, None for a rank not seen.
    names
        Name of each host.
    planned_gpus
        GPU of each rank.
    seats
        What was observed, None for a rank not seen.
    """

    planned: Sequence[int]
    seen: Sequence[int | None]
    names: Sequence[str]
    planned_gpus: Sequence[int]
    seats: Sequence[Seat | None]

    @cached_property
    def wanted(self) -> list[int]:
        """Hosts in planned order."""
        return list(dict.fromkeys(self.planned))

    @cached_property
    def order(self) -> list[int]:
        """Hosts in the order in which they were seen."""
        return [host for host in dict.fromkeys(self.seen) if host is not None]

    def in_blocks(self) -> bool:
        """Whether no host comes back once its ranks have ended."""
        return 1 + sum(a != b for a, b in pairwise(self.seen)) == len(self.order)

    def first_name(self) -> str:
        """Name of the host of the first rank that was seen, as it called itself."""
        return next((seat.host for seat in self.seats if seat is not None), "")

    def listed(self, hosts: Sequence[int]) -> str:
        """Names of hosts for a message, the first few."""
        return ", ".join(self.names[h] for h in hosts[:_NAMED]) + (" ..." if len(hosts) > _NAMED else "")


def diagnose(orders: Orders) -> list[Finding]:
    """Everything that fits, likeliest first; never empty."""
    for check in (_foreign, _numbers, _gpus):
        found = check(orders)
        if found is not None:
            return [found]
    host = orders.first_name()
    checks = (*_CHECKS, *(_WHOLE_HOSTS if orders.in_blocks() else ()))
    details = [(symptom, check(orders)) for symptom, check in checks]
    found_all = [Finding(symptom, host, detail) for symptom, detail in details if detail is not None]
    return [*found_all, Finding(Symptom.OTHER, host)]


# ---- what settles the matter by itself ---------------------------------------------------------------------------


def _foreign(orders: Orders) -> Finding | None:
    used = set(orders.wanted)
    pairs = list(enumerate(orders.seen))
    rank = next((rank for rank, host in pairs if host is not None and host not in used), None)
    if rank is None:
        return None
    seat = orders.seats[rank]
    assert seat is not None
    missing = [h for h in orders.wanted if h not in set(orders.seen)]
    detail = f"nothing ran on {orders.listed(missing)}" if missing else ""
    return Finding(Symptom.FOREIGN_HOST, seat.host, detail)


def _numbers(orders: Orders) -> Finding | None:
    if len(orders.seen) > len(orders.planned):
        seat = orders.seats[len(orders.planned)]
        return Finding(Symptom.EXTRA, seat.host if seat else "", f"the plan has {len(orders.planned)} ranks")
    gone = [rank for rank in range(len(orders.planned)) if rank >= len(orders.seen) or orders.seen[rank] is None]
    if not gone:
        return None
    ranks = ", ".join(map(str, gone[:_NAMED])) + (" ..." if len(gone) > _NAMED else "")
    empty = [h for h in orders.wanted if h not in set(orders.seen)]
    hosts = f", and nothing ran on {orders.listed(empty)}" if empty else ""
    detail = f"rank{'s' if len(gone) > 1 else ''} {ranks} of {len(orders.planned)} did not report{hosts}"
    return Finding(Symptom.MISSING, orders.names[orders.planned[gone[0]]], detail)


def _gpus(orders: Orders) -> Finding | None:
    if list(orders.planned) != list(orders.seen):
        return None
    planned: dict[int, list[int]] = {}
    seen: dict[int, list[int | None]] = {}
    for host, gpu, seat in zip(orders.planned, orders.planned_gpus, orders.seats, strict=True):
        planned.setdefault(host, []).append(gpu)
        seen.setdefault(host, []).append(seat.gpu if seat else None)
    wrong = [h for h in planned if any(s not in (None, p) for s, p in zip(seen[h], planned[h], strict=True))]
    several = [h for h in wrong if len(seen[h]) > 1]
    detail = ""
    if wrong and all(seen[h] == list(range(len(seen[h]))) for h in wrong):
        detail = "local rank i is on GPU i, as without CUDA_VISIBLE_DEVICES"
    elif several and all(len(set(seen[h])) == 1 for h in several):
        detail = "all ranks of a host are on one GPU"
    elif wrong and all(seen[h] == planned[h][::-1] for h in wrong):
        detail = "the GPUs of each host are in reverse"
    elif wrong and all(set(seen[h]) == set(planned[h]) for h in wrong):
        first = wrong[0]
        detail = f"the planned GPUs in another order: {orders.names[first]} has {_row(seen[first])}"
        detail += f" where the plan has {_row(planned[first])}"
    return Finding(Symptom.GPU_ORDER, orders.names[wrong[0]] if wrong else "", detail)


def _row(gpus: Sequence[int | None]) -> str:
    return ",".join("?" if gpu is None else str(gpu) for gpu in gpus)


# ---- what launchers do to the order of hosts ---------------------------------------------------------------------
# Each returns what it saw in words ("" when its symptom says it all), None where it does not fit.


def _packed(orders: Orders) -> str | None:
    empty = [h for h in orders.wanted if h not in set(orders.seen)]
    return f"nothing ran on {orders.listed(empty)}" if empty else None


def _dealt(orders: Orders) -> str | None:
    order, seen = orders.order, orders.seen
    if not len(seen) > len(order) > 1 or list(seen) != [order[rank % len(order)] for rank in range(len(seen))]:
        return None
    return "" if order == orders.wanted else f"in the order {orders.listed(order)}"


def _blocks(orders: Orders) -> str | None:
    return "" if orders.order == orders.wanted else None


def _local_first(orders: Orders) -> str | None:
    first = orders.order[0]
    return "" if orders.order[1:] == [host for host in orders.wanted if host != first] else None


def _sorted(orders: Orders) -> str | None:
    shown = [orders.names[host] for host in orders.order]
    text, natural = shown == sorted(shown), shown == sorted(shown, key=natural_key)
    if text and not natural:
        at = next(i for i, (a, b) in enumerate(zip(shown, sorted(shown, key=natural_key), strict=True)) if a != b)
        return f"as text, {shown[at]} before {shown[at + 1]}"
    if natural and not text:
        return "by number"
    if text:
        return ""
    return "as text, in lower case" if shown == sorted(shown, key=str.lower) else None


def _reversed(orders: Orders) -> str | None:
    if orders.order == orders.wanted[::-1]:
        return ""
    shown = [orders.names[host] for host in orders.order]
    by_name = shown in (sorted(shown, reverse=True), sorted(shown, key=natural_key, reverse=True))
    return "sorted by name, the last first" if by_name else None


def _rotated(orders: Orders) -> str | None:
    by = _rotation(orders.wanted, orders.order)
    return None if by is None else f"the planned order, begun at its host number {by + 1}"


def _shifted(orders: Orders) -> str | None:
    by = _rotation(orders.planned, orders.seen)
    if by is None or orders.in_blocks():  # whole hosts: another symptom
        return None
    back = len(orders.planned) - by
    return f"each rank is where rank {'r+' + str(by) if by <= back else 'r-' + str(back)} should be"


def _rotation(wanted: Sequence[int], seen: Sequence[int | None]) -> int | None:
    """By how many places `seen` is `wanted` turned round, None when it is not."""
    if len(wanted) != len(seen) or list(wanted) == list(seen):
        return None
    starts = [by for by in range(1, len(wanted)) if wanted[by] == seen[0] and wanted[by - 1] == seen[-1]]
    return next((by for by in starts if [*wanted[by:], *wanted[:by]] == list(seen)), None)


Check = Callable[[Orders], str | None]

_CHECKS: tuple[tuple[Symptom, Check], ...] = (
    (Symptom.PACKED, _packed),
    (Symptom.ROUND_ROBIN, _dealt),
    (Symptom.SHIFTED, _shifted),
)
# Further ones where no host comes back once its ranks have ended: launchers that move hosts keep their ranks together.
_WHOLE_HOSTS: tuple[tuple[Symptom, Check], ...] = (
    (Symptom.BLOCKS, _blocks),
    (Symptom.LOCAL_FIRST, _local_first),
    (Symptom.SORTED, _sorted),
    (Symptom.REVERSED, _reversed),
    (Symptom.ROTATED, _rotated),
)
