"""Replicate, pack and bound experts on GPUs."""

from topoplan.solvers.experts.network import remote_hosts
from topoplan.solvers.experts.place import place
from topoplan.solvers.experts.problem import ExpertParams, ExpertProblem
from topoplan.solvers.experts.routes import Routes

__all__ = ["ExpertParams", "ExpertProblem", "Routes", "place", "remote_hosts"]
