"""SGLang's --init-expert-location: {"physical_to_logical_map": [[expert of each slot] of each layer]} and no other key.

Any other key stops SGLang with a TypeError. Rows are all layers of the model, dense ones too (python/sglang/srt/eplb/
expert_location.py); a dense layer's row is never used and holds the trivial map, slot i -> expert i % experts.

There is no file for dispatch: SGLang makes its own table of one copy for each source rank (static) when it starts,
or draws among the copies (dynamic).
"""

from __future__ import annotations

import numpy as np

from topoplan.errors import InputError
from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, ReadMap, check_even, check_map, pick_layers
from topoplan.experts.json_text import parse_json, row_lines, whole_rows
from topoplan.experts.recorded import is_torch_file, read_recorded_map
from topoplan.model.fabric import IntArray

KEY = "physical_to_logical_map"


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_even(request, "SGLang")
    full = np.tile(np.arange(place.slots) % place.experts, (request.layers, 1))
    full[list(request.moe_layers)] = place.physical_to_logical_map
    return f'{{"{KEY}": {row_lines(full.tolist())}}}\n'.encode()


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    """The JSON that is written here, or the same as a torch file, or the last map of a recorder's."""
    full = read_recorded_map(data) if is_torch_file(data) else check_map(_json_rows(data))
    return ReadMap(pick_layers(full, moe_layers))


def _json_rows(data: bytes) -> IntArray:
    content = parse_json(data)
    if not isinstance(content, dict) or set(content) != {KEY}:
        raise InputError(f"SGLang takes an object with the key {KEY!r} and no other")
    return whole_rows(content[KEY], KEY)


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
    dispatch="SGLang sends each source rank to one copy (static: on its own GPU first) or draws one (dynamic)",
    model_layers=True,
)
