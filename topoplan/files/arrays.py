"""Traffic, expert loads and routing traces: the arrays that jobs and the expert commands read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError, Place
from topoplan.files.inputs import Source, read_source
from topoplan.files.npz import MAX_ARRAY_BYTES, Array, npy_bytes, npz_bytes, read_npy, read_npz
from topoplan.model.fabric import FloatArray
from topoplan.model.traffic import Traffic
from topoplan.names import closest

_ANY_AXIS = "all"  # name of the one axis where the traffic names none
_MAX_AXES = 127  # int8


@dataclass(frozen=True, eq=False)
class Routes:
    """A trace of which experts tokens chose.

    Parameters
    ----------
    expert_ids
        [layers, tokens, top_k] int16 logical experts.
    source
        [tokens] float64 in [0, 1): times the number of GPUs it is the GPU that holds the token.
    """

    expert_ids: npt.NDArray[np.int16]
    source: FloatArray

    @property
    def experts(self) -> int:
        """One more than the highest expert chosen."""
        return int(self.expert_ids.max()) + 1


def read_array_source(path: str | Path) -> Source:
    """Content of an array file, bounded."""
    return read_source(path, limit=MAX_ARRAY_BYTES)


# ---- traffic ---------------------------------------------------------------------------------------------------


def read_traffic(path: str | Path, ranks: int, exposure: Mapping[str, float] | None = None) -> Traffic:
    """Traffic of an .npz file; see `parse_traffic`."""
    return parse_traffic(read_array_source(path), ranks, exposure)


def parse_traffic(source: Source, ranks: int, exposure: Mapping[str, float] | None = None) -> Traffic:
    """Traffic of int32 src[n], dst[n], float64 bytes[n] and, optionally, int8 axis[n] with text axes[].

    Parameters
    ----------
    ranks
        Number of ranks of the job.
    exposure
        Share that compute does not hide, of the axes that have one; else 1.

    Raises
    ------
    InputError
        Arrays that are missing, of a wrong type or length, or out of range; exposure of an unknown axis.
    """
    arrays = read_npz(source, ("src", "dst", "bytes"), ("axis", "axes"))
    place = Place(source.shown)
    src, dst = (_whole(arrays[name], name, place) for name in ("src", "dst"))
    size = _numbers(arrays["bytes"], "bytes", place)
    names, axis = _axes(arrays, len(src), place)
    shares = dict(exposure or {})
    for name in shares:
        if name not in names:
            hint = closest(name, names) or f"its axes: {', '.join(names)}"
            raise InputError(f"exposure names axis {name!r}, which the traffic does not have", place=place, hint=hint)
    try:
        return Traffic(
            ranks,
            names,
            src.astype(np.int32),
            dst.astype(np.int32),
            size,
            axis.astype(np.int8),
            np.array([shares.get(name, 1.0) for name in names]),
            np.zeros(len(names)),
        )
    except InputError as error:
        raise InputError(error.message, place=place, hint=error.hint) from None


def _axes(arrays: Mapping[str, Array], flows: int, place: Place) -> tuple[tuple[str, ...], Array]:
    if "axis" not in arrays:
        return (_ANY_AXIS,), np.zeros(flows, np.int8)
    axis = _whole(arrays["axis"], "axis", place)
    if "axes" not in arrays:
        count = int(axis.max(initial=0)) + 1
        return tuple(f"axis{a}" for a in range(min(count, _MAX_AXES))), axis
    names = arrays["axes"]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(f"axes must be a list of texts, not {_kind(names)}", place=place)
    listed = tuple(str(name) for name in names)
    if len(set(listed)) < len(listed) or not all(name.isprintable() and name for name in listed):
        raise InputError("axes must be different printable names", place=place)
    if not 0 < len(listed) <= _MAX_AXES:
        raise InputError(f"axes must name 1 to {_MAX_AXES} axes", place=place)
    return listed, axis


def _whole(array: Array, name: str, place: Place) -> Array:
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InputError(f"{name} must be a list of whole numbers (int32), not {_kind(array)}", place=place)
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise InputError(f"{name} does not fit int32", place=place)
    return array


def _numbers(array: Array, name: str, place: Place) -> FloatArray:
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise InputError(f"{name} must be a list of numbers (float64), not {_kind(array)}", place=place)
    return np.ascontiguousarray(array, np.float64)


def _kind(array: Array) -> str:
    return f"{array.dtype} of shape {list(array.shape)}"


def traffic_bytes(traffic: Traffic) -> bytes:
    """Canonical .npz file of a traffic; exposure is the job's and not in it."""
    return npz_bytes(
        {
            "src": traffic.src.astype("<i4"),
            "dst": traffic.dst.astype("<i4"),
            "bytes": traffic.bytes.astype("<f8"),
            "axis": traffic.axis.astype("i1"),
            "axes": np.array(traffic.axes),
        }
    )


# ---- expert load -----------------------------------------------------------------------------------------------


def read_load(path: str | Path, layers: Sequence[int] = ()) -> FloatArray:
    """Load of an .npy or .csv file; see `parse_load`."""
    return parse_load(read_array_source(path), layers)


def parse_load(source: Source, layers: Sequence[int] = ()) -> FloatArray:
    """[layers, experts] float64 tokens of each expert, summed over the steps where the file has several.

    See `parse_history`.
    """
    return np.asarray(parse_history(source, layers).sum(0), np.float64)


