"""Bad loads, traces, maps and options of `topoplan experts`: one clear error that names the layer, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMMON = ("-t", "fabric.yaml", "--gpus", "8", "--slots", "40")


def good() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(3).lognormal(0, 1, (4, 32)) * 1e4


def changed(layer: int, expert: Any, value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    load = good()
    load[layer, expert] = value
    return load


def refused(topoplan: Callable[..., Any], *args: str, code: int = 2) -> str:
    """The one error of a command that must fail, having written nothing."""
    before = sorted(str(p) for p in Path().rglob("*"))
    result = topoplan("experts", *args, "--out", "never")
    assert result.code == code, result.err
    assert result.out == ""
    assert result.err.count("topoplan: error:") == 1
    assert "Traceback" not in result.err
    assert sorted(str(p) for p in Path().rglob("*")) == before
    return str(result.err)


LOADS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "not a number": (changed(2, 7, np.nan), ("load.npy", "layer 2", "expert 7", "nan")),
    "infinite": (changed(1, 0, np.inf), ("layer 1", "inf")),
    "negative": (changed(3, 31, -5), ("layer 3", "expert 31", "-5")),
    "a layer without tokens": (changed(2, slice(None), 0), ("layer 2", "no tokens")),
    "negative in a step": (np.stack([good(), changed(1, 4, -1)]), ("step 1", "layer 1", "expert 4")),
    "no layers": (np.ones((0, 32)), ("[layers, experts]",)),
    "too many axes": (np.ones((2, 2, 2, 2)), ("[layers, experts]", "[2, 2, 2, 2]")),
    "text": (np.array([["a", "b"]]), ("[layers, experts]",)),
    "a placement pattern": (np.ones((8, 4, 32), np.int32), ("0 and 1", "--previous")),
    "more experts than slots": (np.ones((4, 64)), ("layer 0", "40 slots cannot hold 64 experts")),
}


@pytest.mark.parametrize("case", sorted(LOADS))
def test_bad_loads(topoplan: Callable[..., Any], files: Path, case: str) -> None:
    array, words = LOADS[case]
    np.save(files / "load.npy", array)
    message = refused(topoplan, "load.npy", *COMMON)
    for word in words:
        assert word in message


def test_one_layer_may_come_as_a_row(topoplan: Callable[..., Any], files: Path) -> None:
    np.save(files / "row.npy", good()[0])
    result = topoplan("experts", "row.npy", *COMMON)
    assert result.code == 0, result.err
    assert "32 experts of 1 layer in 40 slots" in result.out


TEXTS: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "words": ("load.csv", b"1,2\n3,x\n", ("load.csv:2", "'x' is not a number")),
    "rows of different length": ("load.csv", b"1,2\n3\n", ("load.csv:2",)),
    "columns of something else": ("load.csv", b"layer,tokens\n0,5\n", ("load.csv", "layer_id, expert_id, count")),
    "a broken count": ("load.csv", b"layer_id,expert_id,count\n0,0,5\n0,1,x\n", ("line 3", "'0,1,x'")),
    "a negative count": ("load.csv", b"layer_id,expert_id,count\n0,0,5\n0,1,-1\n", ("layer 0, expert 1 has load -1",)),
    "counts of too much": ("load.csv", b"layer_id,expert_id,count\n999999,999999,1\n", ("more than any model",)),
    "JSON of something else": ("load.json", b'{"a": 1}', ("load.json", "logical_count")),
    "an empty recording": (
        "load.json",
        b'{"logical_count": [[0, 0], [0, 0]]}',
        ("load.json", "no layer has any token"),
    ),
    "not UTF-8": ("load.csv", b"\xff\xfe1,2", ("load.csv:1:1", "UTF-8")),
    "a zip of something else": ("load.pt", b"PK\x03\x04 and so on", ("load.pt",)),
}


@pytest.mark.parametrize("case", sorted(TEXTS))
def test_bad_files(topoplan: Callable[..., Any], files: Path, case: str) -> None:
    name, content, words = TEXTS[case]
    (files / name).write_bytes(content)
    message = refused(topoplan, name, *COMMON)
    for word in words:
        assert word in message


def test_an_archive_of_arrays_is_no_load(topoplan: Callable[..., Any], files: Path) -> None:
    np.savez(files / "load.npz", load=good())
    assert "np.save" in refused(topoplan, "load.npz", *COMMON)
    assert "nowhere.npy" in refused(topoplan, "nowhere.npy", *COMMON)


TRACES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "without tokens": ({"expert_ids": np.zeros((4, 0, 2), np.int16), "source": np.zeros(0)}, ("no tokens",)),
    "experts that do not exist": ({"expert_ids": np.full((4, 9, 2), 32)}, ("layer 0", "expert 32", "32 experts")),
    "a negative expert": ({"expert_ids": np.full((4, 9, 2), -1)}, ("layer 0", "expert -1")),
    "another number of layers": ({"expert_ids": np.zeros((3, 9, 2), np.int16)}, ("3 layers, the load 4",)),
    "fractions": ({"expert_ids": np.zeros((4, 9, 2))}, ("int16",)),
    "another number of sources": ({"source": np.zeros(8)}, ("8 sources for 9 tokens",)),
    "sources out of range": ({"source": np.ones(9)}, ("[0, 1)",)),
    "sources that are no numbers": ({"source": np.full(9, np.nan)}, ("[0, 1)",)),
}


@pytest.mark.parametrize("case", sorted(TRACES))
def test_bad_traces(topoplan: Callable[..., Any], files: Path, case: str) -> None:
    change, words = TRACES[case]
    np.save(files / "load.npy", good())
    trace: dict[str, Any] = {"expert_ids": np.zeros((4, 9, 2), np.int16), "source": np.zeros(9)}
    np.savez(files / "trace.npz", **(trace | change))
    message = refused(topoplan, "load.npy", *COMMON, "--routes", "trace.npz")
    for word in words:
        assert word in message


def test_a_trace_without_one_of_its_arrays(topoplan: Callable[..., Any], files: Path) -> None:
    np.save(files / "load.npy", good())
    np.savez(files / "trace.npz", expert_ids=np.zeros((4, 9, 2), np.int16))
    assert "source" in refused(topoplan, "load.npy", *COMMON, "--routes", "trace.npz")


OPTIONS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "layers that do not ascend": (("--moe-layers", "5,4,6,7"), 2, ("--moe-layers", "3-60")),
    "layers in words": (("--moe-layers", "all"), 2, ("--moe-layers",)),
    "too few layers": (("--moe-layers", "3-5"), 2, ("4 rows", "lists 3")),
    "an unknown format": (("--expert-format", "sgland"), 2, ("did you mean 'sglang'?", "trtllm")),
    "groups that do not divide": (("--groups", "5"), 2, ("5",)),
    "more GPUs than there are": (("--gpus", "100", "--slots", "400"), 3, ("100",)),
    "a horizon without unit": (("--horizon", "60"), 2, ("--horizon", "unit")),
    "a map of nothing": (("--previous", "note.txt"), 2, ("note.txt", "no expert map", "sglang")),
    "a map that is missing": (("--previous", "gone.json"), 2, ("gone.json",)),
}


@pytest.mark.parametrize("case", sorted(OPTIONS))
def test_bad_options(topoplan: Callable[..., Any], files: Path, case: str) -> None:
    options, code, words = OPTIONS[case]
    np.save(files / "load.npy", good())
    (files / "note.txt").write_text("nothing")
    message = refused(topoplan, "load.npy", *COMMON, *options, code=code)
    for word in words:
        assert word in message
