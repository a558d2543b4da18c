"""What the real cables make of a placement, in words."""

from __future__ import annotations

from topoplan.cost.exact import ExactPrice, exact_price
from topoplan.errors import InputError
from topoplan.model.placement import RankPlacement
from topoplan.model.traffic import Traffic
from topoplan.reports.amounts import milliseconds, quantity

_SAME = 1.005  # assumed: less above the tiers' figure is no difference worth words


def cable_summary(price: ExactPrice) -> str:
    """The busiest real link beside the figure of the tiers, in a sentence."""
    if price.unreachable_bytes:
        return f"{quantity(price.unreachable_bytes, 'B')} a step find no path over the cables that are listed."
    if not price.links:
        return "No bytes cross cables between switches."
    if price.worst_ms <= _SAME * price.tier_ms:
        return f"Real cables: the busiest is as the tiers say ({milliseconds(price.worst_ms)})."
    worst = f"Real cables: {price.links[0].link.removeprefix('link ')} takes {milliseconds(price.worst_ms)}"
    if not price.tier_ms:
        return f"{worst}, where the tiers see no uplink used."
    return (
        f"{worst}, {price.worst_ms / price.tier_ms:.2f} times the tiers' {milliseconds(price.tier_ms)}; the step with "
        f"perfect spreading {milliseconds(price.exact_ms)}, not {milliseconds(price.ideal_ms)}."
    )


def placement_cables(placement: RankPlacement, traffic: Traffic) -> str:
    """`cable_summary` of a placement, "" where its fabric lists no cables, or the reason they cannot be priced."""
    if not placement.fabric.links:
        return ""
    try:
        return cable_summary(exact_price(placement.fabric, traffic, placement.gpu))
    except InputError as error:
        return f"Real cables are not priced: {error}."
