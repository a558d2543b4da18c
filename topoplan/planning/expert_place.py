"""Place copies of experts: the one composer that the command and the API share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.solvers.experts import ExpertParams, ExpertProblem, place
from topoplan.solvers.experts.apart import keep_apart

MOVE_PRICE = 3e-4  # balance that a moved slot must gain: a fifth of the moves or less keeps 99 % of fresh balance


def place_copies(problem: ExpertProblem, move_price: float | None = None) -> ExpertPlacement:
    """Place experts, and keep copies of one on different hosts where that costs nothing.

    With copies on different hosts an engine that takes the nearest copy keeps the balance that even use would give.
    That is not done where something else says which host holds what: groups, a previous placement, a routing trace,
    or dispatch weights; failure domains have their own rule.

    Parameters
    ----------
    move_price
        Balance that each moved slot must gain, where there is a previous placement. None: `MOVE_PRICE` without a limit
        on moves; with one, moves are spent while they gain at all.

    Raises
    ------
    InfeasibleError
        As `topoplan.solvers.experts.place`.
    """
    if move_price is None:
        move_price = MOVE_PRICE if problem.previous is not None and problem.max_moves is None else 0.0
    placement = place(problem, ExpertParams(move_price=move_price))
    hosts = len(np.unique(problem.host))
    if hosts < 2 or problem.groups or problem.previous is not None or problem.across is not None or problem.weighted:
        return placement
    if placement.dispatch is not None:
        return placement
    return keep_apart(placement, problem.load, np.unique(problem.host, return_inverse=True)[1], problem.speed)


def without_rules(problem: ExpertProblem) -> ExpertProblem:
    """The problem without failure domains: what keeping copies apart is compared with."""
    return replace(problem, across=None)
