"""One layer whose replicas must stay in different domains: filled heaviest first, then levelled by swaps."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray

SWAPS = 400  # most swaps of a layer
CLOSE = 5e-4  # share above its bound at which a layer is left alone


class Row:
    """Replicas of a layer on GPUs.

    Parameters
    ----------
    size
        [experts] float64 tokens of one replica of each expert.
    slots
        [gpus] int64 slots of each GPU.
    domain
        [gpus] int64 failure domain of each GPU.
    speed
        [gpus] float64.
    least
        Domains that each expert must be in.
    """

    def __init__(self, size: FloatArray, slots: IntArray, domain: IntArray, speed: FloatArray, least: int) -> None:
        self.size, self.slots, self.domain, self.speed, self.least = size, slots, domain, speed, least
        self.expert = np.full((len(slots), int(slots.max())), -1, np.int64)
        self.total = np.zeros(len(slots))
        self.used = np.zeros(len(slots), np.int64)
        self.holds = np.zeros((len(slots), len(size)), bool)
        self.inside = np.zeros((int(domain.max()) + 1, len(size)), np.int64)  # copies of each expert in each domain

    # ---- filling -----------------------------------------------------------------------------------------------

    def fill(self, copies: IntArray) -> None:
        """Place all replicas, heaviest first, copies of an expert one after another."""
        for expert in np.argsort(-self.size, kind="stable"):
            for copy in range(int(copies[expert])):
                spread = copy < self.least
                gpu = self._lightest(int(expert), spread)
                if gpu < 0 and not (spread and self._make_room(int(expert))):
                    gpu = self._lightest(int(expert), spread=False)
                    if gpu < 0:  # a GPU must hold it twice
                        gpu = int(np.where(self.used < self.slots, self.total / self.speed, np.inf).argmin())
                elif gpu < 0:
                    continue
                self._put(int(expert), gpu, int(self.used[gpu]))
                self.used[gpu] += 1

    def _lightest(self, expert: int, spread: bool) -> int:
        """Least loaded GPU with room that does not hold the expert, in a domain without it if spread; -1 for none."""
        open_ = (self.used < self.slots) & ~self.holds[:, expert]
        if spread:
            open_ &= self.inside[self.domain, expert] == 0
        if not open_.any():
            return -1
        return int(np.where(open_, self.total / self.speed, np.inf).argmin())

    def _make_room(self, expert: int) -> bool:
        """Put an expert in a full domain that lacks it: the lightest replica that can moves where there is room."""
        for to in np.flatnonzero(self.used < self.slots):
            lacking = (self.inside[self.domain, expert] == 0) & ~self.holds[:, expert]
            gpu, place = np.nonzero((self.expert >= 0) & lacking[:, None])
            other = self.expert[gpu, place]
            gain = (self.inside[self.domain[to], other] == 0).astype(np.int64)
            kept = self._domains(other) - (self.inside[self.domain[gpu], other] == 1) + gain
            fine = ~self.holds[to, other] & (kept >= np.minimum(self._domains(other), self.least))
            if fine.any():
                best = int(np.flatnonzero(fine)[self.size[other[fine]].argmin()])
                moved = int(other[best])
                self._take(int(gpu[best]), int(place[best]))
                self._put(moved, int(to), int(self.used[to]))
                self.used[to] += 1
                self._put(expert, int(gpu[best]), int(place[best]))
                return True
        return False

    def _put(self, expert: int, gpu: int, place: int) -> None:
        self.expert[gpu, place] = expert
        self.total[gpu] += self.size[expert]
        self.holds[gpu, expert] = True
        self.inside[self.domain[gpu], expert] += 1

    def _take(self, gpu: int, place: int) -> None:
        expert = self.expert[gpu, place]
        self.total[gpu] -= self.size[expert]
        self.holds[gpu, expert] = bool((np.delete(self.expert[gpu], place) == expert).any())
        self.inside[self.domain[gpu], expert] -= 1
        self.expert[gpu, place] = -1

    def _domains(self, expert: IntArray) -> IntArray:
        """[n] int64 domains that hold each of the experts [n]."""
        return np.asarray((self.inside[:, expert] > 0).sum(0), np.int64)

    # ---- levelling ---------------------------------------------------------------------------------------------

    def level(self, bound: float) -> None:
        """Swap replicas of the largest GPU with lighter ones of others while that lowers the larger of the two."""
        for _ in range(SWAPS):
            time = self.total / self.speed
            hot = int(time.argmax())
            if time[hot] <= bound * (1 + CLOSE) or not self._swap(hot, time):
                break

    def _swap(self, hot: int, time: FloatArray) -> bool:
        """Make the best swap of the largest GPU; False where none helps."""
        mine = np.flatnonzero(self.expert[hot] >= 0)
        gpu, place = np.nonzero(self.expert >= 0)
        a, b = self.expert[hot, mine][:, None], self.expert[gpu, place][None, :]
        less = self.size[a] - self.size[b]
        after = np.maximum(
            (self.total[hot] - less) / self.speed[hot], (self.total[gpu] + less) / self.speed[gpu][None, :]
        )
        good = (less > 0) & (after < time[hot] * (1 - 1e-9)) & ~self.holds[hot, b] & ~self.holds[gpu[None, :], a]
        good &= self._stays_apart(a, self.domain[hot], self.domain[gpu][None, :])
        good &= self._stays_apart(b, self.domain[gpu][None, :], self.domain[hot])
        if not good.any():
            return False
        k, j = np.unravel_index(int(np.where(good, after, np.inf).argmin()), good.shape)
        one, two = int(a[k, 0]), int(b[0, j])
        at = (hot, int(mine[k])), (int(gpu[j]), int(place[j]))
        for where in at:
            self._take(*where)
        self._put(two, *at[0])
        self._put(one, *at[1])
        return True

    def _stays_apart(self, expert: IntArray, old: IntArray, new: IntArray) -> FloatArray:
        """[...] bool whether experts keep to enough domains when a copy goes from domain `old` to `new`."""
        change = (self.inside[new, expert] == 0).astype(np.int64) - (self.inside[old, expert] == 1)
        count = (self.inside > 0).sum(0)
        enough = (old == new) | (count[expert] + change >= self.least)
        return np.asarray(enough)
