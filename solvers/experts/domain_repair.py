"""Give every expert of a layer copies in enough failure domains, in as few changes as a shortest chain needs."""

from __future__ import annotations

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import FloatArray, IntArray


def repair(expert: IntArray, load: FloatArray, slots: IntArray, domain: IntArray, least: int) -> IntArray:
    """The same placement, but with every expert in at least `least` domains.

    An expert that lacks a domain takes there the place of a copy that can be spared, the lightest one. Where a domain
    has none, a copy goes on from it to another domain that lacks its expert, and so on until one has: a shortest chain.

    Parameters
    ----------
    expert
        [gpus, places] int64, -1 where there is no expert.
    load
        [experts] float64.
    slots, domain
        [gpus] int64 slots and failure domain of each GPU.

    Returns
    -------
    expert
        [gpus, places] int64; the array itself where nothing was to be done.

    Raises
    ------
    InfeasibleError
        No chain was found.
    """
    row = _Chains(expert.copy(), load, slots, domain, least)
    lacking = np.flatnonzero(row.count() < least)
    if not lacking.size:
        return expert
    for e in lacking[np.argsort(-load[lacking], kind="stable")].tolist():
        while row.count()[e] < least:
            if not row.bring(e):
                raise InfeasibleError(f"no room was found to keep {least} copies of expert {e} apart")
    return row.expert


class _Chains:
    """A placement of a layer and the copies of each expert in each domain."""

    def __init__(self, expert: IntArray, load: FloatArray, slots: IntArray, domain: IntArray, least: int) -> None:
        self.expert, self.load, self.least = expert, load, least
        self.gpu, self.place = np.nonzero(np.arange(expert.shape[1]) < slots[:, None])
        self.where = domain[self.gpu]  # domain of each place
        self.inside = np.zeros((int(domain.max()) + 1, len(load)), np.int64)
        held = expert[self.gpu, self.place]
        np.add.at(self.inside, (self.where[held >= 0], held[held >= 0]), 1)

    def count(self) -> IntArray:
        """[experts] int64 domains that hold each expert."""
        return np.asarray((self.inside > 0).sum(0), np.int64)

    def bring(self, e: int) -> bool:
        """Bring an expert into one more domain; False where that cannot be."""
        held = self.expert[self.gpu, self.place]
        copies = np.maximum(self.inside.sum(0), 1)
        size = np.where(held >= 0, (self.load / copies)[held], -1.0)  # an open place costs nothing
        spare = (held < 0) | (self.inside[self.where, held] > 1) | (self.count()[held] > self.least)
        start = np.flatnonzero((self.inside[:, e] == 0) & (np.bincount(self.where, minlength=len(self.inside)) > 0))
        came: dict[int, tuple[int, int]] = {int(d): (-1, -1) for d in start}  # domain -> domain before, place there
        queue = list(came)
        for d in queue:
            here = np.flatnonzero(self.where == d)
            free = here[spare[here] & ((held[here] != e) | (self.inside[d, e] > 1))]
            if free.size:
                self._shift(e, d, int(free[size[free].argmin()]), came)
                return True
            for other in range(len(self.inside)):
                mobile = here[(self.inside[other, held[here]] == 0) & (held[here] != e)]
                if other not in came and mobile.size and (self.where == other).any():
                    came[other] = d, int(mobile[size[mobile].argmin()])
                    queue.append(other)
        return False

    def _shift(self, e: int, d: int, at: int, came: dict[int, tuple[int, int]]) -> None:
        """Free a place of domain `d`, move the copies of the chain on, and put the expert in the first."""
        self._put(at, -1)
        while came[d][0] >= 0:
            d, before = came[d]
            moved = int(self.expert[self.gpu[before], self.place[before]])
            self._put(before, -1)
            self._put(at, moved)
            at = before
        self._put(at, e)

    def _put(self, at: int, e: int) -> None:
        held = int(self.expert[self.gpu[at], self.place[at]])
        if held >= 0:
            self.inside[self.where[at], held] -= 1
        if e >= 0:
            self.inside[self.where[at], e] += 1
        self.expert[self.gpu[at], self.place[at]] = e
