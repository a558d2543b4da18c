"""What `topoplan experts` is given: loads of several kinds, the layers they belong to, and what is in force."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.experts import detect_format, is_npz, is_torch_file, moe_layers_of, read_counts_csv, read_recorded_load
from topoplan.experts.detect import NPY
from topoplan.files.arrays import parse_history, read_array_source
from topoplan.files.inputs import Source
from topoplan.files.npz import npy_bytes, read_npy
from topoplan.model.fabric import FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import InputFile, Plan
from topoplan.planning.folder import open_plan


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """Which layers of the model the rows of a load are; formats of engines number the model's layers.

    Parameters
    ----------
    moe_layers
        Model layer of each row, ascending; empty where that is not known.
    model_layers
        Layers of the model, dense ones too; 0 where that is not known.
    reason
        How that is known, where it was not said: a line for what was assumed, or "".
    """

    moe_layers: tuple[int, ...] = ()
    model_layers: int = 0
    reason: str = ""


@dataclass(frozen=True, eq=False)
class LoadFile:
    """A load: [layers, experts] float64, or [steps, layers, experts] where the file has several steps."""

    load: FloatArray
    numbers: LayerNumbers
    file: InputFile


def open_load(path: str, moe_layers: tuple[int, ...] = ()) -> LoadFile:
    """Load of an .npy or .csv file, or of SGLang's recorder (.pt, its JSON, or its older CSV).

    Parameters
    ----------
    moe_layers
        Layers that the rows are. Of a recorder's file, which has dense layers too: the layers to plan; where none are
        given, those with tokens.

    Raises
    ------
    InputError
        Not such a file, or numbers that are no load; names step, layer and expert.
    SolverMissingError
        A .pt file without a torch that reads it safely.
    """
    source = read_array_source(path)
    file = InputFile(source.name, source.sha256)
    recorded = _recorded(source)
    if recorded is None:
        steps = _plain(source, moe_layers)
        if moe_layers and len(moe_layers) != steps.shape[1]:
            raise InputError(
                f"the load has {steps.shape[1]} rows, --moe-layers lists {len(moe_layers)}", place=Place(source.shown)
            )
        return LoadFile(_single(steps), LayerNumbers(moe_layers), file)
    listed = moe_layers or moe_layers_of(recorded)
    total = recorded.shape[1]
    empty = sorted(set(moe_layers) - set(moe_layers_of(recorded)))
    if not listed or empty:
        what = f"layer {empty[0]} has no tokens" if empty else "no layer has any token"
        raise InputError(what, place=Place(source.shown), hint="record for longer, or list other --moe-layers")
    dense = total - len(listed)
    reason = f"{dense} of {total} layers without tokens in {source.name} are dense" if dense and not moe_layers else ""
    return LoadFile(_single(recorded[:, list(listed)]), LayerNumbers(listed, total, reason), file)


def _single(steps: FloatArray) -> FloatArray:
    return steps if len(steps) > 1 else steps[0]


def _plain(source: Source, moe_layers: tuple[int, ...]) -> FloatArray:
    """[steps, layers, experts] float64 of an .npy or .csv file; a row of numbers is one layer."""
    if source.content.startswith(NPY):
        array = read_npy(source)
        if array.ndim == 1:
            source = Source(source.path, npy_bytes(array[None]))
        elif array.ndim == 3 and array.dtype.kind in "biu" and array.size and array.min() >= 0 and array.max() <= 1:
            raise InputError(
                "nothing but 0 and 1: a placement pattern of omni-infer, not a load",
                place=Place(source.shown),
                hint="what is in force is given as --previous",
            )
    return parse_history(source, moe_layers)


def _recorded(source: Source) -> FloatArray | None:
    """[steps, layers, experts] float64 of a recorder's file, or None where it is something else."""
    data, place = source.content, Place(source.shown)
    if is_npz(data):
        hint = "save the one array: np.save('load.npy', np.load(FILE)[NAME])"
        raise InputError("an .npz archive is not read as a load", place=place, hint=hint)
    try:
        if is_torch_file(data) or data.lstrip()[:1] == b"{":
            return read_recorded_load(data)
        if data[:64].lower().lstrip(b'\xef\xbb\xbf "').startswith(b"layer"):
            return read_counts_csv(source.text)
    except InputError as error:
        raise InputError(error.message, place=error.place or place, hint=error.hint) from None
    return None


