"""SGLang's --init-expert-location: {"physical_to_logical_map": [[expert of each slot] of each layer]} and no other key.

Any other key stops SGLang with a TypeError. Rows are all layers of the model, dense ones too (python/sglang/srt/eplb/
expert_location.py); a dense layer's row is never used and holds the trivial map, slot i -> expert i % experts.
"""

from __future__ import annotations

import json

import numpy as np

from topoplan.errors import InputError
from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, check_even, check_layers, check_map
from topoplan.model.fabric import IntArray

KEY = "physical_to_logical_map"


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_even(place, "SGLang")
    full = np.tile(np.arange(place.slots) % place.experts, (request.layers, 1))
    full[list(request.moe_layers)] = place.physical_to_logical_map
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in full.tolist())
    return f'{{"{KEY}": [\n{rows}\n]}}\n'.encode()


def _read(data: bytes, moe_layers: tuple[int, ...]) -> IntArray:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON file: {error}") from error
    if not isinstance(content, dict) or set(content) != {KEY}:
        raise InputError(f"SGLang takes an object with the key {KEY!r} and no other")
    rows = content[KEY]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        raise InputError(f"{KEY} must be a list of layers with as many slots each")
    if any(type(expert) is not int for row in rows for expert in row):
        raise InputError(f"{KEY} must hold whole numbers")
    try:
        full = check_map(rows)
    except OverflowError as error:
        raise InputError(f"{KEY} holds a number that is no expert") from error
    check_layers(moe_layers)
    if moe_layers and moe_layers[-1] >= len(full):
        raise InputError(f"layer {moe_layers[-1]} is missing: the file has {len(full)} layers, 0 the first")
    return full[list(moe_layers)] if moe_layers else full


def _usage(request: ExpertMapRequest) -> str:
    return (
        f"--init-expert-location {FORMAT.file_name} --ep-num-redundant-experts {request.redundant} "
        f"--ep-size {request.placement.gpus}"
    )


FORMAT = ExpertMapFormat(
    "sglang",
    "sglang.json",
    "SGLang --init-expert-location, all layers of the model",
    _usage,
    _write,
    _read,
)
