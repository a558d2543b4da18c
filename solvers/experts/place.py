"""Place experts: the entry, which reads as a table of contents."""

from __future__ import annotations

import numpy as np

from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import IntArray
from topoplan.solvers.experts.assignment import Hosts
from topoplan.solvers.experts.balance import balance_rows
from topoplan.solvers.experts.bound import even_bound
from topoplan.solvers.experts.grouped import balance_groups
from topoplan.solvers.experts.pairs import in_pairs, pairs_bound
from topoplan.solvers.experts.problem import ExpertParams, ExpertProblem

DEFAULT = ExpertParams()


def place(problem: ExpertProblem, params: ExpertParams = DEFAULT) -> ExpertPlacement:
    """Choose copies of experts and their GPUs so that the busiest GPU of each layer has as little as can be.

    Parameters
    ----------
    problem
        Loads, slots, hosts and rules.
    params
        How hard to try.

    Returns
    -------
    placement
        No expert twice on a GPU where that is avoidable; `lower_bound` and `max_load` are those of its mode.
    """
    expert = np.full((problem.layers, len(problem.slot_gpu)), EMPTY, np.int64)
    bound, value = np.zeros(problem.layers), np.zeros(problem.layers)
    for layers, slots in layouts(problem):
        live = np.flatnonzero(slots)
        load, speed = problem.load[layers], problem.speed[live]
        if problem.groups:
            hosts = Hosts.of(problem.host[live], slots[live], speed, problem.groups, problem.experts // problem.groups)
            rows, value[layers], bound[layers] = balance_groups(load, problem.groups, hosts, params)
        else:
            bound[layers] = even_bound(load, int(slots.sum()), speed)
            rows, value[layers] = balance_rows(load, slots[live], speed, bound[layers], params)
            if in_pairs(slots[live], speed):
                unit = float(speed[0])
                bound[layers] = pairs_bound(load / unit, len(live), bound[layers], value[layers])
        write_rows(expert, layers, rows, live, problem)
    return ExpertPlacement(
        gpus=problem.gpus,
        physical_to_logical_map=expert,
        experts=problem.experts,
        slot_gpu=problem.slot_gpu,
        lower_bound=bound,
        max_load=value,
    )


def layouts(problem: ExpertProblem) -> list[tuple[IntArray, IntArray]]:
    """Layers that have the same slots, with those: [(layers int64, [gpus] int64)]."""
    kinds, kind = np.unique(problem.layer_slots, axis=0, return_inverse=True)
    return [(np.flatnonzero(kind.ravel() == k), slots) for k, slots in enumerate(kinds)]


def write_rows(expert: IntArray, layers: IntArray, rows: IntArray, gpus: IntArray, problem: ExpertProblem) -> None:
    """Write [rows, len(gpus), places] experts into the [layers, slots] map."""
    first = np.searchsorted(problem.slot_gpu, gpus)
    room = problem.layer_slots.max(0)[gpus]
    slot = first[:, None] + np.arange(rows.shape[2])
    kept = np.arange(rows.shape[2]) < room[:, None]
    expert[layers[:, None], slot[kept]] = rows[:, kept]
