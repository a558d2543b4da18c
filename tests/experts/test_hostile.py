"""Broken and hostile map files: one InputError that says what is wrong, and nothing is unpickled or grown."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experts.make import content, npy, npz
from topoplan.errors import InputError
from topoplan.experts import FORMATS, get_format
from topoplan.experts.base import MAX_BYTES
from topoplan.model.experts import ExpertPlacement

GOOD = ExpertPlacement(2, np.array([[2, 0, 1, 2], [0, 1, 2, 0]]), 3)


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
        (b'{"physical_to_logical_map": []}', "no expert|shape"),
        (b'{"physical_to_logical_map": [[]]}', "no expert|shape"),
        (b'{"physical_to_logical_map": [[0, 0, 2]]}', "expert 1 has no slot"),
        (b'{"physical_to_logical_map": [[0, -1]]}', "does not exist"),
        (b'{"physical_to_logical_map": [[0, 99999999999]]}', "100000000000 experts, but 2 slots"),
        (b'{"physical_to_logical_map": [[0, 99999999999999999999]]}', "no expert"),
        (b'{"physical_to_logical_map": [[0, 1' + b"0" * 5000 + b"]]}", "not a JSON"),
    ],
)
def test_broken_sglang_files(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_format("sglang").read(data)


@pytest.mark.parametrize("data", [b"{}", b"3", b'"x"', b"[]", b"[[]]", b"[[0], 1]", b"[1, [0]]", b"[[0, 1], [0]]"])
def test_broken_vllm_files(data: bytes) -> None:
    with pytest.raises(InputError):
        get_format("vllm").read(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("- 1", "a mapping with num_slots"),
        ("num_slots: 2", "a mapping with num_slots"),
        ("num_slots: 2\ninitial_global_assignments: {}", "a mapping with num_slots"),
        ("num_slots: 3\ninitial_global_assignments: {0: [0, 1]}", "num_slots is 3, the layers have 2"),
        ("initial_global_assignments: {0: [0, 1]}", "num_slots is None"),
        ("num_slots: 2\ninitial_global_assignments: {first: [0, 1]}", "'first' is not the number of a layer"),
        ("num_slots: 2\ninitial_global_assignments: {-1: [0, 1]}", "not the number"),
        ("num_slots: 2\ninitial_global_assignments: {0: [0, 1], 1: [0]}", "as many slots"),
        ("num_slots: 2\ninitial_global_assignments: {0: [0, 'a']}", "whole numbers"),
        ("num_slots: 2\ninitial_global_assignments: {0: [0, 1], 0: [1, 0]}", "twice|duplicate"),
        ("num_slots: 2\ninitial_global_assignments: {0: !!python/object/apply:os.getcwd []}", "tag"),
        ("a: &a [1,1]\nb: &b [*a,*a]\n" + "".join(f"c{i}: &b [{'*b,' * 90}]\n" for i in range(9)), "alias"),
        ("[" * 100000, "deep|nest"),
    ],
)
def test_broken_trtllm_files(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_format("trtllm").read(text.encode())


def ascend(**change: object) -> bytes:
    devices = [{"device_id": d, "device_expert": [d, 2]} for d in range(2)]
    layer = {"layer_id": 0, "device_count": 2, "device_list": devices}
    whole = {"moe_layer_count": 1, "layer_list": [{**layer, **change}]}
    return json.dumps({**whole, **{key: value for key, value in change.items() if key in whole}}).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moe_layer_count": 2}, "moe_layer_count is not the 1 layers"),
        ({"layer_list": []}, "layer_list"),
        ({"layer_list": [3]}, "layer 0 has no device_list"),
        ({"device_list": []}, "layer 0 has no device_list"),
        ({"device_count": 3}, "device_count is not the 2 devices"),
        ({"device_list": [{"device_expert": [0, 1]}, {"device_expert": [0]}]}, "of the same length"),
        ({"device_list": [{"device_expert": [0, 1]}, {}]}, "of the same length"),
        ({"device_list": [{"device_expert": [0, 1]}, {"device_expert": [2, 2]}]}, "device 1 has an expert twice"),
        ({"device_list": [{"device_expert": [0, "1"]}, {"device_expert": [2, 3]}]}, "whole numbers"),
        ({"device_list": [{"device_expert": [0, 1]}, {"device_expert": [1, 3]}]}, "expert 2 has no slot"),
    ],
)
def test_broken_vllm_ascend_files(change: dict[str, object], message: str) -> None:
    if "device_list" in change:
        change = {"device_count": 2, **change}
    assert get_format("vllm-ascend").read(ascend()).tolist() == [[0, 2, 1, 2]]
    with pytest.raises(InputError, match=message):
        get_format("vllm-ascend").read(ascend(**change))


def test_vllm_ascend_layers_of_different_shapes() -> None:
    layers = [{"device_list": [{"device_expert": [0, 1]}]}, {"device_list": [{"device_expert": [0, 1, 2]}]}]
    text = json.dumps({"moe_layer_count": 2, "layer_list": layers})
    with pytest.raises(InputError, match="every layer needs as many devices"):
        get_format("vllm-ascend").read(text.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable"),
        (npy(np.zeros((2, 3), np.int32)), "takes int"),
        (npy(np.ones((2, 1, 3))), "takes int"),
        (npy(np.full((2, 1, 3), 2)), "0 and 1 alone"),
        (npy(np.full((2, 1, 3), -1)), "0 and 1 alone"),
        (npy(np.zeros((2, 1, 0), np.int32)), "takes int"),
        (npy(np.array([[[1, 0]], [[1, 0]]])), "row 0: expert 1 is on no device"),
        (npy(np.ones((2, 1, 3), np.int32))[:-1], "complete"),
        (npy(np.array([[[{}]]], object)), "refused"),
    ],
)
def test_broken_omni_infer_files(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_format("omni-infer").read(data)


ARRAYS = {"phy2log": [[2, 0, 1, 2]], "log2phy": [[[1, -1], [2, -1], [0, 3]]], "logcnt": [[1, 1, 2]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logcnt": [[1, 2, 1]]}, "does not count"),
        ({"logcnt": [1, 2, 1]}, "logcnt needs"),
        ({"logcnt": [["1", "1", "2"]]}, "whole numbers"),
        ({"log2phy": [[[1, -1], [2, -1], [0, 1]]]}, "does not list"),
        ({"log2phy": [[[1], [2], [0]]]}, "log2phy needs"),
        ({"log2phy": "text"}, "whole numbers"),
        ({"phy2log": [[2, 0, 1, 3]]}, "does not exist"),
        ({"phy2log": [[2.0, 0, 1, 2]]}, "whole numbers"),
    ],
)
def test_contradicting_eplb_files(change: dict[str, object], message: str) -> None:
    assert get_format("eplb").read(npz(**ARRAYS)).shape == (1, 4)
    with pytest.raises(InputError, match=message):
        get_format("eplb").read(npz(**{**ARRAYS, **change}))


def test_broken_eplb_files() -> None:
    for data in (b"", b"x", b"PK\x03\x04", npz(phy2log=[[0]]), npz(**ARRAYS)[:-40], npy(np.arange(3))):
        with pytest.raises(InputError, match=r"npz|missing"):
            get_format("eplb").read(data)


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_is_unpickled(name: str, tmp_path: Path) -> None:
    evil = np.array([Evil(tmp_path / "seen")], object)
    for data in (pickle.dumps(evil[0]), npy(evil), npz_pickled(evil)):
        with pytest.raises(InputError):
            get_format(name).read(data)
    assert not (tmp_path / "seen").exists()
    pickle.loads(pickle.dumps(evil[0]))
    assert (tmp_path / "seen").exists()


def npz_pickled(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, phy2log=array, log2phy=array, logcnt=array)
    return file.getvalue()


def test_too_large_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_BYTES >= 2**24
    monkeypatch.setattr("topoplan.experts.base.MAX_BYTES", 4)
    for form in FORMATS.values():
        with pytest.raises(InputError, match="at most 4 are read"):
            form.read(b"12345")


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_files(name: str, data: st.DataObject) -> None:
    """Any change of a good file reads as a map or is refused by InputError, never by anything else."""
    damaged = bytearray(content(name, GOOD if name in {"sglang", "vllm", "trtllm", "eplb"} else NO_TWINS))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(damaged) - 1))
        new = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(SNIPPETS)))
        damaged[where : where + data.draw(st.integers(0, 8))] = new
        if not damaged:
            break
    try:
        rows = get_format(name).read(bytes(damaged))
    except InputError:
        return
    assert rows.ndim == 2
    assert rows.dtype == np.int64


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=60, deadline=None)
@given(data=st.one_of(st.binary(max_size=80), st.text("[]{}:,-0123456789\"' \n&*ab", max_size=80).map(str.encode)))
def test_any_bytes(name: str, data: bytes) -> None:
    try:
        get_format(name).read(data)
    except InputError:
        return


NO_TWINS = ExpertPlacement(2, np.array([[2, 0, 1, 2], [0, 1, 2, 0]]), 3)
SNIPPETS = [b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b"9" * 30, b"\n", b"- ", b": ", b'"', b"true", b"\xff" * 8]
