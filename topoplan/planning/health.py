"""What is irregular in a fabric, and what each irregularity costs a job.

The cost is a factor: how much longer the standard all-to-all and the standard ring all-reduce over the whole fabric
(`topoplan.cost.standard`) take at the irregular part than where all is as usual, other irregularities apart. A part
that the hosts' NICs hide costs nothing, 1.00.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from topoplan import names
from topoplan.cost import standard
from topoplan.cost.ecmp import port_loads, switch_loads
from topoplan.cost.switches import SwitchGraph, switch_graph
from topoplan.cost.trunks import Trunk, find_trunks, switch_seconds
from topoplan.errors import InputError
from topoplan.model.below import below
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.units import rate_text

_NAMED = 6  # assumed: switches that a finding names before it only counts them


@dataclass(frozen=True, slots=True)
class Finding:
    """Something irregular.

    Parameters
    ----------
    kind
        "cut-off", "missing-nic", "slow-nic", "uneven-trunk", "uneven-uplink", "single-trunk", "uneven-groups" or
        "unknown-switches".
    where
        Hosts, switch or group.
    says
        What is wrong, in words.
    all_to_all, all_reduce
        Times longer that part of the standard job takes, infinite where it cannot run; None where nothing is lost now.
    """

    kind: str
    where: str
    says: str
    all_to_all: float | None = None
    all_reduce: float | None = None

    @property
    def cost(self) -> float | None:
        """The worse of both factors; None where nothing is lost now."""
        known = [factor for factor in (self.all_to_all, self.all_reduce) if factor is not None]
        return max(known, default=None)


def examine(fabric: Fabric) -> tuple[Finding, ...]:
    """All findings of a fabric, the costliest first."""
    found = [*_missing_nics(fabric), *_slow_nics(fabric), *_uneven_groups(fabric)]
    try:
        graph = switch_graph(fabric)
    except InputError as error:
        found.append(Finding("unknown-switches", "links", f"{error}; the cables are not examined, only the uplinks"))
        fabric = replace(fabric, links=())
        graph = switch_graph(fabric)
    if graph.port_switch[0].shape[1]:
        found += [*_cut_off(fabric, graph), *(_trunks(fabric, graph) if fabric.links else _uplinks(fabric, graph))]
    return tuple(sorted(found, key=lambda item: (-(item.cost or 0), item.kind)))


# ---- hosts -----------------------------------------------------------------------------------------------------


def _missing_nics(fabric: Fabric) -> Iterator[Finding]:
    """Hosts with fewer NICs than most."""
    nics = np.array([len(kind.nics) for kind in fabric.host_types])[fabric.host_type]
    usual = _commonest(nics.tolist())
    gpus = _commonest(fabric.host_gpus[nics == usual].tolist())
    usual_rails = {nic.rail for kind in fabric.host_types if len(kind.nics) == usual for nic in kind.nics}
    for number in sorted(set(nics[nics < usual].tolist())):
        kinds = [i for i, kind in enumerate(fabric.host_types) if len(kind.nics) == number]
        rails = sorted(usual_rails - {nic.rail for i in kinds for nic in fabric.host_types[i].nics})
        says = f"{number} NICs, not {usual}" + (f"; none on rail {', '.join(map(str, rails))}" if rails else "")
        says += f"; the cost is that of {gpus} GPUs sharing them"
        cost = np.inf if number == 0 else -(-gpus // number) / -(-gpus // usual)
        yield Finding("missing-nic", _hosts(fabric, nics == number), says, cost, cost)


def _slow_nics(fabric: Fabric) -> Iterator[Finding]:
    """Hosts with a NIC slower than most."""
    speeds = [min((nic.bandwidth_bytes_per_s for nic in kind.nics), default=0.0) for kind in fabric.host_types]
    slowest = np.array(speeds)[fabric.host_type]
    usual = _commonest(slowest[slowest > 0].tolist())
    for speed in sorted(set(slowest[(slowest > 0) & (slowest < usual)].tolist())):
        says = f"a NIC at {rate_text(speed)}, not {rate_text(usual)}"
        yield Finding("slow-nic", _hosts(fabric, slowest == speed), says, usual / speed, usual / speed)


def _uneven_groups(fabric: Fabric) -> Iterator[Finding]:
    """Tiers whose groups hold different numbers of hosts: nothing is lost, but few jobs fit them evenly."""
    held = below(fabric).hosts
    for t, tier in enumerate(fabric.tiers):
        sizes = np.array([len(held[k]) for k, group in enumerate(fabric.groups) if group.tier == t and len(held[k])])
        if len(set(sizes.tolist())) > 1:
            usual = int(_commonest(sizes.tolist()))
            most = f"{int((sizes == usual).sum())} of {len(sizes)} hold {usual}"
            says = f"groups hold {sizes.min()} to {sizes.max()} hosts; {most}"
            yield Finding("uneven-groups", f"tier {tier.name}", says)


# ---- the network -----------------------------------------------------------------------------------------------


def _cut_off(fabric: Fabric, graph: SwitchGraph) -> Iterator[Finding]:
    """Hosts that reach no path to most others, on some rails or all."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    size = len(graph.names)
    rails_of: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    present = fabric.port_bandwidth.reshape(-1, fabric.rails) > 0
    for plane, matrix in enumerate(graph.port_switch):
        links = graph.in_plane(plane)
        joined = csr_array((np.ones(len(links)), (graph.a[links], graph.b[links])), shape=(size, size))
        part = np.asarray(connected_components(joined, directed=False)[1])
        at = np.full(matrix.shape[0], -1)
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        at[rows] = part[matrix.indices]
        parts = at.reshape(-1, fabric.rails)
        for rail in range(fabric.rails):
            here = parts[present[:, rail], rail]
            if len(set(here.tolist())) > 1:
                alone = present[:, rail] & (parts[:, rail] != _commonest(here[here >= 0].tolist() or [-1]))
                rails_of[tuple(np.flatnonzero(alone).tolist())].add(rail)
    for hosts, rails in rails_of.items():
        mask = np.isin(np.arange(len(fabric.hosts)), hosts)
        which = "any rail" if len(rails) == fabric.rails else f"rail {', '.join(map(str, sorted(rails)))}"
        says = f"{len(hosts)} hosts have no path to the others on {which}"
        yield Finding("cut-off", _hosts(fabric, mask), says, np.inf, np.inf)


