"""Shape of plan.json, format version 1. Unknown keys are ignored: a later minor version may add some."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Matrix = list[list[int]]


class Record(BaseModel):
    """A JSON object with strict types; whole numbers count as floats, as JSON has one kind of number."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(Record):
    """An input file, by name and content."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PlacementRecord(Record):
    """One entry a rank: its host, its GPU index there, and its NIC (-1 without one); and the free hosts set aside."""

    host: list[str]
    gpu: list[int]
    nic: list[int] | None = None
    spares: list[str] = Field(default_factory=list)


class LoadRecord(Record):
    """Tokens of the most loaded GPU of each layer, and what no map can go below."""

    max: list[float] | None = None
    lower_bound: list[float] | None = None


class ExpertsRecord(Record):
    """Which expert sits in which slot, layer by layer; slots are numbered GPU by GPU."""

    gpus: Annotated[int, Field(ge=1)]
    slots: Annotated[int, Field(ge=1)]
    logical_experts: Annotated[int, Field(ge=0)] = 0
    physical_to_logical_map: Matrix
    slot_gpu: list[int] | None = Field(None, description="GPU of each slot, where GPUs hold unequal numbers")
    ep_rank_to_rank: Matrix | None = None
    dispatch: list[list[float]] | list[list[list[float]]] | None = None
    dispatch_slot: list[Matrix] | None = None
    load: LoadRecord | None = None


class LinkRecord(Record):
    """A link, its bytes a step, and the time they take."""

    link: str
    bytes: float
    ms: float


class PredictionRecord(Record):
    """Predicted cost of a step."""

    exposed_ms: float
    axes: dict[str, float]
    ideal_ms: float
    busiest_links: list[LinkRecord]
    hop_bytes: float


class BaselineRecord(Record):
    """A plain order and what it would cost."""

    name: str
    prediction: PredictionRecord


class BoundRecord(Record):
    """A value and what no placement of a space can go below; gap is null where the bound is 0 and the value is not."""

    value: float
    lower_bound: float
    gap: float | None = None
    proven_optimal: bool
    space: str


class StagesRecord(Record):
    """First layer of each pipeline stage, then the number of layers; and the relative cost of each stage."""

    first: list[int]
    cost: list[float]


class AxisTimeRecord(Record):
    """An axis in a step: alone on its links, behind compute, exposed; and the compute it could hide behind."""

    work_ms: float
    overlapped_ms: float
    exposed_ms: float
    window_ms: float = 0.0
    stated: bool = Field(False, description="whether the exposure is the job file's")


class StorageFlowRecord(Record):
    """A flow between hosts and storage, spread over some steps."""

    name: str
    network: str
    bytes: float
    ms: float | None = None
    steps: Annotated[int, Field(ge=1)] = 1


class StepRecord(Record):
    """Time of a step, where the job says how fast it computes; its links run at the rates that they reach."""

    schedule: str
    total_ms: float
    compute_ms: float
    bubble_ms: float
    exposed_ms: float
    optimizer_ms: float
    storage_ms: float = 0.0
    mfu: float | None = None
    axes: dict[str, AxisTimeRecord] = Field(default_factory=dict)
    storage: list[StorageFlowRecord] = Field(default_factory=list)
    baselines: dict[str, float] = Field(default_factory=dict, description="ms of a step in each plain order")


class MemoryRecord(Record):
    """Bytes on the fullest GPU by what they are for; rank is its pipeline rank."""

    rank: int
    total: float
    weights: float
    gradients: float
    optimizer: float
    experts: float
    activations: float
    recompute: str


class PlanFile(Record):
    """plan.json."""

    format_version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]
    job: str = ""
    fabric: str = ""
    inputs: dict[str, FileRecord]
    seed: int
    objective: str = "exposed_ms"
    order_matters: str = ""
    assumed: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    stages: StagesRecord | None = None
    step: StepRecord | None = None
    memory: MemoryRecord | None = None
    placement: PlacementRecord | None = None
    experts: ExpertsRecord | None = None
    prediction: PredictionRecord | None = None
    baselines: list[BaselineRecord] | None = None
    certificate: dict[str, BoundRecord] | None = None
