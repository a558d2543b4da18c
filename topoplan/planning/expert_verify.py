"""Whether the expert maps of a plan folder say what its plan says: each file is read back as an engine would."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from topoplan.errors import InputError
from topoplan.experts import FORMATS
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import IntArray
from topoplan.planning.expert_record import read_numbers
from topoplan.planning.folder import PlanFolder

MAPS = "experts"


def verify_maps(opened: PlanFolder) -> dict[str, list[str]]:
    """Differences by name of the format, in words; an empty list is good. Formats without a file are left out."""
    experts = opened.plan.experts
    if experts is None:
        return {}
    job = opened.job
    listed = job.experts.moe_layers if job is not None and job.experts is not None else ()
    layers = listed or read_numbers(opened.path).moe_layers
    files = {name: opened.path / MAPS / form.file_name for name, form in sorted(FORMATS.items())}
    return {name: _differences(name, file, experts, layers) for name, file in files.items() if file.is_file()}


def _differences(name: str, file: Path, experts: ExpertPlacement, layers: tuple[int, ...]) -> list[str]:
    try:
        found = FORMATS[name].read_placement(file.read_bytes(), gpus=experts.gpus, moe_layers=layers)
    except InputError as error:
        return [f"{file.name}: {error.message}"]
    if found.layers != experts.layers:
        return [f"{file.name} has {found.layers} layers, the plan {experts.layers}"]
    wrong = []
    for row in range(experts.layers):
        planned, held = (_held(placement, row, experts.experts) for placement in (experts, found))
        gpus = np.flatnonzero((planned != held).any(1)) if planned.shape == held.shape else np.arange(1)
        if gpus.size:
            layer = layers[row] if layers else row
            wrong.append(f"layer {layer}: GPU {gpus[0]} holds other experts than the plan says")
    return wrong


def _held(placement: ExpertPlacement, row: int, experts: int) -> IntArray:
    """[gpus, experts] int64 copies of each expert on each GPU in a row."""
    held = placement.physical_to_logical_map[row]
    count = max(experts, placement.experts)
    key = (placement.slot_gpu * count + held)[held >= 0]
    return np.bincount(key, minlength=placement.gpus * count).reshape(placement.gpus, count)
