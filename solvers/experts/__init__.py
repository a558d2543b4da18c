"""Replicate, pack and bound experts on GPUs."""

from topoplan.solvers.experts.network import TradeOff, place_at, remote_hosts, trade_off
from topoplan.solvers.experts.place import place
from topoplan.solvers.experts.problem import Across, ExpertParams, ExpertProblem
from topoplan.solvers.experts.routes import Routes

__all__ = [
    "Across",
    "ExpertParams",
    "ExpertProblem",
    "Routes",
    "TradeOff",
    "place",
    "place_at",
    "remote_hosts",
    "trade_off",
]
