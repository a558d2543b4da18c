"""The timeline shows the step that is priced: the same work, one thing at a time, the same end."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.cost.jobs import MOE, fabric, job
from topoplan.cost.step import step_time
from topoplan.model.compute import Compute
from topoplan.model.demand import traffic_of
from topoplan.model.job import Job
from topoplan.model.step import StepTime
from topoplan.planning.step import stages_of

COMPUTE = {"forward", "backward", "weights", "both"}


def drawn(what: Job) -> StepTime:
    stages = stages_of(what)
    assert stages is not None
    traffic = traffic_of(what, stages.first, 8)
    return step_time(what, fabric(-(-what.ranks // 8)), traffic, np.arange(what.ranks), stages.first, drawn=True)


CASES = [
    job(tp=2, pp=4, dp=4),
    job(tp=8, pp=4, vpp=2),
    replace(job(tp=8, pp=4), schedule="zb-h1"),
    replace(job(tp=8, pp=4), schedule="dualpipe"),
    job(MOE, pp=2, dp=16, ep=8),
    job(dp=8),
]


@pytest.mark.parametrize("what", CASES, ids=lambda what: f"{what.schedule} {what.parallel}")
def test_ranks_do_one_thing_at_a_time_and_all_their_work(what: Job) -> None:
    step = drawn(what)
    assert what.parallel is not None
    for stage in range(what.parallel.pp):
        mine = [i for i in step.timeline if i.stage == stage]
        assert mine[0].start_s >= 0
        for one, after in itertools.pairwise(mine):
            assert one.end_s <= after.start_s + 1e-12
        for axis in step.axes:
            shown = sum(i.end_s - i.start_s for i in mine if i.what == axis.name)
            # messages between stages are seen as waiting for them
            assert shown == pytest.approx(axis.exposed_s, rel=1e-6) if axis.name != "pp" else shown <= axis.exposed_s
        assert sum(i.end_s - i.start_s for i in mine if i.what == "optimizer") == pytest.approx(step.optimizer_s)
    busiest = max(
        sum(i.end_s - i.start_s for i in step.timeline if i.stage == stage and i.what in COMPUTE)
        for stage in range(what.parallel.pp)
    )
    assert busiest == pytest.approx(step.compute_s)


@pytest.mark.parametrize("what", CASES[:3] + CASES[4:], ids=lambda what: f"{what.schedule} {what.parallel}")
def test_it_ends_with_the_step(what: Job) -> None:
    """Stages differ by the output matrix alone, so the closed form is nearly exact."""
    step = drawn(what)
    end = max(i.end_s for i in step.timeline)
    assert end <= step.total_s * (1.005 if what.schedule == "zb-h1" else 1 + 1e-9)  # its form: for equal parts
    assert end == pytest.approx(step.total_s, rel=0.03)


def test_pairs_are_shown_as_one() -> None:
    assert any(i.what == "both" for i in drawn(CASES[3]).timeline)
    assert not any(i.what == "both" for i in drawn(CASES[0]).timeline)


def test_none_without_an_order() -> None:
    assert drawn(job(pp=4, vpp=2, micro_batches=6)).timeline == ()
    assert drawn(job(pp=4, vpp=2, micro_batches=8)).timeline != ()


def test_a_stated_exposure_moves_the_end() -> None:
    plain, none = (replace(job(pp=4, compute=Compute(mfu=0.5)), exposure={"pp": share}) for share in (0.9, 0.0))
    ends = [max(i.end_s for i in drawn(what).timeline) for what in (plain, none)]
    totals = [drawn(what).total_s for what in (plain, none)]
    assert ends[0] - ends[1] == pytest.approx(totals[0] - totals[1], rel=0.2)
