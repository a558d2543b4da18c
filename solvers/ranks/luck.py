"""How far the draw of the hashes may move an expected time."""

from __future__ import annotations

import math

from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.plan import Prediction
from topoplan.model.traffic import Traffic

DRAWS = 24  # hashings that a user may average over (a job's restarts); assumed
SPREAD = 0.7  # standard deviation of the slowest link of one hashing, in queue pairs; assumed, as seen in simulation
SIGMAS = 1.28  # a gain is real nine times in ten (normal distribution, one-sided)


def luck_ms(fabric: Fabric, traffic: Traffic, first: Prediction, second: Prediction, floors_s: FloatArray) -> float:
    """Milliseconds by which two placements' prices must differ before one is called better.

    Parameters
    ----------
    floors_s
        [axes] float64 seconds of each axis on a network without collisions, which no hashing changes.
    """
    live = fabric.uplink_link_bandwidth[fabric.uplink_links > 0]
    if fabric.routing == "adaptive" or not len(live):
        return 0.0
    variance = 0.0
    for a, name in enumerate(traffic.axes):
        flows = traffic.by_axis[a]
        if not len(flows):
            continue
        weight_ms = 1e3 * float(traffic.exposure[a])
        pair_ms = weight_ms * float(traffic.bytes[flows].max()) / fabric.planes / QUEUE_PAIRS / float(live.max())
        for price in (first, second):
            slower_ms = max(0.0, price.axes.get(name, 0.0) - weight_ms * float(floors_s[a]))
            # a slowest link carries a whole number of queue pairs; an axis that is rarely slower than its floor is so
            # by a queue pair at a time
            variance += min((SPREAD * pair_ms) ** 2, slower_ms * pair_ms)
    return SIGMAS * math.sqrt(variance / DRAWS)
