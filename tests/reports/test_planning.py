"""What a capacity planner reads: the table at the top, heat maps, a step, what-ifs, exposures, cost, assumptions."""

from __future__ import annotations

import dataclasses
import html
import re
from itertools import pairwise

import numpy as np
import pytest

from tests.reports.conftest import make_fabric, make_plan
from topoplan.cost.price import predict
from topoplan.cost.routes import Loads
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.prices import Prices
from topoplan.model.step import AxisTime, Interval, StepTime
from topoplan.model.traffic import Traffic
from topoplan.reports.assumptions import assumptions
from topoplan.reports.executive import executive_rows
from topoplan.reports.heat_figure import MOST_ROWS, heat_maps, heat_svg
from topoplan.reports.html import ReportInput, render_html
from topoplan.reports.loads import total_loads
from topoplan.reports.money import Payback, money, payback
from topoplan.reports.sensitivity_section import most_helpful
from topoplan.reports.step_figure import MOST_STAGES, step_bars, step_svg, timeline_svg
from topoplan.studies.exposure import sweep_exposure
from topoplan.studies.sensitivity import sensitivity

Example = tuple[Plan, Job, Traffic, RankPlacement]
QUOTE = Prices(
    "quote", "EUR", 2.0, {"nic": {None: 1000.0}, "switch_port": {50e9: 700.0, 100e9: 1300.0}, "cable": {None: 200.0}}
)
STEP = StepTime(
    "1f1b", 1.0, 0.25, 0.05,
    axes=(AxisTime("ep", 0.5, 0.4, 0.1), AxisTime("dp", 0.3, 0.0, 0.3)),
    timeline=tuple(
        Interval(stage, 0.1 * i, 0.1 * i + 0.08, what, i)
        for stage in range(40) for i, what in enumerate(("forward", "backward", "ep"))
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def view() -> ReportInput:
    plan, job, traffic, linear = make_plan()
    assert plan.placement is not None
    return ReportInput(
        plan, "topoplan solve job.yaml", traffic, job, linear, prices=QUOTE, report_command="topoplan report plan",
        sensitivity=sensitivity(job, plan.placement, traffic),
        exposures=sweep_exposure(job, plan.placement.fabric, traffic, plan.placement.gpu, linear.gpu),
    )  # fmt: skip


def page_text(view: ReportInput) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", render_html(view))).split())


def test_the_page_has_every_part_and_is_the_same_twice(view: ReportInput) -> None:
    text = page_text(view)
    for said in ("At a glance", "By tier and rail", "What another fabric would give", "If exposures are others",
                 "What it costs", "What was assumed", "topoplan report plan", "EUR", "million"):  # fmt: skip
        assert said in text
    assert render_html(view) == render_html(view)


def test_without_studies_and_prices_their_parts_are_left_out(view: ReportInput) -> None:
    bare = dataclasses.replace(view, sensitivity=None, exposures=None, prices=None, report_command="")
    text = page_text(bare)
    for absent in ("What another fabric would give", "If exposures are others", "EUR", "None", "nan"):
        assert absent not in text.replace("None.", "")
    assert "GPU-hours" in text


def test_the_table_at_the_top_agrees_with_the_plan(view: ReportInput) -> None:
    rows = {row.question: row for row in executive_rows(view)}
    found, plan = view.sensitivity, view.plan
    assert found is not None
    assert plan.prediction is not None
    axis = max(plan.prediction.axes, key=plan.prediction.axes.__getitem__)
    assert rows["What takes the time?"].answer.startswith(f"{axis}, ")
    best, idle = most_helpful(found)
    assert best is not None
    assert best.best is not None
    assert best.change.name in rows["What would help most?"].answer
    others = [effect.best for effect in found.effects if not effect.change.loses_hosts]
    assert best.best.prediction.exposed_ms == min(o.prediction.exposed_ms for o in others if o is not None)
    assert ("What is not worth buying?" in rows) == bool(idle)
    assert "GPU-hours" in rows["What does waiting cost?"].answer


def stepped(view: ReportInput) -> ReportInput:
    """The view of a job that says how fast it computes."""
    now = view.sensitivity
    assert now is not None
    plain = {"linear": 2 * STEP.total_s, "strings": 3 * STEP.total_s, "random": 4 * STEP.total_s}
    effects = []
    for i, effect in enumerate(now.effects):
        step_s = STEP.total_s * (1 - 0.02 * i)
        kept = effect.kept and dataclasses.replace(effect.kept, step_s=step_s)
        effects.append(dataclasses.replace(effect, kept=kept, again=None))
    found = dataclasses.replace(now, now=dataclasses.replace(now.now, step_s=STEP.total_s), effects=tuple(effects))
    plan = dataclasses.replace(view.plan, step=STEP, plain_step_s=plain)
    return dataclasses.replace(view, plan=plan, sensitivity=found)


def test_where_a_step_is_known_the_top_speaks_of_it(view: ReportInput) -> None:
    """Prices of orders share exposures, those of hosts in physical order: what waits is the step's to say."""
    known = stepped(view)
    rows = {row.question: row for row in executive_rows(known)}
    assert known.plan.placement is not None
    assert rows["What takes the time?"].answer == "ep, 100 % of exposed time"
    hours = known.plan.placement.ranks * 1000 * STEP.exposed_s / 3600
    assert rows["What does waiting cost?"].answer.startswith(f"{hours:.1f} GPU-hours each 1,000 steps, ")
    assert rows["Does the order of hosts matter?"].reason.endswith("whole steps: at most +300 %")
    assert rows["What would help most?"].answer.endswith(" % of a step")
    text = page_text(known)
    assert "400 ms of it exposed communication" in text
    assert "+100 % step if hosts stay in physical order" in text
    assert "Whole step 1,700 ms 3,400 ms +100 % 5,100 ms +200 %" in text
    whole = known.plan.placement.ranks * 1000 * STEP.total_s / 3600
    assert f"All GPUs, 1,000 steps plan linear strings random GPU-hours {whole:.3g}" in text
    hidden = dataclasses.replace(STEP, axes=(AxisTime("ep", 0.5, 0.0, 0.5),))
    quiet = dataclasses.replace(known, plan=dataclasses.replace(known.plan, step=hidden))
    assert "compute hides all of it" in {row.reason for row in executive_rows(quiet)}


def test_every_assumption_of_the_inputs_is_listed_with_a_source(view: ReportInput) -> None:
    listed = assumptions(view)
    assert set(view.plan.assumed) <= {item.what for item in listed}
    assert all(item.source for item in listed)
    assert any("queue pairs" in item.what for item in listed)
    assert view.plan.placement is not None
    adaptive = dataclasses.replace(view.plan.placement.fabric, routing="adaptive")
    placement = RankPlacement(adaptive, view.plan.placement.gpu)
    spread = dataclasses.replace(view, plan=dataclasses.replace(view.plan, placement=placement))
    assert not any("queue pairs" in item.what for item in assumptions(spread))


def test_heat_maps_hold_the_busiest_links_of_the_prediction(example: Example) -> None:
    plan, _, traffic, _ = example
    assert plan.placement is not None
    fabric = plan.placement.fabric
    maps = heat_maps(fabric, total_loads(fabric, traffic, plan.placement.gpu))
    price = predict(fabric, traffic, plan.placement.gpu)
    assert [heat.name for heat in maps] == ["NICs", "leaf uplinks"]
    for heat, load in zip(maps, price.busiest_links, strict=True):
        assert heat.top == pytest.approx(load.ms)
    assert maps[1].rows == ("leaf-0", "leaf-1", "leaf-2")
    assert maps[1].columns == tuple(f"rail {rail}" for rail in range(8))
    svg = heat_svg(maps[1], maps[0].top, "heat")
    assert "Busiest: leaf-" in svg


def test_many_groups_are_folded_without_losing_the_busiest() -> None:
    fabric = make_fabric((1,) * 100)
    uplink = np.zeros((2, len(fabric.groups) * 8))
    uplink[0, -3] = 1e9
    loads = Loads(np.zeros((2, fabric.gpus)), np.zeros((2, len(fabric.port_bandwidth))), uplink)
    (heat,) = heat_maps(fabric, loads)
    assert len(heat.rows) <= MOST_ROWS
    assert heat.rows[-1].endswith("leaf-99")
    assert (heat.ms > 0).sum() == 1
    assert heat.ms[-1, 5] == heat.top == pytest.approx(1e9 / (0.5 * 50e9) * 1e3)


def test_parts_of_a_step_stand_end_to_end(view: ReportInput) -> None:
    exposed = step_bars(view.plan, view.exposures)
    assert view.plan.prediction is not None
    assert sum(bar.shown_ms for bar in exposed) == pytest.approx(view.plan.prediction.exposed_ms)
    whole = step_bars(dataclasses.replace(view.plan, step=STEP))
    assert [bar.name for bar in whole] == ["compute", "waiting in pipeline", "ep", "dp", "optimizer"]
    for before, after in pairwise(whole):
        assert after.start_ms == pytest.approx(before.start_ms + before.shown_ms)
    assert whole[-1].start_ms + whole[-1].shown_ms == pytest.approx(1e3 * STEP.total_s)
    assert whole[3].hidden_ms == pytest.approx(300.0)
    assert "300 ms behind compute" in step_svg(whole, "step")


def test_the_timeline_shows_some_of_many_ranks(view: ReportInput) -> None:
    svg = timeline_svg(STEP.timeline, "timeline")
    assert "40 pipeline ranks" in svg
    assert svg.count(">rank ") == MOST_STAGES
    assert ">rank 0<" in svg
    assert ">rank 39<" in svg
    known = dataclasses.replace(view, plan=dataclasses.replace(view.plan, step=STEP))
    assert "How long is a step?" in page_text(known)


def test_money_in_words() -> None:
    assert money(1234.0, "USD") == "USD 1,234"
    assert money(2.5, "EUR") == "EUR 2.50"
    assert money(-3_410_000.0, "USD") == "-USD 3.41 million"
    back = payback(7200.0, 1000, 3.6, Prices("q", gpu_hour=2.0), 10.0)
    assert back is not None
    assert back.steps == pytest.approx(3600.0)  # a GPU-hour and EUR 2 a step
    assert back.words == "0.417 days"
    assert Payback(3.6e6, None).words == "3.60 million steps"
    assert Payback(1.0, 1460.0).words == "4.00 years"
    assert payback(7200.0, 1000, 0.0, Prices("q", gpu_hour=2.0), None) is None
    assert payback(7200.0, 1000, 1.0, Prices("q"), None) is None
    assert payback(-5.0, 1000, 1.0, Prices("q", gpu_hour=2.0), None) is None
