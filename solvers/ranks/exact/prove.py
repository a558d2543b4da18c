"""Run an exact solver on a small placement: a better one, or the proof that there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import Fabric, IntArray
from topoplan.solvers.ranks.exact.task import ExactResult, ExactTask, exact_task
from topoplan.solvers.ranks.problem import ExactParams
from topoplan.solvers.ranks.steering.blocks import Blocks


@dataclass(frozen=True, eq=False)
class Proof:
    """What is known of the fewest hop-bytes once an exact solver has run.

    Parameters
    ----------
    place
        [blocks.count] int64 host of each block in the best placement met.
    spared
        Hop-bytes that no placement saves more than, against the one given; infinite where the solver's space is
        narrower than that of the certificate.
    """

    place: IntArray
    spared: float


def prove(
    fabric: Fabric,
    blocks: Blocks,
    place: IntArray,
    free: IntArray,
    params: ExactParams,
    look: Callable[[float], bool] = lambda _: True,
) -> Proof | None:
    """Best placement of blocks on the hosts of `place`, and its bound; None where the exact model does not apply.

    Parameters
    ----------
    place
        [blocks.count] int64 host of each block, spare hosts as empty blocks behind the others.
    free
        [hosts] int64 GPUs that ranks may use.
    look
        Asked now and then with the hop-bytes that no placement saves more than, as far as proven; False stops it.
    """
    if blocks.used > params.blocks or not len(blocks.src):
        return None
    domain = np.array([kind.scale_up_gpus for kind in fabric.host_types], np.int64)[fabric.host_type[place]]
    kind = free[place] * (int(domain.max()) + 1) + domain
    task = exact_task(fabric, blocks, place, kind)
    if task is None:
        return None
    result = _solve(task, params, look)
    alike = len(np.unique(kind)) == 1
    spared = task.start_hop_bytes() - task.hop_bytes(result.lower_bound)
    return Proof(_hosts(task, result, place), spared if alike else float("inf"))


def _solve(task: ExactTask, params: ExactParams, look: Callable[[float], bool]) -> ExactResult:
    if params.solver:
        from topoplan.solvers.ranks.exact.ilp import solve_ilp  # noqa: PLC0415 - only for those who ask for it

        return solve_ilp(task, min(params.work, params.seconds_left), params.solver)
    from topoplan.solvers.ranks.exact.cpsat import Stop  # noqa: PLC0415 - large jobs never need these
    from topoplan.solvers.ranks.exact.plain import solve_cpsat  # noqa: PLC0415
    from topoplan.solvers.ranks.exact.sets import solve_sets  # noqa: PLC0415

    start = task.start_hop_bytes()
    stop = Stop(params.deadline, lambda bound: look(start - task.hop_bytes(max(bound, 0.0))))
    return solve_sets(task, params.work, params.seed, stop) or solve_cpsat(task, params.work, params.seed, stop)


def _hosts(task: ExactTask, result: ExactResult, place: IntArray) -> IntArray:
    """[blocks.count] int64 host of each block; blocks that keep their cell keep their host."""
    used = task.blocks
    stays = np.flatnonzero(result.cell == task.start)
    moved = np.full(len(place), -1, np.int64)
    moved[stays] = place[stays]
    free = np.ones(len(place), bool)
    free[stays] = False
    for b in np.setdiff1d(np.arange(used), stays):
        slot = np.flatnonzero(free & (task.host_cell == result.cell[b]))[0]
        moved[b], free[slot] = place[slot], False
    moved[used:] = place[free]
    return moved
