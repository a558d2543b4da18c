"""Maps that engines' projects published, where they are at hand (they are not part of this repository)."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.experts import get_format
from topoplan.planning.expert_inputs import LayerNumbers, open_load, open_previous

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "experts"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample maps are not at hand (../shared)")


def sample(pattern: str) -> bytes:
    (path,) = SAMPLES.glob(pattern)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("pattern", "gpus", "slots", "redundant_layers"),
    [("placement_pattern_*_16_ranks_*.npy", 16, 256, 0), ("DSV3_*_RedFullLays_+10_*.npy", 32, 288, 10)],
)
def test_omni_infer(pattern: str, gpus: int, slots: int, redundant_layers: int) -> None:
    data, form = sample(pattern), get_format("omni-infer")
    placement = form.read_placement(data)
    assert (placement.gpus, placement.layers, placement.experts, placement.slots) == (gpus, 58, 256, slots)
    assert placement.duplicates == 0
    used = (placement.physical_to_logical_map >= 0).sum(1)
    assert set(used) == {256, slots}
    assert (used > 256).sum() == redundant_layers
    ours = np.load(io.BytesIO(form.write(placement)[form.file_name]), allow_pickle=False)
    theirs = np.load(io.BytesIO(data), allow_pickle=False)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


def test_vllm_ascend() -> None:
    data, form = sample("vllm-ascend-expert_map.json"), get_format("vllm-ascend")
    placement = form.read_placement(data)
    assert (placement.gpus, placement.layers, placement.experts, placement.slots) == (2, 1, 8, 10)
    assert json.loads(form.write(placement)[form.file_name]) == json.loads(data)


def test_a_real_map_in_every_format_that_holds_it() -> None:
    placement = get_format("omni-infer").read_placement(sample("placement_pattern_*_16_ranks_*.npy"))
    layers = tuple(range(3, 61))
    for name in ("sglang", "vllm", "trtllm", "vllm-ascend", "eplb"):
        form = get_format(name)
        data = form.write(placement, moe_layers=layers, model_layers=61)[form.file_name]
        again = form.read_placement(data, gpus=16, moe_layers=layers)
        assert np.array_equal(again.physical_to_logical_map, placement.physical_to_logical_map), name


@pytest.mark.parametrize(
    ("pattern", "experts"), [("olmoe_*", 64), ("qwen15moe_gptq_*", 60), ("qwen15moe_layer0_*", 60)]
)
def test_counts_of_one_real_layer_are_a_load(pattern: str, experts: int) -> None:
    (path,) = SAMPLES.glob(pattern)
    assert open_load(str(path)).load.shape == (1, experts)


def test_real_patterns_are_maps_in_force_and_no_loads() -> None:
    for pattern, gpus in (("placement_pattern_*_16_ranks_*.npy", 16), ("DSV3_*_RedFullLays_+10_*.npy", 32)):
        (path,) = SAMPLES.glob(pattern)
        plan, _ = open_previous(str(path), gpus, LayerNumbers(), 58)
        assert plan.experts is not None
        assert plan.experts.experts == 256
        with pytest.raises(InputError, match="placement pattern of omni-infer"):
            open_load(str(path))
    (path,) = SAMPLES.glob("vllm-ascend-expert_map.json")
    rows = get_format("vllm-ascend").read_placement(path.read_bytes())
    assert open_previous(str(path), rows.gpus, LayerNumbers(), rows.layers)[0].experts is not None
    with pytest.raises(InputError, match="logical_count"):
        open_load(str(path))
