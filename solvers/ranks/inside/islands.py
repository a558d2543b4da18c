"""Where NVLink domains are wider than hosts: the job contracted to islands, and whole islands exchanged by price.

Ranks that move from island to island host by host, whole hosts of one type each, load NICs and NVLinks as before; only
uplinks tell. So what is true of hosts in the rest of the solver is true of islands here. That needs islands inside one
group of the lowest tier: wider ones have uplinks in their middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from topoplan.cost.price import floors
from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.compact.search import Compactor
from topoplan.solvers.ranks.orders import one_component, usable_hosts
from topoplan.solvers.ranks.problem import RankParams, RankProblem, Watch
from topoplan.solvers.ranks.steering.anneal import Annealer
from topoplan.solvers.ranks.steering.blocks import Blocks, contract
from topoplan.solvers.ranks.steering.pricer import Pricer
from topoplan.solvers.ranks.steering.steer import Steering


def exchange_islands(
    problem: RankProblem, gpu: IntArray, params: RankParams, watch: Watch, swaps: int
) -> list[tuple[str, IntArray]]:
    """Placements (name and [ranks] int64 GPU) made from `gpu` by exchanging the content of islands, spare ones too.

    None where islands are no wider than hosts, reach over several groups, or cannot take each other's ranks.

    Parameters
    ----------
    swaps
        Exchanges tried for few bytes x distance, for each proposal that is priced link by link.
    """
    fabric = problem.fabric
    if not fabric.islands or not fabric.groups:
        return []
    racks = Racks(problem, gpu)
    if not racks.exchangeable or not racks.blocks.axes:
        return []
    short = Compactor(fabric, racks.blocks, racks.place, racks.kind, params.seed).search(
        params.proposals * swaps, watch
    )
    pricer = Pricer(fabric, racks.blocks, floors(fabric, problem.traffic, gpu), problem.traffic.exposure)
    state = Steering(pricer, racks.place, problem.objective)
    refined = Annealer(state, racks.place, racks.kind, params.seed).search(params.proposals, watch)
    return [("islands", racks.follow(short)), ("islands refined", racks.follow(refined))]


@dataclass(frozen=True, eq=False)
class Racks:
    """A placement contracted to islands: block b is what island `islands[b]` holds; spare islands are empty blocks."""

    problem: RankProblem
    gpu: IntArray

    @cached_property
    def island(self) -> IntArray:
        """[hosts] int64 island of each host's first GPU."""
        fabric = self.problem.fabric
        return np.asarray(fabric.gpu_island[fabric.gpu_offset[:-1]], np.int64)

    @cached_property
    def hosts(self) -> list[IntArray]:
        """Hosts of each block that ranks may use whole: those in use first, each in physical order."""
        problem, fabric = self.problem, self.problem.fabric
        usable = one_component(problem, usable_hosts(problem))
        used = np.isin(usable, fabric.gpu_host[self.gpu])
        whole = used | (problem.free[usable] == fabric.host_gpus[usable])
        found = []
        for i in self.islands:
            mine = usable[(self.island[usable] == i) & whole]
            found.append(np.concatenate([mine[np.isin(mine, usable[used])], mine[~np.isin(mine, usable[used])]]))
        return found

    @cached_property
    def islands(self) -> IntArray:
        """[blocks] int64 islands in use by their first rank, then the spare ones."""
        problem = self.problem
        values, first = np.unique(problem.fabric.gpu_island[self.gpu], return_index=True)
        usable = one_component(problem, usable_hosts(problem))
        return np.concatenate([values[np.argsort(first)], np.setdiff1d(self.island[usable], values)])

    @cached_property
    def taken(self) -> IntArray:
        """[blocks] int64 hosts that each block takes."""
        hosts = np.unique(self.problem.fabric.gpu_host[self.gpu])
        return np.array([int((self.island[hosts] == i).sum()) for i in self.islands], np.int64)

    @cached_property
    def kind(self) -> IntArray:
        """[blocks] int64: islands of one kind hold each other's ranks; one that lends part of a host is of its own."""
        fabric, free = self.problem.fabric, self.problem.free
        sizes = np.unique(self.taken[self.taken > 0])
        kinds: dict[tuple[int, ...], int] = {}
        result = []
        for b, hosts in enumerate(self.hosts):
            types = np.unique(fabric.host_type[hosts])
            alike = len(types) == 1 and (free[hosts] == fabric.host_gpus[hosts]).all()
            key = (int(types[0]), int((sizes <= len(hosts)).sum())) if alike else (-1, b)
            result.append(kinds.setdefault(key, len(kinds)))
        return np.array(result, np.int64)

    @property
    def exchangeable(self) -> bool:
        """Whether two islands are of one kind, and every island is inside one group."""
        usable = one_component(self.problem, usable_hosts(self.problem))
        pairs = np.column_stack([self.island[usable], self.problem.fabric.host_group[usable]])
        inside = len(np.unique(pairs, axis=0)) == len(self.islands)
        return inside and len(np.unique(self.kind)) < len(self.kind)

    @cached_property
    def place(self) -> IntArray:
        """[blocks] int64 a host that stands for each island."""
        return np.array([hosts[0] if len(hosts) else self._any_host(b) for b, hosts in enumerate(self.hosts)], np.int64)

    def _any_host(self, block: int) -> int:
        return int(np.flatnonzero(self.island == self.islands[block])[0])

    @cached_property
    def blocks(self) -> Blocks:
        """The job contracted to islands."""
        fabric = self.problem.fabric
        number = np.full(int(fabric.gpu_island.max()) + 1, -1, np.int64)
        number[self.islands] = np.arange(len(self.islands))
        block = number[fabric.gpu_island[self.gpu]]
        return contract(fabric, self.problem.traffic, block, len(self.islands), fabric.gpu_rail[self.gpu])

    def follow(self, moved: IntArray) -> IntArray:
        """[ranks] int64 GPU of each rank once block b went to the island that host moved[b] stands for."""
        fabric = self.problem.fabric
        to = np.arange(len(fabric.hosts))
        block_at = {int(host): b for b, host in enumerate(self.place)}
        for b in range(self.blocks.used):
            hosts = self.hosts[b][: self.taken[b]]
            to[hosts] = self.hosts[block_at[int(moved[b])]][: len(hosts)]
        return np.asarray(fabric.gpu_offset[to[fabric.gpu_host[self.gpu]]] + fabric.gpu_local[self.gpu], np.int64)