def parse_history(source: Source, layers: Sequence[int] = ()) -> FloatArray:
    """[steps, layers, experts] float64 tokens of each expert; one step where the file has none.

    Parameters
    ----------
    layers
        Model layer of each row, for messages; the row numbers when empty.

    Raises
    ------
    InputError
        Not [layers, experts] or [steps, layers, experts] numbers; a load that is negative or not a number; a layer
        without any token.
    """
    array = read_npy(source) if source.content[:6] == b"\x93NUMPY" else _csv(source)
    place = Place(source.shown)
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or not array.size:
        raise InputError(
            f"a load is numbers of shape [layers, experts] or [steps, layers, experts], not {_kind(array)}", place=place
        )
    steps = np.ascontiguousarray(array, np.float64).reshape(-1, *array.shape[-2:])
    names = list(layers) if len(layers) == steps.shape[1] else list(range(steps.shape[1]))
    bad = np.argwhere(~(np.isfinite(steps) & (steps >= 0)))
    if len(bad):
        step, row, expert = (int(i) for i in bad[0])
        where = f"step {step}, " if array.ndim == 3 else ""
        raise InputError(
            f"{where}layer {names[row]}: expert {expert} has load {steps[step, row, expert]}; "
            "loads are finite and not negative",
            place=place,
        )
    load = np.asarray(steps.sum(0), np.float64)
    empty = np.flatnonzero(~((load.sum(1) > 0) & np.isfinite(load.sum(1))))
    if len(empty):
        raise InputError(
            f"layer {names[int(empty[0])]} has no tokens (or more than can be summed)",
            place=place,
            hint="list MoE layers only, or measure for longer",
        )
    return steps


def _csv(source: Source) -> Array:
    """Rows of numbers; an empty line begins the next step, and a first line of titles is skipped."""
    steps: list[list[list[float]]] = [[]]
    width = 0
    for number, line in enumerate(source.text.removeprefix("\ufeff").splitlines(), 1):
        cells = [cell.strip() for cell in line.split(",")]
        if cells == [""]:
            steps.append([])
            continue
        row = [_cell(cell) for cell in cells]
        if all(value is None for value in row) and len(steps) == 1 and not steps[0] and not width:
            width = len(row)
            continue
        if None in row or (width and len(row) != width):
            wrong = cells[row.index(None)][:40] if None in row else ""
            message = (
                f"{wrong!r} is not a number" if None in row else f"{len(row)} numbers, {width} in the lines before"
            )
            raise InputError(
                message, place=Place(source.shown, number), hint="a load is an .npy file or a .csv of numbers"
            )
        width = len(row)
        steps[-1].append([value for value in row if value is not None])
    filled = [step for step in steps if step]
    if len({len(step) for step in filled}) > 1:
        raise InputError("the steps have different numbers of layers", place=Place(source.shown))
    return np.array(filled[0] if len(filled) == 1 else filled, np.float64)


def _cell(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def load_bytes(load: FloatArray) -> bytes:
    """Canonical .npy file of a load."""
    return npy_bytes(np.asarray(load, "<f8"))


# ---- routes ----------------------------------------------------------------------------------------------------


def read_routes(path: str | Path, *, experts: int = 0) -> Routes:
    """Routes of an .npz file; see `parse_routes`."""
    return parse_routes(read_array_source(path), experts=experts)


def parse_routes(source: Source, *, experts: int = 0) -> Routes:
    """Routes of int16 expert_ids [layers, tokens, top_k] and float64 source [tokens] in [0, 1).

    Parameters
    ----------
    experts
        Number of experts that ids must stay below, when known.

    Raises
    ------
    InputError
        Arrays that are missing, of a wrong type or shape, or out of range.
    """
    arrays = read_npz(source, ("expert_ids", "source"))
    ids, place = arrays["expert_ids"], Place(source.shown)
    if ids.ndim == 3 and not ids.size:
        raise InputError(f"the routing trace has no tokens: expert_ids has shape {list(ids.shape)}", place=place)
    if ids.dtype.kind not in "iu" or ids.ndim != 3:
        raise InputError(f"expert_ids must be int16 [layers, tokens, top_k], not {_kind(ids)}", place=place)
    start = _numbers(arrays["source"], "source", place)
    if len(start) != ids.shape[1]:
        raise InputError(f"{len(start)} sources for {ids.shape[1]} tokens", place=place)
    if not ((start >= 0) & (start < 1)).all():
        raise InputError("source must lie in [0, 1); times the number of GPUs it is the token's GPU", place=place)
    wrong = np.argwhere((ids < 0) | (ids >= (experts or 2**15)))
    if len(wrong):
        layer, token, k = (int(i) for i in wrong[0])
        limit = f"0 to {experts - 1}" if experts else "0 to 32767"
        raise InputError(f"layer {layer}, token {token}: expert {ids[layer, token, k]} is not in {limit}", place=place)
    return Routes(np.ascontiguousarray(ids, np.int16), start)


def routes_bytes(routes: Routes) -> bytes:
    """Canonical .npz file of routes."""
    return npz_bytes({"expert_ids": routes.expert_ids.astype("<i2"), "source": routes.source.astype("<f8")})
