"""Place ranks on GPUs: `solve_ranks(RankProblem(fabric, traffic)) -> RankSolution`."""

from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, RankSolution, Watch, keep_going
from topoplan.solvers.ranks.solve import baselines, solve_ranks

__all__ = ["Progress", "RankParams", "RankProblem", "RankSolution", "Watch", "baselines", "keep_going", "solve_ranks"]
