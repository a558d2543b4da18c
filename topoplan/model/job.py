"""The job: a model's dimensions, how it is parallelised, and the order of its ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from topoplan.errors import InputError
from topoplan.model.compute import SCHEDULE_NAMES, Compute, Storage
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.traffic import Traffic

DENSE_AXES = ("tp", "cp", "ep", "dp", "pp")
DEFAULT_ORDER = "tp-cp-ep-dp-pp"  # Megatron-core's default (parallel_state.initialize_model_parallel)


@dataclass(frozen=True, slots=True)
class Routing:
    """How tokens choose experts: `top_k` of all, or of the `top_groups` best of `groups` expert groups."""

    experts: int
    top_k: int
    groups: int = 1
    top_groups: int = 1
    dispatch_bytes: float = 2.0  # bytes an element on the way to the experts
    combine_bytes: float = 2.0  # and back

    def __post_init__(self) -> None:
        if self.experts < 1 or not 1 <= self.top_k <= self.experts:
            raise InputError(f"top_k {self.top_k} of {self.experts} experts is impossible")
        if self.experts % self.groups or not 1 <= self.top_groups <= self.groups:
            raise InputError(f"{self.top_groups} of {self.groups} groups of {self.experts} experts is impossible")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a transformer.

    Parameters
    ----------
    ffn
        Hidden size of a dense layer's feed-forward block.
    attention_parameters
        Weights of one layer's attention; derived from heads when 0.
    kv_elements
        Elements that the KV cache keeps of a token in each layer; K and V of the KV heads when 0.
    dense_layers
        Leading layers without experts; all of them when there is no routing.
    expert_ffn, shared_experts
        Hidden size of one expert, and experts that every token visits.
    source
        Where the numbers come from.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    gated: bool = True
    attention_parameters: float = 0.0
    kv_elements: int = 0
    routing: Routing | None = None
    dense_layers: int = 0
    expert_ffn: int = 0
    shared_experts: int = 0
    tied_embedding: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        sizes = (self.layers, self.hidden, self.heads, self.kv_heads, self.head_dim, self.ffn, self.vocabulary)
        if min(sizes) < 1:
            raise InputError(f"model {self.name}: every dimension must be at least 1")

    @property
    def attention_weights(self) -> float:
        """Weights of one layer's attention: Q and output of all heads, K and V of the KV heads."""
        derived = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return self.attention_parameters or float(derived)

    def _ffn_weights(self, width: int) -> float:
        return (3.0 if self.gated else 2.0) * self.hidden * width

    @property
    def expert_weights(self) -> float:
        """Weights of one routed expert."""
        return self._ffn_weights(self.expert_ffn)

    def is_moe(self, layer: int) -> bool:
        """Whether a layer (from 0) routes tokens to experts."""
        return self.routing is not None and layer >= self.dense_layers

    @property
    def moe_layers(self) -> int:
        """Number of layers with experts."""
        return sum(self.is_moe(layer) for layer in range(self.layers))

    def shared_layer_weights(self, layer: int) -> float:
        """Weights of a layer that every token uses and data-parallel ranks replicate: all but the routed experts."""
        if not self.is_moe(layer):
            return self.attention_weights + self._ffn_weights(self.ffn)
        assert self.routing is not None
        router = self.hidden * self.routing.experts
        return self.attention_weights + self.shared_experts * self.expert_weights + router

    def routed_layer_weights(self, layer: int) -> float:
        """Weights of a layer's routed experts; 0 for a dense layer."""
        return self.routing.experts * self.expert_weights if self.routing and self.is_moe(layer) else 0.0

    @property
    def embedding_weights(self) -> float:
        """Weights of one embedding or output matrix."""
        return float(self.vocabulary * self.hidden)

    @property
    def parameters(self) -> float:
        """All weights (norms left out: below 0.01 %)."""
        layers = sum(self.shared_layer_weights(i) + self.routed_layer_weights(i) for i in range(self.layers))
        return layers + self.embedding_weights * (1 if self.tied_embedding else 2)

    def layer_flops(self, layer: int, sequence: int) -> float:
        """Forward multiply-adds x 2 of one token in a layer, causal attention over `sequence` tokens included.

        Source: 2 x active weights plus 2 x sequence x heads x head_dim for scores and values together under a causal
        mask (half of 4 x s x h; Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
        """
        active = self.shared_layer_weights(layer)
        if self.routing and self.is_moe(layer):
            active += self.routing.top_k * self.expert_weights
        return 2 * active + 2 * sequence * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Parallel:
    """Sizes of the parallel axes; world = tp x cp x dp x pp, and ep x etp divides tp x cp x dp."""

    tp: int = 1
    cp: int = 1
    ep: int = 1
    dp: int = 1
    pp: int = 1
    vpp: int = 1
    etp: int = 1
    zero: int = 1

    def __post_init__(self) -> None:
        for axis in ("tp", "cp", "ep", "dp", "pp", "vpp", "etp"):
            if getattr(self, axis) < 1:
                raise InputError(f"parallel: {axis} must be at least 1")
        if not 0 <= self.zero <= 3:
            raise InputError("parallel: zero is 0, 1, 2 or 3")
        stage = self.tp * self.cp * self.dp
        if stage % (self.ep * self.etp):
            raise InputError(
                f"parallel: ep x etp = {self.ep * self.etp} does not divide tp x cp x dp = {stage}",
                hint="choose ep so that expert groups fill the ranks of a pipeline stage",
            )

    @property
    def world(self) -> int:
        """Number of ranks."""
        return self.tp * self.cp * self.dp * self.pp

    @property
    def edp(self) -> int:
        """Copies of each expert shard in a stage."""
        return self.tp * self.cp * self.dp // (self.ep * self.etp)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of a step: `micro_batches` of `micro_batch` sequences of `sequence` tokens on each data-parallel rank."""

    sequence: int
    micro_batch: int = 1
    micro_batches: int = 1

    def __post_init__(self) -> None:
        if min(self.sequence, self.micro_batch, self.micro_batches) < 1:
            raise InputError("batch: sequence, micro_batch and micro_batches must be at least 1")


