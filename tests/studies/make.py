"""Small studies as text, and their scenarios."""

from __future__ import annotations

from pathlib import Path

from tests.fabrics import two_leaves
from topoplan.studies.grid import scenarios
from topoplan.studies.model import Scenario, Study
from topoplan.studies.read import parse_study

JOB = """\
apiVersion: topoplan/v1
kind: Job
name: moe
model: mixtral-8x22b
parallel: {tp: 1, pp: 2, dp: 16, ep: 8}
batch: {sequence: 4096, micro_batch: 1, micro_batches: 4}
"""
STUDY = """\
apiVersion: topoplan/v1
kind: Study
name: small
question: oversubscription
fabrics:
  - {topology: fabric.yaml, vary: {oversubscription.leaf: [1, 4], routing: [ecmp, adaptive]}}
jobs:
  - {file: job.yaml, vary: {parallel.pp: [2, 4]}, ranks: 32}
  - {name: wide, file: job.yaml, vary: {parallel.ep: [8, 7]}}
orders: [linear, plan]
failures: [none, {each: leaf}, {random: host, count: [1, 2], draws: 2}]
"""


def write(folder: Path, study: str = STUDY) -> Path:
    """Path of a study in a folder, with its fabric and job beside it."""
    (folder / "fabric.yaml").write_text(two_leaves())
    (folder / "job.yaml").write_text(JOB)
    path = folder / "study.yaml"
    path.write_text(study)
    return path


def study_of(text: str, folder: Path) -> Study:
    """Study of text whose fabric and job are written to a folder."""
    write(folder, text)
    return parse_study(text, "study.yaml", folder=folder)


def grid_of(text: str, folder: Path) -> tuple[Scenario, ...]:
    """Scenarios of such a study."""
    return scenarios(study_of(text, folder))
