"""``topoplan report``: where it writes, and as what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Result

Topoplan = Callable[..., Result]
SOLVE = ("solve", "job.yaml", "--topology", "fabric.yaml", "--no-report", "--launcher", "openmpi", "--out", "plan")


@pytest.fixture
def plan(files: Path, topoplan: Topoplan) -> Path:
    assert topoplan(*SOLVE).code == 0
    return files / "plan"


def test_the_page_stands_beside_the_plan(plan: Path, topoplan: Topoplan) -> None:
    result = topoplan("report", "plan")
    assert result.code == 0
    assert result.out == ""
    page = (plan / "report.html").read_text()
    assert "<h1>moe on" in page
    assert topoplan("report", "plan/plan.json", "--out", "-").out.strip() == page.strip()


def test_a_pdf_where_it_was_asked_for(plan: Path, topoplan: Topoplan) -> None:
    pytest.importorskip("typst", reason="PDF needs topoplan[pdf]")
    assert topoplan("report", "plan", "--pdf").code == 0
    assert topoplan("report", "plan", "--pdf", "--out", "other.pdf").code == 0
    made = (plan / "report.pdf").read_bytes()
    assert made.startswith(b"%PDF-")
    assert made == Path("other.pdf").read_bytes()
    assert not (plan / "report.html").exists()


def test_prices_and_figures(plan: Path, topoplan: Topoplan) -> None:
    Path("prices.yaml").write_text("apiVersion: topoplan/v1\nkind: Prices\nname: q\ngpu_hour: 2\nnic: 1000\n")
    assert topoplan("report", "plan", "--prices", "prices.yaml", "--figures", "drawn").code == 0
    page = (plan / "report.html").read_text()
    assert "topoplan report plan --prices prices.yaml" in page
    assert "USD" in page
    names = {path.name for path in Path("drawn").iterdir()}
    assert {"stages.svg", "changes.svg", "exposure.svg", "heat-0.svg", "step.svg"} <= names
    assert len(names) == page.count("<svg")
    for path in Path("drawn").iterdir():
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_prices_that_are_none_are_refused(plan: Path, topoplan: Topoplan) -> None:
    Path("prices.yaml").write_text("apiVersion: topoplan/v1\nkind: Prices\nname: q\nnic: dear\n")
    result = topoplan("report", "plan", "--prices", "prices.yaml")
    assert result.code == 2
    assert "prices.yaml:4:6" in result.err
    assert not (plan / "report.html").exists()


def test_nothing_is_written_without_a_plan(files: Path, topoplan: Topoplan) -> None:
    result = topoplan("report", "nowhere")
    assert result.code == 2
    assert "nowhere" in result.err
    assert sorted(path.name for path in files.iterdir()) == ["fabric.yaml", "job.yaml"]
