"""Moves between placements, their sources, and their order."""

from __future__ import annotations

import numpy as np

from topoplan.model.experts import ExpertPlacement
from topoplan.solvers.experts.schedule import by_gpu, moves_between


def test_only_experts_that_a_gpu_did_not_hold_move() -> None:
    old = ExpertPlacement(2, np.array([[0, 1, 2, 3, 0, 1]]))
    new = ExpertPlacement(2, np.array([[1, 2, 0, 3, 0, 2]]))
    moves = moves_between(old, new, np.array([0, 0]))
    assert (moves.layer.tolist(), moves.expert.tolist(), moves.src.tolist(), moves.dst.tolist()) == (
        [0], [2], [0], [1],
    )  # fmt: skip


def test_sources_are_near_and_share_the_sending() -> None:
    # expert 0 is on GPUs 0 and 1 of host 0 and on GPU 3 of host 1; GPU 2 of host 1 wants it, GPUs 4 and 5 too
    old = ExpertPlacement(6, np.array([[0, 0, 1, 0, 1, 1]]))
    new = ExpertPlacement(6, np.array([[0, 0, 0, 0, 0, 1]]))
    moves = moves_between(old, new, np.array([0, 0, 1, 1, 2, 2]))
    assert dict(zip(moves.dst.tolist(), moves.src.tolist(), strict=True)) == {2: 3, 4: 0}
    sent, received = by_gpu(moves, 6)
    assert sent.tolist() == [1, 0, 0, 1, 0, 0]
    assert received.tolist() == [0, 0, 1, 0, 1, 0]


def test_a_fresh_gpu_loads_all_and_what_nobody_holds_comes_from_storage() -> None:
    same = ExpertPlacement(2, np.array([[0, 1], [1, 0]]))
    moves = moves_between(same, same, np.array([0, 1]), np.array([False, True]))
    assert moves.dst.tolist() == [1, 1]
    assert moves.src.tolist() == [-1, -1]