@dataclass(frozen=True, eq=False)
class ExpertSettings:
    """What the experts section of a job asks for.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens, or None when the job only trains with a fixed expert grid.
    moe_layers
        Model layer of each row of `load`.
    """

    slots_per_gpu: int
    load: FloatArray | None = None
    moe_layers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomCollective:
    """A collective of a custom axis: `count` times a step, `size_bytes` per rank, `overlap` of it hidden."""

    op: str
    size_bytes: float
    count: int = 1
    overlap: float = 0.0


@dataclass(frozen=True, slots=True)
class CustomAxis:
    """An axis of a layout that no preset covers; axes are listed fastest-varying first."""

    name: str
    size: int
    collectives: tuple[CustomCollective, ...] = ()


@dataclass(frozen=True, eq=False)
class Job:
    """What is to run: either measured `traffic`, or `axes`, or `model` with `parallel` and `batch`.

    Parameters
    ----------
    ranks
        Number of processes, one a GPU.
    order
        Axis names joined by dashes, fastest-varying first: which coordinates rank r has.
    exposure
        Share of each axis's communication that compute does not hide, for axes that say so; else derived where compute
        is known, and 1 where it is not.
    compute, schedule
        How fast the ranks compute, and the pipeline schedule; "" for 1f1b, or interleaved with virtual stages.
    storage
        Checkpoints and training data, where they count.
    """

    name: str
    ranks: int
    model: ModelShape | None = None
    parallel: Parallel | None = None
    order: str = DEFAULT_ORDER
    batch: Batch | None = None
    exposure: Mapping[str, float] = field(default_factory=dict)
    experts: ExpertSettings | None = None
    axes: tuple[CustomAxis, ...] = ()
    traffic: Traffic | None = None
    compute: Compute | None = None
    schedule: str = ""
    storage: Storage | None = None

    def __post_init__(self) -> None:
        if self.ranks < 1:
            raise InputError("a job needs at least one rank")
        if self.parallel and self.parallel.world != self.ranks:
            raise InputError(f"parallel makes {self.parallel.world} ranks, the job says {self.ranks}")
        if self.traffic and self.traffic.ranks != self.ranks:
            raise InputError(f"the traffic is for {self.traffic.ranks} ranks, the job says {self.ranks}")
        if self.axes and int(np.prod([axis.size for axis in self.axes])) != self.ranks:
            raise InputError("the sizes of the axes do not multiply to the number of ranks")
        if sorted(self.order.split("-")) != sorted(DENSE_AXES):
            raise InputError(f"order {self.order!r} must name each of {', '.join(DENSE_AXES)} once, joined by '-'")
        if self.compute is not None and None in (self.model, self.parallel, self.batch):
            raise InputError("compute needs model, parallel and batch")
        if self.schedule not in ("", *SCHEDULE_NAMES):
            raise InputError(f"schedule {self.schedule!r} is not one of {', '.join(SCHEDULE_NAMES)}")
        for axis, share in self.exposure.items():
            if not 0 <= share <= 1:
                raise InputError(f"exposure of {axis} is {share}; it is a share between 0 and 1")


def grid_groups(order: str, sizes: Mapping[str, int], axis: str) -> IntArray:
    """Communication groups of one axis of a rank grid.

    Parameters
    ----------
    order
        Axis names joined by dashes, fastest-varying first.
    sizes
        Size of each axis; 1 for those not given.
    axis
        Names joined by dashes whose members make up a group: "dp", or "dp-cp" for a joint one.

    Returns
    -------
    [groups, size] int64 ranks, each row in the order of the axis.
    """
    names = order.split("-")
    shape = [sizes.get(name, 1) for name in reversed(names)]
    grid = np.arange(int(np.prod(shape))).reshape(shape)
    wanted = axis.split("-")
    last = [len(names) - 1 - names.index(name) for name in reversed(wanted)]
    moved = np.moveaxis(grid, last, range(-len(last), 0))
    size = int(np.prod([sizes.get(name, 1) for name in wanted]))
    return np.ascontiguousarray(moved.reshape(-1, size), np.int64)


def dense_groups(job: Job, axis: str) -> IntArray:
    """[groups, size] ranks of an axis of the dense grid (tp, cp, dp, pp, or "dp-cp"); ep counts 1 there."""
    assert job.parallel is not None
    p = job.parallel
    return grid_groups(job.order, {"tp": p.tp, "cp": p.cp, "dp": p.dp, "pp": p.pp}, axis)


def expert_groups(job: Job, axis: str) -> IntArray:
    """[groups, size] ranks of an axis of Megatron-core's separate expert grid: etp, ep or edp; cp counts 1 there."""
    assert job.parallel is not None
    p = job.parallel
    names = {"etp": "tp", "ep": "ep", "edp": "dp", "pp": "pp"}
    return grid_groups(job.order, {"tp": p.etp, "ep": p.ep, "dp": p.edp, "pp": p.pp}, names[axis])


def stage_of_rank(job: Job | None) -> IntArray | None:
    """[ranks] int64 pipeline rank of each rank; None for jobs that do not say how they are parallelised."""
    if job is None or job.parallel is None:
        return None
    stage = np.empty(job.ranks, np.int64)
    for column, ranks in enumerate(dense_groups(job, "pp").T):
        stage[ranks] = column
    return stage
