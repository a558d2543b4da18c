"""Place all layers on the network from a routing trace, and judge any placement by one."""

from __future__ import annotations

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.homes import choose_homes
from topoplan.solvers.experts.part import Part
from topoplan.solvers.experts.problem import ExpertProblem
from topoplan.solvers.experts.routes import Routes, Visits, source_loads, source_shares
from topoplan.solvers.experts.soft import Layer
from topoplan.solvers.experts.soft_search import FARES, SoftPlan, plan_layer

MARGIN = 0.998  # of the budget: what a plan saves on its own trace it does not quite save on another


def plan_soft(part: Part, problem: ExpertProblem, min_balance: float | None) -> list[SoftPlan]:
    """Plan each layer of a part: best balance at no more remote hosts a token than whole groups would give.

    Parameters
    ----------
    min_balance
        Instead: fewest remote hosts a token at this balance (mean over largest load).
    """
    routes = problem.routes
    assert routes is not None
    node = routes.nodes(problem.host)
    hosts = len(np.unique(problem.host))
    index = np.searchsorted(np.unique(problem.host), part.host)
    room = np.bincount(index, part.slots, hosts).astype(np.int64)
    power = np.bincount(index, part.speed, hosts).astype(np.float64)
    plans, from_host = [], source_shares(node, problem.host)
    for load, k in zip(part.load, part.layers, strict=True):
        ids = routes.expert_ids[k].astype(np.int64)
        unit = load * part.speed.sum() / load.sum()
        by_source, pooled = source_loads(ids, node, unit, from_host)
        visits = Visits(ids, node, from_host, problem.experts, pooled)
        homes = choose_homes(visits, unit, room, power)
        sent = (homes.host[:, None] == np.arange(hosts)).astype(np.float64)
        cost, _ = visits.marginal(np.broadcast_to(sent, (hosts, *sent.shape)))
        layer = Layer(by_source, part.slots, index, part.speed, cost, FARES[0])
        plans.append(plan_layer(layer, visits, homes, homes.budget * MARGIN, min_balance))
    return plans


def remote_hosts(placement: ExpertPlacement, routes: Routes, host: IntArray) -> FloatArray:
    """[layers] float64 expected hosts, other than its own, that a token visits under the placement's dispatch.

    Parameters
    ----------
    host
        [gpus] int64 host of each GPU.
    """
    names, index = np.unique(host, return_inverse=True)
    node, p2l = routes.nodes(host), placement.physical_to_logical_map
    result, share = np.zeros(placement.layers), np.bincount(node, minlength=len(names)) / len(node)
    for k in range(placement.layers):
        ids = routes.expert_ids[k].astype(np.int64)
        used = p2l[k] >= 0
        sent = np.zeros((len(names), placement.experts, len(names)))
        for n in range(len(names)):
            part_of = placement.node_shares(n)[k][used]
            np.add.at(sent[n], (p2l[k][used], index[placement.slot_gpu[used]]), part_of)
        result[k] = Visits(ids, node, share, placement.experts, False).marginal(sent)[1]
    return result
