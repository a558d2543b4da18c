"""Rows agree with the plan, and importing them stays cheap."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from topoplan.model.experts import ExpertPlacement
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Bound, Plan
from topoplan.model.traffic import Traffic
from topoplan.reports.amounts import change, milliseconds, one_unit, percent, quantity, ranges, shortened, significant
from topoplan.reports.tables import bound_rows, columns, comparison_rows, expert_rows, stage_rows, summary_lines

Example = tuple[Plan, Job, Traffic, RankPlacement]


def test_rows_hold_the_numbers_of_the_plan(example: Example) -> None:
    plan = example[0]
    rows = {row.name: row for row in comparison_rows(plan)}
    assert plan.prediction is not None
    assert plan.baselines is not None
    prices = [plan.prediction, *plan.baselines.values()]
    assert columns(plan) == ("plan", "linear", "strings", "random")
    assert rows["Exposed communication"].values == tuple(p.exposed_ms for p in prices)
    assert rows["With perfect spreading"].values == tuple(p.ideal_ms for p in prices)
    assert rows["Bytes × distance"].values == tuple(p.hop_bytes for p in prices)
    for i in range(len(prices)):
        axes = [row.values[i] or 0.0 for name, row in rows.items() if name.startswith("axis ")]
        assert sum(axes) == pytest.approx(rows["Exposed communication"].values[i])
    for load, kind in zip(plan.prediction.busiest_links, ("Busiest NIC", "Busiest leaf uplink"), strict=True):
        assert rows[kind].values[0] == load.ms
        assert rows[kind].notes[0] == load.link


def test_changes_are_against_the_plan(example: Example) -> None:
    row = comparison_rows(example[0])[0]
    plan, linear = row.values[:2]
    assert plan is not None
    assert linear is not None
    assert row.changes[0] == ""
    assert row.changes[1] == percent(linear / plan - 1, signed=True)
    assert row.cells[0] == row.texts[0]
    assert row.cells[1] == f"{row.texts[1]} ({row.changes[1]})"


def test_an_unreachable_baseline_reads_as_such(example: Example) -> None:
    plan = example[0]
    assert plan.baselines is not None
    apart = dataclasses.replace(plan.baselines["random"], exposed_ms=float("inf"))
    row = comparison_rows(dataclasses.replace(plan, baselines={"random": apart}))[0]
    assert row.texts[1] == "no path"
    assert row.changes[1] == "no path"


def test_stages_cover_all_layers_and_hosts(example: Example) -> None:
    plan, job, _, _ = example
    rows = stage_rows(plan, job)
    assert plan.placement is not None
    assert plan.stages is not None
    assert job.model is not None
    assert [row.layers for row in rows] == ["0-30", "31-60"]
    assert sum(row.cost for row in rows) == pytest.approx(sum(plan.stages.cost))
    assert sum(row.share for row in rows) == pytest.approx(len(rows))
    assert sum(row.hosts for row in rows) == len(plan.placement.host_order())
    assert rows[0].next_stage
    assert rows[-1].next_stage == ""
    assert stage_rows(dataclasses.replace(plan, stages=None), job) == []


def test_virtual_stages_of_a_rank_stand_together_and_go_on_on_the_first(example: Example) -> None:
    plan, job, _, _ = example
    assert job.parallel is not None
    twice = dataclasses.replace(job, parallel=dataclasses.replace(job.parallel, vpp=2))
    assert plan.stages is not None
    stages = dataclasses.replace(plan.stages, first=(0, 16, 31, 46, 61), cost=(2.0, 1.0, 1.0, 1.0))
    rows = stage_rows(dataclasses.replace(plan, stages=stages), twice)
    assert [row.layers for row in rows] == ["0-15, 31-45", "16-30, 46-60"]
    assert [(row.cost, row.share) for row in rows] == [(3.0, 1.2), (2.0, 0.8)]
    assert rows[0].next_stage == rows[1].next_stage != ""  # two pipeline ranks: there and back


def test_certificate_in_words(example: Example) -> None:
    bounds = {"exposed_ms": Bound(12.0, 10.0, False, "any"), "hop_bytes": Bound(5e9, 5e9, True, "host-aligned")}
    rows = bound_rows(dataclasses.replace(example[0], certificate=bounds))
    assert (rows[0].value, rows[0].lower_bound, rows[0].gap) == ("12.0 ms", "10.0 ms", "20.0 %")
    assert rows[0].verdict == "not proven best"
    assert (rows[1].value, rows[1].verdict) == ("5.00 GB", "proven best")


def test_expert_rows_agree_with_the_map() -> None:
    load = np.array([[4.0, 3.0, 2.0, 1.0], [6.0, 1.0, 1.0, 2.0]])
    experts = ExpertPlacement(
        2, np.array([[0, 3, 1, 2], [0, 1, 2, 3]]), max_load=np.array([5.0, 7.0]), lower_bound=np.array([5.0, 6.0])
    )
    first, second = expert_rows(experts, load, (3, 4))
    assert (first.layer, first.balancedness, first.gap) == (3, 1.0, 0.0)
    assert second.balancedness == pytest.approx(5 / 7)
    assert second.possible == pytest.approx(5 / 6)
    assert second.gap == pytest.approx(1 / 6)
    assert expert_rows(experts)[1].balancedness is None


def test_summary_says_whether_the_order_matters_first(example: Example) -> None:
    lines = summary_lines(example[0])
    assert lines[0] == example[0].order_matters
    assert "128 ranks on 16 of 18 hosts of lab." in lines
    assert any("96 slots on 32 GPUs" in line for line in lines)


def test_tables_import_neither_drawing_nor_templates() -> None:
    code = "import sys; from topoplan.reports import tables, html, fabric_figure; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "jinja2", "markupsafe", "scipy", "ortools"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ms"), (9.999, "10.0 ms"), (99.96, "100 ms"), (1234.4, "1,234 ms"), (250_000, "250 s"), (0.004, "4.00 us")],
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_amounts() -> None:
    assert quantity(999.7e9, "B") == "1.00 TB"
    assert quantity(0, "B") == "0 B"
    assert significant(0.0123456) == "0.0123"
    assert one_unit([0.36e15, 1.18e15], "bytes")(1.18e15) == "1,180 TB"
    assert one_unit([5e6, 2e12, float("inf")], "bytes")(5e6) == "5.00 MB"
    assert one_unit([1.0, 2e5], "ms")(1.0) == "0.00100 s"
    assert percent(0.12345, signed=True) == "+12.3 %"
    assert percent(-0.0001, signed=True) == "same"
    assert percent(2.5) == "250 %"
    assert change(0, 0) == 0
    assert change(1, 0) == float("inf")
    assert ranges([7, 0, 1, 2]) == "0-2, 7"
    assert shortened("S-248a07030085d780", 9) == "S-24…d780"
