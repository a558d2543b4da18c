"""The initial expert map that is proposed for vLLM: a JSON list of the expert of each slot, for each MoE layer.

No release of vLLM reads a map: `eplb_config.initial_expert_map_path` is an open proposal (vLLM pull request 49572,
July 2026). It takes a row for each MoE layer, or one flat list for all of them; slot s is on EP rank
s // (slots / ranks).
"""

from __future__ import annotations

import json

import numpy as np

from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest, ReadMap, check_even, check_map, pick_rows
from topoplan.experts.json_text import parse_json, row_lines, whole_rows


def _write(request: ExpertMapRequest) -> bytes:
    check_even(request, "vLLM")
    return f"{row_lines(request.placement.physical_to_logical_map.tolist())}\n".encode()


def _read(data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
    rows = parse_json(data)
    if isinstance(rows, list) and rows and not isinstance(rows[0], list):
        flat = check_map(whole_rows([rows], "the map"))
        return ReadMap(np.repeat(flat, max(1, len(moe_layers)), axis=0))
    return ReadMap(pick_rows(check_map(whole_rows(rows, "the map")), moe_layers))


def _usage(request: ExpertMapRequest) -> str:
    config = {"num_redundant_experts": request.redundant, "initial_expert_map_path": FORMAT.file_name}
    return f"--enable-expert-parallel --enable-eplb --eplb-config '{json.dumps(config)}'  # experimental: {_STATE}"


_STATE = "an open proposal (pull request 49572), in no release of vLLM"
FORMAT = ExpertMapFormat(
    "vllm",
    "vllm.json",
    f"vLLM initial_expert_map_path, a row for each MoE layer; experimental: {_STATE}",
    _usage,
    _write,
    _read,
    dispatch="vLLM uses the copies evenly",
    experimental=True,
)
