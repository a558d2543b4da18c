import io
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files import npz
from topoplan.files.arrays import (
    Routes,
    load_bytes,
    parse_load,
    parse_routes,
    parse_traffic,
    read_load,
    read_routes,
    read_traffic,
    routes_bytes,
    traffic_bytes,
)
from topoplan.files.inputs import Source
from topoplan.files.npz import npy_bytes, npz_bytes, read_npy, read_npz

FLOWS: dict[str, Any] = {
    "src": np.array([0, 1, 2], np.int32),
    "dst": np.array([1, 2, 3], np.int32),
    "bytes": np.array([1.0, 2.0, 3.5]),
    "axis": np.array([0, 1, 1], np.int8),
    "axes": np.array(["tp", "dp"]),
}


def packed(arrays: Mapping[str, Any]) -> Source:
    return Source("t.npz", npz_bytes(arrays))


# ---- containers ------------------------------------------------------------------------------------------------


def test_npz_is_what_numpy_reads_and_writes(tmp_path: Path) -> None:
    ours = np.load(io.BytesIO(npz_bytes(FLOWS)), allow_pickle=False)
    for name, array in FLOWS.items():
        assert np.array_equal(ours[name], array)
    np.savez_compressed(tmp_path / "a.npz", **FLOWS)
    theirs = read_npz(Source("a.npz", (tmp_path / "a.npz").read_bytes()), FLOWS)
    for name, array in FLOWS.items():
        assert np.array_equal(theirs[name], array)


def test_bytes_do_not_depend_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = npz_bytes(FLOWS)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert npz_bytes(FLOWS) == before


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.float64(3)]
)
def test_npy_reads_back(array: Any) -> None:
    assert np.array_equal(read_npy(Source("a.npy", npy_bytes(array))), array)


def test_objects_are_never_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="dtype object is refused"):
        read_npy(Source("a.npy", file.getvalue()))


def test_header_that_claims_too_much() -> None:
    honest = npy_bytes(np.zeros(3))
    for shape in ("(3000000000000,)", "(-3,)", "(2,)"):
        lied = honest.replace(b"(3,)", shape.encode())
        with pytest.raises(InputError, match=r"needs|readable"):
            read_npy(Source("a.npy", lied))


def test_zip_bomb() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("src.npy", bytes(2**28 + 1))
    with pytest.raises(InputError, match="claim to unpack"):
        read_npz(Source("a.npz", file.getvalue()), ["src"])


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 400))
def test_damaged_files_raise_input_errors_only(noise: bytes, at: int) -> None:
    for content, read in ((npz_bytes(FLOWS), lambda s: parse_traffic(s, 4)), (load_bytes(np.ones((3, 4))), parse_load)):
        at %= len(content)
        for damaged in (content[:at], content[:at] + noise + content[at + len(noise) :], noise):
            try:
                read(Source("x", damaged))
            except InputError as error:
                assert error.place is not None  # noqa: PT017


# ---- traffic ---------------------------------------------------------------------------------------------------


def test_traffic_reads_back(tmp_path: Path) -> None:
    traffic = parse_traffic(packed(FLOWS), 4, {"dp": 0.25})
    assert traffic.axes == ("tp", "dp")
    assert traffic.exposure.tolist() == [1.0, 0.25]
    (tmp_path / "t.npz").write_bytes(traffic_bytes(traffic))
    again = read_traffic(tmp_path / "t.npz", 4)
    assert traffic_bytes(again) == traffic_bytes(traffic)
    assert [again.src.dtype, again.axis.dtype, again.bytes.dtype] == [np.int32, np.int8, np.float64]


def test_traffic_without_axes() -> None:
    plain = {name: FLOWS[name] for name in ("src", "dst", "bytes")}
    assert parse_traffic(packed(plain), 4).axes == ("all",)
    assert parse_traffic(packed(plain | {"axis": FLOWS["axis"]}), 4).axes == ("axis0", "axis1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"src": None}, "array 'src' is missing"),
        ({"src": np.array([0.0, 1.0, 2.0])}, "src must be a list of whole numbers"),
        ({"src": np.array([[0, 1, 2]])}, "src must be a list of whole numbers"),
        ({"src": np.array([0, 1, 4])}, r"rank outside 0\.\.3"),
        ({"src": np.array([0, 1, -1])}, r"rank outside 0\.\.3"),
        ({"src": np.array([0, 1, 2**40])}, "does not fit int32"),
        ({"src": np.array([0, 1])}, "equally long"),
        ({"bytes": np.array([1.0, np.nan, 1.0])}, "flow 1 has nan bytes"),
        ({"bytes": np.array([1.0, 1.0, -1.0])}, "flow 2 has -1.0 bytes"),
        ({"bytes": np.array(["a", "b", "c"])}, "bytes must be a list of numbers"),
        ({"axis": np.array([0, 1, 2])}, r"axis outside 0\.\.1"),
        ({"axes": np.array([1, 2])}, "axes must be a list of texts"),
        ({"axes": np.array(["a", "a"])}, "different printable names"),
        ({"axes": np.array([str(i) for i in range(200)])}, "1 to 127 axes"),
    ],
)
def test_bad_traffic(change: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in (FLOWS | change).items() if array is not None}
    with pytest.raises(InputError, match=message) as caught:
        parse_traffic(packed(arrays), 4)
    assert caught.value.place is not None
    assert caught.value.place.path.startswith("t.npz")


