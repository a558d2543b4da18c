"""States worth pricing link by link: tilings of the grid, snake bands, and cuts that weigh the axes differently.

Fewest bytes x distance is not least time: what an uplink costs depends on how its axis's flows hash, and an axis whose
NICs are slower than its uplinks costs nothing more for crossing them. So axes are also weighed down one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.compact.bands import QUICK, band_orders, coordinates
from topoplan.solvers.ranks.compact.search import Compactor
from topoplan.solvers.ranks.orders import tilings

LIGHT = 0.1  # weight of an axis that may cross uplinks; assumed, between what its floor and its bytes would say
ARCS = 300_000  # arcs priced together: more shapes where the job is small
FEWEST, MOST = 25, 300  # shapes of each family whatever the size


def shapes(compactor: Compactor) -> Iterator[tuple[str, IntArray]]:
    """Name and state ([blocks] int64 closest group of each block) of every shape; all hosts taken are of one kind."""
    blocks = compactor.blocks
    count = int(np.clip(ARCS // max(1, len(blocks.src)), FEWEST, MOST))

    def follow(order: IntArray) -> IntArray:
        state = compactor.group.copy()
        state[order] = compactor.group[: blocks.used]
        return state

    for scale in _scales(sorted({arcs.index for arcs in blocks.axes})):
        light = [str(a) for a, weight in scale.items() if weight < 1]
        yield f"cut{' light ' if light else ''}{'.'.join(light)}", replace(compactor, scale=scale).banded(QUICK)
    for name, order in _thinned([*tilings(blocks)], count):
        yield name, follow(order)
    for name, order in islice(band_orders(coordinates(compactor.sizes())), count):
        yield f"bands {name}", follow(order)


def _scales(axes: list[int]) -> Iterator[dict[int, float]]:
    """Weights of the axes: each in full or light, at least one in full; all in full first."""
    for weights in product((1.0, LIGHT), repeat=len(axes)):
        if max(weights) == 1.0:
            yield dict(zip(axes, weights, strict=True))


def _thinned(items: list[tuple[str, IntArray]], count: int) -> list[tuple[str, IntArray]]:
    """At most `count` items, evenly spread."""
    return items[:: max(1, -(-len(items) // count))]
