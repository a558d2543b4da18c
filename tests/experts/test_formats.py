"""Expert-map formats: written and read back, and what they refuse."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError, InputError
from topoplan.experts import DEFAULT_FORMATS, FORMATS, ExpertMapRequest, get_format
from topoplan.model.experts import ExpertPlacement


@st.composite
def placements(draw: st.DrawFn) -> ExpertPlacement:
    experts, gpus, layers = draw(st.integers(1, 20)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    slots = -(-(experts + draw(st.integers(0, 9))) // gpus) * gpus
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = [generator.permutation(np.arange(slots) % experts) for _ in range(layers)]
    return ExpertPlacement(gpus, np.array(rows), experts)


def content(name: str, placement: ExpertPlacement, moe_layers: tuple[int, ...] = (), model_layers: int = 0) -> bytes:
    form = get_format(name)
    files = form.write(placement, moe_layers=moe_layers, model_layers=model_layers)
    assert list(files) == [form.file_name]
    return files[form.file_name]


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    placement = data.draw(placements())
    count = placement.layers + data.draw(st.integers(0, 4))
    layers = tuple(sorted(data.draw(st.permutations(range(count)))[: placement.layers]))
    written = content(name, placement, layers, count)
    assert written == content(name, placement, layers, count)
    assert np.array_equal(FORMATS[name].read(written, layers), placement.physical_to_logical_map)


def test_sglang_lists_dense_layers_too() -> None:
    placement = ExpertPlacement(2, np.array([[2, 0, 1, 2], [0, 1, 2, 0]]), 3)
    written = content("sglang", placement, (1, 3), 5)
    trivial = [0, 1, 2, 0]
    assert json.loads(written) == {"physical_to_logical_map": [trivial, [2, 0, 1, 2], trivial, [0, 1, 2, 0], trivial]}
    assert get_format("sglang").read(written).shape == (5, 4)
    usage = get_format("sglang").usage(ExpertMapRequest(placement))
    assert usage == "--init-expert-location sglang.json --ep-num-redundant-experts 1 --ep-size 2"


def test_eplb_arrays() -> None:
    placement = ExpertPlacement(2, np.array([[2, 0, 1, 2], [0, 1, 2, 0]]), 3)
    with np.load(io.BytesIO(content("eplb", placement))) as file:
        assert file["phy2log"].tolist() == placement.physical_to_logical_map.tolist()
        assert file["log2phy"].tolist() == [[[1, -1], [2, -1], [0, 3]], [[0, 3], [1, -1], [2, -1]]]
        assert file["logcnt"].tolist() == [[1, 1, 2], [2, 1, 1]]
        assert {file[name].dtype.str for name in file} == {"<i8"}


def test_eplb_reads_copies_in_any_order_and_wider_padding() -> None:
    arrays = {"phy2log": [[2, 0, 1, 2]], "log2phy": [[[1, -1, -1], [2, -1, -1], [3, 0, -1]]], "logcnt": [[1, 1, 2]]}
    assert get_format("eplb").read(npz(**arrays)).tolist() == [[2, 0, 1, 2]]


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.asarray(values) for name, values in arrays.items()})
    return file.getvalue()


def test_uneven_slots_are_refused() -> None:
    uneven = ExpertPlacement(2, np.array([[0, 1, 2]]), 3, slot_gpu=np.array([0, 0, 1]))
    left_out = ExpertPlacement(2, np.array([[0, 1, 2, -1]]), 3)
    for placement in (uneven, left_out):
        for form in FORMATS.values():
            with pytest.raises(InfeasibleError, match="slots"):
                form.write(placement)


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JSON"),
        (b"\xff\xfe\x00", "not a JSON"),
        (b"[" * 100000, "not a JSON"),
        (b"[]", "and no other"),
        (b'{"physical_to_logical_map": [[0]], "logical_count": [[1]]}', "and no other"),
        (b'{"physical_to_logical_map": 3}', "list of layers"),
        (b'{"physical_to_logical_map": [[0, 1], [0]]}', "as many slots"),
        (b'{"physical_to_logical_map": [[0.0, 1]]}', "whole numbers"),
        (b'{"physical_to_logical_map": [[true, 1]]}', "whole numbers"),
        (b'{"physical_to_logical_map": []}', r"shape \[layers, slots\]"),
        (b'{"physical_to_logical_map": [[]]}', r"shape \[layers, slots\]"),
        (b'{"physical_to_logical_map": [[0, 2]]}', "expert 1 has no slot"),
        (b'{"physical_to_logical_map": [[0, -1]]}', "does not exist"),
        (b'{"physical_to_logical_map": [[0, 99999999999999999999]]}', "no expert|shape"),
    ],
)
def test_broken_sglang_files(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_format("sglang").read(data)


def test_sglang_file_without_a_wanted_layer() -> None:
    data = content("sglang", ExpertPlacement(1, np.array([[0, 1]]), 2))
    with pytest.raises(InputError, match="layer 3 is missing"):
        get_format("sglang").read(data, (3,))


GOOD = {"phy2log": [[2, 0, 1, 2]], "log2phy": [[[1, -1], [2, -1], [0, 3]]], "logcnt": [[1, 1, 2]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logcnt": [[1, 2, 1]]}, "does not count"),
        ({"logcnt": [1, 2, 1]}, "logcnt needs"),
        ({"log2phy": [[[1, -1], [2, -1], [0, 1]]]}, "does not list"),
        ({"log2phy": [[[1], [2], [0]]]}, "log2phy needs"),
        ({"phy2log": [[2, 0, 1, 3]]}, "does not exist"),
        ({"phy2log": [[2.0, 0, 1, 2]]}, "whole numbers"),
    ],
)
def test_contradicting_eplb_files(change: dict[str, object], message: str) -> None:
    assert get_format("eplb").read(npz(**GOOD)).shape == (1, 4)
    with pytest.raises(InputError, match=message):
        get_format("eplb").read(npz(**{**GOOD, **change}))


def test_broken_eplb_files() -> None:
    array = io.BytesIO()
    np.save(array, np.arange(3))
    pickled = io.BytesIO()
    np.savez(pickled, phy2log=np.array([{}], object), log2phy=0, logcnt=0)
    for data in (b"", b"x", b"PK\x03\x04", npz(phy2log=[[0]]), npz(**GOOD)[:-40], array.getvalue(), pickled.getvalue()):
        with pytest.raises(InputError, match=r"not a \.npz"):
            get_format("eplb").read(data)


def test_unknown_format() -> None:
    assert set(DEFAULT_FORMATS) <= set(FORMATS)
    with pytest.raises(InputError) as caught:
        get_format("sglan")
    assert "did you mean 'sglang'?" in str(caught.value)
