"""NCCL against its tables within a host, and published all-reduces over many."""

from __future__ import annotations

from functools import partial

import numpy as np

from topoplan.cost.collectives.protocols import fit_two, switch_bytes
from topoplan.cost.collectives.saturating import fit
from topoplan.cost.collectives.schedules import Call
from topoplan.cost.collectives.timing import cheapest
from topoplan.model.fabric import Fabric, FloatArray, Group, Host, HostType, Island, Nic, Tier
from topoplan.studies.validation.kernels import held_out
from topoplan.studies.validation.points import read
from topoplan.studies.validation.row import Row, errors

GIB = 2.0**30
NIC = 50e9  # 400 Gb/s a GPU, in all of the machines here
# NVLink of each direction, and whether its switches reduce, of systems whose table is predicted from link rates
# (NVIDIA datasheets: NVLink 3, 4 and 5; NVLS needs the switches of Hopper or later).
SYSTEMS = {"a100_sxm": (300e9, False), "h100_sxm": (450e9, True), "h200_sxm": (450e9, True), "b200_sxm": (900e9, True)}
# Systems without NVLink, and why they may be missed.
PCIE = {
    "l40s": "points jump up and down by half without a reason in sizes: 115 ms for 256 MiB where 128 MiB take 99 ms",
    "rtx_pro_6000_server": "no NVLink: a line for each of NCCL's two protocols, changed over at the size of its table",
}


