"""Moves between placements, their sources, and their order."""

from __future__ import annotations

import numpy as np
import pytest

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.solvers.experts.schedule import by_gpu, in_chunks, keep_layers, moves_between


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


def swap_plan() -> tuple[ExpertPlacement, ExpertPlacement]:
    """Four layers on two GPUs; layer l exchanges l of its experts between them."""
    old = np.tile(np.arange(6), (4, 1))
    new = old.copy()
    for layer in range(1, 4):
        new[layer, :layer], new[layer, 3 : 3 + layer] = old[layer, 3 : 3 + layer], old[layer, :layer]
    return ExpertPlacement(2, old), ExpertPlacement(2, new)


def test_chunks_keep_to_the_limit_and_best_layers_go_first() -> None:
    old, new = swap_plan()
    moves = moves_between(old, new, np.array([0, 1]))
    chunks = in_chunks(moves, np.array([1.0, 1.0, 8.0, 3.0]), 2, 3)
    assert [chunk.layers for chunk in chunks] == [(2, 1), (3,)]  # 2 gains most a move, 1 and 3 alike
    assert [(c.most_sent, c.most_received) for c in chunks] == [(3, 3), (3, 3)]
    assert chunks[0].moves.layer.tolist() == [2] * 4 + [1] * 2
    together = in_chunks(moves, np.array([1.0, 1.0, 8.0, 3.0]), 2, 100)
    assert [chunk.layers for chunk in together] == [(2, 1, 3)]
    assert len(in_chunks(moves, np.array([1.0, 1.0, 8.0, 3.0]), 2, 5)) == 2  # all would be six each way
    assert sum(len(chunk.moves) for chunk in together) == len(moves) == 12


def test_layers_that_do_not_pay_stay_and_layers_move_whole() -> None:
    old, new = swap_plan()
    moves = moves_between(old, new, np.array([0, 1]))
    chunks = in_chunks(moves, np.array([0.0, -1.0, 1.0, 0.0]), 2, 3)
    assert [chunk.layers for chunk in chunks] == [(2,)]
    kept = keep_layers(old, new, np.array([False, False, True, False])).physical_to_logical_map
    assert np.array_equal(kept[2], new.physical_to_logical_map[2])
    assert np.array_equal(kept[[0, 1, 3]], old.physical_to_logical_map[[0, 1, 3]])
    with pytest.raises(InfeasibleError, match="layer 3: a GPU has to send or receive 3 experts, only 2 fit"):
        in_chunks(moves, np.ones(4), 2, 2)