def test_exposure_of_an_unknown_axis() -> None:
    with pytest.raises(InputError, match="'dq'") as caught:
        parse_traffic(packed(FLOWS), 4, {"dq": 0.5})
    assert "dp" in caught.value.hint


# ---- load ------------------------------------------------------------------------------------------------------


def test_load_of_steps_is_summed(tmp_path: Path) -> None:
    steps = np.arange(12, dtype=np.int64).reshape(2, 2, 3)
    (tmp_path / "load.npy").write_bytes(npy_bytes(steps))
    load = read_load(tmp_path / "load.npy")
    assert load.dtype == np.float64
    assert load.tolist() == steps.sum(0).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("\ufeffexpert 0,expert 1\n1,2.5\n3,4", [[1, 2.5], [3, 4]]),
        ("1,2\n3,4\n\n10,20\n30,40\n\n", [[11, 22], [33, 44]]),
    ],
)
def test_csv(text: str, expected: list[list[float]]) -> None:
    assert parse_load(Source("load.csv", text.encode())).tolist() == expected


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("1,2\n3,x\n", "l.csv:2", "'x' is not a number"),
        ("1,2\n3\n", "l.csv:2", "1 numbers, 2 in the lines before"),
        ("a,b\n1,2,3\n", "l.csv:2", "3 numbers, 2 in the lines before"),
        ("1,2\n\n1,2\n3,4\n", "l.csv", "different numbers of layers"),
        ("1,2\n3,nan\n", "l.csv", "layer 1: expert 1 has load nan"),
        ("1,2\n3,-4\n", "l.csv", "layer 1: expert 1 has load -4.0"),
        ("1,2\n0,0\n", "l.csv", "layer 1 has no tokens"),
        ("", "l.csv", "a load is numbers"),
        ("a,b\n", "l.csv", "a load is numbers"),
    ],
)
def test_bad_csv(text: str, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_load(Source("l.csv", text.encode()))
    assert str(caught.value.place) == place


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), "a load is numbers of shape"),
        (np.ones((1, 1, 1, 1)), "a load is numbers of shape"),
        (np.ones((0, 3)), "a load is numbers of shape"),
        (np.ones((2, 2), bool), "a load is numbers of shape"),
        (np.array([["a"]]), "a load is numbers of shape"),
        (np.array([[1.0, 2.0], [np.inf, 1.0]]), "layer 7: expert 0 has load inf"),
        (np.array([[[1.0], [1.0]], [[1.0], [-1.0]]]), "step 1, layer 7: expert 0 has load -1.0"),
        (np.array([[1.0, 2.0], [0.0, 0.0]]), "layer 7 has no tokens"),
        (np.array([[1e308, 1e308], [1.0, 1.0]]), "layer 5 has no tokens"),
    ],
)
def test_bad_load_names_the_layer(array: Any, message: str) -> None:
    with pytest.raises(InputError, match=message), np.errstate(over="ignore"):
        parse_load(Source("l.npy", npy_bytes(array)), layers=(5, 7))


# ---- routes ----------------------------------------------------------------------------------------------------


def test_routes_read_back(tmp_path: Path) -> None:
    routes = Routes(np.arange(24, dtype=np.int16).reshape(2, 4, 3), np.array([0, 0.25, 0.5, 0.999]))
    (tmp_path / "r.npz").write_bytes(routes_bytes(routes))
    again = read_routes(tmp_path / "r.npz", experts=24)
    assert np.array_equal(again.expert_ids, routes.expert_ids)
    assert np.array_equal(again.source, routes.source)
    assert again.experts == 24


@pytest.mark.parametrize(
    ("ids", "source", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3), "expert_ids must be int16"),
        (np.zeros((2, 3, 1)), np.zeros(3), "expert_ids must be int16"),
        (np.zeros((2, 3, 1), int), np.zeros(2), "2 sources for 3 tokens"),
        (np.zeros((2, 3, 1), int), np.ones(3), r"\[0, 1\)"),
        (np.zeros((2, 3, 1), int), np.full(3, np.nan), r"\[0, 1\)"),
        (np.full((2, 3, 1), 8), np.zeros(3), "layer 0, token 0: expert 8 is not in 0 to 7"),
        (np.full((2, 3, 1), -1), np.zeros(3), "expert -1"),
    ],
)
def test_bad_routes(ids: Any, source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_routes(packed({"expert_ids": ids, "source": source}), experts=8)


def test_large_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(npz, "MAX_ARRAY_BYTES", 10)
    with pytest.raises(InputError, match="at most 10 are read"):
        read_npz(packed(FLOWS), ["src"])