def machine(domains: int, gpus: int, nvlink: float, routing: str, *, trays: int = 1) -> Fabric:
    """NVLink domains of `gpus` GPUs, a host or `trays` hosts each, under one switch."""
    kind = HostType("host", gpus // trays, tuple(Nic(i, NIC, i) for i in range(gpus // trays)), gpus // trays, nvlink)
    hosts = tuple(Host(f"n{h}", 0, 0) for h in range(domains * trays))
    islands = [Island(f"d{d}", tuple(range(d * trays, (d + 1) * trays)), nvlink) for d in range(domains)]
    return Fabric(
        "measured", routing, (kind,), hosts, (Tier("leaf", 10.0),), (Group("leaf", 0),),
        islands=tuple(islands) if trays > 1 else (),
    )  # fmt: skip


def predicted(fabric: Fabric, op: str, gpus: int, domain: int, sizes: FloatArray, *, nvls: bool) -> FloatArray:
    """[sizes] float64 seconds of the quickest algorithm."""
    groups, gpu = np.arange(gpus)[None, :], np.arange(fabric.gpus)
    offload = frozenset({"nvls"}) if nvls else frozenset[str]()
    return np.array([cheapest(Call(op, groups, float(b), domain), fabric, gpu, offload)[0].seconds for b in sizes])


def one_host() -> list[Row]:
    """Each system's tables: every operation's form, sizes held out."""
    table, rows = read("nccl_one_host"), []
    for system in sorted(set(table.columns["system"])):
        mine = table.where(system=system)
        gpus, version = mine.columns["gpus"][0], mine.columns["nccl"][0]
        parts = []
        for op in sorted(set(mine.columns["op"])):
            points = mine.where(op=op)
            form = partial(fit_two, switch=switch_bytes(op, int(gpus))) if system in PCIE else fit
            parts.append(held_out(points.numbers("size_bytes"), points.numbers("time_us") * 1e-6, form))
        found = np.concatenate(parts)
        subject = f"NCCL {version} on {gpus} GPUs of one {system}, {len(parts)} operations, 512 B to 512 MiB"
        rows.append(
            Row(subject, "every second size", len(found), "mean", float(found.mean()), 0.08, table.source,
                PCIE.get(system, ""))
        )  # fmt: skip
    return rows


def link_rates() -> list[Row]:
    """The same tables without a fit of their own: NCCL's latencies, link rates and one form for all NVLink."""
    table, rows = read("nccl_one_host"), []
    for system, (nvlink, nvls) in SYSTEMS.items():
        fabric, found = machine(1, 8, nvlink, "adaptive"), []
        for op in ("all_gather", "all_reduce", "all_to_all", "reduce_scatter"):
            part = table.where(system=system, op=op)
            sizes, seconds = part.numbers("size_bytes"), part.numbers("time_us") * 1e-6
            odd = np.arange(len(sizes)) % 2 == 1  # the others fitted the form
            found.append(errors(predicted(fabric, op, 8, 8, sizes[odd], nvls=nvls), seconds[odd]))
        every = np.concatenate(found)
        note = "NCCL switches protocols between 64 KiB and 4 MiB, which one form cannot follow"
        subject = f"NCCL on 8 GPUs of one {system}, from link rates alone"
        rows.append(
            Row(subject, "rates and latencies", len(every), "mean", float(every.mean()), None, table.source, note)
        )
    return rows


def inside() -> list[Row]:
    """NVLink SHARP and rings on some GPUs of a host, from all eight."""
    table, rows = read("all_reduce_inside"), []
    for system, nvlink in (("h200", 450e9), ("b200", 900e9)):
        fabric, found = machine(1, 8, nvlink, "adaptive"), []
        for algorithm in ("nvls", "ring"):
            mine = table.where(system=system, algorithm=algorithm)
            for gpus, busbw in zip(mine.numbers("gpus"), mine.numbers("busbw_gb_per_s"), strict=True):
                if gpus == 8:
                    continue  # this one set the rates
                call = Call("all_reduce", np.arange(int(gpus))[None, :], 8 * GIB, 8)
                times = {t.algorithm: t.seconds for t in cheapest(call, fabric, np.arange(8), frozenset({"nvls"}))}
                found.append(times[algorithm] / (2 * (gpus - 1) / gpus * 8 * GIB / (busbw * 1e9)) - 1)
        subject = f"all-reduce of 8 GiB on 5 to 7 GPUs of one {system}, NVLink SHARP and ring"
        worst = float(np.abs(found).max())
        rows.append(Row(subject, "8 GPUs", len(found), "worst", worst, None, table.source))
    return rows


# fabric, GPUs, NVLink domains, GPUs of a domain, hosts of a domain, NVLink, routing, GiB that set a rate, basis, note
_MANY: tuple[tuple[str, int, int, int, int, float, str, float, str, str], ...] = (
    ("h100", 96, 12, 8, 1, 450e9, "adaptive", 8.0, "one rate: 8 GiB on the same machine", ""),
    ("b200", 32, 4, 8, 1, 900e9, "ecmp", 4.0, "one rate: 4 GiB on the same machine", ""),
    ("gb200", 144, 2, 72, 18, 900e9, "adaptive", 0.0, "one rack of 72, and the InfiniBand rate of 96 H100", ""),
    (
        "gb200", 1440, 20, 72, 18, 900e9, "adaptive", 0.0, "one rack of 72, and the InfiniBand rate of 96 H100",
        "twenty racks take two to three times what all NICs would: as if rings left a rack by 8 of its 72 (inferred)",
    ),
)  # fmt: skip


def many_hosts() -> list[Row]:
    """All-reduces of 1 GiB and more; the size that set the fabric's rate is left out."""
    table, rows = read("all_reduce"), []
    for name, gpus, domains, domain, trays, nvlink, routing, fitted, basis, note in _MANY:
        mine = table.where(fabric=name, gpus=gpus)
        sizes, seconds = mine.numbers("size_bytes"), mine.numbers("time_us") * 1e-6
        judged = (sizes >= GIB) & (sizes != fitted * GIB)
        fabric = machine(domains, domain, nvlink, routing, trays=trays)
        found = errors(predicted(fabric, "all_reduce", gpus, domain, sizes[judged], nvls=True), seconds[judged])
        target = None if gpus > 144 else 0.15
        subject = f"all-reduce of 1 GiB and more on {gpus:,} {name.upper()}"
        source = ", ".join(sorted(set(mine.columns["source"])))
        rows.append(Row(subject, basis, len(found), "worst", float(found.max()), target, source, note))
    return rows
