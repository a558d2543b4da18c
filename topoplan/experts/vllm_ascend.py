"""vllm-ascend's expert_map_path: a JSON file with the experts of each device, for each MoE layer.

It is read by position (vllm_ascend/eplb/core/eplb_utils.py): entry i of `layer_list` is the i-th MoE layer and entry d
of `device_list` is EP rank d, whatever their ids say. Every device of every layer has as many experts, and none twice.
Each rank keeps to one copy of an expert.
"""

from __future__ import annotations

import json
from typing import Any

from topoplan.errors import InputError
from topoplan.experts.base import (
    ExpertMapFormat,
    ExpertMapRequest,
    ReadMap,
    check_even,
    check_map,
    check_no_twins,
    pick_rows,
)
from topoplan.experts.json_text import parse_json, whole_rows
from topoplan.model.fabric import IntArray

NAME = "vllm-ascend"


def _write(request: ExpertMapRequest) -> bytes:
    place = request.placement
    check_even(request, NAME)
    check_no_twins(request, NAME)
    layers = []
    for number, row in enumerate(place.physical_to_logical_map.reshape(place.layers, place.gpus, -1).tolist()):
        devices = [json.dumps({"device_id": d, "device_expert": experts}) for d, experts in enumerate(row)]
        head = f'{{"layer_id": {number}, "device_count": {place.gpus}, "device_list": ['
        layers.append(head + "\n" + ",\n".join(devices) + "\n]}")
    return (f'{{"moe_layer_count": {place.layers}, "layer_list": [\n' + ",\n".join(layers) + "\n]}\n").encode()


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    content = parse_json(data)
    layers = content.get("layer_list") if isinstance(content, dict) else None
    if not isinstance(layers, list) or not layers:
        raise InputError("vllm-ascend takes an object with moe_layer_count and layer_list")
    if content.get("moe_layer_count") != len(layers):
        raise InputError(f"moe_layer_count is not the {len(layers)} layers of layer_list")
    tables = [_table(number, layer) for number, layer in enumerate(layers)]
    shapes = {table.shape for table in tables}
    if len(shapes) > 1:
        raise InputError("every layer needs as many devices, with as many experts each")
    devices = len(tables[0])
    rows = check_map(whole_rows([table.ravel().tolist() for table in tables], "device_expert"))
    return ReadMap(pick_rows(rows, moe_layers), devices)


def _table(number: int, layer: Any) -> IntArray:
    """[devices, slots] int64 experts of one layer."""
    devices = layer.get("device_list") if isinstance(layer, dict) else None
    if not isinstance(devices, list) or not devices or not all(isinstance(device, dict) for device in devices):
        raise InputError(f"layer {number} has no device_list")
    if layer.get("device_count", len(devices)) != len(devices):
        raise InputError(f"layer {number}: device_count is not the {len(devices)} devices of device_list")
    experts = [device.get("device_expert") for device in devices]
    if any(not isinstance(held, list) or len(held) != len(experts[0]) for held in experts):
        raise InputError(f"layer {number}: every device needs a device_expert list of the same length")
    table = whole_rows(experts, f"layer {number}: device_expert")
    for device, held in enumerate(table.tolist()):
        if len(set(held)) < len(held):
            raise InputError(f"layer {number}: device {device} has an expert twice")
    return table


def _usage(_request: ExpertMapRequest) -> str:
    config = {"eplb_config": {"expert_map_path": FORMAT.file_name}}
    return f"--enable-expert-parallel --additional-config '{json.dumps(config)}'"


FORMAT = ExpertMapFormat(
    NAME,
    "vllm-ascend.json",
    "vllm-ascend eplb_config.expert_map_path, a row for each MoE layer",
    _usage,
    _write,
    _read,
    dispatch="vllm-ascend keeps each rank to one copy",
)