def _trunks(fabric: Fabric, graph: SwitchGraph) -> Iterator[Finding]:
    """Switches whose cables upwards are not as their like, where the real cables are known."""
    trunks = find_trunks(graph)
    costs = _Costs(fabric, graph, trunks.mended)
    by_switch: defaultdict[int, list[Trunk]] = defaultdict(list)
    for trunk in trunks.irregular:
        by_switch[trunk.low].append(trunk)
    for low, items in by_switch.items():
        yield Finding("uneven-trunk", graph.names[low], _trunk_text(graph, items), *costs(low))
    for low in trunks.single:
        yield Finding("single-trunk", graph.names[low], "one cable leads up; all below is cut off if it fails")


def _trunk_text(graph: SwitchGraph, items: list[Trunk]) -> str:
    few: defaultdict[str, list[str]] = defaultdict(list)
    for trunk in items:
        name = graph.names[trunk.high]
        if trunk.cables < trunk.usual:
            few[f"{trunk.cables:g} of {trunk.usual:g} cables to" if trunk.cables else "no cable to"].append(name)
        if 0 < trunk.bandwidth < trunk.usual_bandwidth:
            speed, usual = rate_text(trunk.bandwidth), rate_text(trunk.usual_bandwidth)
            few[f"a cable at {speed}, not {usual}, to"].append(name)
    return "; ".join(f"{what} {_listed(names_)}" for what, names_ in sorted(few.items()))


