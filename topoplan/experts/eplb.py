"""What EPLB's rebalance_experts returns, as a .npz: phy2log, log2phy and logcnt.

phy2log is [layers, slots] int64, the expert in each slot; log2phy [layers, experts, most copies] int64, the slots of
each expert, padded with -1; logcnt [layers, experts] int64, how many there are. Slots are numbered GPU by GPU.
"""

from __future__ import annotations

import numpy as np

from topoplan.errors import InputError
from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, ReadMap, check_even, check_map, pick_rows
from topoplan.files.inputs import Source
from topoplan.files.npz import npz_bytes, read_npz
from topoplan.model.fabric import IntArray

ARRAYS = ("phy2log", "log2phy", "logcnt")


def slots_of_experts(phy2log: IntArray, experts: int) -> tuple[IntArray, IntArray]:
    """Slots of each expert, ascending, and their number.

    Returns
    -------
    log2phy
        [layers, experts, most copies] int64, padded with -1.
    logcnt
        [layers, experts] int64.
    """
    layers, slots = phy2log.shape
    key = (np.arange(layers)[:, None] * experts + phy2log).ravel()
    logcnt = np.bincount(key, minlength=layers * experts)
    order = np.argsort(key, kind="stable")
    first = np.cumsum(logcnt) - logcnt
    position = np.arange(layers * slots) - first[key[order]]
    log2phy = np.full((layers * experts, int(logcnt.max())), -1, np.int64)
    log2phy[key[order], position] = order % slots
    return log2phy.reshape(layers, experts, -1), logcnt.reshape(layers, experts).astype(np.int64)


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_even(request, "EPLB")
    phy2log = place.physical_to_logical_map
    log2phy, logcnt = slots_of_experts(phy2log, place.experts)
    arrays = (phy2log, log2phy, logcnt)
    return npz_bytes({name: array.astype("<i8") for name, array in zip(ARRAYS, arrays, strict=True)})


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    """The map; rows are MoE layers alone."""
    arrays = read_npz(Source("eplb.npz", data), ARRAYS)
    phy2log, log2phy, logcnt = (arrays[name] for name in ARRAYS)
    if any(arrays[name].dtype.kind not in "iu" for name in ARRAYS):
        raise InputError("phy2log, log2phy and logcnt must hold whole numbers")
    if logcnt.ndim != 2 or not logcnt.size:
        raise InputError("logcnt needs the shape [layers, experts]")
    checked = check_map(phy2log, logcnt.shape[1])
    wanted, counts = slots_of_experts(checked, logcnt.shape[1])
    if not np.array_equal(counts, logcnt):
        raise InputError("logcnt does not count the copies in phy2log")
    # EPLB lists an expert's slots in the order in which it made the copies, and may pad further than needed.
    if log2phy.ndim != 3 or log2phy.shape[:2] != logcnt.shape or log2phy.shape[2] < wanted.shape[2]:
        raise InputError("log2phy needs the shape [layers, experts, most copies]")
    if not np.array_equal(-np.sort(-log2phy, axis=2)[..., : wanted.shape[2]], -np.sort(-wanted, axis=2)):
        raise InputError("log2phy does not list the slots that phy2log gives to each expert")
    return ReadMap(pick_rows(checked, moe_layers))


def _usage(_request: ExpertMapRequest) -> str:
    return f"np.load({FORMAT.file_name!r}) gives phy2log, log2phy and logcnt, as rebalance_experts of EPLB returns them"


FORMAT = ExpertMapFormat(
    "eplb",
    "eplb.npz",
    "the three arrays of EPLB's rebalance_experts",
    _usage,
    _write,
    _read,
    dispatch="EPLB's arrays count copies as even",
)
