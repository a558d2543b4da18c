"""What the search steers by: incremental values against recomputed ones, and prices of states against full prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.cost.price import floors, hop_bytes, host_distance, predict
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.bounds.boundary import Graph
from topoplan.solvers.ranks.compact.cliques import Seats, cliques
from topoplan.solvers.ranks.compact.hops import Layout, Swapper
from topoplan.solvers.ranks.compact.leveller import Leveller
from topoplan.solvers.ranks.compact.search import Compactor
from topoplan.solvers.ranks.problem import keep_going
from topoplan.solvers.ranks.steering.blocks import Blocks, contract
from topoplan.solvers.ranks.steering.pricer import Pricer
from topoplan.solvers.ranks.steering.steer import Steering

LEAVES = [3, 5, 4, 6, 6]


def contracted(fabric: Fabric, job: Traffic) -> Blocks:
    gpus = fabric.host_types[0].gpus
    ranks = np.arange(job.ranks)
    return contract(fabric, job, ranks // gpus, len(fabric.hosts), fabric.gpu_rail[ranks])


def pricer_of(fabric: Fabric, job: Traffic) -> Pricer:
    return Pricer(fabric, contracted(fabric, job), floors(fabric, job, np.arange(job.ranks)), job.exposure)


def placed(fabric: Fabric, host: IntArray, ranks: int) -> IntArray:
    """GPU of each rank when block x is on host[x]."""
    gpus = fabric.host_types[0].gpus
    r = np.arange(ranks)
    return host[r // gpus] * gpus + r % gpus


@pytest.mark.parametrize("routing", ["ecmp", "adaptive"])
@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (1, 8, 6, 0), (2, 12, 2, 0)])
def test_swaps_keep_the_value_that_a_recount_gives(
    fabrics: Fabrics, grid_jobs: Jobs, shape: tuple[int, int, int, int], routing: str
) -> None:
    fabric = fabrics(LEAVES, 3, routing=routing)
    pricer = pricer_of(fabric, grid_jobs(*shape))
    rng = np.random.default_rng(0)
    host = np.arange(len(fabric.hosts))
    state = Steering(pricer, host, "exposed_ms")
    start, first = state.value, state._components()
    swaps = []
    for _ in range(30):
        x, y, z, w = rng.choice(len(host), 4, replace=False).tolist()
        swaps.append([(x, y), (z, w)])
        before, counts, log = state.value, list(state.count), [row.copy() for row in state.log]
        state.swap(swaps[-1])
        state.undo()
        assert (state.value, state.count) == (before, counts)
        assert all((a == b).all() for a, b in zip(state.log, log, strict=True))
        assert before + state.swap(swaps[-1]) == pytest.approx(state.value)
    assert state._components() == pytest.approx(pricer.parts(np.array(state.group)), rel=1e-9)
    for pairs in reversed(swaps):
        state.swap(pairs)
    assert state.value == pytest.approx(start)
    assert state._components() == pytest.approx(first)


@pytest.mark.parametrize("routing", ["ecmp", "adaptive"])
@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (1, 8, 6, 0), (1, 12, 4, 0), (2, 12, 2, 0)])
def test_price_of_a_state_is_the_price_of_its_placement(
    fabrics: Fabrics, grid_jobs: Jobs, shape: tuple[int, int, int, int], routing: str
) -> None:
    """With one GPU's ring leaving a host by one rail only (tp 1), too."""
    fabric = fabrics(LEAVES, 3, routing=routing)
    job = grid_jobs(*shape)
    pricer = pricer_of(fabric, job)
    for seed in range(3):
        host = np.random.default_rng(seed).permutation(len(fabric.hosts))
        gpu = placed(fabric, host, job.ranks)
        exposed, _, above = pricer.parts(fabric.host_group[host])
        price = predict(fabric, job, gpu)
        inside = sum(p for name, p in price.axes.items() if name not in {job.axes[a.index] for a in pricer.blocks.axes})
        assert exposed + inside == pytest.approx(price.exposed_ms, rel=0.01)
        near = hop_bytes(fabric, job, gpu) - above
        assert near == pytest.approx(10.0 * float(pricer.blocks.bytes.sum()))


def layout_of(fabric: Fabric, graph: Graph) -> tuple[Layout, IntArray]:
    group = np.unique(fabric.host_group, return_inverse=True)[1]
    host = np.unique(group, return_index=True)[1]
    apart: FloatArray = host_distance(fabric, host[:, None], host[None, :]) - 10.0
    return Layout(graph, np.zeros(len(fabric.hosts), np.int64), apart), group


