"""Figures of studies: every failure beside the order it struck, and labels that tell dots apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.studies.make import STUDY, grid_of
from topoplan.reports.study_figures import MOST_LOSSES, Losses, failures_svg, front_svg, losses, shown_losses
from topoplan.studies.evaluate import evaluate
from topoplan.studies.fronts import Front, fronts
from topoplan.studies.model import Value
from topoplan.studies.summary import advice
from topoplan.studies.table import Row, Table, table


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Table:
    grid = grid_of(STUDY, tmp_path_factory.mktemp("study"))
    return table(grid, {s.key: evaluate(s) for s in grid})


def test_failures_of_different_orders_are_not_mixed(content: Table) -> None:
    found = losses(content)
    broken = [row for row in content.rows if row.outcome.ok and not row.healthy]
    assert sum(len(loss) for of in found for loss in of.cases.values()) == len(broken)
    assert len({of.of for of in found}) == len(found)
    orders = [of.of.rpartition(", ")[2] for of in found]
    assert orders == sorted(orders, key="plan order".__ne__)
    assert set(orders) == {"plan order", "linear order"}
    linear = [
        100 * (row.ms / row.outcome.before_ms - 1) for row in broken
        if row.scenario.order == "linear" and row.outcome.before_ms
    ]  # fmt: skip
    assert sorted(linear) == sorted(
        loss for of in found if of.of.endswith("linear order") for case in of.cases.values() for loss in case
    )


def test_the_figure_names_what_it_shows_whole(content: Table) -> None:
    found = losses(content)
    shown = shown_losses(found)
    assert shown == found[: len(shown)]
    drawn = failures_svg(shown, "failures")
    assert all(f">{of.of}<" in drawn for of in shown)
    many = [Losses(str(i), {str(k): [0.0] for k in range(10)}) for i in range(9)]
    assert len(shown_losses(many)) == MOST_LOSSES // 10
    assert len(shown_losses([Losses("a", {str(k): [0.0] for k in range(2 * MOST_LOSSES)})])) == 1
    assert shown_losses([]) == []


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


def test_labels_of_a_front_are_told_apart(make_front: Callable[..., Front]) -> None:
    front = make_front([(100.0, 50.0), (200.0, 20.0), (400.0, 10.0)])
    drawn = texts(front_svg(front, "front"))
    for width in (1, 2, 4):
        assert drawn.count(f"oversubscription of leaf {width}") == 1
    assert not any("routing" in text for text in drawn)  # the same for all


@pytest.fixture
def make_front() -> Callable[..., Front]:
    def make(points: list[tuple[float, float]]) -> Front:
        rows = []
        for width, (bandwidth, ms) in zip((4, 2, 1), points, strict=False):
            outcome = SimpleNamespace(nic_bytes_per_s=bandwidth, uplink_bytes_per_s=0.0, exposed_ms=ms, ok=True)
            varied: dict[str, Value] = {"fabric.oversubscription.leaf": width, "fabric.routing": "adaptive"}
            host = SimpleNamespace(fabric=None, name="pods")
            scenario = SimpleNamespace(fabric=host, job=SimpleNamespace(name="moe"), failure=SimpleNamespace(count=0))
            rows.append(Row(cast("Any", scenario), cast("Any", outcome), varied))
        return fronts(Table(tuple(rows), ("fabric.oversubscription.leaf",), ()))[0]

    return make


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(100.0, 50.0), (200.0, 20.0), (400.0, 10.0)], "the knee is pods, oversubscription of leaf 2"),
        ([(100.0, 50.0), (200.0, 10.0)], "no knee; they go from 50 ms"),
        ([(100.0, 10.02), (200.0, 10.0)], "0.2 % above the fastest, 10 ms: more of it gains next to nothing"),
        ([(100.0, 10.02), (200.0, 10.001), (400.0, 10.0)], "gains next to nothing"),
        ([(100.0, 10.0), (200.0, 20.0)], "is the fastest: more of it gains nothing"),
        ([(100.0, 1.0), (200.0, 0.0)], "no knee"),
    ],
)
def test_advice(make_front: Callable[..., Front], points: list[tuple[float, float]], words: str) -> None:
    assert words in advice(make_front(points))
