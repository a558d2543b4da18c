"""TensorRT-LLM's moe_config.load_balancer: a YAML file with the expert of each slot, by layer of the model.

Keys of `initial_global_assignments` are the model's own layer numbers, so the first of DeepSeek-V3 is 3; dense layers
are left out. Slot s is on EP rank s // (num_slots / ranks). With `layer_updates_per_iter: 0` the map stays as it is.
"""

from __future__ import annotations

import json
import re

import numpy as np

from topoplan.errors import InputError
from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, ReadMap, check_even, check_map
from topoplan.experts.json_text import whole_rows
from topoplan.model.fabric import IntArray

KEY = "initial_global_assignments"
_LAYER = re.compile(r"0|[1-9][0-9]{0,5}")


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_even(request, "TensorRT-LLM")
    lines = [f"num_slots: {place.slots}", f"{KEY}:"]
    for layer, row in zip(request.moe_layers, place.physical_to_logical_map.tolist(), strict=True):
        lines.append(f"  {layer}: {json.dumps(row)}")
    return "\n".join([*lines, "layer_updates_per_iter: 0", ""]).encode()


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    from topoplan.files.marked import parse  # noqa: PLC0415 - help lists formats without yaml

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not a YAML file: {error}") from None
    content = parse(text, "trtllm.yaml").data
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict) or not content[KEY]:
        raise InputError(f"TensorRT-LLM takes a mapping with num_slots and {KEY}")
    assigned = content[KEY]
    wrong = next((key for key in assigned if not _LAYER.fullmatch(str(key))), None)
    if wrong is not None:
        raise InputError(f"{KEY}: {str(wrong)[:40]!r} is not the number of a layer")
    by_layer = {int(key): row for key, row in assigned.items()}
    listed = sorted(by_layer)
    rows = check_map(whole_rows([by_layer[layer] for layer in listed], KEY))
    if content.get("num_slots") != rows.shape[1]:
        raise InputError(f"num_slots is {str(content.get('num_slots'))[:20]}, the layers have {rows.shape[1]} slots")
    return ReadMap(_wanted(rows, listed, moe_layers))


def _wanted(rows: IntArray, listed: list[int], moe_layers: tuple[int, ...]) -> IntArray:
    """Rows of `moe_layers`, or all."""
    missing = sorted(set(moe_layers) - set(listed))
    if missing:
        raise InputError(f"layer {missing[0]} is missing: the file has layers {listed[0]} to {listed[-1]}")
    return rows[np.searchsorted(listed, moe_layers)] if moe_layers else rows


def _usage(request: ExpertMapRequest) -> str:
    return (
        f"moe_config: {{load_balancer: {FORMAT.file_name}}} in the file of --extra_llm_api_options, "
        f"--ep_size {request.placement.gpus}"
    )


FORMAT = ExpertMapFormat(
    "trtllm",
    "trtllm.yaml",
    "TensorRT-LLM moe_config.load_balancer, MoE layers by the model's numbers",
    _usage,
    _write,
    _read,
    dispatch="TensorRT-LLM uses the copies evenly",
    model_layers=True,
)
