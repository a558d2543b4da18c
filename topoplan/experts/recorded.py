"""Torch files of SGLang: loads of its expert distribution recorder, and expert locations.

Two kinds of recorder file exist (python/sglang/srt/eplb/expert_distribution.py): stat has `logical_count`, int
[steps, layers, experts], summed over all ranks; per_pass and per_token have `records`, each with the tokens that its
own rank saw in each slot in one forward pass (`global_physical_count`, int [layers, slots]), and
`last_physical_to_logical_map`. An expert location has `physical_to_logical_map` or `logical_count`.

A torch file is a pickle. It is only ever given to torch.load(weights_only=True), which refuses everything but tensors
and plain containers, and only by a torch where nobody has found a way around that.
"""

from __future__ import annotations

import importlib
import io
import re
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from topoplan.errors import InputError, SolverMissingError
from topoplan.experts.base import MAX_BYTES, check_map
from topoplan.experts.json_text import parse_json
from topoplan.model.fabric import FloatArray, IntArray

_SAFE = (2, 6)  # CVE-2025-32434: before 2.6, weights_only could be made to run code
_EXPORT = "numpy.save('load.npy', torch.load('FILE.pt', weights_only=True)['logical_count'].numpy())"


def is_torch_file(data: bytes) -> bool:
    """Whether the bytes are a zip archive, as torch.save has written since 1.6."""
    return data[:4] == b"PK\x03\x04"


def read_recorded_load(data: bytes) -> FloatArray:
    """[steps, layers, experts] float64 tokens that SGLang counted, dense layers (all zero) too.

    Parameters
    ----------
    data
        A recorder's .pt file, or an expert location with `logical_count` as .pt or JSON. A per_pass or per_token file
        counts what its own rank saw; steps are forward passes.

    Raises
    ------
    InputError
        Not such a file; a count that is negative or not a number, naming step, layer and expert.
    SolverMissingError
        A .pt file, and torch is missing or too old to read it safely.
    """
    content = _load(data) if is_torch_file(data) else parse_json(data)
    if not isinstance(content, Mapping):
        raise InputError("not a file of SGLang's recorder: it must hold a dictionary")
    if "logical_count" in content:
        count = _numbers(content["logical_count"], "logical_count", len(data))
    elif "records" in content:
        count = _records_load(content, len(data))
    else:
        raise InputError(
            "not a file of SGLang's recorder: it has neither logical_count nor records",
            hint="an .npy or .csv file of tokens by layer and expert is read as a load too",
        )
    if count.ndim not in (2, 3) or not count.size:
        raise InputError(f"logical_count has shape {list(count.shape)}, not [steps, layers, experts]")
    steps = count.reshape(-1, *count.shape[-2:]).astype(np.float64)
    bad = np.argwhere(~(np.isfinite(steps) & (steps >= 0)))
    if bad.size:
        step, layer, expert = bad[0]
        raise InputError(f"step {step}, layer {layer}: expert {expert} has load {steps[step, layer, expert]}")
    return steps


def moe_layers_of(load: FloatArray) -> tuple[int, ...]:
    """Layers of a recorded [steps, layers, experts] load that have tokens: the others are dense, or were not used."""
    return tuple(int(layer) for layer in np.flatnonzero(load.sum(axis=(0, 2)) > 0))


def read_counts_csv(text: str) -> FloatArray:
    """[1, layers, experts] float64 of the recorder's older CSV: a line of layer_id, expert_id, count for each pair.

    Raises
    ------
    InputError
        Not such a file; names the line.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    titles = [title.strip(' "').lower() for title in lines[0].split(",")]
    if titles != ["layer_id", "expert_id", "count"]:
        raise InputError(
            f"the columns are {', '.join(titles)[:80]!r}, not layer_id, expert_id, count",
            hint="a load without such titles is a row of tokens for each layer, a column for each expert",
        )
    rows = [_count_row(number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if not rows:
        raise InputError("the file counts nothing below its titles")
    layers, experts = max(row[0] for row in rows) + 1, max(row[1] for row in rows) + 1
    if layers * experts > MAX_BYTES // 8:
        raise InputError(f"{layers} layers of {experts} experts are more than any model has")
    count = np.zeros((1, layers, experts))
    for layer, expert, tokens in rows:
        count[0, layer, expert] += tokens
    return count


def _count_row(number: int, line: str) -> tuple[int, int, float]:
    """Layer, expert and tokens of a line."""
    try:
        layer, expert, tokens = line.split(",")
        row = int(layer), int(expert), float(tokens)
    except ValueError:
        raise InputError(f"line {number}: {line[:40]!r} is not layer_id, expert_id, count") from None
    if row[0] < 0 or row[1] < 0 or not 0 <= row[2] < float("inf"):
        raise InputError(f"line {number}: layer {row[0]}, expert {row[1]} has load {row[2]}")
    return row


def read_recorded_map(data: bytes) -> IntArray:
    """[layers, slots] int64 of a .pt expert location, or the last map of a recorder's file; errors as the load's."""
    content = _load(data)
    for key in ("physical_to_logical_map", "last_physical_to_logical_map"):
        if key in content:
            return check_map(_numbers(content[key], key, len(data)))
    raise InputError(
        "the file has no physical_to_logical_map", hint="it may hold a load: give it to `topoplan experts` as LOAD"
    )


# ---- the file --------------------------------------------------------------------------------------------------


def _load(data: bytes) -> Mapping[str, Any]:
    """The dictionary of a torch file."""
    _check_archive(data)
    torch = _torch()
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds on damaged and on refused files
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"torch does not read the file as plain tensors: {reason}") from None
    if not isinstance(content, Mapping):
        raise InputError("not a file of SGLang's: it must hold a dictionary")
    return content


def _torch() -> Any:
    """The torch package; SolverMissingError without it."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise SolverMissingError(
            "a .pt file is only read with torch, which is not installed here",
            hint=f'pip install "torch>=2.6", or make an .npy file of it where torch is: {_EXPORT}',
        ) from None
    version = re.match(r"(\d+)\.(\d+)", str(torch.__version__))
    if version is None or (int(version[1]), int(version[2])) < _SAFE:
        raise SolverMissingError(
            f"torch {torch.__version__} can be made to run code by a .pt file (CVE-2025-32434)",
            hint='pip install "torch>=2.6"',
        )
    return torch


