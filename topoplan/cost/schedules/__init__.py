"""Pipeline schedules: how long a step's micro-batches take on p pipeline ranks, and what waiting is part of it.

Every schedule is a closed form over the work of each pipeline rank; the tests hold them against an event-by-event
simulation. F, B and W are the seconds of one micro-batch on a rank, all its virtual stages together: forward, gradient
of the inputs, gradient of the weights. They include whatever communication blocks the rank in between.
"""

from __future__ import annotations

from topoplan.cost.schedules.base import Pass, Schedule, Timing
from topoplan.cost.schedules.forms import SCHEDULES, schedule_named
from topoplan.cost.schedules.orders import wanting

__all__ = ["SCHEDULES", "Pass", "Schedule", "Timing", "schedule_named", "wanting"]
