"""compute, schedule and storage of job files: read, written back, refused with their place."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.job_text import format_job
from topoplan.files.job_yaml import parse_job
from topoplan.model.compute import OVERLAPPED, PRECISIONS, RECOMPUTES, SCHEDULE_NAMES, Compute, Storage
from topoplan.model.job import Job

TEXT = """\
apiVersion: topoplan/v1
kind: Job
name: j
model: mixtral-8x22b
parallel: {tp: 1, pp: 2, dp: 16, ep: 8}
batch: {sequence: 4096, micro_batches: 4}
"""
SPEED: st.SearchStrategy[dict[str, float]] = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"mfu": st.floats(0.001, 1)}),
    st.fixed_dictionaries({"step_time_s": st.floats(1e-6, 1e6)}),
)
COMPUTES = st.builds(
    lambda speed, **more: Compute(**speed, **more),
    SPEED,
    flops_per_s=st.one_of(st.none(), st.floats(1e9, 1e18)),
    precision=st.sampled_from(PRECISIONS),
    recompute=st.sampled_from(["", *RECOMPUTES]),
    fused_attention=st.booleans(),
    overlap=st.sets(st.sampled_from(["cp", "dp", "edp", "ep", "pp", "tp"])).map(lambda axes: tuple(sorted(axes))),
)
STORAGES = st.builds(
    Storage,
    st.sampled_from(["front-end", "back-end"]),
    st.integers(0, 10**6),
    st.floats(0, 1e15),
    st.floats(0, 1e6),
)


def read(text: str) -> Job:
    return parse_job(text).job


def test_what_is_not_said() -> None:
    plain = read(TEXT)
    assert (plain.compute, plain.schedule, plain.storage) == (None, "", None)
    assert "compute" not in format_job(plain)
    assert read(TEXT + "compute: {}\n").compute == Compute()
    assert Compute().overlap == OVERLAPPED


def test_all_keys() -> None:
    job = read(
        TEXT + "compute: {mfu: 0.4, flops: 989 TFLOPS, precision: fp8, recompute: selective, fused_attention: false,"
        " overlap: [tp, dp, tp]}\nschedule: zb-h1\n"
        "storage: {network: back-end, checkpoint_every: 100, checkpoint: 2 TB, data: 8}\n"
    )
    assert job.compute == Compute(0.4, None, 989e12, "fp8", "selective", False, ("dp", "tp"))
    assert job.schedule == "zb-h1"
    assert job.storage == Storage("back-end", 100, 2e12, 8.0)
    assert read(TEXT + "compute: {step_time: 12 s}\n").compute == Compute(step_time_s=12.0)


@given(COMPUTES, st.sampled_from(["", *SCHEDULE_NAMES]), st.one_of(st.none(), STORAGES))
def test_written_and_read_back(compute: Compute, schedule: str, storage: Storage | None) -> None:
    job = replace(read(TEXT), compute=compute, schedule=schedule, storage=storage)
    text = format_job(job)
    back = read(text)
    assert (back.compute, back.schedule, back.storage) == (compute, schedule, storage)
    assert format_job(back) == text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("compute: {mfu: 0}", "7:16"),
        ("compute: {mfu: 0.5, step_time: 1 s}", "give one of them"),
        ("compute: {step_time: 0 s}", "between"),
        ("compute: {mfu: 1.0e-9}", "between"),
        ("compute: {flops: 1 FLOPS}", "between"),
        ("storage: {data: 1.0e+300}", "between"),
        ("compute: {flops: 989}", "no|number with a unit"),
        ("compute: {precision: fp4}", "7:"),
        ("compute: {overlap: [dq]}", "'dq' is not an axis"),
        ("compute: {mfus: 0.5}", "unknown key"),
        ("schedule: zbh1", "7:"),
        ("storage: {checkpoint_every: -1}", "7:"),
        ("storage: {network: ib}", "7:"),
        ("compute: [1]", "7:"),
    ],
)
def test_refused_with_their_place(more: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        parse_job(TEXT + more + "\n", "j.yaml")
    assert refused.value.place is not None
    assert refused.value.place.line == 7


BAD: tuple[Callable[[], Compute], ...] = (
    lambda: Compute(mfu=-1.0),
    lambda: Compute(step_time_s=-1.0),
    lambda: Compute(precision="fp4"),
    lambda: Compute(recompute="some"),
)


@pytest.mark.parametrize("make", BAD)
def test_bad_values_are_refused_by_the_model_too(make: Callable[[], Compute]) -> None:
    with pytest.raises(InputError, match="compute"):
        make()
