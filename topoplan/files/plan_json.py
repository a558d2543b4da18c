"""plan.json -> Plan, checked against the fabric it was made for; `format_plan` is the way back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pydantic import ValidationError

from topoplan.errors import InputError, Place
from topoplan.files.plan_shape import ExpertsRecord, PlacementRecord, PlanFile, PredictionRecord, StepRecord
from topoplan.files.plan_text import format_plan, plan_record
from topoplan.files.shapes import message_of
from topoplan.files.step_text import memory_of_record, step_of_record
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import FORMAT_VERSION, Bound, InputFile, LinkLoad, Plan, Prediction, Stages

__all__ = ["format_plan", "parse_plan", "plan_record"]


def parse_plan(text: str, fabric: Fabric | None = None, path: str = "<text>") -> Plan:
    """Plan of plan.json's text.

    Parameters
    ----------
    fabric
        The fabric that its ranks are placed on; a plan of experts alone needs none.
    path
        File name for messages.

    Raises
    ------
    InputError
        Not a plan, of another major version, or one that does not fit the fabric.
    """
    return _plan(_checked(text, path), fabric, path)


def _checked(text: str, path: str) -> PlanFile:
    """The file as its shape, of a version that this program knows."""
    place = Place(path)
    try:
        data = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        where = Place(path, error.lineno, error.colno)
        raise InputError(f"not valid JSON: {error.msg}", place=where) from None
    except (RecursionError, ValueError) as error:  # nesting, or a number of thousands of digits
        raise InputError(f"not valid JSON: {error}", place=place) from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if not isinstance(version, str):
        raise InputError("not a plan: format_version is missing", place=place)
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise InputError(
            f"format version {version[:20]!r} is not supported; this program reads {FORMAT_VERSION}", place=place,
            hint="use the version of topoplan that wrote the plan",
        )  # fmt: skip
    try:
        return PlanFile.model_validate(data)
    except ValidationError as error:
        raise InputError(message_of(error), place=place) from None


def _plan(record: PlanFile, fabric: Fabric | None, path: str) -> Plan:
    try:
        experts = record.experts
        ep_ranks = None
        if experts is not None and experts.ep_rank_to_rank is not None:
            ep_ranks = _array(experts.ep_rank_to_rank, np.int64, "experts.ep_rank_to_rank")
        return Plan(
            record.job,
            record.fabric,
            {name: InputFile(file.name, file.sha256) for name, file in record.inputs.items()},
            record.seed,
            record.objective,
            placement=_placement(record.placement, fabric),
            spares=tuple(record.placement.spares) if record.placement else (),
            experts=_experts(experts),
            ep_rank_to_rank=ep_ranks,
            stages=Stages(tuple(record.stages.first), tuple(record.stages.cost)) if record.stages else None,
            prediction=_prediction(record.prediction),
            baselines=None if record.baselines is None else _baselines(record),
            certificate=None if record.certificate is None else _certificate(record),
            step=None if record.step is None else step_of_record(record.step),
            plain_step_s=_plain_steps(record.step),
            memory=None if record.memory is None else memory_of_record(record.memory),
            order_matters=record.order_matters,
            assumed=tuple(record.assumed),
            warnings=tuple(record.warnings),
        )
    except InputError as error:
        raise InputError(error.message, place=error.place or Place(path), hint=error.hint) from None


def _placement(record: PlacementRecord | None, fabric: Fabric | None) -> RankPlacement | None:
    if record is None:
        return None
    if fabric is None:
        raise InputError("a plan of ranks needs its fabric")
    if len(record.host) != len(record.gpu) or len(record.nic or record.gpu) != len(record.gpu):
        raise InputError("placement: host, gpu and nic must be equally long")
    placement = RankPlacement.from_hosts(fabric, record.host, record.gpu)
    if record.nic is not None:
        wrong = np.flatnonzero(placement.nic != np.clip(record.nic, -(2**31), 2**31))
        if len(wrong):
            rank = int(wrong[0])
            raise InputError(
                f"placement: rank {rank} has NIC {record.nic[rank]}, but its GPU uses NIC {placement.nic[rank]}",
                hint="was the plan made for another fabric?",
            )
    return placement


def _experts(record: ExpertsRecord | None) -> ExpertPlacement | None:
    if record is None:
        return None
    load = record.load
    placement = ExpertPlacement(
        record.gpus,
        _array(record.physical_to_logical_map, np.int64, "physical_to_logical_map"),
        record.logical_experts,
        **({} if record.slot_gpu is None else {"slot_gpu": _array(record.slot_gpu, np.int64, "slot_gpu")}),
        dispatch=_maybe(record.dispatch, np.float64, "dispatch"),
        dispatch_slot=_maybe(record.dispatch_slot, np.int64, "dispatch_slot"),
        lower_bound=_maybe(load.lower_bound if load else None, np.float64, "load.lower_bound"),
        max_load=_maybe(load.max if load else None, np.float64, "load.max"),
    )
    if placement.slots != record.slots:
        raise InputError(f"experts: {record.slots} slots, but the map has {placement.slots}")
    return placement


def _maybe(values: Any, dtype: Any, name: str) -> Any:
    return None if values is None else _array(values, dtype, name)


def _array(values: Any, dtype: Any, name: str) -> Any:
    """Array of nested lists; InputError where their lengths differ or a number does not fit."""
    try:
        return np.array(values, dtype)
    except (ValueError, OverflowError):
        raise InputError(f"experts: {name} is not a regular array") from None


def _prediction(record: PredictionRecord | None) -> Prediction | None:
    if record is None:
        return None
    links = tuple(LinkLoad(load.link, load.bytes, load.ms) for load in record.busiest_links)
    return Prediction(record.exposed_ms, dict(record.axes), record.ideal_ms, links, record.hop_bytes)


def _plain_steps(record: StepRecord | None) -> dict[str, float] | None:
    return None if record is None else {name: ms / 1e3 for name, ms in record.baselines.items()}


def _baselines(record: PlanFile) -> dict[str, Prediction]:
    found = {}
    for item in record.baselines or ():
        prediction = _prediction(item.prediction)
        assert prediction is not None
        found[item.name] = prediction
    return found


def _certificate(record: PlanFile) -> dict[str, Bound]:
    return {
        name: Bound(bound.value, bound.lower_bound, bound.proven_optimal, bound.space)
        for name, bound in (record.certificate or {}).items()
    }
