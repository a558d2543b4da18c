"""What a placement comes to: its price, its floors, the job contracted to its hosts. For `RankProblem.once`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.price import floors, least_latency, predict
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.bounds.uplinks import Crossing, crossings, uplink_floors
from topoplan.solvers.ranks.orders import one_component, usable_hosts
from topoplan.solvers.ranks.problem import RankProblem
from topoplan.solvers.ranks.steering.blocks import Blocks, contract


@dataclass(frozen=True, eq=False)
class Contraction:
    """A job contracted to the hosts of a placement.

    Parameters
    ----------
    blocks
        One for each host in use, by its first rank, then empty ones: spare hosts.
    place
        [blocks] int64 host of each block.
    block
        [ranks] int64 block of each rank.
    """

    blocks: Blocks
    place: IntArray
    block: IntArray


def price(problem: RankProblem, gpu: IntArray) -> Prediction:
    """Price of a placement."""
    return predict(problem.fabric, problem.traffic, gpu)


def floors_s(problem: RankProblem, gpu: IntArray) -> FloatArray:
    """[axes] float64 seconds of each axis's NVLinks and NICs."""
    return floors(problem.fabric, problem.traffic, gpu)


def least_s(problem: RankProblem, gpu: IntArray) -> FloatArray:
    """[axes] float64 seconds of each axis on a network without collisions: NVLinks, NICs and latency."""
    return problem.once(floors_s, gpu) + least_latency(problem.fabric, problem.traffic, gpu)


def contraction(problem: RankProblem, gpu: IntArray) -> Contraction:
    """The job contracted to the hosts of a placement."""
    fabric = problem.fabric
    hosts, first, index = np.unique(fabric.gpu_host[gpu], return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(hosts), np.int64)
    number[order] = np.arange(len(hosts))
    spare = np.setdiff1d(one_component(problem, usable_hosts(problem)), hosts)
    block, place = np.asarray(number[index], np.int64), np.concatenate([hosts[order], spare])
    return Contraction(contract(fabric, problem.traffic, block, len(place), fabric.gpu_rail[gpu]), place, block)


def bound_s(problem: RankProblem, gpu: IntArray) -> FloatArray:
    """[axes] float64 seconds that no placement of the same ranks together on hosts spares an axis."""
    near, crossing = problem.once(floors_s, gpu), problem.once(_crossings, problem.once(contraction, gpu).block)
    return uplink_floors(crossing, near) + least_latency(problem.fabric, problem.traffic, gpu)


def _crossings(problem: RankProblem, block: IntArray) -> list[list[Crossing]]:
    """Of blocks, not of a placement: all that keep the same ranks together share the answer."""
    hosts = one_component(problem, usable_hosts(problem))
    return crossings(problem.fabric, problem.traffic, block, hosts)


def kinds(problem: RankProblem, place: IntArray) -> IntArray:
    """[blocks] int64 kind of each host: only hosts of one type with equally many usable GPUs may swap."""
    width = int(problem.fabric.host_gpus.max()) + 1
    return np.asarray(problem.fabric.host_type[place] * width + problem.free[place], np.int64)


def follow(problem: RankProblem, gpu: IntArray, place: IntArray, moved: IntArray) -> IntArray:
    """GPU of each rank after each block went from its host in `place` to that in `moved`, in the order of GPUs."""
    fabric = problem.fabric
    usable = np.flatnonzero(fabric.gpu_free & (problem.free[fabric.gpu_host] > 0))
    first = np.searchsorted(fabric.gpu_host[usable], np.arange(len(fabric.hosts)))
    to = np.arange(len(fabric.hosts))
    to[place] = moved
    host = fabric.gpu_host[gpu]
    nth = np.searchsorted(usable, gpu) - first[host]
    return np.asarray(usable[first[to[host]] + nth], np.int64)
