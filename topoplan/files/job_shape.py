"""Shape of a Job file: which keys and types it may hold. What they mean together is job_yaml's."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from topoplan.files.shapes import MAX_COUNT, Count, Flops, Header, Index, Label, Positive, Seconds, Shape, Share, shown
from topoplan.model.demand import OPS
from topoplan.units import parse_bytes

_MAX_LAYERS = 100_000
PER = ("step", "layer", "micro_batch")
_AXIS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LAYERS = re.compile(r"([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?")


def _amount(value: object) -> object:
    """Bytes of "2 GB" or of a plain number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return parse_bytes(value)


def _axis_name(value: object) -> object:
    if isinstance(value, str) and not _AXIS_NAME.fullmatch(value):
        raise ValueError(f"axis name {value[:60]!r} must be letters, digits and _, beginning with a letter")
    return value


def _op(value: object) -> object:
    if value not in OPS:
        raise ValueError(f"{value!r} is not one of {', '.join(OPS)}")
    return value


def _layers(value: object) -> object:
    """Layer numbers of "3-60", "0, 4-7", 5 or a list of numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, str):
        return value
    found: list[int] = []
    for part in value.split(","):
        match = _LAYERS.fullmatch(part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"{part.strip()[:60]!r} is not a range of layers such as 3-60")
        found.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
        if len(found) > _MAX_LAYERS:
            raise ValueError(f"more than {_MAX_LAYERS} layers")
    return found


def _per(value: object) -> list[int | str]:
    """Factors of the number of calls a step."""
    return [_factor(item) for item in (value if isinstance(value, list) else [value])]


def _factor(item: object) -> int | str:
    if isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= MAX_COUNT:
        return item
    if isinstance(item, str) and item in PER:
        return item
    raise ValueError(f"{shown(item)} is neither a number of calls nor one of {', '.join(PER)}")


def _once() -> list[int | str]:
    return [1]


AxisName = Annotated[str, BeforeValidator(_axis_name)]
Amount = Annotated[
    float,
    BeforeValidator(_amount),
    Field(ge=0),
    WithJsonSchema({"type": ["string", "number"], "examples": ["2 GB", 1048576]}),
]
Layers = Annotated[
    list[Annotated[int, Field(ge=0, le=_MAX_LAYERS)]],
    BeforeValidator(_layers),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}],
            "examples": ["3-60"],
        }
    ),
]
Per = Annotated[
    list[int | str],
    BeforeValidator(_per),
    Field(min_length=1, max_length=4),
    WithJsonSchema(
        {
            "description": "calls a step: a number, or one for each layer or micro-batch; a list multiplies",
            "examples": ["step", 12, "micro_batch", ["layer", "micro_batch"]],
        }
    ),
]


class RoutingShape(Shape):
    """How tokens choose experts."""

    experts: Count
    top_k: Count
    groups: Count = 1
    top_groups: Count = 1
    dispatch_bytes: Positive = 2.0
    combine_bytes: Positive = 2.0


class ModelDimensions(Shape):
    """Dimensions of a transformer that no preset covers."""

    name: Label = "custom"
    layers: Annotated[int, Field(ge=1, le=_MAX_LAYERS)]
    hidden: Count
    heads: Count
    kv_heads: Count | None = None
    head_dim: Count | None = None
    ffn: Count
    vocabulary: Count
    gated: bool = True
    attention_parameters: Annotated[float, Field(ge=0)] = 0.0
    routing: RoutingShape | None = None
    dense_layers: Index = 0
    expert_ffn: Index = 0
    shared_experts: Index = 0
    tied_embedding: bool = False
    source: str = ""


class ParallelShape(Shape):
    """Sizes of the parallel axes."""

    tp: Count = 1
    cp: Count = 1
    ep: Count = 1
    dp: Count = 1
    pp: Count = 1
    vpp: Count = 1
    etp: Count = 1
    zero: Annotated[int, Field(ge=0, le=3)] = 1


class BatchShape(Shape):
    """Tokens of a step."""

    sequence: Count
    micro_batch: Count = 1
    micro_batches: Count = 1


class ExpertsShape(Shape):
    """Expert slots and the load they are chosen for."""

    slots_per_gpu: Count
    load: Label | None = None
    moe_layers: Layers | None = None


class CollectiveShape(Shape):
    """A collective of an axis: bytes per rank and call."""

    op: Annotated[str, BeforeValidator(_op), WithJsonSchema({"enum": list(OPS)})]
    size: Amount = Field(alias="bytes")
    per: Per = Field(default_factory=_once)
    overlap: Share = 0.0


class AxisShape(Shape):
    """A parallel axis of a layout that no preset covers."""

    name: AxisName
    size: Count
    collectives: list[CollectiveShape] = Field(default_factory=list)


class ComputeShape(Shape):
    """How fast the ranks compute; what is not said is that of their kind of GPU."""

    mfu: Annotated[float, Field(gt=0, le=1)] | None = None
    step_time: Seconds | None = None
    flops: Flops | None = None
    precision: Literal["bf16", "fp8"] = "bf16"
    recompute: Literal["none", "selective", "full"] | None = None
    fused_attention: bool = True
    overlap: list[AxisName] | None = None


class StorageShape(Shape):
    """Checkpoints every so many steps, and training data read for each token."""

    network: Literal["front-end", "back-end"] = "front-end"
    checkpoint_every: Index = 0
    checkpoint: Amount = 0.0
    data: Amount = 0.0


def _model_form(value: Any) -> str:
    return "<text>" if isinstance(value, str) else "<mapping>"


class JobFile(Header):
    """A Job file."""

    kind: Literal["Job"]
    model: (
        Annotated[
            Annotated[Label, Tag("<text>")] | Annotated[ModelDimensions, Tag("<mapping>")], Discriminator(_model_form)
        ]
        | None
    ) = None
    parallel: ParallelShape | None = None
    order: Label | None = None
    batch: BatchShape | None = None
    exposure: dict[str, Share] = Field(default_factory=dict)
    experts: ExpertsShape | None = None
    ranks: Count | None = None
    traffic: Label | None = None
    axes: list[AxisShape] = Field(default_factory=list)
    compute: ComputeShape | None = None
    schedule: Literal["1f1b", "interleaved", "zb-h1", "dualpipe"] | None = None
    storage: StorageShape | None = None
