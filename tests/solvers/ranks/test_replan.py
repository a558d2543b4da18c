"""Replanning ranks: nobody moves but the ranks of lost hosts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from topoplan.cost.price import predict
from topoplan.errors import InfeasibleError
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankProblem
from topoplan.solvers.ranks.replan import Previous, Replanned, replan_ranks

Make = Callable[..., Any]


def _lose(fabric: Fabric, *hosts: int) -> Fabric:
    gone = {(h, g) for h in hosts for g in range(int(fabric.host_gpus[h]))}
    return replace(fabric, unusable_gpus=fabric.unusable_gpus | gone)


def _replan(fabric: Fabric, traffic: Traffic, gpu: IntArray, spares: tuple[int, ...] = ()) -> Replanned:
    kept = Previous(fabric.gpu_host[gpu], fabric.gpu_local[gpu], np.array(spares, np.int64))
    done = replan_ranks(RankProblem(fabric, traffic), kept)
    assert len(set(done.gpu.tolist())) == traffic.ranks
    assert fabric.gpu_free[done.gpu].all()
    still = np.setdiff1d(np.arange(traffic.ranks), done.moved)
    assert (done.gpu[still] == gpu[still]).all()
    return done


def test_nothing_lost_nothing_moves(fabrics: Make, grid_jobs: Make) -> None:
    done = _replan(fabrics([4, 4], 2), grid_jobs(2, 4, 2), np.arange(16))
    assert (len(done.moved), done.lost_hosts) == (0, 0)


@pytest.mark.parametrize("lost", [[1], [0, 5], [2, 3, 4]])
def test_as_many_hosts_change_as_failed(lost: list[int], fabrics: Make, grid_jobs: Make) -> None:
    fabric = _lose(fabrics([4, 5, 3], 3), *lost)
    done = _replan(fabric, grid_jobs(2, 4, 2), np.arange(16))
    assert set(done.moved.tolist()) == {2 * h + i for h in lost for i in (0, 1)}
    hosts = fabric.gpu_host[done.gpu[done.moved]]
    assert len(set(hosts.tolist())) == len(lost)
    assert (fabric.gpu_local[done.gpu] == np.arange(16) % 2).all()


def test_one_broken_gpu_moves_the_whole_host(fabrics: Make, grid_jobs: Make) -> None:
    fabric = replace(fabrics([4, 5], 2), unusable_gpus=frozenset({(2, 1)}))
    done = _replan(fabric, grid_jobs(2, 4, 2), np.arange(16))
    assert done.moved.tolist() == [4, 5]
    assert fabric.gpu_host[done.gpu[[4, 5]]].tolist() == [8, 8]


@pytest.mark.parametrize("lost", range(8))
def test_the_best_spare_is_taken(lost: int, fabrics: Make, grid_jobs: Make) -> None:
    fabric, traffic = _lose(fabrics([5, 5, 2], 2), lost), grid_jobs(2, 4, 2)
    done = _replan(fabric, traffic, np.arange(16))
    prices = []
    for spare in (8, 9, 10, 11):
        gpu = np.arange(16)
        gpu[[2 * lost, 2 * lost + 1]] = [2 * spare, 2 * spare + 1]
        prices.append(predict(fabric, traffic, gpu).exposed_ms)
    assert predict(fabric, traffic, done.gpu).exposed_ms == pytest.approx(min(prices))


def test_spares_of_the_plan_come_first(fabrics: Make, grid_jobs: Make) -> None:
    fabric = _lose(fabrics([5, 5, 2], 2), 1)
    done = _replan(fabric, grid_jobs(2, 4, 2), np.arange(16), spares=(11,))
    assert set(fabric.gpu_host[done.gpu[done.moved]].tolist()) == {11}


def test_hosts_that_left_the_fabric(fabrics: Make, grid_jobs: Make) -> None:
    fabric, traffic = fabrics([4, 6], 2), grid_jobs(2, 4, 2)
    host = np.repeat([-1, 1, 2, -4, 4, 5, 6, 7], 2)
    done = replan_ranks(RankProblem(fabric, traffic), Previous(host, np.arange(16) % 2, np.zeros(0, np.int64)))
    assert done.moved.tolist() == [0, 1, 6, 7]
    assert done.lost_hosts == 2
    new = fabric.gpu_host[done.gpu].reshape(8, 2)
    assert (new[:, 0] == new[:, 1]).all()
    assert len(set(new[:, 0].tolist())) == 8


def test_without_whole_hosts_ranks_share(fabrics: Make, grid_jobs: Make) -> None:
    # 14 ranks: host 7 is empty but has one broken GPU, host 6 is full; the other free GPU is on host 5
    fabric = replace(_lose(fabrics([4, 4], 2), 0), unusable_gpus=frozenset({(0, 0), (0, 1), (7, 1)}))
    gpu = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12])
    done = _replan(fabric, grid_jobs(2, 3, 2), gpu)
    assert done.moved.tolist() == [0, 1]
    assert set(done.gpu[:2].tolist()) <= {11, 13, 14}


def test_too_few_free_gpus(fabrics: Make, grid_jobs: Make) -> None:
    fabric = fabrics([4, 5], 2)
    kept = Previous(fabric.gpu_host[np.arange(16)], fabric.gpu_local[np.arange(16)], np.zeros(0, np.int64))
    with pytest.raises(InfeasibleError, match="2 missing"):
        replan_ranks(RankProblem(_lose(fabric, 1, 3), grid_jobs(2, 4, 2)), kept)
