"""Megatron-LM: static torchrun, and the arguments that make Megatron number its groups as the plan's ranks.

Megatron takes no map of ranks. It knows two orders, tp-cp-ep-dp-pp and, with --use-tp-pp-dp-mapping, tp-cp-ep-pp-dp
(megatron/training/initialize.py). Where ranks of the plan do not stand host by host in their own order, they may in the
other: then every process gets the number under which Megatron gives it the same groups. Else the order of hosts is all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from topoplan.errors import InfeasibleError, InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Seat, Symptom, need
from topoplan.launchers.express import check_expressible
from topoplan.launchers.shell import comment
from topoplan.launchers.table import host_rows
from topoplan.launchers.torchrun import RUN, SHIM_START, read_run_script, run_script
from topoplan.model.capability import Freedom
from topoplan.model.fabric import IntArray
from topoplan.model.job import DEFAULT_ORDER, Job, dense_groups, expert_groups
from topoplan.model.placement import RankPlacement

LAYOUT = "layout.json"
_PP_INSIDE = "--use-tp-pp-dp-mapping"
_ORDERS = {DEFAULT_ORDER: (), "tp-cp-ep-pp-dp": (_PP_INSIDE,)}  # order of ranks -> arguments that ask for it
_SIZES = {"tp": "--tensor-model-parallel-size", "cp": "--context-parallel-size", "pp": "--pipeline-model-parallel-size"}
_EXPERT_SIZES = {"ep": "--expert-model-parallel-size", "etp": "--expert-tensor-parallel-size"}

_HINTS = (
    "start on every host: megatron/run.sh [TORCHRUN OPTIONS] pretrain_gpt.py [ARGS...]   (it adds the axes' sizes)",
    "reordered by: --rdzv-backend=c10d, --use-tp-pp-dp-mapping where run.sh does not give it, other sizes of the axes",
)
_EXPLAINS = {
    Symptom.SORTED: "hosts came sorted by name, as torchrun's c10d rendezvous sorts them whatever the node rank: "
    "start run.sh, which uses the static rendezvous",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES of run.sh was changed",
    Symptom.OTHER: "processes are not numbered as planned: each host must run run.sh, with the arguments that it adds",
}


@dataclass(frozen=True, eq=False)
class _Fit:
    """How Megatron makes a plan.

    Parameters
    ----------
    order
        Megatron's order of ranks; "" when the job does not say how it is parallel.
    process
        [ranks] int64 number of the process that has each rank of the plan.
    placement
        Of the processes.
    """

    order: str
    process: IntArray
    placement: RankPlacement


def _fit(request: LaunchRequest) -> _Fit:
    """The first of Megatron's orders in which the plan stands host by host, the plan's own order before the other.

    Raises
    ------
    InfeasibleError
        There is none.
    """
    job, plan = request.job, request.placement
    if job is None or job.parallel is None:
        check_expressible(plan, Freedom.GPUS, "megatron", SHIM_START)
        return _Fit("", np.arange(plan.ranks), plan)
    refused: InfeasibleError | None = None
    for order in sorted(_ORDERS, key=lambda order: order != job.order):
        process = _processes(job, order)
        if process is None:
            continue
        gpu = np.empty_like(plan.gpu)
        gpu[process] = plan.gpu
        placement = RankPlacement(plan.fabric, gpu)
        try:
            check_expressible(placement, Freedom.GPUS, "megatron", SHIM_START)
        except InfeasibleError as error:
            refused = refused or error
            continue
        return _Fit(order, process, placement)
    if refused is not None:
        raise refused
    raise InfeasibleError(
        f"Megatron orders ranks {' or '.join(_ORDERS)}; the groups of the job's {job.order} are those of neither",
        hint=f"plan the job with order: {DEFAULT_ORDER}",
    )


def _processes(job: Job, order: str) -> IntArray | None:
    """[ranks] int64 process that has the coordinates of each rank in another order; None where expert groups differ."""
    assert job.parallel is not None
    other = replace(job, order=order)
    p = job.parallel
    expert_dp = p.edp if _has_experts(job) else p.cp * p.dp  # without experts etp is tp, and ep 1
    if not order.endswith("pp") and p.pp > 1 and expert_dp != p.dp:
        return None  # Megatron refuses it: both kinds of data-parallel groups must be as large (core/parallel_state.py)
    process = np.empty(job.ranks, np.int64)
    process[_dense_grid(job)] = _dense_grid(other)
    if _has_experts(job):
        for axis in ("etp", "ep", "edp"):
            mapped, wanted = process[expert_groups(job, axis)], expert_groups(other, axis)
            if not np.array_equal(mapped[mapped[:, 0].argsort()], wanted[wanted[:, 0].argsort()]):
                return None
    return process


def _dense_grid(job: Job) -> IntArray:
    """[ranks] int64 ranks with tp varying fastest, then cp, dp and pp, whatever the job's own order."""
    return dense_groups(job, "tp-cp-dp-pp").ravel()


