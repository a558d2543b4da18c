"""solve and score of jobs that state compute, and of jobs that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FABRIC = """\
apiVersion: topoplan/v1
kind: Fabric
name: f
host_types:
  h: {gpus: 8, scale_up: {domain: host, bandwidth: 450 GB/s}, nics: {count: 8, bandwidth: 400 Gb/s}, gpu_memory: 80 GB,
      flops: 989 TFLOPS}
hosts: [{names: "n[0-7]", type: h}]
"""
JOB = """\
apiVersion: topoplan/v1
kind: Job
name: gpt
model: gpt-3-175b
parallel: {tp: 8, pp: PP, dp: DP, vpp: 2}
batch: {sequence: 2048, micro_batches: 16}
"""


def put(folder: Path, pp: int, dp: int, more: str = "") -> None:
    (folder / "f.yaml").write_text(FABRIC)
    text = JOB.replace("PP", str(pp)).replace("DP", str(dp))
    (folder / "j.yaml").write_text((text if pp > 1 else text.replace(", vpp: 2", "")) + more)


def test_the_step_is_shown_and_stored(files: Path, topoplan: Run) -> None:
    put(files, 8, 1, "compute: {mfu: 0.6}\nstorage: {checkpoint_every: 100, data: 8, network: back-end}\n")
    result = topoplan("solve", "j.yaml", "-t", "f.yaml", "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    for words in ("schedule interleaved", "MFU", "memory of the fullest GPU", "checkpoint over the back-end network"):
        assert words in result.out
    step = json.loads((files / "plan" / "plan.json").read_text())["step"]
    parts = sum(step[f"{name}_ms"] for name in ("compute", "bubble", "exposed", "optimizer", "storage"))
    assert step["total_ms"] == pytest.approx(parts)
    assert step["exposed_ms"] == pytest.approx(sum(axis["exposed_ms"] for axis in step["axes"].values()))
    again = topoplan("solve", "plan/inputs/job.yaml", "-t", "plan/inputs/fabric.yaml", "-o", "json")
    assert json.loads(again.out)["step"] == step


def test_score_times_an_order(files: Path, topoplan: Run) -> None:
    put(files, 8, 1, "compute: {mfu: 0.6}\n")
    (files / "seen.txt").write_text("".join(f"{rank} n{rank // 8} {rank % 8}\n" for rank in range(64)))
    shown = topoplan("score", "j.yaml", "-t", "f.yaml", "--observed", "seen.txt")
    assert "one step, schedule interleaved" in shown.out
    told = json.loads(topoplan("score", "j.yaml", "-t", "f.yaml", "--observed", "seen.txt", "-o", "json").out)
    assert told["observed"]["step"] == told["linear"]["step"]


@pytest.mark.parametrize(("options", "code"), [([], 3), (["--ignore-memory"], 0)])
def test_a_job_that_does_not_fit(files: Path, topoplan: Run, options: list[str], code: int) -> None:
    put(files, 1, 8)
    result = topoplan("solve", "j.yaml", "-t", "f.yaml", "--out", "plan", *options)
    assert result.code == code
    assert ("what would fit: zero: 3" in result.err) == bool(code)
    assert (files / "plan").exists() == (not code)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("compute: {mfu: 2}", "j.yaml:7"),
        ("compute: {mfu: 0.5, step_time: 3 s}", "give one of them"),
        ("compute: {step_time: 3}", "unit"),
        ("compute: {overlap: [dq]}", "'dq' is not an axis"),
        ("compute: {mfu: 0.5, speed: 1}", "unknown key"),
        ("schedule: gpipe", "j.yaml:7"),
        ("storage: {network: usb}", "j.yaml:7"),
    ],
)
def test_bad_keys_are_named(files: Path, topoplan: Run, more: str, words: str) -> None:
    put(files, 8, 1, more + "\n")
    result = topoplan("solve", "j.yaml", "-t", "f.yaml")
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err


def test_compute_beside_traffic_of_its_own_is_refused(files: Path, topoplan: Run) -> None:
    (files / "f.yaml").write_text(FABRIC)
    (files / "j.yaml").write_text(
        "apiVersion: topoplan/v1\nkind: Job\nname: j\naxes:\n- {name: a, size: 8}\ncompute: {mfu: 0.5}\n"
    )
    result = topoplan("solve", "j.yaml", "-t", "f.yaml")
    assert result.code == 2
    assert "compute needs model, parallel and batch" in result.err
