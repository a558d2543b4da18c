"""Memory: as Korthikanti et al. 2022 count it, sharded as ZeRO does, and never more than published runs had."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cost.jobs import MOE, job
from topoplan.cost.hardware import Gpu
from topoplan.cost.memory import least_memory, memory_of, state_bytes
from topoplan.cost.work import Work
from topoplan.model.compute import Compute
from topoplan.model.job import Job
from topoplan.model.step import Memory
from topoplan.planning.step import stages_of
from topoplan.studies.validation.training import MACHINES, Run, runs

GIB = 2.0**30


def work(what: Job) -> Work:
    stages = stages_of(what)
    assert stages is not None
    return Work(what, stages.first, Gpu())


def memory(what: Job) -> Memory:
    return memory_of(work(what))


# arXiv 2205.05198, figure 1, bytes in GiB of activations with sequence parallelism and selective recomputation, and of
# parameters, gradients and optimizer states, read off by calculon (llm/validation.py at caa4b11)
FIGURE_1 = {
    "megatron-22b": (45.5625, 9.5625),
    "gpt-3-175b": (45.5625, 12.3515625),
    "turing-530b": (31.640625, 23.076171875),
    "megatron-1t": (32.958984375, 26.5625),
}


def selective(name: str) -> Run:
    return next(run for run in runs() if run.job.name.startswith(name) and run.job.compute.recompute == "selective")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FIGURE_1)
def test_figure_1(name: str) -> None:
    run, (states, activations) = selective(name), FIGURE_1[name]
    found = memory(run.job)
    # the figure leaves out embedding, and the logits that its one-stage model keeps
    assert found.activations / GIB == pytest.approx(activations, rel=0.025)
    ours = (found.weights + found.gradients + found.optimizer) / GIB
    embedding = 18 * run.job.model.embedding_weights / run.job.parallel.tp / GIB  # type: ignore[union-attr]
    assert ours - embedding == pytest.approx(states, rel=0.005)


@pytest.mark.parametrize("run", runs(), ids=lambda run: f"{run.job.name} {run.seconds:.3g}")
def test_no_published_run_counts_as_impossible(run: Run) -> None:
    assert least_memory(work(run.job)).total < MACHINES[run.system].memory


@given(st.floats(1, 1e12), st.integers(1, 4096))
def test_zero_shards_one_part_more_with_each_stage(weights: float, copies: int) -> None:
    whole = state_bytes(weights, copies, 0)
    assert whole == pytest.approx((2 * weights, 4 * weights, 12 * weights))
    for zero in range(4):
        shards = [1, 1, 1 / copies] if zero == 1 else [1, 1 / copies, 1 / copies] if zero == 2 else [1 / copies] * 3
        expected = whole if zero == 0 else [part * share for part, share in zip(whole, shards, strict=True)]
        assert state_bytes(weights, copies, zero) == pytest.approx(tuple(expected))


def test_recomputing_keeps_less() -> None:
    kept = [
        memory(job(compute=Compute(recompute=how, fused_attention=False), pp=2)).activations
        for how in ("none", "selective", "full")
    ]
    assert kept[0] > kept[1] > kept[2]
    assert memory(job(compute=Compute(), pp=2)).recompute == "full"
    fused = [
        memory(job(compute=Compute(recompute=how), pp=2)).activations for how in ("none", "selective")
    ]  # fused attention keeps no scores
    assert fused[0] == fused[1]


def test_experts_are_counted_apart_and_shrink_with_ep() -> None:
    one, four = (memory(job(MOE, dp=8, ep=ep)) for ep in (1, 4))
    assert one.weights == four.weights
    weights = MOE.layers * 16 * 3 * 1024 * 512
    assert one.experts == pytest.approx(weights * (6 + 12 / 8))
    assert four.experts == pytest.approx(weights / 4 * (6 + 12 / 2))


def test_the_first_stage_holds_most_activations_and_dualpipe_two_stages() -> None:
    plain = memory(job(pp=4))
    assert plain.rank == 0
    both = memory(replace(job(pp=4), schedule="dualpipe"))
    assert both.weights == pytest.approx(2 * plain.weights, rel=0.05)


def test_the_least_is_less() -> None:
    what = job(compute=Compute(recompute="none"), tp=2, pp=2, dp=2)
    least, said = least_memory(work(what)), memory(what)
    assert least.activations < said.activations
    assert least.gradients == pytest.approx(said.gradients / 2)
    assert least.weights == said.weights
