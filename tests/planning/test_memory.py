"""Jobs that no GPU can hold are refused, with layouts that would fit."""

import re
from dataclasses import replace

import pytest

from tests.cost.jobs import fabric, job
from topoplan.errors import InfeasibleError
from topoplan.model.compute import Compute
from topoplan.model.fabric import Fabric
from topoplan.model.job import Batch, Job, Parallel
from topoplan.model.presets import PRESETS
from topoplan.planning.memory import check_memory, memory_notes, memory_size
from topoplan.planning.solve import SolveOptions, solve
from topoplan.solvers.ranks import RankParams


def gpt(**parallel: int) -> Job:
    layout = Parallel(**parallel)
    return Job("gpt", layout.world, PRESETS["gpt-3-175b"], layout, batch=Batch(2048, 1, 8))


def sized(memory: float | None, hosts: int = 4) -> Fabric:
    plain = fabric(hosts)
    return replace(plain, host_types=(replace(plain.host_types[0], gpu_memory_bytes=memory),))


def test_an_impossible_job_is_refused_with_what_would_fit() -> None:
    bad = gpt(tp=8, dp=8)
    with pytest.raises(InfeasibleError, match=r"rank 0 .* at the least, a GPU has 80 GB: .*weights 43.* GB") as refused:
        check_memory(bad, sized(80e9))
    assert "zero: 3, or tp: 16 with dp: 4" in refused.value.hint
    assert "--ignore-memory" in refused.value.hint
    named = re.findall(r"zero: (\d)", refused.value.hint)
    for zero in named:
        check_memory(gpt(tp=8, dp=8, zero=int(zero)), sized(80e9))
    check_memory(bad, sized(125e9))


def test_no_layout_fits_into_a_tiny_gpu() -> None:
    with pytest.raises(InfeasibleError) as refused:
        check_memory(gpt(tp=8, dp=4), sized(1e9))
    assert "alone fill 2,794" in refused.value.hint  # 16 bytes a weight, 175 x 10^9 of them


def test_what_is_unknown_is_not_checked() -> None:
    assert memory_size(sized(None)) is None
    check_memory(gpt(tp=8, dp=4), sized(None))
    sliced = replace(sized(10e9).host_types[0], slices=(4, 4))
    assert memory_size(replace(sized(10e9), host_types=(sliced,))) is None
    mixed = sized(1e9)
    other = replace(mixed.host_types[0], name="other", gpu_memory_bytes=None)
    hosts = (*mixed.hosts[:2], *(replace(host, type=1) for host in mixed.hosts[2:]))
    both = replace(mixed, host_types=(*mixed.host_types, other), hosts=hosts)
    assert memory_size(both) is None
    assert memory_size(replace(both, host_types=(both.host_types[0], replace(other, gpu_memory_bytes=2e9)))) == 2e9


def test_a_job_that_fits_only_with_more_recomputing_is_warned_of() -> None:
    what = replace(gpt(tp=8, pp=8), compute=Compute(mfu=0.5, recompute="none", fused_attention=False))
    check_memory(what, sized(80e9))
    assert any("activations" in line and "of 80 GB" in line for line in memory_notes(what, sized(80e9)))
    assert memory_notes(replace(what, compute=None), sized(80e9)) == []
    assert memory_notes(what, sized(500e9)) == []


def test_solve_refuses_and_may_be_told_not_to() -> None:
    bad, where = gpt(tp=8, dp=4), sized(80e9)
    with pytest.raises(InfeasibleError, match="memory"):
        solve(bad, where)
    quick = SolveOptions(params=RankParams(proposals=10, exact=None), ignore_memory=True)
    assert solve(bad, where, quick).memory is None
    plan = solve(replace(bad, compute=Compute(mfu=0.5)), where, quick)
    assert plan.memory is not None
    assert plan.memory.total > 80e9
    assert any(line.startswith("memory:") for line in plan.warnings)


def test_dualpipe_holds_two_stages() -> None:
    twice = replace(gpt(tp=8, pp=8), schedule="dualpipe")
    check_memory(replace(twice, schedule=""), sized(60e9))
    with pytest.raises(InfeasibleError) as refused:
        check_memory(twice, sized(60e9))
    assert "schedule: zb-h1" in refused.value.hint


def test_small_jobs_pass() -> None:
    check_memory(job(tp=2, pp=2, dp=2), fabric())
