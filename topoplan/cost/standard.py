"""Two standard jobs over a whole fabric, to say what an irregular part of it costs: closed form, any size.

The all-to-all sends one byte from each usable GPU to each other outside its NVLink domain. The all-reduce is a ring on
each rail over the hosts in physical order, one byte from each NIC to the next host's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topoplan.cost.routes import pooled
from topoplan.cost.switches import SwitchGraph
from topoplan.model.fabric import Fabric, FloatArray, IntArray

if TYPE_CHECKING:
    from topoplan.cost.switches import Sparse


def receivers(fabric: Fabric) -> FloatArray:
    """[hosts, rails] float64 usable GPUs of each host that are reached on each rail."""
    table = np.zeros((len(fabric.hosts), fabric.rails))
    free = np.flatnonzero(fabric.gpu_free & (fabric.gpu_nic >= 0))
    np.add.at(table, (fabric.gpu_host[free], fabric.gpu_rail[free]), 1.0)
    return table


def arrivals(fabric: Fabric, reach: FloatArray) -> FloatArray:
    """[hosts, rails] float64 share of `receivers` that each port serves: rails used together share by bandwidth."""
    return pooled(fabric, reach.ravel(), fabric.port_bandwidth).reshape(reach.shape)


def host_island(fabric: Fabric) -> IntArray:
    """[hosts] int64 number of the island that each host belongs to; a host of its own where there is none."""
    island = np.arange(len(fabric.hosts))
    for item in fabric.islands:
        island[list(item.hosts)] = min(item.hosts)
    return np.asarray(np.unique(island, return_inverse=True)[1], np.int64)


def all_to_all(fabric: Fabric, graph: SwitchGraph) -> list[Sparse]:
    """Bytes of the all-to-all from switch to switch, [switches, switches] for each plane."""
    reach = receivers(fabric)
    senders = reach.sum(1)
    island = host_island(fabric)
    senders_share = senders / len(graph.port_switch)
    return [_pairs(fabric, matrix, reach, senders_share, island) for matrix in graph.port_switch]


def _pairs(fabric: Fabric, matrix: Sparse, reach: FloatArray, senders: FloatArray, island: IntArray) -> Sparse:
    from scipy.sparse import csr_array  # noqa: PLC0415 - slow to import

    hosts, rails = reach.shape
    used = np.flatnonzero(matrix.sum(0) > 0)  # leaf switches: the matrix below is dense
    ports = matrix[:, used]
    joined: Sparse = csr_array((np.ones(hosts), (island, np.arange(hosts))), shape=(int(island.max()) + 1, hosts))
    has = fabric.port_bandwidth.reshape(hosts, rails) > 0
    whole = reach.sum(1)[:, None]
    own = np.divide(reach, whole, out=np.zeros_like(reach), where=whole > 0)
    total = np.zeros((len(used), len(used)))
    arriving = arrivals(fabric, reach)
    for rail in range(rails):
        # a host without a NIC on this rail sends by those beside its GPUs (as `Routes` does)
        share = np.where(has[:, [rail]], np.eye(rails)[rail], own) * senders[:, None]
        out = _by_island(joined, ports, share)
        into = _by_island(joined, ports, np.eye(rails)[rail] * arriving[:, [rail]])
        total += np.outer(out.sum(0), into.sum(0)) - (out.T @ into).toarray()
    rows, columns = np.nonzero(total > 0)
    return csr_array((total[rows, columns], (used[rows], used[columns])), shape=(matrix.shape[1],) * 2)


def _by_island(joined: Sparse, ports: Sparse, weight: FloatArray) -> Sparse:
    """[islands, leaf switches] bytes of the ports of each island, `weight` [hosts, rails] of each port."""
    from scipy.sparse import csr_array, diags_array  # noqa: PLC0415 - slow to import

    hosts, rails = weight.shape
    of_host: Sparse = csr_array(
        (np.ones(hosts * rails), (np.repeat(np.arange(hosts), rails), np.arange(hosts * rails)))
    )
    return (joined @ of_host @ diags_array(weight.ravel()) @ ports).tocsr()


def ring(fabric: Fabric) -> tuple[IntArray, IntArray]:
    """Ports (out, in) [flows] int64 of the all-reduce: each rail's ring over the usable hosts, in physical order."""
    island = host_island(fabric)
    present = (fabric.port_bandwidth.reshape(-1, fabric.rails) > 0) & (fabric.free_gpus > 0)[:, None]
    out, into = [], []
    for rail in range(fabric.rails):
        hosts = np.flatnonzero(present[:, rail])
        after = np.roll(hosts, -1)
        apart = island[hosts] != island[after]
        out.append(hosts[apart] * fabric.rails + rail)
        into.append(after[apart] * fabric.rails + rail)
    return np.concatenate(out), np.concatenate(into)
