"""Place ranks on GPUs: `solve_ranks(RankProblem(fabric, traffic)) -> RankSolution`."""

from topoplan.solvers.ranks.problem import (
    PROOF,
    ExactParams,
    Progress,
    RankParams,
    RankProblem,
    RankSolution,
    Watch,
    keep_going,
)
from topoplan.solvers.ranks.solve import baselines, plain_placement, rate, solve_ranks

__all__ = [
    "PROOF",
    "ExactParams",
    "Progress",
    "RankParams",
    "RankProblem",
    "RankSolution",
    "Watch",
    "baselines",
    "keep_going",
    "plain_placement",
    "rate",
    "solve_ranks",
]
