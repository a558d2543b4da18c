"""Place experts: the entry, which reads as a table of contents."""

from __future__ import annotations

import numpy as np

from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.assignment import Hosts
from topoplan.solvers.experts.balance import balance_rows
from topoplan.solvers.experts.bound import even_bound
from topoplan.solvers.experts.dispatch import balance_with_weights, spread_tokens
from topoplan.solvers.experts.domains import balance_across
from topoplan.solvers.experts.even_hosts import balance_evenly
from topoplan.solvers.experts.grouped import balance_groups
from topoplan.solvers.experts.moves import change_little
from topoplan.solvers.experts.network import place_soft
from topoplan.solvers.experts.pairs import in_pairs, pairs_bound
from topoplan.solvers.experts.pairs_weighted import weighted_pairs_bound
from topoplan.solvers.experts.part import Part, parts_of, to_map
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
        No expert twice on a GPU where that is avoidable; `lower_bound` and `max_load` (load over speed) are those of
        its mode: even split or weights, any host or groups whole.

    Raises
    ------
    InfeasibleError
        Groups do not fit whole on hosts, copies cannot be kept apart, or `max_moves` is too small for what has to move.
    """
    if problem.routes is not None and not problem.groups:
        return place_soft(problem, params)
    expert = np.full((problem.layers, len(problem.slot_gpu)), EMPTY, np.int64)
    tokens, bound = np.zeros(expert.shape), np.zeros(problem.layers)
    for part in parts_of(problem):
        rows, bound[part.layers] = _fresh(part, problem, params)
        if problem.previous is not None:
            rows = change_little(part, rows, bound[part.layers], problem, params)
        if problem.weighted:
            rows, shares = _weigh(part, rows, bound[part.layers], problem, params)
            if in_pairs(part.slots, part.speed):
                unit = float(part.speed[0])
                reached = (shares.sum(2) / unit).max(1)
                low, gpus = bound[part.layers], len(part.gpus)
                bound[part.layers] = weighted_pairs_bound(part.load / unit, gpus, low, reached)
            to_map(part, shares, problem.slot_gpu, tokens)
        to_map(part, rows, problem.slot_gpu, expert)
    even = assemble(problem, expert, bound, None)
    if not problem.weighted:
        return even
    dispatch = token_weights(expert, tokens, problem)
    mine = assemble(problem, expert, bound, dispatch)
    assert mine.max_load is not None
    assert even.max_load is not None
    # weights are fitted step by step: where an expert fills most slots they can end above even use
    worse = mine.max_load > even.max_load
    return assemble(problem, expert, bound, np.where(worse[:, None], expert >= 0, dispatch)) if worse.any() else mine


def assemble(
    problem: ExpertProblem, expert: IntArray, bound: FloatArray, dispatch: FloatArray | None
) -> ExpertPlacement:
    """The placement of a [layers, slots] map, with the load that it leads to."""
    placement = ExpertPlacement(
        gpus=problem.gpus,
        physical_to_logical_map=expert,
        experts=problem.experts,
        slot_gpu=problem.slot_gpu,
        dispatch=dispatch,
        lower_bound=bound,
    )
    return placement.with_max_load(problem.load, problem.speed)


def _fresh(part: Part, problem: ExpertProblem, params: ExpertParams) -> tuple[IntArray, FloatArray]:
    """Experts [rows, live, places] int64 and bound [rows] float64 without regard to a previous placement."""
    if problem.groups:
        size = problem.experts // problem.groups
        hosts = Hosts.of(part.host, part.slots, part.speed, problem.groups, size)
        rows, _, bound = balance_groups(part.load, problem.groups, hosts, params)
        return rows, bound
    if problem.across is not None:
        return balance_across(part, problem.across)
    bound = even_bound(part.load, int(part.slots.sum()), part.speed)
    alike = _alike(part) if problem.previous is None and not problem.weighted else None
    if alike is None:
        rows, value = balance_rows(part.load, part.slots, part.speed, bound, params)
    else:
        rows, value = balance_evenly(part.load, part.slots, part.speed, bound, alike, params)
    if in_pairs(part.slots, part.speed) and not problem.weighted:
        unit = float(part.speed[0])
        bound = pairs_bound(part.load / unit, len(part.gpus), bound, value)
    return rows, bound


def _alike(part: Part) -> IntArray | None:
    """[hosts, gpus of a host] int64 where several hosts are alike and GPUs have more than two slots, else None."""
    gpus = np.bincount(np.unique(part.host, return_inverse=True)[1])
    if len(gpus) < 2 or part.places < 3 or any((x != x[0]).any() for x in (gpus, part.slots, part.speed)):
        return None
    return np.argsort(part.host, kind="stable").reshape(len(gpus), -1)


def _weigh(
    part: Part, rows: IntArray, bound: FloatArray, problem: ExpertProblem, params: ExpertParams
) -> tuple[IntArray, FloatArray]:
    """Experts and tokens of each copy, [rows, live, places]; experts stay where a rule or a previous plan put them."""
    if problem.groups or problem.previous is not None or problem.across is not None:
        tokens, _ = spread_tokens(part.load, rows, part.speed, bound, params.weighted_tolerance)
        return rows, tokens
    rows, tokens, _ = balance_with_weights(part.load, rows, part.speed, bound, params)
    return rows, tokens


def token_weights(expert: IntArray, tokens: FloatArray, problem: ExpertProblem) -> FloatArray:
    """[layers, slots] float64 share of its expert's tokens, even where there are none."""
    held = np.take_along_axis(problem.load, np.maximum(expert, 0), 1)
    return np.where(held > 0, tokens / np.maximum(held, np.finfo(float).tiny), (expert >= 0).astype(np.float64))
