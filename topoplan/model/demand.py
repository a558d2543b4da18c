"""Bytes of one training step, from a job's dimensions: Megatron-core's collectives, axis by axis.

Per rank and step, with s tokens a sequence, h hidden size, b = micro_batch, m = micro_batches, BF16 activations:

tp   all-gather and reduce-scatter around attention and around a dense feed-forward, forward and backward: each pair
     moves 2 (t - 1) / t x s b h x 2 bytes (Korthikanti et al. 2022, arXiv 2205.05198, sequence parallelism)
cp   ring attention: K and V forward; K, V and their gradients backward: 3 x (c - 1) chunks
     (Liu et al. 2023, arXiv 2310.01889)
pp   activations forward and gradients backward over each stage boundary, s b h x 2 / (t c) bytes a micro-batch
dp   gradients reduced in FP32, weights gathered in BF16: 6 bytes a weight with ZeRO-1/2, 8 without and with ZeRO-3
edp  the same for expert weights, on Megatron-core's separate expert grid
ep   tokens to the hosts of their experts and back, forward and backward, once a remote host
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, comb

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.job import CustomAxis, Job, ModelShape, Parallel, Routing, dense_groups, expert_groups, grid_groups
from topoplan.model.patterns import Flows, all_to_all, chain, expert_all_to_all, join, rail_ring, ring
from topoplan.model.traffic import Collective, Traffic

ACTIVATION_BYTES = 2  # BF16
# Bytes a weight that data-parallel ranks move: FP32 gradients reduce-scattered (4), BF16 weights gathered (2), once
# with ZeRO-1 and 2; an all-reduce of FP32 gradients (2 x 4) without; gathered twice with ZeRO-3 (Rajbhandari et al.
# 2020, arXiv 1910.02054, section 7).
ZERO_BYTES = {0: 8.0, 1: 6.0, 2: 6.0, 3: 8.0}
# Weights of a bucket of gradients: so many, or so many for each data-parallel rank where that is more (Megatron-core's
# default of bucket_size, core/distributed/distributed_data_parallel.py).
_LEAST_BUCKET, _BUCKET_A_RANK = 40e6, 1e6


def traffic_of(job: Job, first_layer: tuple[int, ...], gpus_per_host: int) -> Traffic:
    """Traffic of one step of a job.

    Parameters
    ----------
    first_layer
        First layer of each virtual stage in order, then the number of layers; see `topoplan.model.plan.Stages`.
        Ignored for jobs that bring their own traffic or axes.
    gpus_per_host
        Consecutive ranks that share a host: where NVLink ends for rings and expert dispatch.

    Raises
    ------
    InputError
        The job says neither traffic, axes, nor model with parallel and batch.
    """
    if job.traffic is not None:
        return _expose(job, job.traffic)
    if job.axes:
        return _assemble(job, _custom_collectives(job, gpus_per_host))
    if job.model is None or job.parallel is None or job.batch is None:
        raise InputError("a job needs `model` with `parallel` and `batch`, or `traffic`, or `axes`")
    step = _Step(job, job.model, job.parallel, first_layer, gpus_per_host)
    return _assemble(job, [part for make in _AXES.values() for part in make(step)])


def _expose(job: Job, traffic: Traffic) -> Traffic:
    unknown = set(job.exposure) - set(traffic.axes)
    if unknown:
        raise InputError(f"exposure names {sorted(unknown)[0]!r}; the axes are {', '.join(traffic.axes)}")
    exposure = np.array([job.exposure.get(name, e) for name, e in zip(traffic.axes, traffic.exposure, strict=True)])
    return Traffic(
        traffic.ranks, traffic.axes, traffic.src, traffic.dst, traffic.bytes, traffic.axis, exposure, traffic.messages
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """A collective with its flows."""

    collective: Collective
    flows: Flows
    exposure: float = 1.0


def _assemble(job: Job, parts: list[_Part]) -> Traffic:
    parts = [part for part in parts if part.flows.bytes.any()]
    axes = tuple(dict.fromkeys(part.collective.axis for part in parts))
    unknown = set(job.exposure) - {*axes, *_AXES}
    if unknown:
        raise InputError(f"exposure names {sorted(unknown)[0]!r}; the axes of this job are {', '.join(axes)}")
    index = np.concatenate(
        [np.full(len(part.flows.src), axes.index(part.collective.axis), np.int8) for part in parts]
        or [np.zeros(0, np.int8)]
    )
    flows = join([part.flows for part in parts])
    # expert gradients are hidden like the others unless the job says otherwise
    named = dict(job.exposure) | ({"edp": job.exposure["dp"]} if {"dp", "edp"} & set(job.exposure) == {"dp"} else {})
    exposure = [named.get(axis, max(p.exposure for p in parts if p.collective.axis == axis)) for axis in axes]
    messages = [sum(p.collective.messages for p in parts if p.collective.axis == axis) for axis in axes]
    return Traffic(
        job.ranks,
        axes,
        flows.src.astype(np.int32),
        flows.dst.astype(np.int32),
        flows.bytes,
        index,
        np.array(exposure, float),
        np.array(messages, float),
        tuple(part.collective for part in parts),
    )


class _Step:
    """Quantities of a step that several axes share."""

    def __init__(
        self, job: Job, model: ModelShape, parallel: Parallel, first_layer: tuple[int, ...], gpus_per_host: int
    ) -> None:
        assert job.batch is not None
        self.job, self.model, self.p, self.batch, self.host = job, model, parallel, job.batch, gpus_per_host
        pp, vpp = parallel.pp, parallel.vpp
        if len(first_layer) != pp * vpp + 1:
            raise InputError(f"{len(first_layer) - 1} stages given for pp x vpp = {pp * vpp}")
        self.layers: list[list[int]] = [[] for _ in range(pp)]  # of each pipeline rank, its virtual stages together
        for stage in range(pp * vpp):
            self.layers[stage % pp] += range(first_layer[stage], first_layer[stage + 1])
        self.sequence_bytes = self.batch.sequence * self.batch.micro_batch * model.hidden * ACTIVATION_BYTES

    def per_stage(self, groups: IntArray) -> IntArray:
        """[groups] pipeline rank of each group."""
        stage = np.empty(self.job.ranks, np.int64)
        for column, ranks in enumerate(dense_groups(self.job, "pp").T):
            stage[ranks] = column
        return np.asarray(stage[groups[:, 0]], np.int64)

    def weighted(self, make: Callable[[IntArray, float], Flows], groups: IntArray, amount: FloatArray) -> Flows:
        """Flows of groups whose bytes depend on their pipeline rank: `amount` [pp] bytes."""
        stage = self.per_stage(groups)
        return join([make(groups[stage == s], float(amount[s])) for s in range(self.p.pp) if (stage == s).any()])


def _tensor(step: _Step) -> list[_Part]:
    t = step.p.tp
    if t < 2:
        return []
    # two gather/scatter pairs (forward, backward) around attention, two more around a dense feed-forward
    pairs = np.array([sum(2 if step.model.is_moe(i) else 4 for i in layers) for layers in step.layers], float)
    amount = pairs * step.batch.micro_batches * 2 * (t - 1) / t * step.sequence_bytes / step.p.cp
    groups = dense_groups(step.job, "tp")
    flows = step.weighted(lambda g, b: rail_ring(g, b, step.host), groups, amount)
    calls = float(pairs.max() * step.batch.micro_batches * 2)
    size_bytes = step.sequence_bytes / step.p.cp
    return [
        _Part(Collective("tp", "all_gather", groups, float(amount.max()), calls * (t - 1), calls, size_bytes), flows)
    ]


def _context(step: _Step) -> list[_Part]:
    c = step.p.cp
    if c < 2:
        return []
    model, batch = step.model, step.batch
    tokens = batch.sequence * batch.micro_batch / c
    chunk = tokens * 2 * max(1.0, model.kv_heads / step.p.tp) * model.head_dim * ACTIVATION_BYTES
    layers = np.array([len(x) for x in step.layers], float)
    amount = layers * batch.micro_batches * 3 * (c - 1) * chunk
    groups = dense_groups(step.job, "cp")
    flows = step.weighted(ring, groups, amount)
    messages, sent = float(layers.max() * batch.micro_batches * 2 * (c - 1)), float(amount.max())
    return [_Part(Collective("cp", "ring", groups, sent, messages, messages, sent / messages), flows)]


def _expert(step: _Step) -> list[_Part]:
    routing, e = step.model.routing, step.p.ep
    if routing is None or e < 2:
        return []
    if routing.experts % e:
        raise InputError(f"ep {e} does not divide {routing.experts} experts", hint="choose a divisor of the experts")
    p, batch = step.p, step.batch
    groups = expert_groups(step.job, "ep")
    members = int(((groups[0] // step.host) == groups[0, 0] // step.host).sum())
    hosts = max(1, e // members)
    moe = np.array([sum(step.model.is_moe(i) for i in layers) for layers in step.layers], float)
    tokens = moe * batch.micro_batches * batch.sequence * batch.micro_batch / (p.tp * p.cp)
    # forward and backward each dispatch once and combine once
    token_bytes = 2 * step.model.hidden * (routing.dispatch_bytes + routing.combine_bytes)
    stage, parts = step.per_stage(groups), []
    to_host, to_gpu = visit_probability(routing, hosts), visit_probability(routing, e)
    for s in range(p.pp):
        mine = groups[stage == s]
        if len(mine) and tokens[s]:
            amount = tokens[s] * token_bytes
            parts.append(expert_all_to_all(mine, amount * to_host, amount * to_gpu, step.host))
    sent = float(tokens.max() * token_bytes * to_host * (hosts - 1))
    calls = float(moe.max() * batch.micro_batches * 4)
    held = float(tokens.max() * token_bytes * to_gpu * e)  # for all GPUs of the group, its own included
    size_bytes = held / calls if calls else 0.0
    return [_Part(Collective("ep", "all_to_all", groups, sent, calls, calls, size_bytes), join(parts))]


def visit_probability(routing: Routing, parts: int) -> float:
    """Probability that a token visits one of `parts` equal parts of the experts, choices being uniform.

    Group-limited routing first draws `top_groups` groups, then top_k experts inside them. A part inside one group is
    reached if its group is drawn and one of its experts is; a part of several groups by the hypergeometric mixture.
    """
    mine, group = routing.experts // parts, routing.experts // routing.groups
    open_experts = routing.top_groups * group
    if open_experts < routing.top_k:
        raise InputError(f"{routing.top_groups} groups of {group} experts cannot give {routing.top_k} experts")
    if mine <= group:
        missed = comb(open_experts - mine, routing.top_k) / comb(open_experts, routing.top_k)
        return routing.top_groups / routing.groups * (1 - missed)
    own = mine // group
    total = 0.0
    for drawn in range(min(own, routing.top_groups) + 1):
        ways = comb(own, drawn) * comb(routing.groups - own, routing.top_groups - drawn)
        missed = comb(open_experts - drawn * group, routing.top_k) / comb(open_experts, routing.top_k)
        total += ways / comb(routing.groups, routing.top_groups) * (1 - missed)
    return total


def _pipeline(step: _Step) -> list[_Part]:
    p, batch = step.p, step.batch
    if p.pp < 2:
        return []
    one = batch.micro_batches * step.sequence_bytes / (p.tp * p.cp)
    groups = dense_groups(step.job, "pp")
    flows = chain(groups, one * p.vpp, wrap=one * (p.vpp - 1))
    # warm-up and drain cross every boundary one after the other
    messages = 2.0 * (batch.micro_batches * p.vpp + p.pp - 1)
    calls = 2.0 * batch.micro_batches * p.vpp
    return [_Part(Collective("pp", "p2p", groups, 2 * one * p.vpp, messages, calls, one / batch.micro_batches), flows)]


def _embedding(step: _Step) -> FloatArray:
    """[pp] weights of the embedding on the first stage and of the output matrix on the last, before tp."""
    weights = np.zeros(step.p.pp)
    weights[0] += step.model.embedding_weights
    if not (step.model.tied_embedding and step.p.pp == 1):
        weights[-1] += step.model.embedding_weights
    return weights


def _data(step: _Step) -> list[_Part]:
    p, n = step.p, step.p.dp * step.p.cp
    if n < 2:
        return []
    weights = np.array([sum(step.model.shared_layer_weights(i) for i in layers) for layers in step.layers])
    groups = dense_groups(step.job, "cp-dp" if p.cp > 1 else "dp")
    return [_reduction(step, "dp", groups, (weights + _embedding(step)) / p.tp)]


def _reduction(step: _Step, axis: str, groups: IntArray, weights: FloatArray) -> _Part:
    """Gradients scattered and weights gathered (twice with ZeRO-3), or without ZeRO gradients all-reduced.

    [pp] `weights` of a rank of each stage. Messages, which the latency of a price is made of, are those of one piece.
    """
    n, zero = groups.shape[1], step.p.zero
    amount = ZERO_BYTES[zero] * weights * (n - 1) / n
    flows = step.weighted(lambda g, b: rail_ring(g, b, step.host), groups, amount)
    op, ways = {0: ("all_reduce", 1.0), 3: ("reduce_scatter", 3.0)}.get(zero, ("reduce_scatter", 2.0))
    sent, calls = float(amount.max()), ways * _buckets(step, axis, weights)
    call_bytes = sent / (calls * _SHARE[op](n))
    return _Part(Collective(axis, op, groups, sent, 2.0 * (n - 1), calls, call_bytes), flows)


def _buckets(step: _Step, axis: str, weights: FloatArray) -> int:
    """Pieces in which the pipeline rank with most of [pp] `weights` reduces them.

    Megatron-core reduces each virtual stage by itself; where it does so beside compute, the first of the first
    pipeline rank in buckets, as only there something waits for the end (core/distributed/distributed_data_parallel.py).
    Assumed of a job that says nothing of compute.
    """
    p, compute = step.p, step.job.compute
    busiest = int(np.argmax(weights))
    if busiest > 0 or (compute is not None and axis not in compute.overlap):
        return p.vpp
    bucket = max(_LEAST_BUCKET, _BUCKET_A_RANK * p.dp * p.cp)
    return p.vpp - 1 + ceil(float(weights[0]) / p.vpp / bucket)


def _expert_data(step: _Step) -> list[_Part]:
    p, n = step.p, step.p.edp
    if step.model.routing is None or n < 2:
        return []
    weights = np.array([sum(step.model.routed_layer_weights(i) for i in layers) for layers in step.layers])
    return [_reduction(step, "edp", expert_groups(step.job, "edp"), weights / (p.ep * p.etp))]


_AXES: dict[str, Callable[[_Step], list[_Part]]] = {
    "tp": _tensor,
    "cp": _context,
    "ep": _expert,
    "pp": _pipeline,
    "dp": _data,
    "edp": _expert_data,
}


def _custom_collectives(job: Job, gpus_per_host: int) -> list[_Part]:
    order = "-".join(axis.name for axis in job.axes)
    sizes = {axis.name: axis.size for axis in job.axes}
    parts = []
    for axis in job.axes:
        groups = grid_groups(order, sizes, axis.name)
        parts += _custom_axis(axis, groups, gpus_per_host)
    return parts


# op -> bytes each rank sends, as a share of its payload, among n ranks (nccl-tests PERFORMANCE.md)
_SHARE: dict[str, Callable[[int], float]] = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "all_to_all": lambda n: (n - 1) / n,
    "ring": lambda n: 1.0,
    "p2p": lambda n: 1.0,
}
OPS = tuple(sorted(_SHARE))


def _custom_axis(axis: CustomAxis, groups: IntArray, gpus_per_host: int) -> list[_Part]:
    def rails(ranks: IntArray, sent: float) -> Flows:
        return rail_ring(ranks, sent, gpus_per_host)

    make: dict[str, Callable[[IntArray, float], Flows]] = {"all_to_all": all_to_all, "p2p": chain, "ring": ring}
    parts = []
    for item in axis.collectives:
        if item.op not in _SHARE:
            raise InputError(f"axis {axis.name}: op {item.op!r} is not one of {', '.join(OPS)}")
        sent = item.size_bytes * item.count * _SHARE[item.op](axis.size)
        flows = make.get(item.op, rails)(groups, sent)
        count = float(item.count)
        collective = Collective(axis.name, item.op, groups, sent, count, count, item.size_bytes)
        parts.append(_Part(collective, flows, 1 - item.overlap))
    return parts
