"""Expert-map formats: written and read back, and what they refuse."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experts.make import content, npz, placements
from topoplan.errors import InfeasibleError, InputError
from topoplan.experts import DEFAULT_FORMATS, FORMATS, ExpertMapRequest, get_format
from topoplan.model.experts import ExpertPlacement

TWO = ExpertPlacement(2, np.array([[2, 0, 1, 2], [0, 1, 2, 0]]), 3)
KNOWS_GPUS = {"vllm-ascend", "omni-infer"}


def slots_sorted(rows: np.ndarray, gpus: int) -> np.ndarray:
    return np.sort(rows.reshape(len(rows), gpus, -1), axis=2)


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    placement = data.draw(placements(twins=name not in KNOWS_GPUS))
    count = placement.layers + data.draw(st.integers(0, 4))
    layers = tuple(sorted(data.draw(st.permutations(range(count)))[: placement.layers]))
    written = content(name, placement, layers, count)
    assert written == content(name, placement, layers, count)
    rows = FORMATS[name].read(written, layers)
    if name == "omni-infer":  # holds no order of slots
        assert np.array_equal(rows, slots_sorted(placement.physical_to_logical_map, placement.gpus).reshape(rows.shape))
    else:
        assert np.array_equal(rows, placement.physical_to_logical_map)
    again = FORMATS[name].read_placement(written, gpus=0 if name in KNOWS_GPUS else placement.gpus, moe_layers=layers)
    assert (again.gpus, again.experts, again.slots) == (placement.gpus, placement.experts, placement.slots)


def test_registry() -> None:
    assert list(FORMATS) == ["sglang", "vllm", "trtllm", "vllm-ascend", "omni-infer", "eplb"]
    assert set(DEFAULT_FORMATS) <= set(FORMATS)
    with pytest.raises(InputError) as caught:
        get_format("sglan")
    assert "did you mean 'sglang'?" in str(caught.value)


USAGE = {
    "sglang": "--init-expert-location sglang.json --ep-num-redundant-experts 1 --ep-size 2",
    "vllm": '--enable-eplb --eplb-config \'{"num_redundant_experts": 1, "initial_expert_map_path": "vllm.json"}\'',
    "trtllm": "moe_config: {load_balancer: trtllm.yaml} in the file of --extra_llm_api_options, --ep_size 2",
    "vllm-ascend": '--additional-config \'{"eplb_config": {"expert_map_path": "vllm-ascend.json"}}\'',
    "omni-infer": "pattern_path: omni-infer.npy, max_moe_layer_num: 2, enable_dynamic: false",
    "eplb": "np.load('eplb.npz')",
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_usage_names_the_file(name: str) -> None:
    assert USAGE[name] in get_format(name).usage(ExpertMapRequest(TWO))


def test_only_proposals_are_marked_experimental() -> None:
    marked = {name for name, form in FORMATS.items() if form.experimental}
    assert marked == {"vllm"}
    assert marked == {name for name, form in FORMATS.items() if "experimental" in form.description}
    assert "experimental" in get_format("vllm").usage(ExpertMapRequest(TWO))


# ---- what each format holds ------------------------------------------------------------------------------------


def test_sglang_lists_dense_layers_too() -> None:
    written = content("sglang", TWO, (1, 3), 5)
    trivial = [0, 1, 2, 0]
    assert json.loads(written) == {"physical_to_logical_map": [trivial, [2, 0, 1, 2], trivial, [0, 1, 2, 0], trivial]}
    assert get_format("sglang").read(written).shape == (5, 4)


def test_vllm_lists_moe_layers_alone_and_reads_one_row_for_all() -> None:
    assert json.loads(content("vllm", TWO, (1, 3), 5)) == [[2, 0, 1, 2], [0, 1, 2, 0]]
    form = get_format("vllm")
    assert form.read(b"[1, 0, 1]").tolist() == [[1, 0, 1]]
    assert form.read(b"[1, 0, 1]", (3, 4, 5)).tolist() == [[1, 0, 1]] * 3


def test_trtllm_numbers_layers_as_the_model_does() -> None:
    written = content("trtllm", TWO, (3, 4), 6)
    assert yaml.safe_load(written) == {
        "num_slots": 4,
        "initial_global_assignments": {3: [2, 0, 1, 2], 4: [0, 1, 2, 0]},
        "layer_updates_per_iter": 0,
    }
    form = get_format("trtllm")
    assert form.read(written).tolist() == TWO.physical_to_logical_map.tolist()
    assert form.read(written, (4,)).tolist() == [[0, 1, 2, 0]]
    turned = b"num_slots: 2\ninitial_global_assignments: {10: [1, 0], 9: [0, 1]}\n"
    assert form.read(turned).tolist() == [[0, 1], [1, 0]]


def test_vllm_ascend_lists_devices() -> None:
    placement = ExpertPlacement(2, np.array([[7, 2, 0, 3, 5, 6, 1, 4, 7, 2]]), 8)
    devices = [{"device_id": 0, "device_expert": [7, 2, 0, 3, 5]}, {"device_id": 1, "device_expert": [6, 1, 4, 7, 2]}]
    layers = [{"layer_id": 0, "device_count": 2, "device_list": devices}]
    assert json.loads(content("vllm-ascend", placement, (3,))) == {"moe_layer_count": 1, "layer_list": layers}


def test_vllm_ascend_goes_by_position_whatever_the_ids_say() -> None:
    devices = [{"device_id": 1, "device_expert": [1]}, {"device_id": 0, "device_expert": [0]}]
    text = json.dumps({"moe_layer_count": 1, "layer_list": [{"layer_id": 9, "device_list": devices}]})
    assert get_format("vllm-ascend").read(text.encode()).tolist() == [[1, 0]]


def test_omni_infer_is_a_table_of_ones() -> None:
    placement = ExpertPlacement(2, np.array([[2, 0, 1, 2]]), 3)
    pattern = np.load(io.BytesIO(content("omni-infer", placement, (3,))), allow_pickle=False)
    assert pattern.dtype == np.int32
    assert pattern.tolist() == [[[1, 0, 1]], [[0, 1, 1]]]


def test_omni_infer_layers_may_differ_in_slots() -> None:
    rows = np.array([[0, 1, 2, 1], [0, -1, 1, -1]])
    rows[1] = [1, -1, 0, -1]
    two = ExpertPlacement(2, np.array([[0, 1, 1, 0], rows[1]]), 2)
    again = get_format("omni-infer").read_placement(content("omni-infer", two))
    assert again.physical_to_logical_map.tolist() == [[0, 1, 0, 1], [1, -1, 0, -1]]


def test_eplb_arrays() -> None:
    with np.load(io.BytesIO(content("eplb", TWO))) as file:
        assert file["phy2log"].tolist() == TWO.physical_to_logical_map.tolist()
        assert file["log2phy"].tolist() == [[[1, -1], [2, -1], [0, 3]], [[0, 3], [1, -1], [2, -1]]]
        assert file["logcnt"].tolist() == [[1, 1, 2], [2, 1, 1]]
        assert {file[name].dtype.str for name in file} == {"<i8"}


def test_eplb_reads_copies_in_any_order_and_wider_padding() -> None:
    arrays = {"phy2log": [[2, 0, 1, 2]], "log2phy": [[[1, -1, -1], [2, -1, -1], [3, 0, -1]]], "logcnt": [[1, 1, 2]]}
    assert get_format("eplb").read(npz(**arrays)).tolist() == [[2, 0, 1, 2]]


# ---- what a format cannot hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(FORMATS))
def test_uneven_slots_are_refused(name: str) -> None:
    uneven = ExpertPlacement(2, np.array([[0, 1, 2]]), 3, slot_gpu=np.array([0, 0, 1]))
    left_out = ExpertPlacement(2, np.array([[0, 1, 2, 1], [0, 1, 2, -1]]), 3)
    with pytest.raises(InfeasibleError, match=r"slots on every GPU|GPU 0 has 2 slots and GPU 1 has 1"):
        content(name, uneven)
    with pytest.raises(InfeasibleError, match="layer 7"):
        content(name, left_out, (3, 7))


@pytest.mark.parametrize("name", sorted(KNOWS_GPUS))
def test_twins_on_a_gpu_are_refused(name: str) -> None:
    twins = ExpertPlacement(2, np.array([[0, 1, 2, 0], [0, 2, 1, 1]]), 3)
    with pytest.raises(InfeasibleError, match="layer 8 has expert 1 twice on GPU 1"):
        content(name, twins, (3, 8))


@pytest.mark.parametrize("name", list(FORMATS))
def test_lost_dispatch_is_said(name: str) -> None:
    form = get_format(name)
    weighted = ExpertPlacement(2, np.array([[2, 0, 1, 2]]), 3, dispatch=np.array([[1.0, 1, 1, 3]]))
    said = " ".join(form.notes(weighted, moe_layers=(0,)))
    assert "plan.json" in said
    assert form.dispatch
    assert form.dispatch in said
    assert "plan.json" not in " ".join(form.notes(TWO, moe_layers=(0, 1)))
    assert content(name, weighted) == content(name, ExpertPlacement(2, np.array([[2, 0, 1, 2]]), 3))


def test_assumed_layers_and_lost_order_are_said() -> None:
    assert any("layers 0 to 1" in note for note in get_format("trtllm").notes(TWO))
    assert get_format("trtllm").notes(TWO, moe_layers=(3, 4)) == ()
    assert get_format("eplb").notes(TWO) == ()
    assert any("order of slots" in note for note in get_format("omni-infer").notes(TWO))


# ---- bad requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "count", "message"),
    [
        ((1,), 0, "1 MoE layers are listed, the map has 2"),
        ((3, 1), 0, "ascending"),
        ((1, 1), 0, "ascending"),
        ((-1, 1), 0, "ascending"),
        ((1, 3), 3, "layer 3 is beyond the model's 3"),
    ],
)
def test_bad_requests(layers: tuple[int, ...], count: int, message: str) -> None:
    placement = ExpertPlacement(2, np.array([[0, 1], [1, 0]]), 2)
    with pytest.raises(InputError, match=message):
        content("sglang", placement, layers, count)


@pytest.mark.parametrize("name", list(FORMATS))
def test_layers_that_the_file_does_not_have(name: str) -> None:
    data = content(name, ExpertPlacement(1, np.array([[0, 1]]), 2))
    with pytest.raises(InputError, match=r"layer 3 is missing|1 MoE layers, 2 are wanted"):
        get_format(name).read(data, (0, 3))
    with pytest.raises(InputError, match="ascending"):
        get_format(name).read(data, (3, 0))


def test_gpus_of_a_file() -> None:
    with pytest.raises(InputError, match="how many GPUs"):
        get_format("vllm").read_placement(b"[[0, 1]]")
    with pytest.raises(InputError, match="for 2 GPUs, not for 3"):
        get_format("vllm-ascend").read_placement(
            content("vllm-ascend", ExpertPlacement(2, np.array([[0, 1]]), 2)), gpus=3
        )
    with pytest.raises(InputError, match="do not divide"):
        get_format("vllm").read_placement(b"[[0, 1]]", gpus=3)
