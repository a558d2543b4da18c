"""Place ranks: plain orders first, then refinement on the graph of hosts, and a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.price import floors, predict
from topoplan.model.fabric import IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.anneal import anneal
from topoplan.solvers.ranks.blocks import Blocks, contract
from topoplan.solvers.ranks.bound import certificate, exposed_bound_ms, hop_bytes_bound, largest_groups
from topoplan.solvers.ranks.orders import baseline_orders, block_orders, fill, one_component, selections, usable_hosts
from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, RankSolution, Watch, keep_going
from topoplan.solvers.ranks.steer import Steering

SAME = 1e-3  # plans within 0.1 % of the objective are told apart by the other objectives


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A placement with its price and how it was found."""

    method: str
    gpu: IntArray
    prediction: Prediction


def solve_ranks(problem: RankProblem, params: RankParams | None = None, watch: Watch = keep_going) -> RankSolution:
    """Find a placement no worse in the objective than any baseline, better where the work allows.

    Raises
    ------
    InfeasibleError
        When the problem is built: too few usable GPUs.
    """
    params = params or RankParams()
    baselines = _baselines(problem)
    best = min(baselines, key=lambda c: _key(problem, c.prediction))
    for candidate in _plain(problem, watch):
        best = _better(problem, best, candidate)
    refined = _refine(problem, best, params, watch)
    best = _better(problem, best, refined) if refined else best
    return RankSolution(
        best.gpu,
        best.prediction,
        {c.method: c.prediction for c in baselines},
        certificate(_values(best.prediction), _bounds(problem, best)),
        best.method,
    )


def _candidate(problem: RankProblem, method: str, gpu: IntArray) -> _Candidate:
    return _Candidate(method, gpu, predict(problem.fabric, problem.traffic, gpu))


def _values(price: Prediction) -> dict[str, float]:
    return {"hop_bytes": price.hop_bytes, "exposed_ms": price.exposed_ms}


def _key(problem: RankProblem, price: Prediction) -> tuple[float, ...]:
    parts = {"exposed_ms": price.exposed_ms, "busiest_uplink": price.busiest_uplink_ms, "hop_bytes": price.hop_bytes}
    return (parts.pop(problem.objective), *parts.values())


def _better(problem: RankProblem, best: _Candidate, new: _Candidate) -> _Candidate:
    """The better of two: by the objective, and among equals within 0.1 % by the others, never losing any of it."""
    a, b = _key(problem, best.prediction), _key(problem, new.prediction)
    return new if b < a else best


def _baselines(problem: RankProblem) -> list[_Candidate]:
    orders = baseline_orders(problem)
    return [_candidate(problem, name, fill(problem, one_component(problem, hosts))) for name, hosts in orders.items()]


def _plain(problem: RankProblem, watch: Watch) -> list[_Candidate]:
    """Every selection of hosts in its plain order, and the best of them with the axes of the rank grid permuted."""
    found = [_candidate(problem, name, fill(problem, hosts)) for name, hosts in selections(problem)]
    best = min(found, key=lambda c: _key(problem, c.prediction))
    block, hosts = _blocks_of(problem, best.gpu)
    sizes = np.bincount(block)
    if len(np.unique(sizes)) > 1:
        return found
    arcs = contract(problem.fabric, problem.traffic, block, len(hosts))
    gpus = best.gpu.reshape(len(hosts), -1)
    for name, order in block_orders(arcs.src, arcs.dst, len(hosts)):
        if not watch(Progress("plain orders", 0.0, best.prediction.exposed_ms, 0.0)):
            break
        moved = np.empty_like(gpus)
        moved[order] = gpus
        found.append(_candidate(problem, f"{best.method}, {name}", moved.ravel()))
    return found


def _blocks_of(problem: RankProblem, gpu: IntArray) -> tuple[IntArray, IntArray]:
    """Block of each rank (its host, numbered by first use), and the host of each block."""
    host = problem.fabric.gpu_host[gpu]
    hosts, first, index = np.unique(host, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(hosts), np.int64)
    number[order] = np.arange(len(hosts))
    return np.asarray(number[index], np.int64), np.asarray(hosts[order], np.int64)


def _contracted(problem: RankProblem, gpu: IntArray) -> tuple[Blocks, IntArray]:
    """Contracted job of a placement with spare hosts as empty blocks, and the host of each block."""
    block, hosts = _blocks_of(problem, gpu)
    spare = np.setdiff1d(one_component(problem, usable_hosts(problem)), hosts)
    return contract(problem.fabric, problem.traffic, block, len(hosts) + len(spare)), np.concatenate([hosts, spare])


def _refine(problem: RankProblem, start: _Candidate, params: RankParams, watch: Watch) -> _Candidate | None:
    fabric, traffic = problem.fabric, problem.traffic
    if fabric.islands or not fabric.groups:
        return None  # NIC loads depend on the place of a block where islands are wider than hosts
    blocks, place = _contracted(problem, start.gpu)
    if not blocks.axes:
        return None
    floor = floors(fabric, traffic, start.gpu)
    state = Steering(fabric, blocks, place, floor, traffic.exposure, problem.objective)
    kind = fabric.host_type[place] * (int(fabric.host_gpus.max()) + 1) + problem.free[place]
    moved, _ = anneal(state, place, kind, params.proposals, params.seed, watch)
    gpu = _follow(problem, start.gpu, place, moved)
    return _candidate(problem, f"{start.method}, refined", gpu)


def _follow(problem: RankProblem, gpu: IntArray, place: IntArray, moved: IntArray) -> IntArray:
    """GPU of each rank after each block went from its host in `place` to that in `moved`, in the order of GPUs."""
    fabric = problem.fabric
    usable = np.flatnonzero(fabric.gpu_free & (problem.free[fabric.gpu_host] > 0))
    first = np.searchsorted(fabric.gpu_host[usable], np.arange(len(fabric.hosts)))
    to = np.arange(len(fabric.hosts))
    to[place] = moved
    host = fabric.gpu_host[gpu]
    nth = np.searchsorted(usable, gpu) - first[host]
    return np.asarray(usable[first[to[host]] + nth], np.int64)


def _bounds(problem: RankProblem, best: _Candidate) -> dict[str, float]:
    fabric, traffic = problem.fabric, problem.traffic
    blocks, hosts = _contracted(problem, best.gpu)
    hops = 0.0 if fabric.islands else hop_bytes_bound(fabric, blocks, largest_groups(fabric, hosts))
    return {
        "hop_bytes": min(hops, best.prediction.hop_bytes),
        "exposed_ms": exposed_bound_ms(floors(fabric, traffic, best.gpu), traffic.exposure),
    }
