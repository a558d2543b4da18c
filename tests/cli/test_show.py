"""`topoplan show` of fabrics: the head, the tree at 80 columns, json, and the SVG."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Result


@pytest.mark.parametrize(
    "spec",
    ["two-pods-fragmented", "meta-roce-24k:broken=9", "alibaba-hpn7:pods=2", "gb200-nvl72:racks=128,broken=9",
     "dgx-b200-superpod:units=62,broken=30", "aws-p5"],
)  # fmt: skip
def test_lines_fit_80_columns_and_one_screen_or_two(
    topoplan: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = topoplan("show", spec)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 80
    start = next(i for i, line in enumerate(lines) if line.startswith("group "))
    table = lines[start : next(i for i, line in enumerate(lines) if line.startswith("free and broken"))]
    assert all(line.rstrip().endswith((":1", "-", "over")) for line in table)


def test_head_and_all(topoplan: Callable[..., Result]) -> None:
    shown = topoplan("show", "gb200-nvl72:racks=2,broken=rack1-tray[01-02]").out.splitlines()
    assert shown[:6] == [
        "gb200-nvl72: 36 hosts, 144 GPUs (136 usable)",
        "  hosts: 36 x gb200-tray",
        "  network: 144 NICs, 4 rails, adaptive routing",
        "  NVLink domains: 2 of 72 GPUs",
        "  groups: 2 leaf, 1 spine",
        "  unavailable: 2 hosts, rack1-tray[01-02]",
    ]
    assert shown[-2:] == [
        "inside gb200-tray (36 hosts): 4 GPUs, one NVLink domain, 900 GB/s a GPU",
        "  GPU 0-3: NICs 0-3, rails 0-3, 400 Gb/s",
    ]
    assert "4 x" in topoplan("show", "azure-ndv5").out
    assert "4 x" not in topoplan("show", "azure-ndv5", "--all").out.replace("4 x 400", "")


def test_json_is_the_contract(topoplan: Callable[..., Result]) -> None:
    facts = json.loads(topoplan("show", "alibaba-hpn7:segments=2", "-o", "json").out)
    assert set(facts) >= {
        "name", "hosts", "gpus", "nics", "islands", "groups", "links", "unavailable", "assumed", "warnings"
    }  # fmt: skip
    assert facts["groups"] == {"tor": 4, "agg": 2, "core": 0}
    assert [entry["nics"][0]["rail"] for entry in facts["inside"]["hgx-h100"]] == list(range(8))
    assert (facts["planes"], facts["rails"], facts["host_types"]) == (2, 8, {"hgx-h100": 272})


def test_svg_is_written_whole(files: Path, topoplan: Callable[..., Result]) -> None:
    assert topoplan("show", "fabric.yaml", "--svg", "fabric.svg").code == 0
    root = ET.fromstring((files / "fabric.svg").read_text())
    assert root.attrib["role"] == "img"
    assert topoplan("show", "fabric.yaml", "--svg", "job.yaml/fabric.svg").code == 2
