"""Megatron: which plans its two orders of ranks can make, judged by a rank generator written from its documentation."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.job import DENSE_AXES, Job, Parallel, dense_groups, expert_groups
from topoplan.model.placement import RankPlacement

MEGATRON = get_launcher("megatron")
OPTIONS = {
    "tp": "tensor-model", "cp": "context", "pp": "pipeline-model", "ep": "expert-model", "etp": "expert-tensor"
}  # fmt: skip


def make_fabric(names: list[str], gpus: int) -> Fabric:
    return Fabric("lab", "ecmp", (HostType("box", gpus, (), gpus, 4.5e11),), tuple(Host(name, 0) for name in names))


def megatron_groups(arguments: str, world: int) -> dict[str, list[tuple[int, ...]]]:
    """Groups that Megatron makes of its arguments: processes in each, the first axis of the order varying fastest."""
    size = dict.fromkeys(OPTIONS, 1)
    for axis, option in OPTIONS.items():
        found = re.search(rf"--{option}-parallel-size (\d+)", arguments)
        size[axis] = int(found[1]) if found else size["tp"] if axis == "etp" else 1
    order = ["tp", "cp", "pp", "dp"] if "--use-tp-pp-dp-mapping" in arguments else ["tp", "cp", "dp", "pp"]
    dp = world // (size["tp"] * size["cp"] * size["pp"])
    dense = _groups({"tp": size["tp"], "cp": size["cp"], "dp": dp, "pp": size["pp"]}, order)
    edp = world // (size["etp"] * size["ep"] * size["pp"])
    sizes = {"tp": size["etp"], "cp": size["ep"], "dp": edp, "pp": size["pp"]}  # the place of ep is beside cp's
    expert = _groups(sizes, order)
    assert order[-1] == "pp" or size["pp"] == 1 or edp == dp
    assert dense["pp"] == expert["pp"]
    return {**dense, "etp": expert["tp"], "ep": expert["cp"], "edp": expert["dp"]}


def _groups(sizes: dict[str, int], order: list[str]) -> dict[str, list[tuple[int, ...]]]:
    stride = {axis: int(np.prod([sizes[a] for a in order[:i]], dtype=int)) for i, axis in enumerate(order)}
    groups = {}
    for axis in order:
        others = [range(sizes[a]) for a in order if a != axis]
        rest = [a for a in order if a != axis]
        starts = [sum(c * stride[a] for c, a in zip(at, rest, strict=True)) for at in itertools.product(*others)]
        groups[axis] = sorted(tuple(s + i * stride[axis] for i in range(sizes[axis])) for s in starts)
    return groups


def job_of(parallel: Parallel, order: str) -> Job:
    return Job("j", parallel.world, parallel=parallel, order=order)


@st.composite
def layouts(draw: st.DrawFn) -> Job:
    size = st.sampled_from([1, 2, 3])
    tp, cp, dp, pp = (draw(size) for _ in range(4))
    stage = tp * cp * dp
    etp = draw(st.sampled_from([n for n in (1, 2, 3) if stage % n == 0]))
    ep = draw(st.sampled_from([n for n in range(1, 10) if stage % (n * etp) == 0]))
    order = "-".join(draw(st.permutations(DENSE_AXES)))
    order = draw(st.sampled_from(["tp-cp-ep-dp-pp", "tp-cp-ep-pp-dp", order]))
    return job_of(Parallel(tp=tp, cp=cp, ep=ep, dp=dp, pp=pp, etp=etp), order)


@settings(max_examples=150, deadline=None)
@given(job=layouts(), gpus=st.integers(1, 4), seed=st.integers(0, 99), inside=st.booleans())
def test_megatron_makes_the_groups_of_the_plan_where_the_plan_puts_them(
    job: Job, gpus: int, seed: int, inside: bool
) -> None:
    """Whatever is written, each group of the plan is a group of Megatron's, on the same GPUs in the same order."""
    hosts = -(-job.ranks // gpus)
    fabric = make_fabric([f"n{i}" for i in range(hosts)], gpus)
    order = np.random.default_rng(seed).permutation(hosts)
    by_host = (order[:, None] * gpus + np.arange(gpus)).ravel()[: job.ranks]
    gpu = np.empty(job.ranks, np.int64)
    gpu[dense_groups(job, "tp-cp-pp-dp").ravel() if inside else np.arange(job.ranks)] = by_host
    plan = RankPlacement(fabric, gpu)
    try:
        files = MEGATRON.write(LaunchRequest(plan, job=job))
    except InfeasibleError:
        assert inside or job.order != "tp-cp-ep-dp-pp"
        return
    texts = {name: file.text for name, file in files.items()}
    layout = json.loads(texts["layout.json"])
    process = np.array(layout["process"] or range(job.ranks))
    groups = megatron_groups(" ".join(layout["arguments"]), job.ranks)
    wanted = {axis: dense_groups(job, axis) for axis in ("tp", "cp", "dp", "pp")}
    assert job.parallel is not None
    if job.parallel.ep * job.parallel.etp > 1:
        wanted |= {axis: expert_groups(job, axis) for axis in ("etp", "ep", "edp")}
    for axis, rows in wanted.items():
        assert sorted(map(tuple, process[rows].tolist())) == groups[axis], axis
    names = fabric.host_names
    assert [tuple(seat) for seat in MEGATRON.read(texts)] == [
        (names[h], g) for h, g in zip(plan.host.tolist(), plan.local.tolist(), strict=True)
    ]


def test_stages_inside_hosts_need_the_other_order() -> None:
    """Two stages on every host: ranks return to hosts, but not in Megatron's other order."""
    job = job_of(Parallel(pp=2, dp=3), "tp-cp-ep-dp-pp")
    plan = RankPlacement(make_fabric(["a", "b", "c"], 2), np.array([0, 2, 4, 1, 3, 5]))
    files = {name: file.text for name, file in MEGATRON.write(LaunchRequest(plan, job=job)).items()}
    assert files["run.sh"].endswith("--use-tp-pp-dp-mapping\n")
    assert json.loads(files["layout.json"])["process"] == [0, 2, 4, 1, 3, 5]
    assert [seat.host for seat in MEGATRON.read(files)] == ["a", "b", "c", "a", "b", "c"]
    with pytest.raises(InfeasibleError, match="return to a host"):
        MEGATRON.write(LaunchRequest(plan))  # without the job there is no other order
    assert "tp-cp" not in files["run.sh"].split("set -eu")[1]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("run.sh", " \\\n    --use-tp-pp-dp-mapping", "", "the arguments of run.sh are not those of layout.json"),
        ("run.sh", "static", "c10d", "sorts hosts by name"),
        ("layout.json", "[0, 2,", "[0, 0,", "must name every process once"),
        ("layout.json", '"process"', '"processes"', "not a layout"),
        ("layout.json", "{", "[", "not a layout"),
    ],
)
def test_edited_files_are_refused(file: str, old: str, new: str, message: str) -> None:
    plan = RankPlacement(make_fabric(["a", "b", "c"], 2), np.array([0, 2, 4, 1, 3, 5]))
    job = job_of(Parallel(pp=2, dp=3), "tp-cp-ep-dp-pp")
    files = {name: made.text for name, made in MEGATRON.write(LaunchRequest(plan, job=job)).items()}
    assert old in files[file]
    with pytest.raises(InputError, match=message):
        MEGATRON.read(files | {file: files[file].replace(old, new)})


def test_an_order_that_megatron_does_not_know_is_refused() -> None:
    job = job_of(Parallel(tp=2, cp=2, ep=2, dp=2, pp=2), "pp-dp-ep-cp-tp")
    plan = RankPlacement(make_fabric(["a", "b"], 8), np.arange(16))
    with pytest.raises(InfeasibleError, match="Megatron orders ranks"):
        MEGATRON.write(LaunchRequest(plan, job=job))


def test_the_scripts_are_clean_and_golden(
    shellcheck: Callable[[str], None], golden: Callable[[str, str], None]
) -> None:
    job = job_of(Parallel(pp=2, dp=3), "tp-cp-ep-dp-pp")
    plan = RankPlacement(make_fabric(["a", "b", "c"], 2), np.array([4, 2, 0, 5, 3, 1]))
    for name, file in MEGATRON.write(LaunchRequest(plan, "stages inside", job=job)).items():
        golden(f"megatron-inside/{name}", file.text)
        if file.executable:
            shellcheck(file.text)
