"""Whether a launcher did what the plan says, and if not, why it most likely did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from topoplan.launchers.base import Launcher, Seat, Symptom
from topoplan.launchers.match import HostNames
from topoplan.model.placement import RankPlacement
from topoplan.names import natural_key

_GENERAL: Mapping[Symptom, str] = {
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: CUDA_VISIBLE_DEVICES is not the planned one",
    Symptom.FOREIGN_HOST: "{host} is not in the plan: the scheduler gave other hosts; plan again for these",
    Symptom.PACKED: "the first hosts took more ranks than planned: the launcher filled the slots that it saw",
    Symptom.LOCAL_FIRST: "{host} was moved to the front and the rest kept its order, as Open MPI 4 does with the host "
    "where mpirun runs when it is given a plain hostfile",
    Symptom.SORTED: "hosts came sorted by name, as torchrun's c10d rendezvous and srun --nodelist sort them",
    Symptom.ROUND_ROBIN: "ranks were dealt to hosts in turn (--map-by node, cyclic distribution)",
    Symptom.BLOCKS: "the hosts are in the planned order, but each was filled before the next",
    Symptom.MISSING: "ranks of the plan were not seen: fewer processes were started than planned",
    Symptom.EXTRA: "more ranks were seen than planned: more processes were started",
    Symptom.OTHER: "the order of hosts is not the planned one, nor one that a known launcher makes",
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


def compare(placement: RankPlacement, observed: Sequence[Seat], launcher: Launcher | None = None) -> list[Difference]:
    """Ranks that are not where the plan says, in rank order; empty when all are.

    Parameters
    ----------
    observed
        Seat of each rank, hosts by any of their names; a GPU of None is not compared.
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
        first = differences[0]
        differences[0] = Difference(first.rank, first.planned, first.observed, _reason(placement, observed, launcher))
    return differences


def _host_indices(placement: RankPlacement, observed: Sequence[Seat]) -> list[int]:
    """Host of each seat, -1 where the fabric has none of that name."""
    names = HostNames(placement.fabric)
    index: dict[str, int] = {}
    for name in dict.fromkeys(seat.host for seat in observed):
        h = names.find(name)
        index[name] = -1 if h is None else h
    return [index[seat.host] for seat in observed]


def _reason(placement: RankPlacement, observed: Sequence[Seat], launcher: Launcher | None) -> str:
    seen = _host_indices(placement, observed)
    symptom, rank = diagnose(placement.host.tolist(), seen, placement.fabric.host_names)
    texts = {**_GENERAL, **(launcher.explains if launcher else {})}
    return texts[symptom].replace("{host}", observed[rank].host if rank < len(observed) else "")


def diagnose(planned: list[int], seen: list[int], names: Sequence[str]) -> tuple[Symptom, int]:
    """What an order of hosts that is not as planned looks like, and a rank that shows it.

    Parameters
    ----------
    planned, seen
        Host index of each rank; -1 for a host that the fabric does not have.
    names
        Name of each host.
    """
    used = set(planned)
    foreign = next((rank for rank, host in enumerate(seen) if host not in used), None)
    if foreign is not None:
        return Symptom.FOREIGN_HOST, foreign
    if len(seen) != len(planned):
        return (Symptom.MISSING if len(seen) < len(planned) else Symptom.EXTRA), min(len(seen), len(planned))
    wanted, order = list(dict.fromkeys(planned)), list(dict.fromkeys(seen))
    shown = [names[host] for host in order]
    signs = {
        Symptom.GPU_ORDER: planned == seen,
        Symptom.PACKED: len(order) < len(wanted),
        Symptom.ROUND_ROBIN: _is_dealt(seen, order),
        Symptom.BLOCKS: order == wanted,
        Symptom.LOCAL_FIRST: order[1:] == [host for host in wanted if host != order[0]],
        Symptom.SORTED: shown in (sorted(shown), sorted(shown, key=natural_key)),
    }
    return next((symptom for symptom, present in signs.items() if present), Symptom.OTHER), 0


def _is_dealt(seen: list[int], order: list[int]) -> bool:
    """Whether ranks go round the hosts, more than once."""
    return len(seen) > len(order) > 1 and seen == [order[rank % len(order)] for rank in range(len(seen))]
