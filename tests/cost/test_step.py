"""The step: what it is made of adds up, what compute hides is hidden, and what is stated is obeyed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.jobs import DENSE, GPU_PEAK, MOE, exposing, fabric, job, step
from topoplan.cost.hardware import OVERLAP_TAX
from topoplan.cost.schedules import SCHEDULES, Pass
from topoplan.cost.step import scale_to, step_time
from topoplan.errors import InputError
from topoplan.model.compute import Compute
from topoplan.model.demand import traffic_of
from topoplan.model.job import Job
from topoplan.model.step import AxisTime, StepTime
from topoplan.planning.step import stages_of

WHOLE = Compute(mfu=0.5, overlap=())


def axis(found: StepTime, name: str) -> AxisTime:
    return next(item for item in found.axes if item.name == name)


def model_flops(what: Job) -> float:
    """By hand: 6 a weight and token, 6 s h a layer for causal attention; embedding looked up, output multiplied."""
    assert what.batch is not None
    assert what.parallel is not None
    tokens = what.batch.sequence * what.batch.micro_batches * what.parallel.dp
    weights = DENSE.layers * (4 * 1024**2 + 2 * 1024 * 4096) + 256 * 1024
    return float(tokens * (6 * weights + 6 * 2048 * 1024 * DENSE.layers))


def test_compute_is_the_models_flops_at_the_mfu() -> None:
    found = step(job())
    assert found.compute_s == pytest.approx(model_flops(job()) / (0.5 * GPU_PEAK))
    assert found.bubble_s == found.exposed_s == 0
    assert found.mfu == pytest.approx(0.5 * found.compute_s / found.total_s)


def test_recomputing_is_part_of_a_stated_mfu_and_costs_where_it_is_not() -> None:
    again = Compute(mfu=0.5, recompute="full")
    assert step(job(compute=again)).compute_s == pytest.approx(step(job()).compute_s)
    plain, full = (step(job(compute=Compute(recompute=r))).compute_s for r in ("none", "full"))
    # a third of the products again, and two fifths of what is touched between; the output matrix only once
    assert 1.2 * plain < full < 1.4 * plain


def test_fp8_makes_dense_layers_quicker_and_not_experts() -> None:
    def ratio(what: Job) -> float:
        return step(replace(what, compute=Compute(precision="fp8"))).compute_s / step(what).compute_s

    dense, moe = job(compute=Compute()), job(MOE, Compute())
    assert 0.5 < ratio(dense) < ratio(moe) < 1


def test_unknown_peak_is_refused_unless_a_step_was_measured() -> None:
    bare = replace(fabric(1), host_types=(replace(fabric(1).host_types[0], flops_per_s=None),))
    with pytest.raises(InputError, match="peak of the GPUs is unknown"):
        step(job(), bare)
    assert step(job(compute=Compute(mfu=0.5, flops_per_s=GPU_PEAK)), bare) == step(job())
    assert step(job(compute=Compute(step_time_s=1.0)), bare).mfu is None


# ---- schedule ------------------------------------------------------------------------------------------------------


def test_bubble_of_equal_stages() -> None:
    """Stages alike but for a small output matrix: (p - 1) / m, and half of it with two virtual stages."""
    wide = fabric(1, nic=1e30, nvlink=1e30)
    plain, inter = (step(job(pp=4, vpp=vpp, compute=WHOLE), wide) for vpp in (1, 2))
    assert (plain.schedule, inter.schedule) == ("1f1b", "interleaved")
    assert plain.bubble_s / plain.compute_s == pytest.approx(3 / 8, rel=0.02)
    assert inter.bubble_s == pytest.approx(plain.bubble_s / 2, rel=0.02)
    assert step(replace(job(pp=4, compute=WHOLE), schedule="zb-h1"), wide).bubble_s < 0.7 * plain.bubble_s


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), st.integers(1, 12),
    st.sampled_from(["", "zb-h1"]), st.booleans(),
)  # fmt: skip
def test_the_parts_add_up(tp: int, pp: int, dp: int, micro_batches: int, schedule: str, overlap: bool) -> None:
    compute = Compute(mfu=0.4) if overlap else Compute(mfu=0.4, overlap=())
    what = replace(job(compute=compute, micro_batches=micro_batches, tp=tp, pp=pp, dp=dp), schedule=schedule)
    found = step(what)
    parts = found.compute_s + found.bubble_s + found.exposed_s + found.optimizer_s + found.storage_s
    assert found.total_s == pytest.approx(parts)
    assert min(found.compute_s, found.bubble_s, found.exposed_s, found.optimizer_s) >= 0
    for item in found.axes:
        assert item.overlapped_s + item.exposed_s == pytest.approx(item.work_s)
    # never longer than one thing after another, never shorter than the busiest rank's compute
    serial = Pass(*(np.full(pp, found.compute_s / micro_batches / 3),) * 3, micro_batches)
    worst = SCHEDULES["1f1b"].timing(serial).total_s
    each = sum(item.work_s for item in found.axes)
    assert found.total_s <= (worst + each + found.optimizer_s) * 1.0001 + each * (pp - 1) / micro_batches
    assert found.total_s >= found.compute_s


# ---- what hides ----------------------------------------------------------------------------------------------------


def test_nothing_hides_where_the_framework_overlaps_nothing() -> None:
    found = step(job(compute=WHOLE, tp=2, pp=2, dp=4))
    assert {item.name: item.exposure for item in found.axes} == pytest.approx({"tp": 1, "pp": 1, "dp": 1})


def test_what_hides_still_costs_its_share_of_the_gpu() -> None:
    found = axis(step(job(compute=Compute(mfu=0.01), dp=8)), "dp")
    assert found.exposed_s == pytest.approx(OVERLAP_TAX * found.work_s)
    assert found.window_s >= found.work_s


def test_tensor_parallelism_hides_only_when_told_to() -> None:
    slow = Compute(mfu=0.01)
    assert axis(step(job(compute=slow, tp=8)), "tp").exposure == 1
    told = replace(slow, overlap=(*slow.overlap, "tp"))
    assert axis(step(job(compute=told, tp=8)), "tp").exposure == pytest.approx(OVERLAP_TAX)


def test_gradients_hide_behind_one_micro_batch_and_with_zero_3_behind_all() -> None:
    nics = fabric(4, nic=4e9)
    one, all_of_it = (axis(step(job(tp=8, dp=4, zero=zero, micro_batches=64), nics), "dp") for zero in (1, 3))
    assert one.exposure > all_of_it.exposure
    more = axis(step(job(tp=8, dp=4, zero=1, micro_batches=640), nics), "dp")
    assert more.exposed_s == pytest.approx(one.exposed_s, rel=0.02)


def test_what_peaks_with_the_gradients_shares_their_links() -> None:
    """Dispatch of the last micro-batch runs on the NICs that gradients use: fewer of them are hidden."""
    what = exposing(job(MOE, Compute(mfu=0.3), dp=32, ep=16, micro_batches=1), ep=0.0)
    stages, nics, gpu = stages_of(what), fabric(4, nic=20e9), np.arange(32)
    assert stages is not None
    traffic = traffic_of(what, stages.first, 8)
    quiet = replace(traffic, bytes=np.where(traffic.axis == traffic.axes.index("ep"), 0.0, traffic.bytes))
    beside, alone = (
        sum(i.exposed_s for i in step_time(what, nics, t, gpu, stages.first).axes if i.name in {"dp", "edp"})
        for t in (traffic, quiet)
    )
    assert beside > 1.1 * alone


def test_axes_beside_the_same_compute_share_its_links() -> None:
    """Tensor and expert parallelism on one NVLink domain, both hidden: together they stick out, alone they do not."""
    compute = Compute(mfu=0.05, overlap=("ep", "tp"))
    what = job(MOE, compute, tp=4, dp=2, ep=4, micro_batches=32)
    slow = fabric(1, nvlink=40e9)
    free = step(what, fabric(1, nvlink=450e9))
    assert all(axis(free, name).exposure == pytest.approx(OVERLAP_TAX) for name in ("tp", "ep"))
    crowded = step(what, slow)
    for name in ("tp", "ep"):
        found = axis(crowded, name)
        assert found.work_s < found.window_s
        assert found.exposed_s > 1.05 * OVERLAP_TAX * found.work_s


def test_dispatch_blocks_unless_forward_runs_beside_backward() -> None:
    what = job(MOE, Compute(mfu=0.02), ep=8, dp=8, pp=2, micro_batches=16)
    assert axis(step(what), "ep").exposure == 1
    assert axis(step(replace(what, schedule="dualpipe")), "ep").exposure < 0.3


def test_full_recomputation_sends_forward_again() -> None:
    plain, full = (step(job(compute=Compute(mfu=0.5, recompute=r), tp=8)) for r in ("none", "full"))
    assert axis(full, "tp").work_s == pytest.approx(1.5 * axis(plain, "tp").work_s)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["tp", "pp", "dp"])
def test_a_stated_exposure_is_obeyed_and_moves_the_step_by_as_much(name: str, share: float) -> None:
    what = job(tp=2, pp=2, dp=4)
    found, other = axis(step(exposing(what, **{name: share})), name), axis(step(exposing(what, **{name: 0.5})), name)
    assert found.stated
    assert found.exposed_s == pytest.approx(share * found.work_s)
    moved = step(exposing(what, **{name: share})).total_s - step(exposing(what, **{name: 0.5})).total_s
    # what blocks a micro-batch makes the pipeline's bubble longer too, and the window of the gradients
    assert abs(moved) >= 0.8 * abs(found.exposed_s - other.exposed_s)
    assert np.sign(moved) == np.sign(share - 0.5)


def test_expert_gradients_are_stated_with_the_others() -> None:
    what = exposing(job(MOE, dp=32, ep=8), dp=0.25)
    assert axis(step(what), "edp").exposure == pytest.approx(0.25)


# ---- a measured step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.2, 1.0, 20.0])
def test_compute_is_scaled_to_a_measured_step(seconds: float) -> None:
    what = job(compute=Compute(step_time_s=seconds), tp=2, pp=2, dp=4)
    first = stages_of(what).first  # type: ignore[union-attr]
    gpu = np.arange(what.ranks)
    scale = scale_to(seconds, what, fabric(2), traffic_of(what, first, 8), gpu, first)
    assert step(what, fabric(2), scale).total_s == pytest.approx(seconds)


def test_a_step_shorter_than_its_communication() -> None:
    what = job(compute=Compute(step_time_s=1e-6), tp=8)
    first = stages_of(what).first  # type: ignore[union-attr]
    assert scale_to(1e-6, what, fabric(1), traffic_of(what, first, 8), np.arange(8), first) == 0
