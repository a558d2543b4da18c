"""What more moves buy when a plan is changed: hosts exchanged one pair at a time, the most gain a moved rank first.

After lost hosts were replaced, what they leave behind may be far from the best plan. Blocks (the ranks of a host) are
exchanged with each other or sent to free hosts; blocks that moved anyway come first, as moving them on costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.price import floors, predict
from topoplan.model.fabric import IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.orders import one_component, usable_hosts
from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, Watch
from topoplan.solvers.ranks.replan import key_of
from topoplan.solvers.ranks.steering.blocks import contract
from topoplan.solvers.ranks.steering.pricer import Pricer
from topoplan.solvers.ranks.steering.steer import Steering

STEPS = 32  # exchanges of a curve: each is priced in full
SMALL = 64  # hosts up to which every pair is looked at, not only pairs of one that moved
PHASE = "moves"


@dataclass(frozen=True, eq=False)
class Change:
    """A placement, its price, and the ranks that it moves away from the previous one."""

    gpu: IntArray
    prediction: Prediction
    moved: IntArray


@dataclass(frozen=True, eq=False)
class Before:
    """GPU of each rank in the previous plan, [ranks] int64, below 0 where it is gone."""

    gpu: IntArray

    def change(self, problem: RankProblem, gpu: IntArray) -> Change:
        """A placement as a change of the previous one."""
        return Change(gpu, predict(problem.fabric, problem.traffic, gpu), np.flatnonzero(gpu != self.gpu))


def curve(problem: RankProblem, before: Before, start: IntArray, params: RankParams, watch: Watch) -> list[Change]:
    """Changes from the fewest moves on (`start`), each better in the objective than those with fewer moves."""
    key, rule = key_of(problem.objective), Whole(problem)
    found = [before.change(problem, start)]
    value = key(found[0].prediction)[0]

    def told(progress: Progress) -> bool:
        return watch(Progress(progress.phase, progress.done, value * progress.value, 0.0))

    if problem.fabric.groups and not problem.fabric.islands:
        steps = _Exchange(problem, before, start).steps(params.proposals // 2, told)
        found += [before.change(problem, gpu) for gpu in steps if not rule.splits(gpu) or rule.splits(start)]
    found.sort(key=lambda c: (len(c.moved), key(c.prediction)))
    best: list[Change] = []
    for change in found:
        if not best or key(change.prediction)[0] < key(best[-1].prediction)[0] * (1 - 1e-9):
            best.append(change)
    return best


class _Exchange:
    """Blocks and spare hosts of a placement, and the price of exchanging two."""

    def __init__(self, problem: RankProblem, before: Before, start: IntArray) -> None:
        fabric = problem.fabric
        self.problem, self.before, self.gpu = problem, before, start
        hosts, first, index = np.unique(fabric.gpu_host[start], return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.argsort(order)
        spare = np.setdiff1d(one_component(problem, usable_hosts(problem)), hosts)
        self.place = np.concatenate([hosts[order], spare])
        self.block = np.asarray(number[index], np.int64)
        self.used = len(hosts)
        blocks = contract(fabric, problem.traffic, self.block, len(self.place), fabric.gpu_rail[start])
        pricer = Pricer(fabric, blocks, floors(fabric, problem.traffic, start), problem.traffic.exposure)
        self.state = Steering(pricer, self.place, problem.objective) if blocks.axes else None
        width = int(fabric.host_gpus.max()) + 1
        self.kind = fabric.host_type[self.place] * width + problem.free[self.place]
        self.at = self.place.copy()
        # ranks of a block that are where they were, when it is on the host that it is on now
        self.stay = np.bincount(self.block[start == before.gpu], minlength=len(self.place))
        self.home = np.where(self.stay > 0, self.place, -1)

    def steps(self, evaluations: int, watch: Watch) -> list[IntArray]:
        """GPU of each rank after each exchange."""
        found: list[IntArray] = []
        state, left = self.state, evaluations
        if state is None or state.value <= 0:
            return []
        first = state.value
        while len(found) < STEPS and left > 0:
            if not watch(Progress(PHASE, len(found) / STEPS, state.value / first, 0.0)):
                break
            best: tuple[float, int, int] | None = None
            for x, y in self._pairs():
                if left <= 0:
                    break
                left -= 1
                gain = -state.swap([(x, y)])
                state.swap([(x, y)])
                if gain > 1e-9 * state.value:
                    score = gain / max(self._added(x, y), 0.5)
                    if best is None or score > best[0]:
                        best = (score, x, y)
            if best is None:
                break
            _, x, y = best
            state.swap([(x, y)])
            self.at[[x, y]] = self.at[[y, x]]
            found.append(self._gpu())
        return found

    def _pairs(self) -> list[tuple[int, int]]:
        """Pairs of a block and another block or a spare host of the same kind in another group, moved blocks first."""
        group = np.array(self.state.group if self.state else [])
        moved = self.at[: self.used] != self.home[: self.used]
        first = np.flatnonzero(moved).tolist()
        rest = np.flatnonzero(~moved).tolist() if len(self.place) <= SMALL else []
        return [
            (x, int(y))
            for x in (*first, *rest)
            for y in np.flatnonzero((self.kind == self.kind[x]) & (group != group[x]))
            if x < y or y not in (*first, *rest)
        ]

    def _added(self, x: int, y: int) -> int:
        """Ranks that an exchange moves which were where they had been, less those that it brings back."""
        added = 0
        for block, to in ((x, self.at[y]), (y, self.at[x])):
            if block < self.used and self.home[block] >= 0:
                added += int(self.stay[block]) * (int(self.at[block] == self.home[block]) - int(to == self.home[block]))
        return added

    def _gpu(self) -> IntArray:
        """[ranks] int64 GPU of each rank: the n-th usable GPU of its block's host, as it was on the first."""
        problem, fabric = self.problem, self.problem.fabric
        usable = np.flatnonzero(fabric.gpu_free & (problem.free[fabric.gpu_host] > 0))
        first = np.searchsorted(fabric.gpu_host[usable], np.arange(len(fabric.hosts)))
        nth = np.searchsorted(usable, self.gpu) - first[fabric.gpu_host[self.gpu]]
        return np.asarray(usable[first[self.at[self.block]] + nth], np.int64)