def _uplinks(fabric: Fabric, graph: SwitchGraph) -> Iterator[Finding]:
    """Groups with less uplink for their NICs than most of their tier, where only the tiers are known."""
    low_of = {int(a): i for i, a in enumerate(graph.a)}
    index = {name: i for i, name in enumerate(graph.names)}
    nics = below(fabric).bandwidth
    uneven: dict[int, tuple[str, float]] = {}  # link -> group and rail in words, and its usual capacity
    single: list[str] = []
    for t in range(len(fabric.tiers)):
        links = [
            (low_of[node], k, rail)
            for k, group in enumerate(fabric.groups)
            if group.tier == t and group.parent >= 0
            for rail in range(group.rails)
            if (node := index.get(f"{group.name} rail {rail}" if group.rails > 1 else group.name, -1)) in low_of
        ]
        single += [_rail_name(fabric, k, rail) for link, k, rail in links if graph.count[link] == 1]
        usual = _commonest([float(graph.capacity[link]) for link, _, _ in links] or [0.0])
        demand = {link: nics[k, rail] for link, k, rail in links}
        ratios = [demand[link] / usual for link, _, _ in links if graph.capacity[link] == usual]
        for link, k, rail in links:
            if graph.capacity[link] < usual and demand[link] / graph.capacity[link] > 1.001 * float(np.median(ratios)):
                uneven[link] = (_rail_name(fabric, k, rail), usual)
    capacity = graph.capacity.copy()
    capacity[list(uneven)] = [usual for _, usual in uneven.values()]
    count = np.divide(capacity, graph.bandwidth, where=graph.bandwidth > 0, out=graph.count.copy())
    mended = replace(graph, count=count)
    costs = _Costs(fabric, graph, mended)
    for link, (where, usual) in uneven.items():
        says = f"{rate_text(graph.capacity[link])} up, not {rate_text(usual)} as most"
        yield Finding("uneven-uplink", where, says, *costs(int(graph.a[link])))
    for where in single:
        yield Finding("single-trunk", where, "one cable leads up; all below is cut off if it fails")


@dataclass(frozen=True, eq=False)
class _Costs:
    """Slowdown of the standard jobs at each switch; nothing is priced before it is asked for."""

    fabric: Fabric
    graph: SwitchGraph
    mended: SwitchGraph

    def __call__(self, switch: int) -> tuple[float, float]:
        """Slowdown of the all-to-all and of the all-reduce at a switch."""
        all_to_all, all_reduce = (self._slowdown(job, switch) for job in (0, 1))
        return all_to_all, all_reduce

    def _slowdown(self, job: int, switch: int) -> float:
        floors, now, then = self._seconds
        usual = max(floors[job], float(then[job][switch]))
        return max(1.0, float(now[job][switch]) / usual) if usual else 1.0

    @cached_property
    def _seconds(self) -> tuple[list[float], list[FloatArray], list[FloatArray]]:
        """Of each job, seconds of a usual NIC, and of each switch as it is and as it should be."""
        demand = standard.all_to_all(self.fabric, self.graph)
        around = standard.ring(self.fabric)
        ones = np.ones(len(around[0]))
        now, then = (
            [switch_seconds(switch_loads(graph, demand)), switch_seconds(port_loads(graph, *around, ones))]
            for graph in (self.graph, self.mended)
        )
        nic = _median(self.fabric.port_bandwidth)
        floors = [_median(_nic_bytes(self.fabric)) / nic, 1 / nic] if nic else [0.0, 0.0]
        return floors, now, then


def _nic_bytes(fabric: Fabric) -> FloatArray:
    """[hosts * rails] float64 bytes that enter each port in the all-to-all."""
    reach = standard.receivers(fabric)
    island = standard.host_island(fabric)
    inside = np.bincount(island, reach.sum(1))[island]
    result: FloatArray = (standard.arrivals(fabric, reach) * (reach.sum() - inside)[:, None]).ravel()
    return result


# ---- words -----------------------------------------------------------------------------------------------------


def _commonest(values: Iterable[float]) -> float:
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], value), default=0)


def _median(values: FloatArray) -> float:
    used = values[values > 0]
    return float(np.median(used)) if len(used) else 0.0


def _hosts(fabric: Fabric, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    return names.compress([fabric.host_names[h] for h in np.flatnonzero(mask)])


def _listed(found: list[str]) -> str:
    return ", ".join(found) if len(found) <= _NAMED else f"{', '.join(found[:_NAMED])} and {len(found) - _NAMED} more"


def _rail_name(fabric: Fabric, k: int, rail: int) -> str:
    group = fabric.groups[k]
    return f"{group.name} rail {rail}" if group.rails > 1 else group.name
