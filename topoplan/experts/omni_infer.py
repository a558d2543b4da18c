"""omni-infer's placement pattern: an .npy file, int32 [devices, MoE layers, experts], 1 where a device has an expert.

A device holds its experts in ascending order, whatever order of slots was planned, and one that is there twice cannot
be said. Layers may differ in their number of slots, devices within a layer may not: the engine counts the experts of
the busiest layer and divides them by the devices.
"""

from __future__ import annotations

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, ReadMap, check_no_twins, pick_rows
from topoplan.files.inputs import Source
from topoplan.files.npz import npy_bytes, read_npy
from topoplan.model.experts import EMPTY
from topoplan.model.fabric import IntArray

NAME = "omni-infer"


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_no_twins(request, NAME)
    pattern = np.zeros((place.gpus, place.layers, place.experts), np.int32)
    layer, slot = np.nonzero(place.physical_to_logical_map != EMPTY)
    pattern[place.slot_gpu[slot], layer, place.physical_to_logical_map[layer, slot]] = 1
    held = pattern.sum(2)
    uneven = np.flatnonzero((held != held[0]).any(0))
    if uneven.size:
        row = int(uneven[0])
        raise InfeasibleError(
            f"{NAME} needs as many slots on every GPU of a layer: layer {request.moe_layers[row]} has "
            f"{held[:, row].min()} to {held[:, row].max()}",
            hint="plan with the same number of slots on each GPU",
        )
    return npy_bytes(pattern.astype("<i4"))


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    pattern = read_npy(Source("omni-infer.npy", data))
    if pattern.dtype.kind not in "biu" or pattern.ndim != 3 or not pattern.size:
        raise InputError(f"omni-infer takes int [devices, layers, experts], not {pattern.dtype} {list(pattern.shape)}")
    if pattern.min() < 0 or pattern.max() > 1:
        raise InputError("an omni-infer pattern holds 0 and 1 alone")
    present = pattern.transpose(1, 0, 2) != 0
    missing = np.argwhere(~present.any(1))
    if missing.size:
        raise InputError(f"row {missing[0, 0]}: expert {missing[0, 1]} is on no device")
    return ReadMap(pick_rows(_rows(present), moe_layers), len(pattern))


def _rows(present: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> IntArray:
    """[layers, devices * slots] int64 experts in ascending order on each device; -1 fills where there are fewer.

    Parameters
    ----------
    present
        [layers, devices, experts] bool.
    """
    held = present.sum(2)
    slots = int(held.max())
    order = np.argsort(~present, axis=2, kind="stable")[..., :slots]
    rows = np.where(np.arange(slots) < held[..., None], order, EMPTY)
    return rows.reshape(len(present), -1).astype(np.int64)


def _usage(request: ExpertMapRequest) -> str:
    return (
        f"in the placement configuration: pattern_path: {FORMAT.file_name}, "
        f"max_moe_layer_num: {request.placement.layers}, enable_dynamic: false"
    )


FORMAT = ExpertMapFormat(
    NAME,
    "omni-infer.npy",
    "omni-infer placement pattern_path, 0/1 by device, MoE layer and expert",
    _usage,
    _write,
    _read,
    dispatch="omni-infer chooses among the copies itself",
    lost="the order of slots on a GPU is not in the file: omni-infer sorts a GPU's experts by number",
)
