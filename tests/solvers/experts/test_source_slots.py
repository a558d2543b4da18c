"""One copy for each source rank: planned shares in whole ranks, near copies first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.source_slots import source_slots

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
HOST = np.repeat(np.arange(4), 8)


def balance(placement: ExpertPlacement, slot: IntArray, load: FloatArray) -> FloatArray:
    """[layers] mean / max of GPU loads where every rank sends an equal part of each expert to its slot."""
    result = []
    for layer in range(placement.layers):
        on = np.zeros(placement.gpus)
        for rank in range(placement.gpus):
            np.add.at(on, placement.slot_gpu[slot[rank, layer]], load[layer] / placement.gpus)
        result.append(on.mean() / on.max())
    return np.array(result)


# three copies of an expert share 32 ranks as 11 11 10, six of a hot one as 6 6 5 5 5 5: no choice of ranks is as even
# as an even split
@pytest.mark.parametrize(("kind", "kept"), [("lognormal", 0.96), ("hot", 0.9)])
def test_ranks_together_come_to_the_planned_balance(loads: Loads, problem: Problems, kind: str, kept: float) -> None:
    load = loads(kind)
    placement = place(problem(load, 32, 288, hosts=4))
    slot = source_slots(placement, load, HOST)
    even = placement.balancedness(load)
    assert (balance(placement, slot, load) >= kept * even).all()


def test_own_copies_come_first_then_those_of_the_host() -> None:
    placement = ExpertPlacement(4, np.array([[0, 1, 2, 0, 1, 3, 4, 5]]))  # expert 0 on GPUs 0 and 1, 1 on 0 and 2
    slot = source_slots(placement, np.ones((1, 6)), np.array([0, 0, 1, 1]))
    assert slot[:2, 0, 0].tolist() == [0, 3]
    assert slot[:, 0, 1].tolist() == [1, 1, 4, 4]


def test_weights_of_each_host_are_followed() -> None:
    weight = np.ones((2, 1, 8))
    weight[0, 0, [1, 4]], weight[1, 0, [1, 4]] = (0, 1), (1, 1)
    placement = ExpertPlacement(4, np.array([[0, 1, 2, 0, 1, 3, 4, 5]]), dispatch=weight)
    slot = source_slots(placement, np.ones((1, 6)), np.array([0, 0, 1, 1]))
    assert slot[:2, 0, 1].tolist() == [4, 4]
    assert slot[2, 0, 1] == 4  # its own
    assert slot[3, 0, 1] == 1


def test_what_rounding_gives_one_gpu_too_much_the_next_expert_takes_back() -> None:
    placement = ExpertPlacement(4, np.array([[0, 1, 0, 1, 0, 1, 2, 3]]))  # 0 and 1 on three GPUs, four ranks send
    slot = source_slots(placement, np.array([[6.0, 5, 1, 1]]), np.zeros(4, np.int64))
    ranks = [np.bincount(placement.slot_gpu[slot[:, 0, expert]], minlength=4) for expert in (0, 1)]
    assert [sorted(r[:3].tolist()) for r in ranks] == [[1, 1, 2], [1, 1, 2]]
    assert (ranks[0] + ranks[1]).max() == 3
