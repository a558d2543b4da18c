"""Place experts whose groups stay whole on a host: assign groups, then balance every host of every row at once."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.assignment import Hosts, alike, assign_groups, heaviest_first, price_way
from topoplan.solvers.experts.balance import balance_rows
from topoplan.solvers.experts.problem import ExpertParams


def balance_groups(
    load: FloatArray, groups: int, hosts: Hosts, params: ExpertParams
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Place copies of every expert of every row, each group whole on one host.

    Parameters
    ----------
    load
        [rows, experts] float64; the experts form `groups` consecutive groups of equal size.

    Returns
    -------
    expert
        [rows, gpus, places] int64, -1 where a GPU has fewer slots than others.
    value, bound
        [rows] float64 load over speed of the largest GPU, and what that cannot go below under the rule.
    """
    by_group = load.reshape(len(load), groups, -1)
    ways, least, bound = assign_groups(by_group, hosts, params.assignments)
    expert = np.full((len(load), len(hosts.slots), int(hosts.slots.max())), -1, np.int64)
    value = np.full(len(load), np.inf)
    plain = heaviest_first(by_group.sum(2), hosts)
    tries = [*zip(ways.transpose(1, 0, 2), least.T, strict=True), (plain, price_way(by_group, hosts, plain))]
    for way, goal in tries:
        todo = np.flatnonzero((value > bound * (1 + params.enough)) & (goal < value))
        if not todo.size:
            break
        tried, reached = _balance_hosts(by_group[todo], way[todo], hosts, goal[todo], params)
        better = reached < value[todo]
        expert[todo[better]], value[todo[better]] = tried[better], reached[better]
    return expert, value, bound


def _balance_hosts(
    by_group: FloatArray, way: IntArray, hosts: Hosts, goal: FloatArray, params: ExpertParams
) -> tuple[IntArray, FloatArray]:
    """Experts and value of one assignment a row; hosts that are alike are balanced together.

    A host need not be better than the row's goal, which its fullest host sets.
    """
    rows, _, size = by_group.shape
    expert = np.full((rows, len(hosts.slots), int(hosts.slots.max())), -1, np.int64)
    value = np.zeros(rows)
    for k, row, h, group in alike(way, hosts):
        name = (group[:, :, None] * size + np.arange(size)).reshape(len(row), -1)
        load = by_group[row[:, None], group].reshape(len(row), -1)
        like = hosts.gpus[k]
        found, reached = balance_rows(load, hosts.slots[like], hosts.speed[like], goal[row], params)
        gpus = np.array([hosts.gpus[i] for i in h])
        named = np.where(found >= 0, np.take_along_axis(name[:, None], np.maximum(found, 0), 2), -1)
        expert[row[:, None], gpus, : found.shape[2]] = named
        np.maximum.at(value, row, reached)
    return expert, value
