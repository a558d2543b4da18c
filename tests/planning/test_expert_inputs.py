"""Loads of every kind, the layers they belong to, and what is in force."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.experts import FORMATS, get_format
from topoplan.model.experts import ExpertPlacement
from topoplan.model.presets import PRESETS
from topoplan.planning.expert_inputs import LayerNumbers, number_layers, open_load, open_previous, parse_layers

COUNT = np.arange(1, 25, dtype=np.int64).reshape(2, 3, 4)
COUNT[:, 0] = 0  # a dense layer
MAP = ExpertPlacement(2, np.array([[0, 1, 1, 2], [2, 0, 1, 0]]))


def test_a_recording_leaves_dense_layers_out(tmp_path: Path) -> None:
    file = tmp_path / "recorder.json"
    file.write_text(json.dumps({"logical_count": COUNT.tolist()}))
    found = open_load(str(file))
    assert found.numbers.moe_layers == (1, 2)
    assert found.numbers.model_layers == 3
    assert "1 of 3 layers" in found.numbers.reason
    assert np.array_equal(found.load, COUNT[:, 1:])
    assert np.array_equal(open_load(str(file), (2,)).load, COUNT[:, 2:])
    with pytest.raises(InputError, match="layer 0 has no tokens"):
        open_load(str(file), (0, 1))


def test_the_recorders_older_csv(tmp_path: Path) -> None:
    file = tmp_path / "counts.csv"
    file.write_text("layer_id,expert_id,count\n1,0,5\n1,2,7\n2,1,4\n1,0,1\n")
    found = open_load(str(file))
    assert found.load.tolist() == [[6, 0, 7], [0, 4, 0]]
    assert found.numbers.moe_layers == (1, 2)


def test_steps_stay_a_history(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", COUNT[:1, 1:])
    np.save(tmp_path / "two.npy", COUNT[:, 1:])
    assert open_load(str(tmp_path / "one.npy")).load.shape == (2, 4)
    assert open_load(str(tmp_path / "two.npy")).load.shape == (2, 2, 4)


def test_layers_are_numbered_by_the_model() -> None:
    deepseek, qwen = PRESETS["deepseek-v3"], PRESETS["qwen3-235b-a22b"]
    found = number_layers(LayerNumbers(), 58, deepseek, sure=False)
    assert (found.moe_layers, found.model_layers) == (tuple(range(3, 61)), 61)
    assert "layers 3 to 60" in found.reason
    # every layer has experts: nothing is assumed
    assert number_layers(LayerNumbers(), 94, qwen, sure=True) == LayerNumbers(tuple(range(94)), 94)
    assert number_layers(LayerNumbers(), 10, deepseek, sure=True) == LayerNumbers()
    assert number_layers(LayerNumbers((7,)), 1, deepseek, sure=False) == LayerNumbers((7,), 61)
    assert number_layers(LayerNumbers((7,)), 1, None, sure=False) == LayerNumbers((7,))
    assert number_layers(LayerNumbers((2, 3)), 2, deepseek, sure=False) == LayerNumbers((2, 3))
    with pytest.raises(InputError, match="layer 2 of deepseek-v3 has no experts"):
        number_layers(LayerNumbers((2, 3)), 2, deepseek, sure=True)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_engines_map_is_what_is_in_force(tmp_path: Path, name: str) -> None:
    (data,) = get_format(name).write(MAP, moe_layers=(1, 2), model_layers=3).values()
    file = tmp_path / f"map.{name}"
    file.write_bytes(data)
    plan, _ = open_previous(str(file), 2, LayerNumbers((1, 2), 3), 2)
    assert plan.experts is not None
    assert plan.placement is None
    for old, new in zip(MAP.physical_to_logical_map, plan.experts.physical_to_logical_map, strict=True):
        assert np.array_equal(np.sort(old.reshape(2, 2)), np.sort(new.reshape(2, 2)))


def test_a_map_of_other_layers_or_gpus(tmp_path: Path) -> None:
    for name, content in get_format("sglang").write(MAP, moe_layers=(1, 2), model_layers=3).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="3 layers, the load 2") as raised:
        open_previous(str(tmp_path / "sglang.json"), 2, LayerNumbers(), 2)
    assert "--moe-layers" in raised.value.hint
    for name, content in get_format("omni-infer").write(MAP).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="for 2 GPUs, not for 4"):
        open_previous(str(tmp_path / "omni-infer.npy"), 4, LayerNumbers(), 2)


@pytest.mark.parametrize("text", ["", "x", "5-3", "3,3", "4,3", "1-", "-1"])
def test_lists_that_are_no_layers(text: str) -> None:
    with pytest.raises(InputError, match="--moe-layers"):
        parse_layers(text)


def test_lists_of_layers() -> None:
    assert parse_layers("3-6") == (3, 4, 5, 6)
    assert parse_layers("1,3-4") == (1, 3, 4)
