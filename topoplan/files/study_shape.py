"""Shape of a Study file: which keys and types it may hold. What they mean together is `topoplan.studies`'s."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from topoplan.files.shapes import MAX_COUNT, Count, Header, Index, Label, Shape, shown

MAX_VALUES = 1000  # of one parameter; assumed: more is a mistake
ORDERS = ("linear", "strings", "random", "plan")
WAYS = ("keep", "replan")
Value = str | int | float | bool

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")


def _values(value: object) -> object:
    """Values of a parameter: a list of different texts, numbers or truths; one alone is a list of one."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("the list is empty: name at least one value")
    if len(items) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    for i, item in enumerate(items):
        if not isinstance(item, str | int | float) or (isinstance(item, float) and not math.isfinite(item)):
            raise ValueError(f"{shown(item)} is not a text, a finite number, true or false")
        if (type(item), item) in [(type(other), other) for other in items[:i]]:
            raise ValueError(f"{shown(item)} stands twice")
    return items


def _choices(known: tuple[str, ...]) -> BeforeValidator:
    def check(value: object) -> object:
        items = value if isinstance(value, list) else [value]
        if not items:
            raise ValueError(f"the list is empty: name some of {', '.join(known)}")
        for i, item in enumerate(items):
            if item not in known:
                raise ValueError(f"{shown(item)} is not one of {', '.join(known)}")
            if item in items[:i]:
                raise ValueError(f"{item} stands twice")
        return items

    return BeforeValidator(check)


def _share(value: object) -> object:
    """Share of "5%" or 0.05."""
    if not isinstance(value, str):
        return value
    match = _SHARE.fullmatch(value.strip())
    if not match:
        raise ValueError(f"{shown(value)} is not a percentage such as 5%")
    return float(match[1]) / 100


def _choice_schema(known: tuple[str, ...]) -> WithJsonSchema:
    one = {"enum": list(known)}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}]})


_SCALAR = {"type": ["string", "number", "boolean"]}
Values = Annotated[
    list[Any],
    BeforeValidator(_values),
    WithJsonSchema({"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1, "uniqueItems": True}]}),
]
Tolerance = Annotated[
    float,
    BeforeValidator(_share),
    Field(ge=0, le=10),
    WithJsonSchema({"type": ["string", "number"], "examples": ["5%", 0.05]}),
]


class FabricItem(Shape):
    """A fabric and what of it is varied: every combination is a fabric of the study."""

    topology: Label = Field(description="a file (relative to the study), or NAME:key=value of the catalogue")
    name: Label | None = None
    host_type: Label | None = Field(None, description="for foreign files: what their hosts are")
    vary: dict[Label, Values] = Field(
        default_factory=dict,
        description="parameters of the catalogue fabric, or routing, nic_bandwidth, scale_up_bandwidth, "
        "oversubscription.TIER (or .top), unavailable of any",
    )


class JobItem(Shape):
    """A job and what of it is varied: every combination is a job of the study."""

    file: Label | None = Field(None, description="a Job file, relative to the study")
    job: dict[str, Any] | None = Field(None, description="a Job without apiVersion and kind")
    name: Label | None = None
    vary: dict[Label, Values] = Field(
        default_factory=dict, description="dotted keys of the Job, such as parallel.pp, model or exposure.dp"
    )
    ranks: Count | None = Field(None, description="of all combinations keep those of so many ranks")
    global_batch: Count | None = Field(
        None, description="sequences of a step of the whole job; sets batch.micro_batches of every combination"
    )


class EachFailure(Shape):
    """Every host, group of a tier, or uplink (one of its links) fails, one in each scenario."""

    each: Label = Field(description="host, uplink, or the name of a tier")


class RandomFailure(Shape):
    """Some hosts, groups or links chosen by a seed fail together; more of them include the fewer."""

    random: Label = Field(description="host, uplink, or the name of a tier")
    count: Values = Field(default_factory=lambda: [1])
    draws: Annotated[int, Field(ge=1, le=MAX_VALUES)] = 1
    seed: Index = 0


def _failure_form(value: Any) -> str:
    if isinstance(value, str):
        return "<text>"
    return "<random>" if isinstance(value, dict) and "random" in value else "<each>"


FailureItem = Annotated[
    Annotated[Literal["none"], Tag("<text>")]
    | Annotated[EachFailure, Tag("<each>")]
    | Annotated[RandomFailure, Tag("<random>")],
    Discriminator(_failure_form),
]


class StudyFile(Header):
    """A Study file."""

    kind: Literal["Study"]
    about: str = ""
    question: Label | None = Field(None, description="which rule answers from the table")
    tolerance: Tolerance = 0.05
    fabrics: Annotated[list[FabricItem], Field(min_length=1, max_length=MAX_VALUES)]
    jobs: Annotated[list[JobItem], Field(min_length=1, max_length=MAX_VALUES)]
    orders: Annotated[list[str], _choices(ORDERS), _choice_schema(ORDERS)] = Field(
        default_factory=lambda: ["linear", "plan"]
    )
    failures: list[FailureItem] = Field(default_factory=list, description="none where the list is empty")
    after: Annotated[list[str], _choices(WAYS), _choice_schema(WAYS)] = Field(
        default_factory=lambda: list(WAYS),
        description="after a failure: keep all ranks that can stay, or plan again",
    )
    search: Literal["quick", "full"] = Field(
        "quick", description="how plan is found: the best of plain orders by price, or as topoplan solve does"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
