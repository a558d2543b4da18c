"""Plans of jobs that state compute: exposures derived, the step told, and nothing else changed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.cost.jobs import fabric, job
from topoplan.errors import InputError
from topoplan.files.plan_json import format_plan, parse_plan
from topoplan.files.plan_text import plan_record
from topoplan.model.compute import Compute
from topoplan.model.job import Job
from topoplan.planning.score import score
from topoplan.planning.solve import SolveOptions, job_traffic, placed_step, solve
from topoplan.planning.step import schedule_notes, step_notes
from topoplan.solvers.ranks import RankParams

QUICK = SolveOptions(params=RankParams(proposals=10, exact=None))
PLAIN = replace(job(tp=4, pp=2, dp=4), compute=None)
STATED = replace(PLAIN, compute=Compute(mfu=0.5))


def test_without_compute_exposure_stays_one_and_no_step_is_told() -> None:
    plan = solve(PLAIN, fabric(), QUICK)
    assert job_traffic(PLAIN, fabric()).exposure.tolist() == [1, 1, 1]
    assert plan.step is None
    assert plan.memory is None
    assert {"step", "memory"}.isdisjoint(plan_record(plan))
    assert any("exposure of tp, pp, dp is 1" in line for line in plan.assumed)


def test_with_compute_exposure_is_derived_and_a_stated_one_stays() -> None:
    traffic = job_traffic(STATED, fabric())
    derived = dict(zip(traffic.axes, traffic.exposure.tolist(), strict=True))
    assert derived["tp"] == 1
    assert 0 < derived["dp"] < 1
    stated = job_traffic(replace(STATED, exposure={"dp": 0.9}), fabric())
    assert stated.exposure[stated.axes.index("dp")] == pytest.approx(0.9)


def test_the_plan_tells_the_step_and_reads_it_back() -> None:
    plan = solve(STATED, fabric(), QUICK)
    assert plan.step is not None
    assert plan.memory is not None
    assert any("compute at 0.5 of the GPUs' peak, schedule 1f1b" in line for line in plan.assumed)
    text = format_plan(plan)
    back = parse_plan(text, fabric())
    assert format_plan(back) == text
    assert back.step is not None
    assert back.step.total_s == pytest.approx(plan.step.total_s)
    assert json.loads(text)["step"]["total_ms"] == pytest.approx(1e3 * plan.step.total_s)
    assert back.memory == plan.memory or back.memory is not None


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (Compute(), "kernel rates of H100"),
        (Compute(flops_per_s=500e12), "half of the GPUs' peak"),
        (Compute(step_time_s=2.0), "a measured step of 2 s"),
    ],
)
def test_what_compute_is_derived_from(compute: Compute, words: str) -> None:
    plan = solve(replace(PLAIN, compute=compute), fabric(), QUICK)
    assert any(words in line for line in plan.assumed)


def test_a_measured_step_is_that_of_hosts_in_order() -> None:
    plan = solve(replace(PLAIN, compute=Compute(step_time_s=2.0)), fabric(), QUICK)
    assert plan.step is not None
    assert plan.step.total_s == pytest.approx(2.0)  # one leaf: no order is quicker than another
    with pytest.raises(InputError, match="communication alone takes"):
        solve(replace(PLAIN, compute=Compute(step_time_s=1e-6)), fabric(), QUICK)


def test_a_schedule_that_the_layout_cannot_run() -> None:
    with pytest.raises(InputError, match="dualpipe needs an even number"):
        solve(replace(job(pp=3), schedule="dualpipe"), fabric(), QUICK)


def test_compute_needs_a_model() -> None:
    with pytest.raises(InputError, match="compute needs model, parallel and batch"):
        Job("j", 2, compute=Compute())


def test_the_same_bytes_again() -> None:
    texts = {format_plan(solve(STATED, fabric(), QUICK)) for _ in range(2)}
    assert len(texts) == 1
    assert np.isfinite(json.loads(texts.pop())["step"]["mfu"])


def test_plain_orders_are_timed_too_and_a_shorter_one_is_told() -> None:
    plan = solve(STATED, fabric(), QUICK)
    assert plan.step is not None
    assert plan.plain_step_s is not None
    assert set(plan.plain_step_s) == {"linear", "strings", "random"}
    assert plan.step.total_s <= min(plan.plain_step_s.values()) * (1 + 1e-9)
    assert step_notes(plan.step, plan.plain_step_s) == []
    quicker = {"linear": plan.step.total_s / 1.5, "random": plan.step.total_s}
    assert "the linear order is shorter by 50.0 %" in step_notes(plan.step, quicker)[0]
    assert step_notes(None, {}) == []


def test_a_placed_step_is_that_of_the_plan_and_can_be_drawn() -> None:
    plan = solve(STATED, fabric(), QUICK)
    assert plan.placement is not None
    assert placed_step(STATED, plan.placement) == plan.step
    drawn = placed_step(STATED, plan.placement, drawn=True)
    assert drawn is not None
    assert drawn.timeline
    assert replace(drawn, timeline=()) == plan.step
    assert placed_step(PLAIN, plan.placement) is None


def test_score_times_the_observed_order() -> None:
    plan = solve(STATED, fabric(), QUICK)
    assert plan.placement is not None
    found = score(STATED, fabric(), plan.placement)
    assert list(found.steps) == ["observed", "linear", "strings", "random"]
    assert found.steps["observed"] == plan.step
    assert score(PLAIN, fabric(), plan.placement).steps == {}


@pytest.mark.parametrize(
    ("sizes", "schedule", "micro_batches", "words"),
    [
        ({"pp": 4}, "dualpipe", 6, "an even number of micro-batches, 8 at least, not 6"),
        ({"pp": 4}, "dualpipe", 9, "not 9"),
        ({"pp": 4}, "dualpipe", 8, ""),
        ({"pp": 4, "vpp": 2}, "", 6, "schedule interleaved takes micro-batches in whole rounds of 4, not 6"),
        ({"pp": 4, "vpp": 2}, "", 8, ""),
        ({"pp": 4}, "", 3, ""),
        ({"pp": 1}, "dualpipe", 3, ""),
    ],
)
def test_schedules_say_what_they_are_not_defined_for(
    sizes: dict[str, int], schedule: str, micro_batches: int, words: str
) -> None:
    what = job(pp=sizes["pp"], vpp=sizes.get("vpp", 1))
    assert what.batch is not None
    batch = replace(what.batch, micro_batches=micro_batches)
    found = schedule_notes(replace(what, schedule=schedule, batch=batch, compute=Compute(mfu=0.5)))
    assert bool(found) == bool(words)
    assert all(words in line for line in found)
    assert schedule_notes(replace(what, schedule=schedule, batch=batch, compute=None)) == []