def number_layers(found: LayerNumbers, rows: int, model: ModelShape | None, *, sure: bool) -> LayerNumbers:
    """The same, filled in from the model where it says which layers have experts.

    Parameters
    ----------
    sure
        Whether the model was named; one that was guessed has no say where it does not fit.

    Raises
    ------
    InputError
        A listed layer that the model which was named has not, or that is dense there.
    """
    if model is None:
        return found
    has = tuple(layer for layer in range(model.layers) if model.is_moe(layer))
    if found.moe_layers:
        strange = [layer for layer in found.moe_layers if layer not in has]
        if strange and not sure:
            return found
        if strange:
            raise InputError(
                f"layer {strange[0]} of {model.name} has no experts: its MoE layers are {has[0]}-{has[-1]}"
            )
        return LayerNumbers(found.moe_layers, found.model_layers or model.layers, found.reason)
    if rows != len(has):
        return found
    reason = f"the {rows} rows of the load are layers {has[0]} to {has[-1]} of {model.name} (--moe-layers)"
    return LayerNumbers(has, model.layers, reason if has[0] else "")


# ---- what is in force ------------------------------------------------------------------------------------------


def open_previous(path: str, gpus: int, numbers: LayerNumbers, rows: int) -> tuple[Plan, InputFile]:
    """The plan in force: a plan folder, or any map that an engine reads.

    Parameters
    ----------
    rows
        Layers of the load.

    Raises
    ------
    InputError
        Neither; or a map of other layers, or for another number of GPUs.
    """
    if Path(path).is_dir() or Path(path).name == "plan.json":
        opened = open_plan(path)
        file = read_array_source(opened.path / "plan.json")
        plan = opened.plan
    else:
        file = read_array_source(path)
        plan = open_plan(path).plan if _is_plan(file.content) else _map_plan(file, gpus, numbers)
    if plan.experts is not None and plan.experts.layers != rows:
        hint = "say which layers of the model the load has: --moe-layers 3-60" if not numbers.moe_layers else ""
        raise InputError(
            f"the previous map has {plan.experts.layers} layers, the load {rows}", place=Place(file.shown), hint=hint
        )
    return plan, InputFile(file.name, file.sha256)


def _is_plan(data: bytes) -> bool:
    if data.lstrip()[:1] != b"{":
        return False
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "format_version" in content


def _map_plan(source: Source, gpus: int, numbers: LayerNumbers) -> Plan:
    """A map as a plan of experts alone: which GPUs it runs on is not in it."""
    try:
        form = detect_format(source.content)
        placement = form.read_placement(source.content, gpus=gpus, moe_layers=numbers.moe_layers)
    except InputError as error:
        raise InputError(error.message, place=error.place or Place(source.shown), hint=error.hint) from None
    return Plan(job="previous", fabric_name="", inputs={}, seed=0, experts=placement)


def parse_layers(text: str) -> tuple[int, ...]:
    """Layers of a list such as "3-60" or "1,3-5".

    Raises
    ------
    InputError
        Not such a list, or not ascending.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only those who give such a list pay for it

    from topoplan.files.job_shape import Layers  # noqa: PLC0415

    try:
        listed = tuple(TypeAdapter(Layers).validate_python(text))
    except ValidationError:
        listed = ()
    if not listed or (np.diff(listed) <= 0).any():
        raise InputError(f"--moe-layers {text[:60]!r} is no ascending list of layers such as 3-60")
    return listed
