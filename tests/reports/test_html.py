"""The page as a reader gets it: self-contained, escaped, accessible, the same twice."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import InputFile, Plan
from topoplan.model.traffic import Traffic
from topoplan.planning.solve import job_traffic, linear_placement, solve
from topoplan.reports.html import ReportInput, render_html

Example = tuple[Plan, Job, Traffic, RankPlacement]
HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}$\\frac$\x07]]>"
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and collects them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def view(example: Example, **changes: object) -> ReportInput:
    plan, job, traffic, linear = example
    given = {"plan": plan, "command": "topoplan solve", "traffic": traffic, "job": job, "linear": linear} | changes
    return ReportInput(**given)  # type: ignore[arg-type]


def test_the_same_input_gives_the_same_bytes(example: Example) -> None:
    assert render_html(view(example)) == render_html(view(example))


def test_nothing_runs_and_nothing_is_fetched(example: Example) -> None:
    text = render_html(view(example))
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "img", "image", "foreignobject"} & {
        tag for tag, _ in page.elements
    }
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "xlink:href", "data", "action"}:
                assert (value or "").startswith("#"), (tag, name, value)
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_each_figure_has_alt_text_and_ids_are_unique(example: Example) -> None:
    page = Page(render_html(view(example)))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    # stages, expert groups, NICs and leaf uplinks as curves and as maps, a step, balance, GPU loads before and after
    assert len(figures) == 10
    for attributes in figures:
        assert attributes["role"] == "img"
        labels = (attributes["aria-labelledby"] or "").split()
        assert len(labels) == 2
        assert set(labels) <= set(ids)
    texts = re.findall(r"<(?:title|desc) id=[^>]*>([^<]+)</", render_html(view(example)))
    assert len(texts) == 2 * len(figures)
    assert all(len(text) > 5 for text in texts)


def test_references_inside_figures_resolve(example: Example) -> None:
    text = render_html(view(example))
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= ids


def test_hostile_text_stays_text(example: Example) -> None:
    plan = dataclasses.replace(
        example[0],
        job=HOSTILE,
        fabric_name=HOSTILE,
        order_matters=HOSTILE,
        warnings=(HOSTILE,) * 20,
        assumed=(HOSTILE,),
        inputs={HOSTILE: InputFile(HOSTILE, HOSTILE)},
    )
    page = Page(render_html(view(example, plan=plan, command=HOSTILE)))
    assert "script" not in {tag for tag, _ in page.elements}
    shown = " ".join(HOSTILE.replace("\x07", "�").split())
    assert page.text.count(shown) == 4 + 1 + 20 + 1 + 3 + 1  # title and heading, sentence, warnings, ..., command


def test_hostile_names_in_figures_stay_text(fabrics: Callable[..., Fabric], jobs: Callable[..., Job]) -> None:
    """Readers refuse such names; a figure must not rely on that."""
    fabric, job = fabrics((2, 2)), jobs(2, 16, 8)
    for name in ("</title><script>", '"><x onload=1', "$x^{$", "a\x00b", "名前"):
        groups = tuple(dataclasses.replace(g, name=f"{name}{i}") for i, g in enumerate(fabric.groups))
        odd = dataclasses.replace(fabric, groups=groups)
        plan = Plan("job", "x", {}, 0, placement=linear_placement(job, odd))
        page = Page(render_html(ReportInput(plan, "c", job_traffic(job, odd), job)))
        assert not {"script", "x"} & {tag for tag, _ in page.elements}


def test_the_page_says_what_the_plan_says(example: Example) -> None:
    plan = example[0]
    text = Page(render_html(view(example, command="topoplan solve job.yaml --seed 0"))).text
    assert plan.order_matters in text
    assert "topoplan solve job.yaml --seed 0" in text
    assert "ab" * 32 in text
    assert plan.certificate is not None
    assert plan.certificate["exposed_ms"].space in text
    for line in plan.assumed:
        assert line in text
    for name in ("linear", "strings", "random"):
        assert name in text


@pytest.mark.parametrize("missing", ["traffic", "job", "linear"])
def test_each_optional_part_may_be_missing(example: Example, missing: str) -> None:
    page = Page(render_html(view(example, **{missing: None})))
    assert "undefined" not in page.text.lower()
    assert ("Link loads" in page.text) == (missing != "traffic")
    assert ("Link loads before and after" in page.text) == (missing not in {"traffic", "linear"})


def test_a_plan_without_experts_stages_or_certificate(example: Example) -> None:
    bare = dataclasses.replace(
        example[0], experts=None, stages=None, certificate=None, ep_rank_to_rank=None, baselines=None, inputs={}
    )
    text = Page(render_html(view(example, plan=bare))).text
    for absent in ("Experts", "Expert groups", "Pipeline stages", "How far from the best"):
        assert absent not in text


def test_experts_alone(example: Example) -> None:
    load = np.array([[4.0, 3.0, 2.0, 1.0]])
    experts = ExpertPlacement(2, np.array([[0, 3, 1, 2]]), max_load=np.array([5.0]), lower_bound=np.array([5.0]))
    plan = Plan("serve", "lab", {}, 0, experts=experts)
    text = Page(render_html(ReportInput(plan, "topoplan experts", load=load))).text
    assert "The busiest GPU has 1.000 times the mean GPU's load (mean of layers); without a plan: 1.40 times." in text
    assert "1.000 on average" in text
    assert "4 experts of 1 layer in 4 slots on 2 GPUs: 0 extra copies" in text


def test_one_host_without_groups_or_nics(jobs: Callable[..., Job]) -> None:
    fabric = Fabric("lone", "adaptive", (HostType("box", 8, (), 8, 450e9),), (Host("box", 0),))
    job = jobs(1, 8, 8)
    page = Page(render_html(ReportInput(solve(job, fabric), "c", job_traffic(job, fabric), job)))
    assert "No bytes leave the NVLink domains" in page.text
    assert "Pipeline stages" not in page.text  # one stage is no table
    assert page.text.count("1 expert group of 8 ranks") == 1


def test_many_warnings_are_folded(example: Example) -> None:
    plan = dataclasses.replace(example[0], warnings=tuple(f"warning {i}." for i in range(40)))
    text = Page(render_html(view(example, plan=plan))).text
    assert "28 more" in text
    assert "warning 39." in text
