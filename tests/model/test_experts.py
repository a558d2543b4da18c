"""Expert maps: what they count, how loads follow from them, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement

MAP = np.array([[0, 1, 0, 2], [2, 1, 0, 1]])  # two GPUs with two slots each
LOAD = np.array([[4.0, 2.0, 1.0], [3.0, 4.0, 5.0]])


def placement(**rest: Any) -> ExpertPlacement:
    return ExpertPlacement(gpus=2, physical_to_logical_map=MAP, **rest)


def test_copies_and_even_loads() -> None:
    here = placement()
    assert here.copies.tolist() == [[2, 1, 1], [1, 2, 1]]
    assert here.even
    assert here.gpu_load(LOAD).tolist() == [[4.0, 3.0], [7.0, 5.0]]
    assert here.balancedness(LOAD).tolist() == pytest.approx([3.5 / 4, 6 / 7])


def test_dispatch_weights_move_load_in_any_scale() -> None:
    here = placement(dispatch=np.array([[1, 5, 3, 5], [1, 0, 1, 2]], float))
    assert here.gpu_load(LOAD).tolist() == [[3.0, 4.0], [5.0, 7.0]]
    assert here.gpu_load(LOAD, even=True).tolist() == [[4.0, 3.0], [7.0, 5.0]]


def test_weights_of_nodes_are_averaged() -> None:
    one, other = np.array([[1, 1, 0, 1], [1, 1, 1, 0]], float), np.array([[0, 1, 1, 1], [1, 1, 1, 0]], float)
    here = placement(dispatch=np.stack([one, other]))
    assert here.shares()[0].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert here.shares()[1].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_duplicates_are_counted_on_one_gpu_only() -> None:
    assert placement().duplicates == 0
    twice = ExpertPlacement(gpus=2, physical_to_logical_map=np.array([[0, 0, 0, 1]]))
    assert twice.duplicates == 1


def test_uneven_slots_and_left_out_ones() -> None:
    here = ExpertPlacement(
        gpus=3, physical_to_logical_map=np.array([[0, 1, 1], [0, 1, -1]]), slot_gpu=np.array([0, 0, 2])
    )
    assert not here.even
    assert here.gpu_load(np.array([[2.0, 4.0], [2.0, 4.0]])).tolist() == [[4.0, 0.0, 2.0], [6.0, 0.0, 0.0]]
    assert here.balancedness(np.array([[2.0, 4.0], [2.0, 4.0]])).tolist() == [0.75, 0.5]
    assert here.shares()[1].tolist() == [1.0, 1.0, 0.0]


def test_arrays_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        placement().physical_to_logical_map[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physical_to_logical_map": np.array([[0, 1, 0, 2], [2, 1, 1, 1]])}, "layer 1: expert 0 has no slot"),
        ({"experts": 4}, "layer 0: expert 3 has no slot"),
        ({"experts": 2}, "layer 0: the map names an expert that does not exist"),
        ({"physical_to_logical_map": np.array([[0, 1, 2, -2]])}, "layer 0: the map names an expert"),
        ({"physical_to_logical_map": np.array([0, 1])}, "shape"),
        ({"gpus": 3}, "4 slots do not divide by 3 GPUs"),
        ({"slot_gpu": np.array([0, 1, 0, 1])}, "numbered GPU by GPU"),
        ({"slot_gpu": np.array([0, 1, 2, 2])}, "numbered GPU by GPU"),
        ({"slot_gpu": np.array([0, 0, 1])}, "3 slots have a GPU, the map has 4"),
        ({"dispatch": np.ones((2, 3))}, "dispatch has shape"),
        ({"dispatch": -np.ones((2, 4))}, "negative"),
        ({"dispatch": np.array([[1, 0, 1, 1], [1, 1, 1, 1]])}, "layer 0: no copy of expert 1"),
        ({"dispatch_slot": np.zeros((1, 2, 3), int)}, "layer 0: dispatch_slot of rank 0 sends expert 1"),
        ({"dispatch_slot": np.full((1, 2, 3), 4)}, "slot that does not exist"),
        ({"dispatch_slot": np.zeros((2, 3), int)}, "dispatch_slot has shape"),
        ({"max_load": np.ones(3)}, "max_load needs one value a layer"),
    ],
)
def test_bad_maps_say_what_is_wrong(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"gpus": 2, "physical_to_logical_map": MAP, **change}
    with pytest.raises(InputError, match=message):
        ExpertPlacement(**arguments)


def test_a_load_of_another_model_is_refused() -> None:
    with pytest.raises(InputError, match="load has shape"):
        placement().gpu_load(np.ones((2, 4)))


def test_dispatch_slot_of_each_rank() -> None:
    slots = np.array([[[0, 1, 3], [2, 1, 0]], [[2, 1, 3], [2, 3, 0]]])
    assert placement(dispatch_slot=slots).dispatch_slot is not None