def test_swapper_keeps_its_value(fabrics: Fabrics, random_jobs: Jobs) -> None:
    fabric = fabrics(LEAVES, 3)
    layout, group = layout_of(fabric, Graph.of(contracted(fabric, random_jobs(44, 150, 1))))
    swapper = Swapper(layout, group, 3)
    start = swapper.value
    swapper.run(3000, 1e11, 1e8)
    end = np.array(swapper.at)
    assert swapper.value == pytest.approx(layout.hops(end))
    assert swapper.value < start
    assert (np.bincount(end) == np.bincount(group)).all()


def test_leveller_keeps_its_loads_and_lowers_the_busiest(fabrics: Fabrics, random_jobs: Jobs) -> None:
    fabric = fabrics(LEAVES, 3)
    graph = Graph.of(contracted(fabric, random_jobs(44, 150, 2)))
    layout, group = layout_of(fabric, graph)
    above = np.array([np.arange(5), 5 + np.array([0, 0, 0, 1, 1])])
    leveller = Leveller(layout, group, 0, above, np.full(7, 1e-12))
    begun = leveller.busiest_s
    leveller.level(3000, 1e11, 1e8, begun * 0.8)
    fresh = Leveller(layout, np.array(leveller.at), 0, above, np.full(7, 1e-12))
    assert leveller.load == pytest.approx(fresh.load)
    assert leveller.value == pytest.approx(fresh.value)
    assert leveller.busiest_s < begun


def test_exchanged_cliques_stay_whole_and_come_near(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    """Six cliques of four hosts on six leaves, shuffled: exchanging brings the pipeline's neighbours together."""
    fabric = fabrics([4] * 6, 2)
    blocks = contracted(fabric, grid_jobs(1, 8, 6, 8))
    members = np.array(cliques(blocks))
    assert members.shape == (6, 4)
    layout, group = layout_of(fabric, Graph.of(blocks))
    leaf = np.arange(6)
    seats = Seats(layout, members, [(leaf, 10.0), (leaf // 2, 20.0)])
    place = group.copy()
    place[members] = np.array([0, 2, 4, 1, 3, 5])[:, None]
    moved = seats.exchange(place, 2000, 0, (1.0, 0.01))
    assert (moved[members] == moved[members[:, :1]]).all()
    assert layout.hops(moved) < layout.hops(place)
    assert layout.hops(moved) == pytest.approx(layout.hops(group))


def test_split_cliques_send_their_blocks_where_they_talk(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric = fabrics([6, 6], 2)
    job = grid_jobs(1, 8, 3, 8)
    blocks = contracted(fabric, replace(job, bytes=np.where(job.axis == 2, 20e9, job.bytes)))
    layout, group = layout_of(fabric, Graph.of(blocks))
    # whole cliques 0 and 2 in two leaves, clique 1 split the wrong way round on both sides of its pipeline
    members = np.arange(12).reshape(3, 4)
    seats = Seats(layout, members, [(np.arange(2), 10.0)])
    place = group.copy()
    place[members] = np.array([[0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
    moved = seats.match(place)
    assert layout.hops(moved) < layout.hops(place)
    assert (np.bincount(moved) == np.bincount(place)).all()


def test_each_rail_carries_what_it_carries(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    """A ring in one direction leaves hosts of two GPUs by one rail only; all rails together carry all bytes."""
    fabric = fabrics(LEAVES, 3)
    job = grid_jobs(1, 8, 6)
    forward = replace(job, bytes=np.where((job.axis == 1) & (job.dst % 8 == (job.src + 1) % 8), job.bytes, 0.0))
    blocks = contracted(fabric, forward)
    assert [arcs.rails for arcs in blocks.axes] == [1]
    carried = sum(float((a.pairs * a.steps).sum()) * a.step_bytes * a.rails for a in blocks.axes)
    assert carried == pytest.approx(float(blocks.bytes.sum()))
    averaged = contract(fabric, forward, np.arange(job.ranks) // 2, len(fabric.hosts))
    assert [arcs.rails for arcs in averaged.axes] == [2]


def test_blocks_go_to_hosts_of_their_kind(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric = fabrics(LEAVES, 3)
    kind = np.random.default_rng(0).integers(0, 2, len(fabric.hosts))  # of each host
    place = np.random.default_rng(1).permutation(len(fabric.hosts))
    compactor = Compactor(fabric, contracted(fabric, grid_jobs(2, 4, 6)), place, kind[place], 0)
    host = compactor.search(20_000, keep_going, 0.05)
    assert sorted(host.tolist()) == list(range(len(host)))
    assert (kind[host] == kind[place]).all()
    assert (host != place).any()
