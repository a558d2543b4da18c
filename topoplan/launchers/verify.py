"""Whether a launcher did what the plan says, and if not, why it most likely did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from topoplan.launchers.base import Launcher, Seat, Symptom
from topoplan.launchers.diagnose import Finding, Orders, diagnose
from topoplan.launchers.match import HostNames
from topoplan.launchers.reports import Reports
from topoplan.launchers.table import host_rows
from topoplan.model.placement import RankPlacement

_GENERAL: Mapping[Symptom, str] = {
    Symptom.ALONE: "every process believes that it is alone, rank 0 of 1: mpirun of one MPI started a program of "
    "another, srun was not told the program's MPI (--mpi=), or nothing that gives ranks started them",
    Symptom.DUPLICATE: "several processes have one rank: the job was started twice, or hosts were started with the "
    "same node rank",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES is not the planned one",
    Symptom.FOREIGN_HOST: "{host} is not in the plan: the scheduler gave other hosts; plan again for these",
    Symptom.PACKED: "the first hosts took more ranks than planned: the launcher filled the slots that it saw",
    Symptom.LOCAL_FIRST: "{host} was moved to the front and the rest kept its order, as Open MPI 4 does with the host "
    "where mpirun runs when it is given a plain hostfile",
    Symptom.SORTED: "hosts came sorted by name, as torchrun's c10d rendezvous and srun --nodelist sort them",
    Symptom.REVERSED: "hosts came in reverse: whatever wrote the list of hosts counted downwards",
    Symptom.ROTATED: "hosts came in the planned order, but another one is first: the one that a launcher runs on, as "
    "with MPIJob's runLauncherAsWorker or PyTorchJob's Master",
    Symptom.SHIFTED: "ranks are in the planned order but moved: another process took the first ranks, as a launcher "
    "that counts as one, or counting began at 1",
    Symptom.ROUND_ROBIN: "ranks were dealt to hosts in turn (--map-by node, cyclic distribution)",
    Symptom.BLOCKS: "the hosts are in the planned order, but each was filled before the next, as MPIs do that fold a "
    "host's lines into one",
    Symptom.MISSING: "ranks of the plan were not seen: fewer processes were started than planned, or some died",
    Symptom.EXTRA: "more ranks were seen than planned: more processes were started",
    Symptom.OTHER: "the order of hosts is not the planned one, nor one that a known launcher makes; where a scheduler "
    "ties no process to a host, as Kubernetes with its pods, start the program through the rank shim",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A rank that is not where the plan wants it.

    Parameters
    ----------
    planned
        None for a rank that the plan does not have.
    observed
        None for a rank that was not seen.
    reason
        Only on the first difference of a comparison: what most likely happened and what to do.
    """

    rank: int
    planned: Seat | None
    observed: Seat | None
    reason: str = ""

    def __str__(self) -> str:
        text = f"rank {self.rank}: planned {_show(self.planned)}, observed {_show(self.observed)}"
        return f"{text}\n  {self.reason}" if self.reason else text


def _show(seat: Seat | None) -> str:
    if seat is None:
        return "nowhere"
    return seat.host if seat.gpu is None else f"{seat.host} GPU {seat.gpu}"


def compare(
    placement: RankPlacement, observed: Sequence[Seat | None], launcher: Launcher | None = None
) -> list[Difference]:
    """Ranks that are not where the plan says, in rank order; empty when all are.

    Parameters
    ----------
    observed
        Seat of each rank, hosts by any of their names, None for a rank not seen; a GPU of None is not compared.
    launcher
        What made the order, so that the first difference can be explained in its terms.

    Raises
    ------
    InputError
        A host name that fits several hosts of the fabric.
    """
    found = _host_indices(placement, observed)
    names = placement.fabric.host_names
    hosts, local = placement.host.tolist(), placement.local.tolist()
    differences = []
    for rank in range(max(len(hosts), len(observed))):
        planned = Seat(names[hosts[rank]], local[rank]) if rank < len(hosts) else None
        seen = observed[rank] if rank < len(observed) else None
        same = planned and seen and found[rank] == hosts[rank] and seen.gpu in (None, planned.gpu)
        if not same:
            differences.append(Difference(rank, planned, seen))
    if differences:
        orders = Orders(hosts, found, names, local, observed)
        differences[0] = replace(differences[0], reason=_reason(diagnose(orders), launcher))
    return differences


def compare_reports(placement: RankPlacement, reports: Reports, launcher: Launcher | None = None) -> list[Difference]:
    """As `compare`, of what processes said: also ranks that several of them have, and processes without a rank."""
    if not reports.claims:
        found = compare(placement, reports.order, launcher)
        if found and reports.silent:
            count, host = len(reports.silent), reports.silent[0]
            reason = f"{count} processes were told no rank, the first on {host}: nothing that gives ranks started them"
            found[0] = replace(found[0], reason=reason)
        return found
    names, hosts, local = placement.fabric.host_names, placement.host, placement.local
    differences = []
    for rank, seats in reports.claims.items():
        planned = Seat(names[hosts[rank]], int(local[rank])) if rank < placement.ranks else None
        differences += [Difference(rank, planned, seat) for seat in seats]
    symptom = Symptom.ALONE if reports.alone else Symptom.DUPLICATE
    who = sorted({seat.host for seat in next(iter(reports.claims.values()))})
    detail = f"rank {differences[0].rank} is on {', '.join(who[:4])}{' ...' if len(who) > 4 else ''}"
    finding = Finding(symptom, differences[0].observed.host if differences[0].observed else "", detail)
    differences[0] = replace(differences[0], reason=_reason([finding], launcher))
    return differences


def nic_warnings(placement: RankPlacement, reports: Reports) -> list[str]:
    """What keeps NCCL from the planned NICs, in sentences: a device that a rank does not see, or another list."""
    found = []
    for row in host_rows(placement):
        for rank in row.ranks if row.hcas else ():
            seen, told = reports.nics.get(rank, ()), reports.hcas.get(rank)
            gone = [name for name in row.hcas if name not in seen]
            if seen and gone:
                found.append(f"rank {rank} on {row.host} does not see {', '.join(gone)}")
            elif told is not None and _devices(told) != set(row.hcas):
                found.append(f"rank {rank} on {row.host} has NCCL_IB_HCA={told}, the plan ={','.join(row.hcas)}")
    return found


def _devices(text: str) -> set[str]:
    """Devices of NCCL_IB_HCA, without "=" and ports."""
    return {word.split(":")[0] for word in text.lstrip("=").split(",") if word}


def _host_indices(placement: RankPlacement, observed: Sequence[Seat | None]) -> list[int | None]:
    """Host of each seat: -1 where the fabric has none of that name, None for no seat."""
    names = HostNames(placement.fabric)
    index: dict[str, int] = {}
    for name in dict.fromkeys(seat.host for seat in observed if seat is not None):
        h = names.find(name)
        index[name] = -1 if h is None else h
    return [None if seat is None else index[seat.host] for seat in observed]


def _reason(findings: Sequence[Finding], launcher: Launcher | None) -> str:
    """The first finding that the launcher is known for, else the first, in words."""
    known = launcher.explains if launcher else {}
    finding = next((found for found in findings if found.symptom in known), findings[0])
    text = {**_GENERAL, **known}[finding.symptom].replace("{host}", finding.host)
    detail = finding.detail
    if finding.symptom is Symptom.OTHER and findings[0] is not finding:  # what it looks like, all the same
        detail = findings[0].detail or findings[0].symptom.value
    return f"{text} ({detail})" if detail else text
