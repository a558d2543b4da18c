"""What more moves buy when a plan is changed: hosts exchanged one pair at a time, the most gain a moved rank first.

After lost hosts were replaced, what they leave behind may be far from the best plan. Blocks (the ranks of a host) are
exchanged with each other or sent to free hosts; blocks that moved anyway come first, as moving them on costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.contraction import contraction, floors_s, follow, kinds, price
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, Watch
from topoplan.solvers.ranks.replan import key_of
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
        return Change(gpu, problem.once(price, gpu), np.flatnonzero(gpu != self.gpu))


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
        made = problem.once(contraction, start)
        self.place, self.block, self.used = made.place, made.block, made.blocks.used
        pricer = Pricer(fabric, made.blocks, problem.once(floors_s, start), problem.traffic.exposure)
        self.state = Steering(pricer, self.place, problem.objective) if made.blocks.axes else None
        self.kind = kinds(problem, self.place)
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
                state.undo()
                if gain > 1e-9 * state.value:
                    score = gain / max(self._added(x, y), 0.5)
                    if best is None or score > best[0]:
                        best = (score, x, y)
            if best is None:
                break
            _, x, y = best
            state.swap([(x, y)])
            self.at[[x, y]] = self.at[[y, x]]
            found.append(follow(self.problem, self.gpu, self.place, self.at))
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
