"""Published steps of training, dense and MoE, from kernel rates and link rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from topoplan.cost.step import step_time
from topoplan.model.compute import OVERLAPPED, Compute
from topoplan.model.demand import traffic_of
from topoplan.model.fabric import Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel, Routing
from topoplan.model.presets import PRESETS
from topoplan.model.step import StepTime
from topoplan.planning.step import stages_of
from topoplan.studies.validation.points import read
from topoplan.studies.validation.row import Row

_MEGATRON = "Korthikanti et al. 2022, arXiv 2205.05198, table 3"
_LLAMA = "The Llama 3 Herd of Models, arXiv 2407.21783, table 3"


def _gpt(name: str, layers: int, hidden: int, heads: int) -> ModelShape:
    width = hidden // heads
    return ModelShape(
        name, layers, hidden, heads, heads, width, 4 * hidden, 51200, gated=False, tied_embedding=True, source=_MEGATRON
    )


MODELS = dict(PRESETS) | {
    shape.name: shape
    for shape in (
        _gpt("megatron-22b", 48, 6144, 64),
        _gpt("turing-530b", 105, 20480, 128),
        _gpt("megatron-1t", 128, 25600, 160),
        ModelShape("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128256, source=_LLAMA),
        ModelShape("llama-3-70b", 80, 8192, 64, 8, 128, 28672, 128256, source=_LLAMA),
        ModelShape(
            "qwen3-30b-a3b", 48, 2048, 32, 4, 128, 6144, 151936, expert_ffn=768, routing=Routing(128, 8),
            source="Qwen/Qwen3-30B-A3B, config.json",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """GPUs of a system: a domain's GPUs, its hosts, NVLink, NIC, memory and dense BF16 peak of a GPU."""

    domain: int
    trays: int
    nvlink: float
    nic: float
    memory: float
    flops: float


MACHINES = {
    "a100": Machine(8, 1, 300e9, 25e9, 80e9, 312e12),
    "h100": Machine(8, 1, 450e9, 50e9, 80e9, 989e12),
    "b200": Machine(8, 1, 900e9, 50e9, 180e9, 2250e12),
    "gb200": Machine(64, 16, 900e9, 50e9, 186e9, 2500e12),
    "gb300": Machine(64, 16, 900e9, 100e9, 279e9, 2500e12),
}


def fabric_of(system: str, gpus: int) -> Fabric:
    """NVLink domains of a system under one switch; racks of GB200 and GB300 give 64 of their 72 GPUs to a job."""
    m = MACHINES[system]
    each = m.domain // m.trays
    kind = HostType(system, each, tuple(Nic(i, m.nic, i) for i in range(each)), each, m.nvlink, m.memory, m.flops)
    hosts = tuple(Host(f"n{h}", 0, 0) for h in range(-(-gpus // each)))
    domains = [tuple(range(first, min(first + m.trays, len(hosts)))) for first in range(0, len(hosts), m.trays)]
    islands = tuple(Island(f"d{d}", members, m.nvlink) for d, members in enumerate(domains)) if m.trays > 1 else ()
    return Fabric(system, "adaptive", (kind,), hosts, (Tier("leaf", 10.0),), (Group("leaf", 0),), islands=islands)


@dataclass(frozen=True, eq=False)
class Run:
    """A published run: what ran, how long its step took, and whether it set a constant."""

    release: str
    use: str
    system: str
    job: Job
    seconds: float
    source: str

    def predicted(self) -> StepTime:
        """The step on hosts in order."""
        fabric = fabric_of(self.system, self.job.ranks)
        stages = stages_of(self.job)
        assert stages is not None
        gpu = np.arange(self.job.ranks)
        domain = min(MACHINES[self.system].domain, self.job.ranks)
        return step_time(self.job, fabric, traffic_of(self.job, stages.first, domain), gpu, stages.first)

    @property
    def error(self) -> float:
        """Relative error of the prediction, below zero where it is too quick."""
        return self.predicted().total_s / self.seconds - 1


@cache
def runs() -> tuple[Run, ...]:
    """All of them, in the order of the file."""
    table = read("training_steps")
    return tuple(_run({name: values[i] for name, values in table.columns.items()}) for i in range(len(table)))


TARGET = 0.1
_FITTED = {"a100": "Megatron 22B on 8 GPUs"}  # else Llama 3 8B
# Why runs are further off, by model and system.
_NOTES = {
    ("llama-3.1-405b", "h100"): "the smaller batch, on 1,024 GPUs, runs at 94 % of what the larger one does; the model "
    "sees no such loss",
    ("qwen3-235b-a22b", "h100"): "its recipe sends each copy of a token by itself and asks the host in every layer "
    "(all-to-all dispatcher, no CUDA graphs); the model sends as DeepEP does",
    ("qwen3-30b-a3b", ""): "products of experts 768 wide are too small for the rates of large ones, and their launches "
    "count",
}
_NOTES["qwen3-235b-a22b", "b200"] = _NOTES["qwen3-235b-a22b", "h100"]


def steps() -> list[Row]:
    """Runs that set no constant, those of a model on a system together."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs():
        if run.use == "judge":
            assert run.job.model is not None
            groups.setdefault((run.job.model.name, run.system), []).append(run)
    return [_row(model, system, mine) for (model, system), mine in groups.items()]


def _row(model: str, system: str, mine: list[Run]) -> Row:
    found = np.array([abs(run.error) for run in mine])
    gpus = ", ".join(f"{n:,}" for n in sorted({run.job.ranks for run in mine}))
    precisions = " and ".join(sorted({_precision(run.job).upper() for run in mine}))
    subject = f"step of {model} on {gpus} {system.upper()}, {precisions}"
    note = _NOTES.get((model, system), _NOTES.get((model, ""), "")) if found.max() > TARGET else ""
    basis = f"kernel rates, {_FITTED.get(system, 'Llama 3 8B on 8 GPUs')}"
    if MODELS[model].routing is not None:
        basis += ", DeepSeek-V3 on GB300"
    return Row(subject, basis, len(found), "worst", float(found.max()), TARGET, mine[0].source, note)


def _precision(job: Job) -> str:
    return job.compute.precision if job.compute else ""


def _run(row: dict[str, str]) -> Run:
    tp, pp, cp, vpp, ep, zero = (int(row[name]) for name in ("tp", "pp", "cp", "vpp", "ep", "zero"))
    gpus, sequence = int(row["gpus"]), int(row["sequence"])
    dp = gpus // (tp * pp * cp)
    micro = int(row["micro_batch"])
    batch = Batch(sequence, micro, int(row["global_batch"]) // (dp * micro))
    overlap = tuple(sorted({*OVERLAPPED, *row["overlap"].split()}))
    fused = row["run"] != "megatron"
    job = Job(
        f"{row['model']} on {gpus} {row['system'].upper()}",
        gpus,
        MODELS[row["model"]],
        Parallel(tp, cp, ep, dp, pp, vpp, zero=zero),
        batch=batch,
        compute=Compute(precision=row["precision"], recompute=row["recompute"], fused_attention=fused, overlap=overlap),
    )
    tokens = int(row["global_batch"]) * sequence / gpus
    seconds = float(row["seconds"]) if row["seconds"] else tokens / float(row["tokens_per_s_gpu"])
    return Run(row["run"], row["use"], row["system"], job, seconds, row["source"])
