"""Refine a placement of blocks by annealed swaps, of single blocks and of whole cliques."""

from __future__ import annotations

import math
import random

import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.solvers.ranks.compact.cliques import cliques
from topoplan.solvers.ranks.problem import Progress, Watch
from topoplan.solvers.ranks.steering.steer import Steering

START, END = 3e-5, 1e-7  # temperature as a share of the objective's starting value; assumed, tuned on d1k and m8k
NEAR = 0.8  # share of proposals that bring a block beside one it talks to
CLIQUES = 0.3  # share of proposals that swap whole cliques, where there are any
REPORT_EVERY = 500
REFINE = "refine"  # phase whose progress tells the objective as a share of that at its start
USUAL = 16  # neighbours of the two blocks of a swap that one proposal pays for


class Annealer:
    """State of a search: where each block is, and who is in each group.

    Parameters
    ----------
    place
        [blocks] int64 host of each block at the start.
    size_class
        [blocks] int64; only blocks of one class may swap (their hosts have equally many usable GPUs).
    """

    def __init__(self, state: Steering, place: IntArray, size_class: IntArray, seed: int) -> None:
        self.state, self.rng = state, random.Random(seed)  # noqa: S311 - a search, not a secret
        self.host: list[int] = place.tolist()
        self.classes: list[int] = size_class.tolist()
        self.members: dict[tuple[int, int], list[int]] = {}
        self.slot: list[int] = []
        for x in range(len(self.host)):
            mine = self.members.setdefault((state.group[x], self.classes[x]), [])
            self.slot.append(len(mine))
            mine.append(x)
        self.movable = [x for x in range(len(self.host)) if state.neighbours[x]]
        self.cliques = [c for c in cliques(state.pricer.blocks) if len({self.classes[x] for x in c}) == 1]
        self.clique_of = {x: i for i, clique in enumerate(self.cliques) for x in clique}

    def search(self, proposals: int, watch: Watch) -> IntArray:
        """Host of each block in the best state met."""
        state, rng = self.state, self.rng
        start = best = state.value
        best_host, log_ratio = list(self.host), math.log(END / START)
        step = told = 0
        while step < proposals and self.movable and len(self.members) > 1:
            if step >= told:
                told = step + REPORT_EVERY
                if not watch(Progress(REFINE, step / proposals, best / start, 0.0)):
                    break
            pairs = self._propose()
            # a clique costs as much as its blocks, and a block as much as its neighbours
            step += max(1, sum(len(state.neighbours[x]) + len(state.neighbours[y]) for x, y in pairs) // USUAL)
            if not pairs:
                continue
            delta = state.swap(pairs)
            heat = start * START * math.exp(log_ratio * step / proposals)
            if delta > 0 and rng.random() >= math.exp(-delta / heat):
                state.undo()
                continue
            for x, y in pairs:
                self._exchange(x, y)
            if state.value < best - 1e-12:
                best, best_host = state.value, list(self.host)
        return np.array(best_host, np.int64)

    def _propose(self) -> list[tuple[int, int]]:
        if self.cliques and self.rng.random() < CLIQUES:
            return self._swap_cliques()
        state, rng = self.state, self.rng
        x = self.movable[rng.randrange(len(self.movable))]
        if rng.random() < NEAR:
            beside = state.neighbours[x][rng.randrange(len(state.neighbours[x]))][0]
            there = self.members.get((state.group[beside], self.classes[x]))
            y = there[rng.randrange(len(there))] if there else x
        else:
            y = rng.randrange(len(self.host))
        return [] if self.classes[x] != self.classes[y] or state.group[x] == state.group[y] else [(x, y)]

    def _swap_cliques(self) -> list[tuple[int, int]]:
        """Swap a clique with one that lives beside a clique it talks to."""
        state, rng = self.state, self.rng
        mine = rng.randrange(len(self.cliques))
        x = self.cliques[mine][rng.randrange(len(self.cliques[mine]))]
        other = rng.randrange(len(self.cliques))
        if rng.random() < NEAR:
            outside = [z for z, *_ in state.neighbours[x] if self.clique_of.get(z, mine) != mine]
            if outside:
                beside = outside[rng.randrange(len(outside))]
                there = self.members[state.group[beside], self.classes[x]]
                other = self.clique_of.get(there[rng.randrange(len(there))], mine)
        if other == mine:
            return []
        a, b = self.cliques[mine], self.cliques[other]
        if self.classes[a[0]] != self.classes[b[0]]:
            return []
        return [(x, y) for x, y in zip(a, b, strict=True) if state.group[x] != state.group[y]]

    def _exchange(self, x: int, y: int) -> None:
        """Follow a swap that the state has made: hosts, and the member lists of the two groups."""
        self.host[x], self.host[y] = self.host[y], self.host[x]
        gx, gy = (self.members[self.state.group[z], self.classes[z]] for z in (y, x))
        gx[self.slot[x]], gy[self.slot[y]] = y, x
        self.slot[x], self.slot[y] = self.slot[y], self.slot[x]
