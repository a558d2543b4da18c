"""`topoplan validate`: what is irregular and what it costs, as table and json, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

THIRD = "  - {name: leaf-2, tier: leaf, parent: core-0, rails: 4, uplink: 4 x 400 Gb/s}\n"


@pytest.fixture
def uneven(files: Path) -> Path:
    """fabric.yaml whose third leaf has half the uplinks of the others."""
    text = (files / "fabric.yaml").read_text().replace("\nhosts:\n", f"\n{THIRD}hosts:\n")
    text = text.replace("unavailable", '  - {names: "n[12-17]", type: box, group: leaf-2}\nunavailable')
    (files / "fabric.yaml").write_text(text)
    return files


def test_valid_files_are_named(files: Path, topoplan: Callable[..., Result]) -> None:
    result = topoplan("validate", "fabric.yaml", "job.yaml")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "fabric.yaml: fabric small (topoplan), 12 hosts, 48 GPUs: valid",
        "job.yaml: job moe, 32 ranks: valid",
    ]


def test_findings_are_shown_with_their_cost(uneven: Path, topoplan: Callable[..., Result]) -> None:
    result = topoplan("validate", "fabric.yaml")
    assert result.code == 0, result.err
    assert "8 irregular; times longer a job takes there" in result.out
    assert "leaf-2 rail 0" in result.out
    data = json.loads(topoplan("validate", "fabric.yaml", "-o", "json").out)["files"][0]
    assert (data["valid"], data["kind"], data["hosts"]) == (True, "fabric", 18)
    # 24 GPUs send to 11 GPUs of each rail: 264 bytes over one cable, 132 over two; a NIC takes 64
    assert data["findings"][0]["slowdown"]["all_to_all"] == pytest.approx(2.0)
    assert {item["where"] for item in data["findings"][4:]} == {f"leaf-2 rail {rail}" for rail in range(4)}
    assert {item["where"] for item in data["findings"] if item["kind"] == "uneven-uplink"} == {
        f"leaf-2 rail {rail}" for rail in range(4)
    }


def test_strict_fails_on_what_costs_time(uneven: Path, topoplan: Callable[..., Result]) -> None:
    result = topoplan("validate", "fabric.yaml", "--strict")
    assert result.code == 6
    assert "4 irregularities cost a job time" in result.err
    text = (uneven / "fabric.yaml").read_text()
    (uneven / "fabric.yaml").write_text(text.replace("uplink: 4 x", "uplink: 8 x"))
    assert topoplan("validate", "fabric.yaml", "--strict").code == 0


def test_what_is_not_valid_exits_2_and_the_rest_is_shown(files: Path, topoplan: Callable[..., Result]) -> None:
    text = (files / "fabric.yaml").read_text()
    (files / "twice.yaml").write_text(text.replace("name: leaf-1", "name: leaf-0"))
    result = topoplan("validate", "twice.yaml", "fabric.yaml")
    assert result.code == 2
    assert "twice.yaml:11" in result.err
    assert "leaf-0 is listed twice" in result.err
    assert "fabric small" in result.out
    records = topoplan("validate", "twice.yaml", "fabric.yaml", "-o", "json")
    assert records.code == 2
    data = json.loads(records.out)["files"]
    assert [item["valid"] for item in data] == [False, True]
    assert "listed twice" in data[0]["error"]


def test_a_host_type_listed_twice_is_refused(files: Path, topoplan: Callable[..., Result]) -> None:
    text = (files / "fabric.yaml").read_text()
    line = text.splitlines()[5]
    (files / "fabric.yaml").write_text(text.replace(line, f"{line}\n{line}"))
    result = topoplan("validate", "fabric.yaml")
    assert result.code == 2
    assert "box" in result.err
