"""A small fabric and job as files, and a way to run commands in-process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fabrics import two_leaves
from topoplan.cli import run

FABRIC = two_leaves()
JOB = """\
apiVersion: topoplan/v1
kind: Job
name: moe
model: mixtral-8x22b
parallel: {tp: 1, pp: 2, dp: 16, ep: 8}
batch: {sequence: 4096, micro_batch: 1, micro_batches: 4}
"""


@dataclass(frozen=True)
class Result:
    """Exit code and both streams of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with fabric.yaml and job.yaml, made the current one; no Slurm job around."""
    (tmp_path / "fabric.yaml").write_text(FABRIC)
    (tmp_path / "job.yaml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    monkeypatch.delenv("TOPOPLAN_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def topoplan(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command and capture what it prints."""

    def call(*args: str) -> Result:
        capfd.readouterr()
        code = run(list(args))
        streams = capfd.readouterr()
        return Result(code, streams.out, streams.err)

    return call
