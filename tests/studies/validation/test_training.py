"""Published steps: the constants come from the runs that are said to have set them, and from no other."""

import numpy as np
import pytest

from topoplan.cost import hardware, step
from topoplan.cost.hardware import KINDS, Gpu
from topoplan.studies.validation.training import MODELS, Run, fabric_of, runs, steps

SET_BY = {
    "A100": ("a100", "megatron-22b"),
    "H100": ("h100", "llama-3-8b"),
    "B200": ("b200", "llama-3-8b"),
    "GB200": ("gb200", "llama-3-8b"),
    "GB300": ("gb300", "llama-3-8b"),
}


def of(system: str, model: str) -> list[Run]:
    return [run for run in runs() if run.system == system and run.job.model == MODELS[model]]


@pytest.mark.parametrize("name", SET_BY)
def test_sustained_is_fitted_to_the_smallest_dense_run(name: str) -> None:
    mine = of(*SET_BY[name])
    assert all(run.use == "fit" for run in mine)
    assert np.mean([run.error for run in mine]) == pytest.approx(0, abs=1e-3)


def test_runs_that_set_constants_are_not_judged() -> None:
    judged = {row.subject for row in steps()}
    fits = [run for run in runs() if run.use == "fit"]
    assert {run.use for run in runs()} == {"fit", "judge"}
    assert len(fits) == 8
    for run in fits:
        assert run.job.model is not None
        assert not any(f"{run.job.model.name} on {run.job.ranks} {run.system.upper()}," in text for text in judged)
    assert sum(row.points for row in steps()) + len(fits) == len(runs())


def test_four_dense_and_two_moe_runs_are_within_the_target() -> None:
    near = [run for run in runs() if run.use == "judge" and abs(run.error) <= 0.1]
    moe = [run for run in near if run.job.model is not None and run.job.model.routing is not None]
    assert len(near) - len(moe) >= 16
    assert len(moe) >= 6
    assert all(row.note for row in steps() if row.verdict == "MISSED")
    assert not any(row.note for row in steps() if row.verdict == "ok")


def test_every_machine_is_of_the_kind_it_is_called() -> None:
    for run in runs():
        gpu = step.gpu_of(run.job, fabric_of(run.system, run.job.ranks), np.arange(run.job.ranks))
        assert gpu.kind is not None
        assert gpu.kind.name.lower() == run.system


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_kinds_are_told_apart(kind: hardware.GpuKind) -> None:
    assert Gpu(kind.flops_per_s, kind.memory_bytes).kind == kind


def test_unknown_kinds() -> None:
    assert Gpu(500e12, 80e9).kind is None
    assert Gpu().kind is None
    small = Gpu(2500e12).kind
    assert small is not None
    assert small.name == "GB200"
