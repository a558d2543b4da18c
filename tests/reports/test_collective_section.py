"""How axes communicate, on the page and on the terminal."""

from __future__ import annotations

import dataclasses
import re

from tests.reports.conftest import make_fabric, make_plan
from topoplan.planning.collectives import axis_collectives
from topoplan.planning.solve import job_traffic
from topoplan.reports.amounts import UNREACHABLE
from topoplan.reports.collective_section import collective_rows
from topoplan.reports.html import ReportInput, render_html


def page() -> str:
    plan, job, traffic, linear = make_plan()
    assert plan.placement is not None
    found = axis_collectives(job, traffic, plan.placement.fabric, plan.placement.gpu)
    return render_html(ReportInput(plan, "topoplan solve", traffic, job, linear, collectives=found))


def test_the_section_has_a_row_an_axis_and_says_what_it_is_not() -> None:
    traffic = make_plan()[2]
    section = re.findall(r"<section>\s*<h2>How each axis communicates.*?</section>", page(), re.DOTALL)[0]
    assert section.count('<th scope="row">') == len(traffic.axes)
    assert section.count("the order of hosts") == len(traffic.axes)
    for words in (
        "once a host",
        "Incast at a combine",
        "of line rate",
        "(DeepEP)",
        "a copy for each expert",
        "beside the exposed time",
    ):
        assert words in section
    assert "NaN" not in section


def test_without_records_there_is_no_section() -> None:
    plan, job, traffic, linear = make_plan()
    assert "How each axis communicates" not in render_html(ReportInput(plan, "x", traffic, job, linear))


def test_rows_of_ranks_cut_off_from_each_other_say_so() -> None:
    _, job, _, linear = make_plan()
    fabric = make_fabric((6, 6, 6))
    cut = dataclasses.replace(
        fabric, groups=tuple(dataclasses.replace(g, parent=-1, uplinks=()) if g.tier == 0 else g for g in fabric.groups)
    )
    rows = collective_rows(axis_collectives(job, job_traffic(job, cut), cut, linear.gpu))
    assert any(UNREACHABLE in row.expected[0] for row in rows)
    assert all(row.expected[1] == "" for row in rows if UNREACHABLE in row.expected[0])
