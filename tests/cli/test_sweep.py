"""``topoplan sweep``: tables, reports and answers in a folder, and what it refuses."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
STUDY = """\
apiVersion: topoplan/v1
kind: Study
name: leaves
about: How narrow may the leaves be?
question: oversubscription
fabrics: [{topology: fabric.yaml, vary: {oversubscription.leaf: [1, 2, 8]}}]
jobs: [{file: job.yaml}]
orders: [linear, plan]
"""


@pytest.fixture
def study(files: Path) -> Path:
    (files / "study.yaml").write_text(STUDY)
    return files


def test_table_report_and_answer(study: Path, topoplan: Run) -> None:
    result = topoplan("sweep", "study.yaml", "--out", "out", "--workers", "1")
    assert result.code == 0, result.err
    assert "more exposed communication accepted, the limit is" in result.out
    assert "6 scenarios, all priced." in result.out
    assert {"journal.jsonl", "results.csv", "report.html"} <= set(os.listdir(study / "out"))
    page = (study / "out" / "report.html").read_text()
    assert "How narrow may the leaves be?" in page
    assert page.count("The knee is where") == result.out.count("the knee is ")
    before = (study / "out" / "results.csv").read_bytes()
    again = topoplan("sweep", "study.yaml", "--out", "out", "--workers", "1", "--no-report", "-o", "json")
    assert "6 of 6 scenarios are in the journal already" in again.err
    record = json.loads(again.out)
    assert (record["scenarios"], record["priced"]) == (6, 6)
    assert record["answer"][0] in result.out
    assert (study / "out" / "results.csv").read_bytes() == before


def test_the_report_on_paper(study: Path, topoplan: Run) -> None:
    pytest.importorskip("typst", reason="PDF needs topoplan[pdf]")
    sweep = ("sweep", "study.yaml", "--out", "out", "--workers", "1", "--pdf")
    result = topoplan(*sweep)
    assert result.code == 0, result.err
    assert "report.pdf" in result.err
    made = (study / "out" / "report.pdf").read_bytes()
    assert made.startswith(b"%PDF-")
    assert topoplan(*sweep).code == 0
    assert (study / "out" / "report.pdf").read_bytes() == made


def test_without_typst_nothing_is_run(study: Path, topoplan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    result = topoplan("sweep", "study.yaml", "--out", "out", "--pdf")
    assert result.code == 5
    assert "topoplan[pdf]" in result.err
    assert not (study / "out").exists()


def test_shards_and_merge(study: Path, topoplan: Run) -> None:
    sweep = ("sweep", "study.yaml", "--out")
    assert "--merge makes the table" in topoplan(*sweep, "a", "--shard", "1/2", "--workers", "1").err
    early = topoplan(*sweep, "a", "--merge")
    assert early.code != 0
    assert "have not been run" in early.err
    assert topoplan(*sweep, "b", "--shard", "2/2", "--workers", "1").code == 0
    merged = topoplan(*sweep, "a", "--merge", "--from", "b")
    assert "6 scenarios, all priced." in merged.out
    assert topoplan(*sweep, "whole", "--workers", "1").code == 0
    assert (study / "a" / "results.csv").read_bytes() == (study / "whole" / "results.csv").read_bytes()


def test_bundled_studies_are_listed_and_asked_of_ones_own(files: Path, topoplan: Run) -> None:
    listed = topoplan("sweep", "--list")
    for name in ("hardware", "host-order", "leaf-loss", "oversubscription", "routing"):
        assert f"  {name}: " in listed.out
    result = topoplan("sweep", "host-order", "-t", "fabric.yaml", "--job", "job.yaml", "--out", "o", "--workers", "1")
    assert result.code == 0, result.err
    assert "The order of hosts" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study.yaml",), "--out is missing"),
        (("studdy.yaml", "--out", "o"), "no such file, and no bundled study"),
        (("host-ordr", "--out", "o"), "host-order"),
        (("study.yaml", "--out", "o", "--merge", "--shard", "1/2"), "leave --shard out"),
        (("study.yaml", "--out", "o", "--from", "x"), "add --merge"),
        (("study.yaml", "--out", "o", "--host-type", "hgx-h100"), "--host-type"),
        (("study.yaml", "--out", "o", "--shard", "3/2"), "3/2"),
        (("study.yaml", "--out", "o", "--shard", "0/2"), "0/2"),
        (("study.yaml", "--out", "o", "--pdf", "--no-report"), "leave --pdf out"),
        (("study.yaml", "--out", "o", "--pdf", "--shard", "1/2"), "leave --pdf out"),
        (("study.yaml", "--out", "job.yaml"), "is a file"),
        (("study.yaml", "--out", "."), "holds no journal"),
    ],
)
def test_refusals(study: Path, topoplan: Run, arguments: tuple[str, ...], words: str) -> None:
    before = sorted(os.listdir(study))
    result = topoplan("sweep", *arguments)
    assert result.code != 0
    assert words in result.err
    assert "Traceback" not in result.err
    assert sorted(os.listdir(study)) == before
