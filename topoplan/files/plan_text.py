"""Plan -> plan.json: the same bytes for the same plan, on every machine.

Keys stand in the order of the contract, floats carry 12 significant digits (more would show the rounding of sums,
which differs between numpy builds), and an array takes one line, a matrix one line a row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from topoplan.files.step_text import memory_record, step_record
from topoplan.model.experts import ExpertPlacement
from topoplan.model.plan import FORMAT_VERSION, Bound, Plan, Prediction

_INPUTS = ("fabric", "job", "traffic", "load", "routes")


def format_plan(plan: Plan) -> str:
    """Text of plan.json."""
    return _block(plan_record(plan), "") + "\n"


def plan_record(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: dicts, lists, text and numbers."""
    named = [*(name for name in _INPUTS if name in plan.inputs), *sorted(set(plan.inputs) - set(_INPUTS))]
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "job": plan.job,
        "fabric": plan.fabric_name,
        "inputs": {name: {"name": plan.inputs[name].name, "sha256": plan.inputs[name].sha256} for name in named},
        "seed": plan.seed,
        "objective": plan.objective,
        "order_matters": plan.order_matters,
        "assumed": list(plan.assumed),
        "warnings": list(plan.warnings),
    }
    if plan.prediction is not None:
        record["prediction"] = prediction_record(plan.prediction)
    if plan.baselines is not None:
        record["baselines"] = [
            {"name": name, "prediction": prediction_record(prediction)} for name, prediction in plan.baselines.items()
        ]
    if plan.certificate is not None:
        record["certificate"] = {name: _bound(bound) for name, bound in plan.certificate.items()}
    if plan.stages is not None:
        record["stages"] = {"first": list(plan.stages.first), "cost": _floats(plan.stages.cost)}
    if plan.step is not None:
        plain = {name: _float(1e3 * seconds) for name, seconds in (plan.plain_step_s or {}).items()}
        record["step"] = step_record(plan.step) | {"baselines": plain}
    if plan.memory is not None:
        record["memory"] = memory_record(plan.memory)
    if plan.placement is not None:
        names = plan.placement.fabric.host_names
        record["placement"] = {
            "host": [names[h] for h in plan.placement.host.tolist()],
            "gpu": plan.placement.local.tolist(),
            "nic": plan.placement.nic.tolist(),
        } | ({"spares": list(plan.spares)} if plan.spares else {})
    if plan.experts is not None:
        record["experts"] = _experts(plan.experts, plan.ep_rank_to_rank)
    return record


def prediction_record(prediction: Prediction) -> dict[str, Any]:
    """A price as plan.json writes it."""
    return {
        "exposed_ms": _float(prediction.exposed_ms),
        "axes": {axis: _float(ms) for axis, ms in prediction.axes.items()},
        "ideal_ms": _float(prediction.ideal_ms),
        "busiest_links": [
            {"link": load.link, "bytes": _float(load.bytes), "ms": _float(load.ms)} for load in prediction.busiest_links
        ],
        "hop_bytes": _float(prediction.hop_bytes),
    }


def _bound(bound: Bound) -> dict[str, Any]:
    shown = Bound(_float(bound.value), _float(bound.lower_bound), bound.proven_optimal, bound.space)
    return {
        "value": shown.value,
        "lower_bound": shown.lower_bound,
        "gap": _float(shown.gap) if math.isfinite(shown.gap) else None,  # JSON has no infinity
        "proven_optimal": shown.proven_optimal,
        "space": shown.space,
    }


def _experts(experts: ExpertPlacement, ep_rank_to_rank: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "gpus": experts.gpus,
        "slots": experts.slots,
        "logical_experts": experts.experts,
        "physical_to_logical_map": experts.physical_to_logical_map.tolist(),
    }
    if not experts.even:
        record["slot_gpu"] = experts.slot_gpu.tolist()
    if ep_rank_to_rank is not None:
        record["ep_rank_to_rank"] = np.asarray(ep_rank_to_rank).tolist()
    if experts.dispatch is not None:
        record["dispatch"] = _floats(experts.dispatch)
    if experts.dispatch_slot is not None:
        record["dispatch_slot"] = experts.dispatch_slot.tolist()
    load = {"max": experts.max_load, "lower_bound": experts.lower_bound}
    if any(values is not None for values in load.values()):
        record["load"] = {name: _floats(values) for name, values in load.items() if values is not None}
    return record


def _float(value: float) -> float:
    """Value with 12 significant digits; 0 for -0, which JSON readers may not tell apart."""
    return float(f"{value:.12g}") or 0.0


def _floats(values: Any) -> Any:
    """Nested lists of an array or sequence, each number rounded as `_float` does."""
    array = np.asarray(values, np.float64)
    return np.array([_float(value) for value in array.ravel().tolist()]).reshape(array.shape).tolist()


def _block(value: Any, indent: str) -> str:
    """JSON text; dicts and lists of lists or dicts spread over lines, other lists on one."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value and not _flat(value):
        rows = [f"{deeper}{json.dumps(key, ensure_ascii=False)}: {_block(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n" + ",\n".join(deeper + _block(item, deeper) for item in value) + f"\n{indent}]"
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _flat(value: Mapping[str, Any]) -> bool:
    """Whether a dict holds scalars alone and few of them, so that one line shows it best."""
    few = 6
    return len(value) <= few and not any(isinstance(item, dict | list) for item in value.values())
