"""How far the draw of the hashes may move an expected time."""

from __future__ import annotations

import math

from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.plan import Prediction
from topoplan.model.traffic import Traffic

DRAWS = 24  # hashings that a user may average over (a job's restarts); assumed
SPREAD = 0.7  # standard deviation of the slowest link of one hashing, in queue pairs; assumed, as seen in simulation
SIGMAS = 1.5  # gains below so many standard deviations are not told from luck


def luck_ms(fabric: Fabric, traffic: Traffic, price: Prediction, floors_s: FloatArray) -> float:
    """Milliseconds by which two placements must differ before one is called better.

    The slowest link of an axis carries a whole number of queue pairs, so its mean over some hashings moves by a share
    of one queue pair's time, and by no more than the axis is slower than its NVLinks and NICs (`floors_s` [axes]).
    """
    live = fabric.uplink_link_bandwidth[fabric.uplink_links > 0]
    if fabric.routing == "adaptive" or not len(live):
        return 0.0
    variance = 0.0
    for a, name in enumerate(traffic.axes):
        flows = traffic.by_axis[a]
        if len(flows):
            pair_s = float(traffic.bytes[flows].max()) / fabric.planes / QUEUE_PAIRS / float(live.max())
            weight_ms = 1e3 * float(traffic.exposure[a])
            slower_ms = max(0.0, price.axes.get(name, 0.0) - weight_ms * float(floors_s[a]))
            variance += (SPREAD * min(weight_ms * pair_s, slower_ms)) ** 2
    return SIGMAS * math.sqrt(2 * variance / DRAWS)
