"""Torch files of SGLang: read where torch is, refused clearly where it is not, never unpickled freely."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InputError, SolverMissingError
from topoplan.experts import get_format, moe_layers_of, read_recorded_load
from topoplan.experts.recorded import is_torch_file


@pytest.fixture
def torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        pytest.skip("torch is not installed; .pt files cannot be read without it")


def saved(torch: Any, content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def archive(*, compress: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as made:
        for name, data in members.items():
            made.writestr(f"archive/{name.replace('_', '.')}", data)
    return file.getvalue()


COUNT = np.arange(24).reshape(2, 3, 4)
COUNT[:, 0] = 0  # a dense layer


def test_recorded_load(torch: Any) -> None:
    count = torch.from_numpy(COUNT.astype(np.int32))
    data = saved(torch, {"rank": 0, "logical_count": count, "average_utilization_rate_over_window": None})
    load = read_recorded_load(data)
    assert load.dtype == np.float64
    assert load.tolist() == COUNT.tolist()
    assert moe_layers_of(load) == (1, 2)
    one = read_recorded_load(saved(torch, {"logical_count": count[0].bfloat16()}))
    assert one.tolist() == COUNT[:1].tolist()


def test_recorded_passes_become_steps_of_logical_experts(torch: Any) -> None:
    rows = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])
    counts = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=torch.int32)
    records = [
        {"forward_pass_id": 7, "rank": 1, "gatherer_key": "primary", "global_physical_count": counts},
        {"forward_pass_id": 3, "rank": 1, "gatherer_key": "primary", "global_physical_count": counts * 10},
        {"forward_pass_id": 7, "rank": 1, "gatherer_key": "child", "global_physical_count": counts},
    ]
    data = saved(torch, {"records": records, "last_physical_to_logical_map": rows})
    by_expert = np.array([[5, 2, 3], [7, 14, 5]])
    assert read_recorded_load(data).tolist() == [(10 * by_expert).tolist(), (2 * by_expert).tolist()]
    assert get_format("sglang").read(data).tolist() == rows.tolist()


def test_expert_location(torch: Any) -> None:
    data = saved(torch, {"physical_to_logical_map": torch.tensor([[1, 0, 1], [0, 1, 0]])})
    assert get_format("sglang").read(data, (1,)).tolist() == [[0, 1, 0]]
    with pytest.raises(InputError, match="no physical_to_logical_map"):
        get_format("sglang").read(saved(torch, {"logical_count": torch.ones(2, 3)}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "neither logical_count nor records"),
        ([1], "must hold a dictionary"),
        ({"logical_count": "text"}, "not a plain array"),
        ({"logical_count": [1, 2]}, r"shape \[2\]"),
        ({"logical_count": [[1, 2], [3]]}, "not a plain array"),
        ({"logical_count": [[[1, 2], [3, -4]]]}, "step 0, layer 1: expert 1 has load -4"),
        ({"logical_count": [[1.0, float("nan")]]}, "step 0, layer 0: expert 1 has load nan"),
        ({"logical_count": []}, "shape"),
        ({"records": []}, "must be a list"),
        ({"records": [{}], "last_physical_to_logical_map": [[0]]}, "record 0 has no global_physical_count"),
        ({"records": [{"global_physical_count": [[1, 2]]}], "last_physical_to_logical_map": [[0]]}, "the map is"),
    ],
)
def test_broken_records(content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_recorded_load(json.dumps(content).encode())


def test_broken_records_in_torch_files(torch: Any) -> None:
    for content, message in (
        ([torch.ones(1)], "dictionary"),
        ({"logical_count": torch.ones(2, 3, dtype=torch.complex64)}, "plain array"),
        ({"logical_count": torch.ones(2, 3).to_sparse()}, "plain array|plain tensors"),
        ({"logical_count": torch.ones(1, 1).expand(10**6, 10**6)}, "plain array"),
    ):
        with pytest.raises(InputError, match=message):
            read_recorded_load(saved(torch, content))


def test_records_that_repeat_one_tensor_do_not_grow(torch: Any) -> None:
    counts = torch.ones((1, 1000), dtype=torch.int32)
    records = [{"forward_pass_id": n, "global_physical_count": counts} for n in range(2000)]
    content = {"records": records, "last_physical_to_logical_map": torch.zeros((1, 1000), dtype=torch.int64)}
    with pytest.raises(InputError, match="larger than the file"):
        read_recorded_load(saved(torch, content))


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


def test_torch_files_run_nothing(torch: Any, tmp_path: Path) -> None:
    data = saved(torch, {"logical_count": Evil(tmp_path / "seen")})
    for read in (read_recorded_load, get_format("sglang").read):
        with pytest.raises(InputError, match="torch does not read"):
            read(data)
    assert not (tmp_path / "seen").exists()


def test_damaged_torch_files(torch: Any) -> None:
    good = saved(torch, {"logical_count": torch.ones(2, 3, 4)})
    generator = np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        for where in generator.integers(0, len(bad), 3):
            bad[where] = generator.integers(256)
        try:
            read_recorded_load(bytes(bad))
        except InputError:
            continue


# ---- without torch ---------------------------------------------------------------------------------------------


def test_archives_that_torch_does_not_write() -> None:
    for data, message in (
        (b"PK\x03\x04rest", "not a readable"),
        (archive(other=b"x"), "no data.pkl"),
        (archive(data_pkl=b"0" * 10**6, compress=zipfile.ZIP_DEFLATED), "compressed"),
    ):
        assert is_torch_file(data)
        with pytest.raises(InputError, match=message):
            read_recorded_load(data)


def test_without_torch_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    data = archive(data_pkl=pickle.dumps({"logical_count": Evil(tmp_path / "seen")}))
    with pytest.raises(SolverMissingError, match="only read with torch") as caught:
        read_recorded_load(data)
    assert "numpy.save" in caught.value.hint
    assert not (tmp_path / "seen").exists()


@pytest.mark.parametrize("version", ["2.5.1", "1.13.1+cu117", "unknown"])
def test_torch_that_files_can_fool_is_not_used(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("torch")
    old.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(SolverMissingError, match="CVE-2025-32434"):
        read_recorded_load(archive(data_pkl=b""))


def test_json_counts_need_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert read_recorded_load(b'{"logical_count": [[1, 2], [3, 4]]}').tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(InputError, match="not a JSON"):
        read_recorded_load(b"\x80\x02}q\x00.")
