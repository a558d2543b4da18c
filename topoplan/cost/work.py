"""Compute of one micro-batch on each pipeline rank, from the model's dimensions.

Matrix products take their FLOPs at a share of the GPU's peak: a linear layer as much forward as for the gradient of its
inputs and for that of its weights; attention's core as much forward, and twice that backward (two products forward,
four backward). Everything between is bound by memory: each activation that a layer keeps is written and read forward,
and read, with its gradient written and read, backward. Bytes kept follow Korthikanti et al. 2022 (arXiv 2205.05198,
equations 1 to 4), generalised to grouped heads, gated feed-forwards and experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.cost.hardware import Gpu, Rates, rates_of
from topoplan.errors import InputError
from topoplan.model.compute import Compute
from topoplan.model.fabric import FloatArray
from topoplan.model.job import Batch, Job, ModelShape, Parallel

SCORE_BYTES = 5  # of each attention score: softmax and dropout outputs in BF16, and the dropout mask
FORWARD_TOUCHES, BACKWARD_TOUCHES = 2, 3  # accesses of each byte kept, see above
# Adam on FP32 states: gradient, weight and two moments read, the latter three written, a BF16 weight written.
OPTIMIZER_BYTES = 4 * 4 + 3 * 4 + 2


def kept_bytes(model: ModelShape, layer: int, sequence: int, *, fused: bool) -> float:
    """Bytes of activations that a layer keeps of a token for its backward pass, BF16, before tensor parallelism."""
    h = model.hidden
    dropout = 0 if model.gated else 2 * h  # two masks of a byte; gated models train without dropout
    heads, kv = model.heads * model.head_dim, model.kv_heads * model.head_dim
    attention = 2 * h + 2 * (2 * heads + 2 * kv) + (0 if fused else SCORE_BYTES * model.heads * sequence)
    norms = 4 * h

    def feed_forward(width: int) -> float:
        return 2 * h + (6 if model.gated else 4) * width

    if not (model.routing and model.is_moe(layer)):
        return attention + norms + dropout + feed_forward(model.ffn)
    experts = model.routing.top_k * (feed_forward(model.expert_ffn) + 2 * h)  # copies in, copies out
    shared = model.shared_experts * feed_forward(model.expert_ffn)
    return attention + norms + dropout + experts + shared + 2 * h


@dataclass(frozen=True, eq=False)
class Work:
    """Work of a job's micro-batches on GPUs like `gpu`.

    Parameters
    ----------
    first_layer
        First layer of each virtual stage in order, then the number of layers.
    """

    job: Job
    first_layer: tuple[int, ...]
    gpu: Gpu

    @property
    def model(self) -> ModelShape:
        """The job's model."""
        assert self.job.model is not None
        return self.job.model

    @property
    def parallel(self) -> Parallel:
        """The job's layout."""
        assert self.job.parallel is not None
        return self.job.parallel

    @property
    def batch(self) -> Batch:
        """The job's batch."""
        assert self.job.batch is not None
        return self.job.batch

    @property
    def compute(self) -> Compute:
        """What the job says of its compute."""
        return self.job.compute or Compute()

    @cached_property
    def layers(self) -> list[list[int]]:
        """Layers of each pipeline rank, its virtual stages together."""
        pp = self.parallel.pp
        found: list[list[int]] = [[] for _ in range(pp)]
        for stage in range(pp * self.parallel.vpp):
            found[stage % pp] += range(self.first_layer[stage], self.first_layer[stage + 1])
        return found

    @property
    def tokens(self) -> float:
        """Tokens of a micro-batch for each rank that shares it by sequence; tensor parallelism splits the work on."""
        return self.batch.sequence * self.batch.micro_batch / self.parallel.cp

    @cached_property
    def linear_flops(self) -> FloatArray:
        """[pp] forward FLOPs of a token in linear layers, the output matrix on the last rank."""
        model = self.model
        flops = np.zeros(self.parallel.pp)
        for rank, layers in enumerate(self.layers):
            flops[rank] = sum(model.layer_flops(i, 0) for i in layers)
        flops[-1] += 2 * model.embedding_weights
        return flops

    @cached_property
    def routed_flops(self) -> FloatArray:
        """[pp] forward FLOPs of a token in routed experts, part of `linear_flops`."""
        routing = self.model.routing
        each = 2.0 * routing.top_k * self.model.expert_weights if routing else 0.0
        return np.array([sum(self.model.is_moe(i) for i in own) for own in self.layers]) * each

    @cached_property
    def core_flops(self) -> FloatArray:
        """[pp] forward FLOPs of a token in attention's core, causal halves alone where it is fused."""
        each = 2.0 * self.batch.sequence * self.model.heads * self.model.head_dim
        return np.array([len(layers) for layers in self.layers]) * each * (1 if self.compute.fused_attention else 2)

    @property
    def causal_flops(self) -> FloatArray:
        """[pp] the same without what a causal mask hides, as model FLOPs are counted."""
        return self.core_flops / (1 if self.compute.fused_attention else 2)

    @cached_property
    def kept(self) -> FloatArray:
        """[pp] bytes of activations that a token's layers keep, without recomputation, before tensor parallelism."""
        fused, sequence = self.compute.fused_attention, self.batch.sequence
        return np.array([sum(kept_bytes(self.model, i, sequence, fused=fused) for i in own) for own in self.layers])

    @cached_property
    def scores(self) -> FloatArray:
        """[pp] bytes of a token's attention scores among `kept`; 0 where attention is fused."""
        each = 0 if self.compute.fused_attention else SCORE_BYTES * self.model.heads * self.batch.sequence
        return np.array([len(own) for own in self.layers], float) * each

    @cached_property
    def model_flops(self) -> float:
        """FLOPs of the model in a step of all ranks: forward and twice that backward, causal, nothing recomputed."""
        each = 3 * float((self.linear_flops + self.causal_flops).sum())
        batch = self.batch
        return each * batch.sequence * batch.micro_batch * batch.micro_batches * self.parallel.dp

    @cached_property
    def passes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Seconds [pp] of a micro-batch on each rank: forward, gradient of the inputs, gradient of the weights.

        Raises
        ------
        InputError
            GPUs of unknown peak.
        """
        forward, backward, weights = self._kernels
        if self.compute.mfu is None:
            return forward, backward, weights
        # what is stated says how long all of it takes; the kernels how that divides
        stated = 3 * (self.linear_flops + self.causal_flops) * self.share / (self.peak * self.compute.mfu)
        factor = stated / (forward + backward + weights)
        return forward * factor, backward * factor, weights * factor

    @cached_property
    def _kernels(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same at the rates that GPUs of this kind reach."""
        rates, compute = self.rates, self.compute
        dense = self.linear_flops - self.routed_flops
        linear = (dense / rates.linear + self.routed_flops / rates.routed) * self.share
        core = self.core_flops * self.share / rates.core
        touched, scores = self.kept * self.share / rates.memory, self.scores * self.share / rates.memory
        forward = linear + core + FORWARD_TOUCHES * touched
        output = np.zeros(len(linear))
        output[-1] = 2 * self.model.embedding_weights * self.share / rates.linear  # not part of a layer
        again = {"full": forward - output, "selective": core + FORWARD_TOUCHES * scores}
        repeated = again.get(compute.recompute, np.zeros(len(linear)))
        return forward, linear + 2 * core + BACKWARD_TOUCHES * touched + repeated, linear

    @property
    def core_s(self) -> FloatArray:
        """[pp] forward seconds of attention's core, one micro-batch; part of `passes`."""
        share = self.core_flops * self.share / self.rates.core / self._kernels[0]
        return np.asarray(share * self.passes[0])

    @property
    def share(self) -> float:
        """Tokens of a micro-batch whose work a rank does."""
        return self.tokens / self.parallel.tp

    @property
    def peak(self) -> float:
        """Dense BF16 peak of a GPU."""
        if self.gpu.flops_per_s is not None:
            return self.gpu.flops_per_s
        if self.compute.step_time_s is not None:
            return 1e15  # any: compute is scaled until the step lasts what was measured
        raise InputError(
            "the peak of the GPUs is unknown, and with it how long they compute",
            hint="give `flops` in the fabric's host type, or `compute: {flops: 989 TFLOPS}` or `step_time` in the job",
        )

    @cached_property
    def rates(self) -> Rates:
        """Of the job's GPUs and precision."""
        return rates_of(self.peak, self.gpu.kind, self.compute.precision)

    @property
    def optimizer_s(self) -> float:
        """Seconds of the optimizer on the rank with most weights, bound by memory; 0 where its speed is unknown."""
        mine = held_weights(self)
        copies = self.parallel.dp * self.parallel.cp if self.parallel.zero else 1
        expert_copies = self.parallel.edp if self.parallel.zero else 1
        updated = float((mine.shared / copies + mine.routed / expert_copies).max())
        return updated * OPTIMIZER_BYTES / self.rates.memory


@dataclass(frozen=True, eq=False)
class Held:
    """[pp] float64 weights that a rank holds: those that data-parallel ranks replicate, and those of routed experts."""

    shared: FloatArray
    routed: FloatArray


def held_weights(work: Work) -> Held:
    """Weights on each pipeline rank after tensor and expert parallelism; embedding first, output matrix last."""
    model, p = work.model, work.parallel
    shared = np.array([sum(model.shared_layer_weights(i) for i in own) for own in work.layers])
    shared[0] += model.embedding_weights
    if not (model.tied_embedding and p.pp == 1):
        shared[-1] += model.embedding_weights
    routed = np.array([sum(model.routed_layer_weights(i) for i in own) for own in work.layers])
    return Held(shared / p.tp, routed / (p.ep * p.etp))
