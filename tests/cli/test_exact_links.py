"""Real cables in score, solve and explain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

SWITCHES = ["leaf-{k}-r0", "leaf-{k}-r1", "leaf-{k}-r2", "leaf-{k}-r3"]


@pytest.fixture
def cabled(files: Path) -> Path:
    """fabric.yaml with its cables: two to each of four spines, but one missing at leaf-1-r0."""
    text = (files / "fabric.yaml").read_text().replace("uplink: 8 x", "uplink: 32 x")
    lines = []
    for k in range(2):
        names = [name.format(k=k) for name in SWITCHES]
        group = f"name: leaf-{k}, tier: leaf,"
        text = text.replace(group, f"{group} switches: [{', '.join(names)}],")
        lines += [
            f"  - {{a: {name}, b: spine-{s}, count: {1 if name == 'leaf-1-r0' and s == 3 else 2}, bandwidth: 400 Gb/s}}"
            for name in names
            for s in range(4)
        ]
    (files / "fabric.yaml").write_text(text + "links:\n" + "\n".join(lines) + "\n")
    # ranks alternate between the leaves, so that the data-parallel rings cross the spines
    hosts = [f"n{h}" for pair in zip([0, 1, 2, 4], [6, 7, 8, 9], strict=True) for h in pair]
    ranks = [f"{r} {hosts[r // 4]} {r % 4}" for r in range(32)]
    (files / "ranks.txt").write_text("\n".join(ranks) + "\n")
    return files


def test_score_shows_the_worst_real_link(cabled: Path, topoplan: Callable[..., Result]) -> None:
    args = ("score", "job.yaml", "--topology", "fabric.yaml", "--observed", "ranks.txt")
    brief = topoplan(*args)
    assert brief.code == 0, brief.err
    assert "Real cables: spine-3 -> leaf-1-r0 (1 cable) takes" in brief.out
    full = topoplan(*args, "--exact-links")
    assert "busiest uplink when each tier is one sum" in full.out
    data = json.loads(topoplan(*args, "--exact-links", "-o", "json").out)["observed"]["exact_links"]
    assert data["busiest_links"][0]["link"] == "link spine-3 -> leaf-1-r0 (1 cable)"
    # a fourth of the bytes comes down one cable where the tiers see eight shared by all
    assert data["busiest_links"][0]["ms"] == pytest.approx(2 * data["tier_ms"])
    assert data["exact_ideal_ms"] >= data["ideal_ms"]
    assert data["unreachable_bytes"] == 0


def test_solve_and_explain_say_it_too(cabled: Path, topoplan: Callable[..., Result]) -> None:
    solved = topoplan("solve", "job.yaml", "--topology", "fabric.yaml", "--out", "plan")
    assert solved.code == 0, solved.err
    assert "eal cables: " in solved.out or "No bytes cross cables" in solved.out
    page = (cabled / "plan" / "report.html").read_text()
    assert "eal cables: " in page or "No bytes cross cables" in page
    explained = topoplan("explain", "plan", "--exact-links")
    assert "busiest real links" in explained.out
    assert "exact_links" not in json.loads((cabled / "plan" / "plan.json").read_text())["prediction"]


def test_cables_of_nameless_switches_are_a_note(cabled: Path, topoplan: Callable[..., Result]) -> None:
    text = (cabled / "fabric.yaml").read_text()
    (cabled / "fabric.yaml").write_text(re.sub(r" switches: \[.*?\],", "", text))
    args = ("score", "job.yaml", "--topology", "fabric.yaml", "--observed", "ranks.txt")
    result = topoplan(*args)
    assert result.code == 0, result.err
    assert "real cables are not priced: the links do not say which switches" in result.err
    assert topoplan(*args, "--exact-links").code == 2
