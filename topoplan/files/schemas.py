"""JSON Schemas of our files, for editors and other programs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from topoplan.errors import InputError
from topoplan.files.fabric_shape import FabricFile
from topoplan.files.job_shape import JobFile
from topoplan.files.plan_shape import PlanFile
from topoplan.files.prices_shape import PricesFile
from topoplan.files.study_shape import StudyFile
from topoplan.names import closest

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHAPES: dict[str, type[BaseModel]] = {
    "fabric": FabricFile,
    "job": JobFile,
    "plan": PlanFile,
    "prices": PricesFile,
    "study": StudyFile,
}
KINDS = tuple(_SHAPES)


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a kind of file: fabric, job, plan, prices or study.

    Raises
    ------
    InputError
        Another kind.
    """
    shape = _SHAPES.get(kind.lower())
    if shape is None:
        hint = closest(kind.lower(), KINDS) or f"kinds: {', '.join(KINDS)}"
        raise InputError(f"there is no schema of {kind!r}", hint=hint)
    body = shape.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT} | body | {"title": f"topoplan {kind.lower()}"}
