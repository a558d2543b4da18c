"""Replicate, pack and bound experts on GPUs."""

from topoplan.solvers.experts.place import place
from topoplan.solvers.experts.problem import ExpertParams, ExpertProblem

__all__ = ["ExpertParams", "ExpertProblem", "place"]