def _check_archive(data: bytes) -> None:
    """Refuse what torch.save does not write: its archives are not compressed, so nothing in them can grow."""
    if len(data) > MAX_BYTES:
        raise InputError(f"a .pt file of {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile and struct raise several kinds on damaged archives
        raise InputError(f"not a readable .pt file: {str(error)[:200]}") from None
    if not any(info.filename.rpartition("/")[2] == "data.pkl" for info in members):
        raise InputError("not a .pt file of torch.save: it has no data.pkl")
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise InputError("not a .pt file of torch.save: it is compressed")
    if sum(info.file_size for info in members) > len(data):
        raise InputError("not a readable .pt file: its parts are larger than it is")


# ---- what it holds ---------------------------------------------------------------------------------------------


def _numbers(value: Any, what: str, limit: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Array of a tensor or of nested lists.

    Parameters
    ----------
    limit
        Bytes of the file: a tensor that says it is larger repeats a few numbers, and would grow when copied.
    """
    wrong = InputError(f"{what} is not a plain array of numbers")
    if isinstance(value, list):
        try:
            array = np.array(value)
        except (ValueError, OverflowError):
            raise wrong from None
    else:
        array = _tensor_array(value, limit, wrong)
    if array.dtype.kind not in "iuf":
        raise wrong
    return array


def _tensor_array(value: Any, limit: int, wrong: InputError) -> np.ndarray[Any, np.dtype[Any]]:
    torch = sys.modules.get("torch")  # there, if any tensor is
    plain = (
        torch is not None
        and isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )
    if not plain or value.is_complex() or value.is_quantized:
        raise wrong
    if value.numel() * value.element_size() > limit:
        raise wrong
    value = value.detach()
    return np.asarray((value.double() if value.is_floating_point() else value).numpy())


def _records_load(content: Mapping[str, Any], limit: int) -> FloatArray:
    """[passes, layers, experts] float64 of a file of single records."""
    records = content["records"]
    if not isinstance(records, list) or not records or "last_physical_to_logical_map" not in content:
        raise InputError("records must be a list, with last_physical_to_logical_map beside it")
    rows = check_map(_numbers(content["last_physical_to_logical_map"], "last_physical_to_logical_map", limit))
    if len(records) * rows.size > limit:  # a hostile file points at one and the same tensor many times
        raise InputError("the records are larger than the file")
    passes: dict[int, FloatArray] = {}
    for number, record in enumerate(records):
        if not isinstance(record, Mapping) or "global_physical_count" not in record:
            raise InputError(f"record {number} has no global_physical_count")
        count = _numbers(record["global_physical_count"], "global_physical_count", limit)
        if count.shape != rows.shape:
            raise InputError(f"record {number} counts {list(count.shape)}, the map is {list(rows.shape)}")
        identity = record.get("forward_pass_id", number)
        if not isinstance(identity, int):
            raise InputError(f"record {number} has no number of its forward pass")
        # two-batch overlap records halves of a pass apart
        passes[identity] = passes.get(identity, np.zeros(rows.shape)) + count
    return np.array([_by_expert(count, rows) for _, count in sorted(passes.items())])


def _by_expert(count: FloatArray, rows: IntArray) -> FloatArray:
    """[layers, experts] float64 sums over the slots of each expert."""
    experts = int(rows.max()) + 1
    key = np.arange(len(rows))[:, None] * experts + rows
    total = np.bincount(key.ravel(), count.ravel(), len(rows) * experts)
    return np.asarray(total, np.float64).reshape(len(rows), experts)