def _has_experts(job: Job) -> bool:
    assert job.parallel is not None
    return job.parallel.ep * job.parallel.etp > 1 or (job.model is not None and job.model.routing is not None)


def _arguments(job: Job | None, order: str) -> list[str]:
    if job is None or job.parallel is None:
        return []
    p = job.parallel
    sizes = {**_SIZES, **_EXPERT_SIZES} if _has_experts(job) else _SIZES
    return [*(f"{option} {getattr(p, axis)}" for axis, option in sizes.items()), *_ORDERS[order]]


def _write(request: LaunchRequest) -> dict[str, LaunchFile]:
    fit = _fit(request)
    rows = host_rows(fit.placement)
    arguments = _arguments(request.job, fit.order)
    plan = f"plan {request.label}: {request.placement.ranks} ranks on {len(rows)} hosts"
    same = np.array_equal(fit.process, np.arange(len(fit.process)))
    about = (
        "Numbers of processes are ranks of the plan."
        if same
        else f"Megatron's order {fit.order} makes the plan's groups: process numbers are not ranks, {LAYOUT} "
        "says which is which."
    )
    header = comment(
        [
            f"{plan}. {about}",
            "run.sh [TORCHRUN OPTIONS] pretrain_gpt.py [ARGS...]: start this on EVERY host of the plan; it finds its "
            "node rank by the host's name, and adds the sizes of the parallel axes after your arguments, so that they "
            "count. TORCHRUN names another torchrun, TOPOPLAN_HOST overrides the host's name.",
            "Reordered silently by --rdzv-backend=c10d, which sorts hosts by name as text, and by other sizes of axes.",
        ]
    )
    after = "".join(f" \\\n    {argument}" for argument in arguments)
    script = run_script(replace(request, placement=fit.placement, columns={}), rows, header, after)
    layout = {
        "comment": "Used by topoplan verify, and by people. Entry r of `process` is the process that has rank r of the "
        "plan, [] when they are the same; other arguments would change the order of Megatron's ranks.",
        "order": request.job.order if request.job is not None and arguments else "",
        "megatron_order": fit.order,
        "arguments": arguments,
        "process": [] if same else fit.process.tolist(),
    }
    text = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in layout.items())
    return {RUN: LaunchFile(script, executable=True), LAYOUT: LaunchFile(f"{{\n{text}\n}}\n")}


def _read(files: Mapping[str, str]) -> Order:
    text = need(files, RUN)
    rows = read_run_script(text)
    seats = [Seat(row.host, gpu) for row in rows for gpu in row.gpus]
    try:
        layout = json.loads(need(files, LAYOUT))
        process, arguments = layout["process"], layout["arguments"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("not a layout that topoplan wrote", place=Place(LAYOUT)) from None
    given = re.sub(r"\s*\\\n\s*", " ", text.rpartition('"$@"')[2]).strip()
    if given != " ".join(arguments):
        raise InputError(f"the arguments of {RUN} are not those of {LAYOUT}", place=Place(RUN))
    if not process:
        return tuple(seats)
    if sorted(process) != list(range(len(seats))):
        raise InputError("process must name every process once", place=Place(LAYOUT))
    return tuple(seats[number] for number in process)


LAUNCHER = Launcher(
    "megatron",
    Freedom.GPUS,
    "Megatron-LM under static torchrun, with the order of ranks that Megatron can make",
    _HINTS,
    _write,
    _read,
    _EXPLAINS,
    checks_itself=True,
    shim=SHIM_START,
)
