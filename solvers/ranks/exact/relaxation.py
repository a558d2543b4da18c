"""The relaxation of the exact task over sets of blocks: bounds, and prices of the blocks, by column generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack

from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.ranks.exact.subsets import Lister
from topoplan.solvers.ranks.exact.symmetry import matrix
from topoplan.solvers.ranks.exact.task import ExactTask

EACH = 40  # sets of a family added in a round
POOL = 2_000  # partial sets kept while looking for some cheap ones
MOST_STATES = 16_000_000  # partial sets kept where all sets are wanted, times blocks: some 600 MB
STATES_A_UNIT = 1_000_000  # partial sets looked at in a unit of work, about a second
ROUND = 0.03  # units of work of a round's linear program; assumed
SMOOTH = 0.6  # weight of the prices of the best bound in those that are tried; assumed
TINY = 1e-6  # of the heaviest flow: more than what sums of prices are rounded by


@dataclass(frozen=True, eq=False)
class Family:
    """Equal groups, each of which takes a set.

    Parameters
    ----------
    level
        Index into `ExactTask.levels`.
    groups
        Their numbers on the level; several only at the lowest one, where siblings of equal room are alike.
    sizes
        Numbers of blocks that a group may hold.
    climb
        Cost of a unit of weight that a set cuts.
    parent
        Index of the family whose set the sets are parts of, -1 at the top.
    """

    level: int
    groups: tuple[int, ...]
    sizes: range
    climb: int
    parent: int


def families(task: ExactTask) -> list[Family]:
    """Families of groups, level by level from the lowest."""
    found: list[Family] = []
    above_of: list[int] = []
    for depth, level in enumerate(task.levels):
        first = np.unique(level.group, return_index=True)[1]
        top = depth + 1 == len(task.levels)
        above = np.full(level.count, -1) if top else task.levels[depth + 1].group[first]
        room = np.bincount(level.group, task.room).astype(np.int64)
        key = np.column_stack([above, room, np.arange(level.count) if depth else np.zeros_like(above)])
        for same in np.unique(key, axis=0):
            groups = tuple(np.flatnonzero((key == same).all(1)).tolist())
            found.append(Family(depth, groups, task.sizes(level, groups[0]), level.climb, -1))
            above_of.append(int(same[0]))
    index = {(family.level, k): i for i, family in enumerate(found) for k in family.groups}
    return [
        Family(f.level, f.groups, f.sizes, f.climb, index[f.level + 1, above] if above >= 0 else -1)
        for f, above in zip(found, above_of, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Prices:
    """Duals of the relaxation.

    Parameters
    ----------
    block
        [families + 1, blocks] float64 what holding a block is worth to the parts of each family's set; the last row is
        that of the highest families, the parts of all blocks.
    group
        [families] float64 cost of a group of each family, net of its blocks' worth.
    """

    block: FloatArray
    group: FloatArray

    def mixed(self, other: Prices, share: float) -> Prices:
        """These prices and a share of others."""
        block = (1 - share) * self.block + share * other.block
        return Prices(block, (1 - share) * self.group + share * other.group)

    def worth(self, family: int, parent: int) -> FloatArray:
        """[blocks] float64 what a set of a family earns by each block it holds."""
        return np.asarray(self.block[parent] - self.block[family])


class Relaxation:
    """Sets of each family known so far, and the best bound with its prices.

    Costs are in units of the weights' common divisor, and twice over, as two groups cut each flow.
    """

    def __init__(self, task: ExactTask) -> None:
        self.task, self.kinds, self.spent = task, families(task), 0.0
        self.parents = sorted({f.parent for f in self.kinds if f.parent >= 0})
        self.unit = int(np.gcd.reduce(task.weight)) or 1
        self.weight = matrix(task) // self.unit
        self.tiny = TINY * float(self.weight.max())
        self.known = [np.zeros((0, task.blocks), bool) for _ in self.kinds]
        self.bound = 0.0
        self.prices = Prices(np.zeros((len(self.kinds) + 1, task.blocks)), np.zeros(len(self.kinds)))
        self._lister, self._most = Lister(self.weight), MOST_STATES // task.blocks

    def run(self, going: Callable[[], bool]) -> None:
        """Raise the bound until it is that of the relaxation, or `going` no more."""
        while going():
            prices = self._duals()
            # near the best prices bounds rise; where those show nothing new, the duals themselves decide
            news = self._generate(prices.mixed(self.prices, SMOOTH if self.bound > 0 else 0.0), prices, going)
            if not news and not self._generate(prices, prices, going):
                return

    def learn(self, cell: IntArray) -> None:
        """Know the sets of a placement."""
        for i, kind in enumerate(self.kinds):
            group = self.task.levels[kind.level].group[cell]
            self._add(i, np.array([group == k for k in kind.groups]))

    def cost(self, family: int) -> IntArray:
        """[sets] int64 cost of each known set of a family."""
        inside = self.known[family].astype(np.int64)
        return np.asarray(self.kinds[family].climb * ((inside @ self.weight) * (1 - inside)).sum(1))

    def excess(self, family: int) -> FloatArray:
        """[sets] float64 what each known set costs at the best prices above the least of its family."""
        return np.asarray(self._net(family, self.known[family], self.prices) - self.prices.group[family])

    def cheap(self, family: int, room: float) -> tuple[BoolArray, bool]:
        """Sets of a family [sets, blocks] whose excess is at most `room`, and whether these are all."""
        worth = self.prices.worth(family, self.kinds[family].parent)
        inside, _, complete = self._sets(family, worth, float(self.prices.group[family]) + room, self._most)
        return inside, complete

    def _net(self, family: int, inside: BoolArray, prices: Prices) -> FloatArray:
        """[sets] float64 cost less what the blocks held are worth."""
        kind, member = self.kinds[family], inside.astype(np.float64)
        cut = ((member @ self.weight) * (1 - member)).sum(1)
        return np.asarray(kind.climb * cut - member @ prices.worth(family, kind.parent))

    def _add(self, family: int, more: BoolArray) -> bool:
        """Know sets [sets, blocks] of a family; whether any was new."""
        both = np.concatenate([self.known[family], more])
        first = np.sort(np.unique(np.packbits(both, axis=1), axis=0, return_index=True)[1])
        news = len(first) > len(self.known[family])
        self.known[family] = both[first]
        return news

    def _duals(self) -> Prices:
        """Prices of the relaxation over the known sets.

        Its rows: for each family and block, that the sets of its parts make up its own; for each block, that the
        highest families cover it; for each family, that every group takes a set.
        """
        n, rows = self.task.blocks, len(self.kinds) + 1
        shape = rows * n + len(self.kinds)
        tables = [self._columns(i, shape) for i in range(len(self.kinds))]
        costs = np.concatenate([self.cost(i) for i in range(len(self.kinds))]).astype(np.float64)
        wanted = np.zeros(shape)
        wanted[(rows - 1) * n : rows * n] = 1.0
        wanted[rows * n :] = [len(kind.groups) for kind in self.kinds]
        table: Any = csr_array(hstack(tables))
        answer: Any = linprog(costs, A_eq=table, b_eq=wanted, method="highs")
        duals = np.asarray(answer.eqlin.marginals)
        self.spent += ROUND
        return Prices(duals[: rows * n].reshape(rows, n), duals[rows * n :])

    def _columns(self, family: int, rows: int) -> Any:
        """[rows, sets] sparse: what each known set of a family adds to the rows of the relaxation."""
        n, inside = self.task.blocks, self.known[family]
        s, block = np.nonzero(inside)
        parts = [(self.kinds[family].parent % (len(self.kinds) + 1) * n + block, 1.0, s)]
        if family in self.parents:
            parts.append((family * n + block, -1.0, s))
        parts.append((np.full(len(inside), rows - len(self.kinds) + family), 1.0, np.arange(len(inside))))
        at, columns = (np.concatenate([part[i] for part in parts]) for i in (0, 2))
        values = np.concatenate([np.full(len(part[2]), part[1]) for part in parts])
        return csr_array((values, (at, columns)), shape=(rows, len(inside)))

    def _generate(self, tried: Prices, real: Prices, going: Callable[[], bool]) -> bool:
        """Look for sets at prices `tried` and see what those bound; whether any set helps at the real prices."""
        news, least = False, np.zeros(len(self.kinds))
        for i, kind in enumerate(self.kinds):
            if not going():
                return False
            worth = tried.worth(i, kind.parent)
            inside, value, complete = self._sets(i, worth, float(tried.group[i]) + self.tiny, POOL)
            if not complete:
                limit = float(min([tried.group[i], *value[:1]])) - self.tiny
                below, lower, complete = self._sets(i, worth, limit, self._most)
                inside, value = np.concatenate([below, inside]), np.concatenate([lower, value])
            least[i] = min([tried.group[i], *value[:1]]) if complete else -np.inf
            worthy = self._net(i, inside, real) < real.group[i] - self.tiny
            news |= bool(worthy.any()) and self._add(i, inside[worthy][:EACH])
        counts = np.array([len(kind.groups) for kind in self.kinds])
        # what lies within `tiny` of a family's least may have been left out
        bound = float(tried.block[-1].sum() + (least - self.tiny) @ counts)
        if bound > self.bound:
            self.bound, self.prices = bound, Prices(tried.block, least)
        return news

    def _sets(self, family: int, worth: FloatArray, limit: float, most: int) -> tuple[BoolArray, FloatArray, bool]:
        before, kind = self._lister.work, self.kinds[family]
        found = self._lister.sets(kind.sizes, kind.climb, worth, limit, most)
        self.spent += (self._lister.work - before) / STATES_A_UNIT
        return found
