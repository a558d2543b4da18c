"""Work of a micro-batch: activations as Korthikanti et al. count them, time by kernel, halves as stages share them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cost.jobs import DENSE, GPU_PEAK, MOE, job
from topoplan.cost.hardware import KINDS, MEMORY_EFFICIENCY, Gpu, rates_of
from topoplan.cost.work import BACKWARD_TOUCHES, FORWARD_TOUCHES, Work, held_weights, kept_bytes
from topoplan.model.compute import Compute
from topoplan.model.job import Job, ModelShape
from topoplan.planning.step import stages_of

H100 = Gpu(GPU_PEAK, 80e9)


def work(what: Job, gpu: Gpu = H100) -> Work:
    stages = stages_of(what)
    assert stages is not None
    return Work(what, stages.first, gpu)


@given(st.integers(1, 64), st.integers(1, 8), st.integers(128, 8192))
def test_activations_of_a_layer(heads: int, width: int, sequence: int) -> None:
    """arXiv 2205.05198, equation 1: s b h (34 + 5 a s / h) for a layer without tensor parallelism."""
    h = 16 * heads * width
    shape = ModelShape("g", 1, h, heads, heads, 16 * width, 4 * h, 8, gated=False)
    assert kept_bytes(shape, 0, sequence, fused=False) == 34 * h + 5 * heads * sequence
    assert kept_bytes(shape, 0, sequence, fused=True) == 34 * h


def test_experts_keep_their_copies() -> None:
    """Each of top_k copies: in and out of its expert, and what the gated feed-forward keeps."""
    dense = replace(MOE, routing=None, expert_ffn=0)
    rest = kept_bytes(dense, 0, 2048, fused=True) - (2 * 1024 + 6 * 4096)
    assert kept_bytes(MOE, 0, 2048, fused=True) == rest + 2 * (2 * 1024 + 6 * 512 + 2 * 1024) + 2 * 1024


def test_kernels_by_hand() -> None:
    what = job(compute=Compute(), tp=2)
    kind = next(kind for kind in KINDS if kind.name == "H100")
    rate = GPU_PEAK * kind.efficiency["bf16"] * kind.sustained
    memory = kind.memory_bytes_per_s * MEMORY_EFFICIENCY * kind.sustained
    tokens = 2048 / 2
    linear = tokens * 2 * (8 * (4 * 1024**2 + 2 * 1024 * 4096) + 256 * 1024) / rate
    core = tokens * 8 * 2 * 2048 * 1024 / rate
    touched = tokens * 8 * 34 * 1024 / memory
    forward, backward, weights = work(what).passes
    assert forward[0] == pytest.approx(linear + core + FORWARD_TOUCHES * touched)
    assert backward[0] == pytest.approx(linear + 2 * core + BACKWARD_TOUCHES * touched)
    assert weights[0] == pytest.approx(linear)


def test_unfused_attention_computes_what_the_mask_hides_and_models_flops_do_not() -> None:
    plain = work(job(compute=Compute()))
    slow = work(job(compute=Compute(fused_attention=False)))
    assert slow.core_flops == pytest.approx(2 * plain.core_flops)
    assert slow.model_flops == plain.model_flops
    assert slow.passes[0][0] > plain.passes[0][0]


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]), st.sampled_from([1, 2, 4]))
def test_shares_add_up_to_the_whole(tp: int, cp: int, pp: int) -> None:
    one, split = work(job(compute=Compute())), work(job(compute=Compute(), tp=tp, cp=cp, pp=pp))
    for whole, part in zip(one.passes, split.passes, strict=True):
        assert part.sum() * tp * cp == pytest.approx(whole.sum())
    assert split.model_flops == pytest.approx(one.model_flops)


def test_experts_at_the_bf16_rate() -> None:
    kind = next(kind for kind in KINDS if kind.name == "GB200")
    bf16, fp8 = (rates_of(2500e12, kind, precision) for precision in ("bf16", "fp8"))
    assert fp8.linear == pytest.approx(bf16.linear * 2 * 0.723 / 0.729)
    assert fp8.routed == bf16.routed == bf16.linear == bf16.core == fp8.core
    a100 = next(kind for kind in KINDS if kind.name == "A100")
    assert rates_of(312e12, a100, "fp8") == rates_of(312e12, a100, "bf16")


def test_a_gpu_of_no_kind_runs_at_half_its_peak() -> None:
    found = work(job(compute=Compute()), Gpu(500e12))
    assert found.rates.linear == 250e12
    assert np.isinf(found.rates.memory)
    assert found.optimizer_s == 0


def test_held_weights() -> None:
    held = held_weights(work(job(MOE, tp=2, pp=2, dp=4, ep=4)))
    layer = 4 * 1024**2 + 1024 * 16
    assert held.shared == pytest.approx(np.full(2, (4 * layer + 256 * 1024) / 2))
    assert held.routed == pytest.approx(np.full(2, 4 * 16 * 3 * 1024 * 512 / 4))
    tied = held_weights(work(job(replace(DENSE, tied_embedding=True))))
    assert tied.shared[0] == pytest.approx(held_weights(work(job())).shared[0] - 256 * 1024)
