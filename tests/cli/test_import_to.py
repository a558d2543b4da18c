"""`topoplan import --to`: what other programs read instead of Fabric YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from topoplan.cli import run

MODEL = (
    "blocks:\n- {switch: a, nodes: ['n[1-2]']}\n- {switch: b, nodes: ['n[3-4]']}\nswitches: {top: {switches: [a, b]}}\n"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return path


def test_to(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(model), "--to", "slurm"]) == 0
    assert capsys.readouterr().out == (
        "# model: written by topoplan for TopologyPlugin=topology/tree\n"
        "SwitchName=top Switches=a,b\nSwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n[3-4]\n"
    )


def test_to_a_file_that_reads_back(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "topology.yaml"
    assert run(["import", str(model), "--to", "slurm-yaml", "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert run(["show", str(out)]) == 0
    assert "4 hosts" in capsys.readouterr().out


def test_an_unknown_format_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(tmp_path / "missing"), "--to", "slrm", "--out", str(tmp_path / "x")]) == 2
    assert "did you mean 'slurm'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_help_lists_the_writers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "--help"]) == 0
    assert "Volcano's HyperNodes\n" in capsys.readouterr().out
