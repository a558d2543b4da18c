"""What is inside the hosts of a fabric as rows: which NICs each GPU uses, GPUs that are alike in one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from topoplan import names
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType, Nic
from topoplan.units import format_bandwidth, rate_text


@dataclass(frozen=True, slots=True)
class GpuRow:
    """GPUs of one host type: one, a run of them with NICs of their own in the same way, or a run that shares NICs.

    Parameters
    ----------
    gpus
        "3" or "0-7": indices as CUDA_VISIBLE_DEVICES has them.
    domain
        NVLink domain, for a run the domains, numbered from 0 in the host; "" for GPUs without NVLink.
    nics, rails
        Device names, or numbers where the fabric knows no names; "shared" where several GPUs use them.
    bandwidth
        Of each NIC.
    """

    gpus: str
    domain: str
    nics: str
    rails: str
    bandwidth: str


def used_types(fabric: Fabric) -> list[tuple[HostType, int]]:
    """Types that hosts have, and how many, in the fabric's order."""
    used = Counter(fabric.host_type.tolist())
    return [(kind, used[k]) for k, kind in enumerate(fabric.host_types) if used[k]]


def gpu_rows(kind: HostType) -> list[GpuRow]:
    """Rows of a host type; networks that ranks never talk over have a row without GPUs."""
    return [*_rows(kind), *_others(kind)]


def gpu_map(kind: HostType) -> list[dict[str, object]]:
    """The same for programs, an entry a GPU: {gpu, domain, nics: [{name, index, rail, plane, shared}]}."""
    users = Counter(i for nics in kind.nics_of_gpu for i in nics)
    return [
        {
            "gpu": gpu,
            "domain": kind.domain_of_gpu[gpu],
            "nics": [
                {
                    "name": kind.nics[i].name,
                    "index": i,
                    "rail": kind.nics[i].rail,
                    "plane": kind.nics[i].plane,
                    "shared": users[i] > 1,
                }
                for i in nics
            ],
        }
        for gpu, nics in enumerate(kind.nics_of_gpu)
    ]


def _rows(kind: HostType) -> Iterator[GpuRow]:
    """Rows of the GPUs of a type, runs of consecutive GPUs with consecutive NICs as one."""
    users = Counter(i for nics in kind.nics_of_gpu for i in nics)
    run: list[int] = []
    for gpu in range(kind.gpus):
        if run and not _continues(kind, run, gpu, users):
            yield _row(kind, run, users)
            run = []
        run.append(gpu)
    yield _row(kind, run, users)


def _continues(kind: HostType, run: list[int], gpu: int, users: Counter[int]) -> bool:
    """Whether a GPU shares the NICs of `run`, or goes on where it left off: as many, on the next rails, as fast."""
    first, a, b = (kind.nics_of_gpu[g] for g in (run[0], run[-1], gpu))
    if a == b:
        return first == a
    if (
        len(a) != len(b)
        or any(users[i] > 1 for i in (*a, *b))
        or any(j - i != len(a) for i, j in zip(a, b, strict=True))
    ):
        return False
    steps = {kind.nics[j].rail - kind.nics[i].rail for i, j in zip(a, b, strict=True)}
    return steps <= {1} and all(
        (kind.nics[i].bandwidth_bytes_per_s, kind.nics[i].plane)
        == (kind.nics[j].bandwidth_bytes_per_s, kind.nics[j].plane)
        and bool(kind.nics[i].name) == bool(kind.nics[j].name)
        for i, j in zip(a, b, strict=True)
    )


def _row(kind: HostType, gpus: list[int], users: Counter[int]) -> GpuRow:
    indices = list(dict.fromkeys(i for gpu in gpus for i in kind.nics_of_gpu[gpu]))
    nics = [kind.nics[i] for i in indices]
    named = (
        _named(nics) if all(nic.name for nic in nics) else f"{'NICs' if len(nics) > 1 else 'NIC'} {_numbers(indices)}"
    )
    shared = any(users[i] > 1 for i in indices)
    each = len(kind.nics_of_gpu[gpus[0]])
    how = " (shared)" if shared else f" ({each} each)" if each > 1 and len(gpus) > 1 else ""
    planes = sorted({nic.plane for nic in nics})
    rails = _numbers(sorted({nic.rail for nic in nics}))
    size = Counter(kind.domain_of_gpu)
    domains = sorted({kind.domain_of_gpu[gpu] for gpu in gpus})
    alone = all(size[domain] == 1 for domain in domains)
    speeds = sorted({nic.bandwidth_bytes_per_s for nic in nics})
    return GpuRow(
        _numbers(gpus),
        "" if alone else _numbers(domains),
        named + how if nics else "",
        f"{rails}, planes {_numbers(planes)}" if len(planes) > 1 else rails,
        ", ".join(rate_text(speed) for speed in speeds),
    )


def _others(kind: HostType) -> Iterator[GpuRow]:
    networks: dict[str, list[Nic]] = {}
    for nic in kind.other_nics:
        networks.setdefault(nic.network or "other", []).append(nic)
    for network, nics in networks.items():
        known = [nic for nic in nics if nic.name]
        told = _named(known) if len(known) == len(nics) else f"{len(nics)} NICs"
        speeds = sorted({nic.bandwidth_bytes_per_s for nic in nics if nic.bandwidth_bytes_per_s})
        yield GpuRow("", "", f"{told} ({network})", "", ", ".join(map(rate_text, speeds)))


def _named(nics: list[Nic]) -> str:
    return names.compress([nic.name for nic in nics]).replace(",", ", ")


def _numbers(values: list[int]) -> str:
    """Numbers with runs as ranges: "0-3, 7"."""
    text = names.compress([str(value) for value in values])
    return text.replace("[", "").replace("]", "").replace(",", ", ")


def scale_up_text(kind: HostType) -> str:
    """NVLink domains inside a host of a type, in words."""
    sizes = sorted(Counter(kind.domain_of_gpu).values(), reverse=True)
    if sizes[0] == 1:
        return "no NVLink between them"
    speed = format_bandwidth(kind.scale_up_bandwidth_bytes_per_s, bits=False)
    whole = "one NVLink domain" if len(sizes) == 1 else f"NVLink domains of {', '.join(map(str, sizes))}"
    return f"{whole}, {speed} a GPU"
