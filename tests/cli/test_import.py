"""What a user of ``topoplan import`` reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.planning.test_fabric_files import CLIQUES, TOPO, TREE
from topoplan.files.fabric_yaml import parse_fabric


@pytest.fixture
def folder(files: Path) -> Path:
    for name, text in {"topology.conf": TREE, "topo.txt": TOPO, "cliques": CLIQUES}.items():
        (files / name).write_text(text)
    return files


def test_several_files(folder: Path, topoplan: Callable[..., Any]) -> None:
    result = topoplan("import", "topology.conf", "topo.txt", "cliques")
    assert result.code == 0
    fabric = parse_fabric(result.out)
    assert (len(fabric.hosts), fabric.gpus, len(fabric.islands)) == (4, 8, 2)
    shown = result.err.splitlines()
    assert shown[:4] == [
        "read cliques: fabric-clique, 4 hosts",
        "read topo.txt: nvidia-smi, 1 host",
        "read topology.conf: slurm, 4 hosts",
        "fabric topology: 4 hosts, 8 GPUs, 4 NICs, 2 NVLink domains, 2 leaf groups, 1 spine group",
    ]
    assert "assumed:" in shown
    assert any(line.startswith("  - topology.conf: uplinks") for line in shown)


def test_out_and_long_lists(folder: Path, topoplan: Callable[..., Any]) -> None:
    (folder / "many").mkdir()
    for n in range(30):
        (folder / "many" / f"t{n:02}.conf").write_text(f"SwitchName=s{n} Nodes=m{n}\n")
    result = topoplan("import", "many", "--out", "f.yaml")
    assert (result.code, result.out) == (0, "")
    assert "read many/t00.conf and 29 more: slurm, 30 hosts" in result.err
    assert len(result.err.splitlines()) < 40
    assert len(parse_fabric((folder / "f.yaml").read_text()).hosts) == 30


def test_topology_takes_several(folder: Path, topoplan: Callable[..., Any]) -> None:
    job = (folder / "job.yaml").read_text().replace("dp: 16, ep: 8", "dp: 4, ep: 4")
    (folder / "job.yaml").write_text(job)
    result = topoplan(
        "solve", "job.yaml", "-t", "topology.conf", "-t", "topo.txt", "-t", "cliques", "--out", "plan", "--no-report"
    )
    assert result.code == 0, result.err
    assert '"fabric"' in (folder / "plan" / "plan.json").read_text()
    assert "cliques+topo.txt+topology.conf" in (folder / "plan" / "plan.json").read_text()


def test_show_takes_several(folder: Path, topoplan: Callable[..., Any]) -> None:
    facts = json.loads(topoplan("show", "cliques", "topology.conf", "topo.txt", "-o", "json").out)
    assert (facts["hosts"], facts["gpus"], facts["islands"]) == (4, 8, 2)
    assert topoplan("show").code == 2


def test_nothing_is_written_when_files_contradict(folder: Path, topoplan: Callable[..., Any]) -> None:
    (folder / "other.txt").write_text(TOPO.split("GPU1\tNV18")[0].replace("\tGPU1", "").replace("\tNV18", ""))
    (folder / "other.conf").write_text(TREE.replace("n[1-2]", "n[5-6]").replace("n[3-4]", "n[1-2]"))
    before = sorted(path.name for path in folder.iterdir())
    result = topoplan("import", "topology.conf", "other.conf", "--out", "f.yaml")
    assert result.code == 2
    assert "host n1 is in rack2 in other.conf and in rack1 in topology.conf" in result.err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_script_and_help(topoplan: Callable[..., Any]) -> None:
    result = topoplan("import", "--collect-script")
    assert result.out.startswith("#!/bin/sh\n")
    shown = topoplan("import", "--help")
    assert "ibnetdiscover" in shown.out
    assert "collected" in shown.out
    assert topoplan("import").code == 2
