"""``topoplan explain``, and what ``score`` says of collectives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Result

Topoplan = Callable[..., Result]


@pytest.fixture
def plan(files: Path, topoplan: Topoplan) -> str:
    assert topoplan("solve", "job.yaml", "--topology", "fabric.yaml", "--out", "plan", "--no-report").code == 0
    return "plan"


def test_it_tells_how_each_axis_communicates(plan: str, topoplan: Topoplan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    result = topoplan("explain", plan)
    assert result.code == 0
    for words in (
        "how each axis communicates",
        "once a host",
        "ep: order of hosts ",
        "ep: incast at a combine",
        "does not enter",
    ):
        assert words in result.out
    assert result.out.index("how each axis") < result.out.index("Assumed:")


def test_the_table_fits_a_terminal_and_keeps_units_with_their_numbers(
    plan: str, topoplan: Topoplan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = topoplan("explain", plan).out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("how each axis"))
    last = next(i for i, line in enumerate(lines) if "order of hosts" in line and i > first)
    shown = [line.rstrip() for line in lines[first:last]]
    assert max(map(len, shown)) <= 80
    units = [word for line in shown for word in re.findall(r"\S+ (?:ms|[kMGT]?B|%)(?!\S)", line)]
    assert len(units) >= 6
    assert not [line for line in shown if re.search(r"(?:^|  )(?:ms|[kMGT]?B|%)(?!\S)", line)]  # none alone


def test_json_and_yaml_hold_the_same(plan: str, topoplan: Topoplan) -> None:
    shown = topoplan("explain", plan, "-o", "json")
    assert shown.code == 0
    document = json.loads(shown.out)
    assert list(document) == ["summary", "collectives", "assumed", "warnings"]
    assert document == yaml.safe_load(topoplan("explain", plan, "-o", "yaml").out)
    found = {item["axis"]: item for item in document["collectives"]}
    assert sorted(found) == sorted(json.loads(Path(plan, "plan.json").read_text())["prediction"]["axes"])
    ep = found["ep"]
    assert ep["cheapest"]["ms"] <= ep["runner_up"]["ms"]
    assert ep["hashing"]["perfect_ms"] <= ep["hashing"]["p95_ms"]
    assert ep["efficiency"]["source"]
    assert {"once a host", "low latency"} <= {way["algorithm"] for way in ep["ways"]}
    assert ep["incast"]["senders"] >= 1


def test_score_tells_it_of_the_observed_order_alone(plan: str, topoplan: Topoplan) -> None:
    record = json.loads(Path(plan, "plan.json").read_text())["placement"]
    lines = [f"{r} {host} {gpu}" for r, (host, gpu) in enumerate(zip(record["host"], record["gpu"], strict=True))]
    Path("order.txt").write_text("\n".join(lines) + "\n")
    asked = ("score", "job.yaml", "--topology", "fabric.yaml", "--observed", "order.txt")
    document = json.loads(topoplan(*asked, "-o", "json").out)
    assert [name for name in document if "collectives" in document[name]] == ["observed"]
    explained = json.loads(topoplan("explain", plan, "-o", "json").out)
    assert document["observed"]["collectives"] == explained["collectives"]
    assert "how each axis communicates" in topoplan(*asked).out


def test_score_shows_a_plan_as_solve_does(files: Path, topoplan: Topoplan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    solved = topoplan("solve", "job.yaml", "--topology", "fabric.yaml", "--out", "plan", "--no-report").out
    record = json.loads((files / "plan" / "plan.json").read_text())["placement"]
    lines = [f"{r} {host} {gpu}" for r, (host, gpu) in enumerate(zip(record["host"], record["gpu"], strict=True))]
    (files / "order.txt").write_text("\n".join(lines) + "\n")
    scored = topoplan("score", "job.yaml", "--topology", "fabric.yaml", "--observed", "order.txt").out

    def rows(text: str) -> list[list[str]]:
        shown = text.splitlines()[2:]
        return [re.split(r"\s{2,}", line.strip()) for line in shown[: shown.index("")]]

    assert rows(scored) == rows(solved)
    assert rows(scored)[0][0] == "Exposed communication"


def test_a_plan_of_experts_has_no_axes(files: Path, topoplan: Topoplan) -> None:
    Path("load.csv").write_text("\n".join(",".join(["1"] * 8) for _ in range(2)) + "\n")
    asked = ("experts", "load.csv", "--topology", "fabric.yaml", "--gpus", "4", "--slots", "8", "--out", "experts")
    assert topoplan(*asked).code == 0
    assert json.loads(topoplan("explain", "experts", "-o", "json").out)["collectives"] == []
    assert "how each axis" not in topoplan("explain", "experts").out
