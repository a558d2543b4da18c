"""Study files: what is read from them, and what is refused, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.studies.make import STUDY, study_of, write
from topoplan.errors import InputError
from topoplan.studies.read import Instead, parse_study, read_study

HEAD = "apiVersion: topoplan/v1\nkind: Study\nname: s\n"
FABRIC = "fabrics: [{topology: fabric.yaml}]\n"
JOB = "jobs: [{file: job.yaml}]\n"


def test_defaults(tmp_path: Path) -> None:
    study = study_of(HEAD + FABRIC + JOB, tmp_path)
    assert (study.orders, study.after, study.search, study.tolerance) == (
        ("linear", "plan"),
        ("keep", "replan"),
        "quick",
        0.05,
    )
    assert [spec.kind for spec in study.failures] == ["none"]
    assert study.fabrics[0].name == "small"
    assert study.jobs[0].name == "moe"


def test_inline_jobs_and_global_batch(tmp_path: Path) -> None:
    text = (
        HEAD
        + FABRIC
        + "jobs:\n  - name: in\n    job: {model: mixtral-8x22b, parallel: {tp: 1, pp: 2, dp: 16, ep: 8}, "
        + "batch: {sequence: 4096}}\n"
        "    vary: {parallel.dp: [8, 16, 24]}\n    global_batch: 64\n"
    )
    study = study_of(text, tmp_path)
    batches = [v.job.batch.micro_batches if v.job and v.job.batch else None for v in study.jobs]
    assert batches == [8, 4, None]
    assert "does not divide" in study.jobs[2].problem
    assert [v.name for v in study.jobs][:2] == ["in", "in"]


def test_catalogue_parameters_are_varied(tmp_path: Path) -> None:
    text = (
        HEAD + "fabrics: [{topology: 'meta-roce-24k:pods=2', vary: {racks: [2, 3], routing: [ecmp, adaptive]}}]\n" + JOB
    )
    study = study_of(text, tmp_path)
    fabrics = [variant.fabric for variant in study.fabrics if variant.fabric]
    assert [(len(fabric.hosts), fabric.routing) for fabric in fabrics] == [
        (8, "ecmp"), (8, "adaptive"), (12, "ecmp"), (12, "adaptive"),
    ]  # fmt: skip


def test_other_fabrics_and_jobs_instead(tmp_path: Path) -> None:
    path = write(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text((tmp_path / "job.yaml").read_text().replace("name: moe", "name: mine"))
    study = read_study(path, instead=Instead(("meta-roce-24k:pods=2,racks=2",), (str(other),)))
    assert {v.name for v in study.fabrics} == {"meta-roce-24k"}
    assert [v.name for v in study.jobs] == ["mine"]
    assert len(study.fabrics) == 4  # what can be varied of any fabric still is


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (HEAD + JOB, ":1:1", "fabrics is missing"),
        (HEAD + FABRIC, ":1:1", "jobs is missing"),
        (HEAD + "fabrics: []\n" + JOB, ":4:10", "fabrics"),
        (HEAD.replace("Study", "Job") + FABRIC + JOB, ":2:7", "kind must be 'Study'"),
        (HEAD + FABRIC + JOB + "order: [linear]\n", ":6:1", "unknown key"),
        (HEAD + FABRIC + JOB + "orders: [linear, best]\n", ":6:9", "'best' is not one of"),
        (HEAD + FABRIC + JOB + "orders: [plan, plan]\n", ":6:9", "stands twice"),
        (HEAD + FABRIC + JOB + "tolerance: much\n", ":6:12", "percentage"),
        (HEAD + FABRIC + JOB + "failures: [{random: host, count: [0]}]\n", ":6:35", "at least 1"),
        (HEAD + FABRIC + JOB + "failures: [{often: host}]\n", ":6:13", "unknown key"),
        (HEAD + FABRIC + JOB + "failures: [some]\n", ":6:12", "none"),
        (HEAD + FABRIC + JOB + "question: why\n", ":6:11", "no rule answers 'why'"),
        (HEAD + "fabrics: [{topology: nowhere.yaml}]\n" + JOB, ":4:22", "no such file"),
        (HEAD + "fabrics: [{topology: '-'}]\n" + JOB, ":4:22", "standard input"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {routing: []}}]\n" + JOB, ":4:51", "empty"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {routing: [[ecmp]]}}]\n" + JOB, ":4:51", "a list is not"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {routing: [ecmp, ecmp]}}]\n" + JOB, ":4:51", "twice"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {routing: [magic]}}]\n" + JOB, ":4:11", "not one of"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {ruoting: [ecmp]}}]\n" + JOB, ":4:11", "can be varied"),
        (HEAD + "fabrics: [{topology: meta-roce-24k, vary: {pods: [0]}}]\n" + JOB, ":4:11", "parameter pods"),
        (HEAD + "fabrics: [{topology: meta-roce-24k, vary: {pods: [true]}}]\n" + JOB, ":4:11", "parameter pods"),
        (HEAD + "fabrics: [{topology: fabric.yaml, vary: {x: [.nan]}}]\n" + JOB, ":4:45", "finite"),
        (HEAD + FABRIC + "jobs: [{name: a}]\n", ":5:8", "either a file or given under job"),
        (HEAD + FABRIC + "jobs: [{file: lost.yaml}]\n", ":5:15", "cannot be read"),
        (HEAD + FABRIC + "jobs: [{file: fabric.yaml}]\n", ":5:15", "is not a Job"),
        (HEAD + FABRIC + "jobs: [{job: {model: gpt-9}}]\n", ":5:8", "gpt-9"),
        (HEAD + FABRIC + "jobs: [{file: job.yaml, vary: {model.x: [1]}}]\n", ":5:8", "not a mapping"),
        (HEAD + FABRIC + "jobs: [{file: job.yaml, vary: {parallel.pp: [2]}, ranks: 7}]\n", ":5:58", "7 ranks"),
        (HEAD + FABRIC + "jobs: [{file: job.yaml, vary: {parallel.pq: [2]}}]\n", ":5:8", "unknown key"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        parse_study(text, "study.yaml", folder=tmp_path, questions=("routing",))
    assert str(caught.value).startswith(f"study.yaml{place}"), caught.value
    assert words in str(caught.value)


def test_grids_without_end_are_refused_at_once(tmp_path: Path) -> None:
    values = ", ".join(map(str, range(1000)))
    vary = ", ".join(f"a{i}: [{values}]" for i in range(30))
    for text in (
        HEAD + f"fabrics: [{{topology: fabric.yaml, vary: {{{vary}}}}}]\n" + JOB,
        HEAD + FABRIC + f"jobs: [{{file: job.yaml, vary: {{{vary}}}}}]\n",
    ):
        write(tmp_path, text)
        with pytest.raises(InputError, match="combinations"):
            parse_study(text, "study.yaml", folder=tmp_path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(at=st.integers(0, len(STUDY) - 1), cut=st.integers(0, 12), put=st.text("[]{}:,-'\"&*!\n a1\0é%", max_size=6))
def test_damaged_studies_are_refused_or_read(tmp_path: Path, at: int, cut: int, put: str) -> None:
    text = STUDY[:at] + put + STUDY[at + cut :]
    write(tmp_path, STUDY)
    try:
        study = parse_study(text, "study.yaml", folder=tmp_path)
    except InputError:
        return
    assert study.fabrics
    assert study.jobs
