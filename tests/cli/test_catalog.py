"""`topoplan catalog`, and catalogue names with parameters as --topology."""

from __future__ import annotations

import json

import pytest

from topoplan.cli import run


def test_list_and_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog"]) == 0
    shown = capsys.readouterr().out
    assert "meta-roce-24k: Meta's" in shown
    assert "pods=8, racks=192, oversubscription=7" in shown
    assert all(len(line) < 160 for line in shown.splitlines())
    assert run(["catalog", "-o", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"gb200-nvl72", "aws-p5"} <= {item["name"] for item in listed["fabrics"]}


def test_set_is_the_same_as_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "meta-roce-24k", "--set", "pods=2", "--set", "broken=3"]) == 0
    by_option = capsys.readouterr().out
    assert run(["catalog", "meta-roce-24k:pods=2,broken=3"]) == 0
    assert capsys.readouterr().out == by_option
    assert run(["show", "meta-roce-24k:pods=2,broken=3", "-o", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["hosts"], facts["free_gpus"], len(facts["unavailable"])) == (768, 768 * 8 - 24, 3)


def test_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "gb200-nvl72", "--sources"]) == 0
    shown = capsys.readouterr().out
    assert "trays of a rack: 18 of 4 GPUs\n    nominal; NVIDIA DGX SuperPOD" in shown
    assert run(["catalog", "gb200-nvl72", "--sources", "-o", "json"]) == 0
    assert {fact["basis"] for fact in json.loads(capsys.readouterr().out)["facts"]} == {
        "nominal",
        "measured",
        "assumed",
    }


@pytest.mark.parametrize(
    ("spec", "said"),
    [("meta-roce-24k:pods", "is not key=value"), ("meta-roce-24k:pod=2", "did you mean 'pods'"),
     ("meta-roce-24:pods=2", "did you mean 'meta-roce-24k'"), ("gb200-nvl72:racks=0", "from 1 to 128")],
)  # fmt: skip
def test_bad_specs(capsys: pytest.CaptureFixture[str], spec: str, said: str) -> None:
    assert run(["show", spec]) == 2
    assert said in capsys.readouterr().err
