"""The exact task over sets of blocks: each group takes one set, and only few sets are any good.

A placement is a choice of one set of blocks for each group, such that the sets of sibling groups are disjoint and make
up the set of their parent (at the highest tier: all blocks). It costs the sum of what its sets cut, half of it as two
groups cut each flow. That is set partitioning. Its linear relaxation, solved by column generation, is a far sharper
bound than that of a model with a variable for each block and group; and its duals, prices of the blocks, leave few sets
that an optimal placement could contain. Those are listed in full, and CP-SAT chooses among them.

Bounds are Lagrangian: whatever the prices, no placement costs less than the prices of all blocks and, for each group,
the least by which any set's cut exceeds its prices. They hold for all placements, not only for those of known sets.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from topoplan.model.fabric import BoolArray, IntArray
from topoplan.solvers.ranks.exact.cpsat import Stop, cp_model, cp_solver
from topoplan.solvers.ranks.exact.relaxation import Family, Relaxation
from topoplan.solvers.ranks.exact.splits import WIDTH, Splitter, Taker
from topoplan.solvers.ranks.exact.task import ExactResult, ExactTask

NAME = "CP-SAT over sets of hosts"
MOST_SETS = 150_000  # sets listed, at most
SPLITS_A_UNIT = 50_000  # steps of splitting sets in a unit of work
SHARE = 0.6  # of the work for the relaxation, and of what is left for a first choice, at most
FIRST = 16  # part of the gap that is settled first

Choice = tuple[int, int]  # family, and which of its sets


def solve_sets(task: ExactTask, work: float, seed: int = 0, stop: Stop | None = None) -> ExactResult | None:
    """Best placement and bound within about `work` seconds; None where hosts are of several kinds or too many.

    Raises
    ------
    SolverMissingError
        OR-Tools is not installed.
    """
    if not task.levels or not len(task.ends) or len(np.unique(task.cell_kind)) > 1 or task.blocks > WIDTH:
        return None
    search = _Search(task, work, seed, stop or Stop())
    search.relax()
    if search.going:
        search.choose()
    while search.going and search.widen():
        pass
    return search.result()


class _Search:
    """The best placement and the least cost possible, in the relaxation's units."""

    def __init__(self, task: ExactTask, work: float, seed: int, stop: Stop) -> None:
        self.task, self.work, self.seed, self.stop = task, work, seed, stop
        self.sets = Relaxation(task)
        self.sets.learn(task.start)
        self.unit = self.sets.unit
        self.step = 2 * int(np.gcd.reduce([level.climb for level in task.levels]))  # all costs are multiples of it
        self.cell, self.cost, self.least = task.start, 2 * task.cost(task.start) // self.unit, 0
        self.room = 0.0  # what was settled above the relaxation's bound

    @property
    def going(self) -> bool:
        """Whether there is something left to prove, and work left to do so."""
        ended = self.stop.ends(self.least * self.unit / 2)
        return not ended and self.least < self.cost and self.sets.spent < self.work

    def result(self) -> ExactResult:
        """The best placement and the bound, in the task's integers."""
        return ExactResult(self.cell, self.cost * self.unit // 2, min(self.least, self.cost) * self.unit / 2, NAME)

    def relax(self) -> None:
        """Solve the relaxation."""

        def going() -> bool:
            self.least = max(self.least, math.ceil(self.sets.bound / self.step) * self.step)
            return self.going and self.sets.spent < SHARE * self.work

        self.sets.run(going)
        going()

    def choose(self) -> None:
        """Look for a better placement among those made of known sets."""
        every = range(len(self.sets.kinds))
        chosen, _ = self._cover(list(every), [self.sets.cost(i) for i in every], SHARE)
        if chosen:
            self._take(chosen)

    def widen(self) -> bool:
        """Settle whether any placement costs little above the relaxation, more than was settled before; False to stop.

        At its prices a placement costs the relaxation's bound and, for each set, the excess over the least of its
        family. So those that cost at most `room` above the bound are made of sets with an excess of at most `room`.
        From below, each set of a group is split among the groups inside it in the cheapest way; what is left to choose
        are the sets of the highest groups.
        """
        gap = self.cost - self.step - self.sets.bound
        self.room = min(max(self.step, gap / FIRST, 2 * self.room), gap)
        slack = self.room + 4 * self.sets.tiny
        if not self._list(slack):
            return False
        merged = self._merge(slack)
        if merged is None:
            return False
        costs, splits = merged
        chosen, bound = self._cover([i for i, kind in enumerate(self.sets.kinds) if kind.parent < 0], costs, 1.0)
        # placements of other sets cost more than the room
        settled = math.floor((self.sets.bound + self.room + self.sets.tiny) / self.step + 1) * self.step
        self.least = max(self.least, int(min(bound, settled)))
        if chosen:
            self._take([pair for top in chosen for pair in _unfolded(top, splits)])
        return bound >= settled

    def _list(self, room: float) -> bool:
        """Know all sets of an excess up to `room`; False where they are too many."""
        every: list[BoolArray] = []
        for i in range(len(self.sets.kinds)):
            inside, complete = self.sets.cheap(i, room)
            every.append(inside)
            if not complete or sum(map(len, every)) > MOST_SETS or not self.going:
                return False
        self.sets.known = every
        return True

    def _merge(self, room: float) -> tuple[list[IntArray], dict[int, list[list[Choice]]]] | None:
        """Least cost of each set, with the groups inside it, and how it is split; sets that cannot be are dropped.

        None where that takes too long.
        """
        sets, prices = self.sets, self.sets.prices
        count = [len(kind.groups) for kind in sets.kinds]
        costs = [sets.cost(i) for i in range(len(sets.kinds))]
        excess = [sets.excess(i) for i in range(len(sets.kinds))]
        least = [float(x) for x in prices.group]  # of a group and those inside it
        splits: dict[int, list[list[Choice]]] = {}
        for i in sets.parents:
            inner = [j for j, kind in enumerate(sets.kinds) if kind.parent == i]
            takers = [Taker(sets.known[j], costs[j], np.maximum(excess[j], 0.0), count[j]) for j in inner]
            splitter, kept, splits[i] = Splitter(takers), [], []
            for s, whole in enumerate(sets.known[i]):
                found = splitter.best(whole, room - max(0.0, float(excess[i][s])))
                if sets.spent + splitter.work / SPLITS_A_UNIT > self.work:
                    return None
                if found:
                    kept.append(s)
                    costs[i][s] += found[0]
                    splits[i].append([(inner[j], k) for j, k in found[1]])
            sets.spent += splitter.work / SPLITS_A_UNIT
            sets.known[i], costs[i] = sets.known[i][kept], costs[i][kept]
            least[i] += sum(least[j] * count[j] for j in inner)
            excess[i] = costs[i] - sets.known[i] @ prices.block[sets.kinds[i].parent] - least[i]
        return costs, splits

    def _cover(self, which: list[int], costs: list[IntArray], share: float) -> tuple[list[Choice], float]:
        """Choices that cover all blocks for less than the best placement (or none), and the bound on that.

        Parameters
        ----------
        which
            Families that choose; the sets of a parent among them are made up of those of its children.
        share
            Of the work left that may be spent.
        """
        cp, kinds, known = cp_model(), self.sets.kinds, self.sets.known
        model, n = cp.CpModel(), self.task.blocks
        use = {i: [_variable(model, kinds[i], inside) for inside in known[i]] for i in which}
        rows: list[list[list[Any]]] = [[[] for _ in range(n)] for _ in range(len(kinds) + 1)]
        for i in which:
            model.add(sum(use[i]) == len(kinds[i].groups))
            for s, b in zip(*np.nonzero(known[i]), strict=True):
                rows[kinds[i].parent][b].append(use[i][s])
                rows[i][b].append(-use[i][s])
        for b, parts in enumerate(rows[-1]):
            model.add_exactly_one(parts)
            for i in sorted({kinds[j].parent for j in which} - {-1}):
                model.add(sum(rows[i][b]) == 0)
        cost = sum(int(c) * y for i in which for c, y in zip(costs[i], use[i], strict=True))
        model.minimize(cost)
        model.add(cost <= self.cost - self.step)
        solver = cp_solver(cp, max(0.1, (self.work - self.sets.spent) * share), self.seed)
        status = self.stop.run(solver, model, tell=False)
        if status is None:
            return [], 0.0
        self.sets.spent += solver.response_proto.deterministic_time
        if status == cp.INFEASIBLE:
            return [], math.inf
        if status not in (cp.OPTIMAL, cp.FEASIBLE):
            return [], float(solver.best_objective_bound)
        chosen = [(i, s) for i in which for s, y in enumerate(use[i]) for _ in range(int(solver.value(y)))]
        return chosen, float(solver.best_objective_bound)

    def _take(self, chosen: list[Choice]) -> None:
        """Keep the placement of the choices if it is better; blocks fill the cells of a group in order."""
        cell, level = np.full(self.task.blocks, -1), self.task.levels[0]
        for i, kind in enumerate(self.sets.kinds):
            mine = [s for family, s in chosen if family == i]
            for k, s in zip(kind.groups, mine, strict=True) if not kind.level else ():
                cells, inside = np.flatnonzero(level.group == k), self.sets.known[i][s]
                cell[inside] = np.repeat(cells, self.task.room[cells])[: int(inside.sum())]
        cost = 2 * self.task.cost(cell) // self.unit
        if cost < self.cost:
            self.cell, self.cost = cell, cost
            self.sets.learn(cell)


def _variable(model: Any, kind: Family, inside: BoolArray) -> Any:
    """How many groups take a set: several may stay empty."""
    return model.new_bool_var("") if inside.any() else model.new_int_var(0, len(kind.groups), "")


def _unfolded(taken: Choice, splits: dict[int, list[list[Choice]]]) -> list[Choice]:
    """A choice and, from its split, those of all groups inside."""
    family, s = taken
    inner = splits[family][s] if family in splits else []
    return [taken, *(pair for part in inner for pair in _unfolded(part, splits))]
