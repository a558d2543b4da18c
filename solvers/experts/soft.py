"""One layer whose copies may leave their group: flows from source hosts to copies, and how a copy more or less pays.

Loads are in units of the mean GPU, so prices are comparable: a token that goes to a GPU pays the GPU's time, and
`fare` for each host that it would not visit anyway. Equal prices at all copies that get tokens are the optimum of
sum over GPUs of load^2 / (2 speed) + fare x remote visits, a smooth stand-in for the largest GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray

NOTHING = 1e-12
FLAT = 0.5  # GPUs are taken to be at least so busy where a price's rise is asked for
STILL = 1e-4  # of the mean GPU's load: flows that change less stand still


@dataclass(slots=True)
class Copy:
    """A copy of an expert: its GPU, and the tokens it gets from each source host."""

    gpu: int
    tokens: list[float]


Snapshot = tuple[list[list[Copy]], list[set[int]], list[float]]


@dataclass(eq=False)
class Layer:
    """Working state of a layer, changed in place.

    Parameters
    ----------
    load
        [nodes, experts] float64 tokens of each expert from each source host, in units of the mean GPU.
    slots, host, speed
        [gpus] int64, int64 (index of the host among sources) and float64, of GPUs with slots.
    cost
        [nodes, experts, nodes] float64 remote visits that one more dispatch to each host adds.
    fare
        Load that a remote visit is worth.
    risk
        Load that it is worth not to have all of an expert on one GPU: an expert's count is never quite the same again,
        and a GPU that gets a smaller share of it is less far off.
    power
        Of a GPU's time that a token pays there; 1 levels all GPUs, more looks at the busiest ones.
    """

    load: FloatArray
    slots: IntArray
    host: IntArray
    speed: FloatArray
    cost: FloatArray
    fare: float
    risk: float = 0.0
    power: float = 1.0
    copies: list[list[Copy]] = field(default_factory=list)
    held: list[set[int]] = field(default_factory=list)
    total: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes, self.experts = self.load.shape
        self.weight = self.load.sum(0)
        self._weight = self.weight.tolist()
        self._host, self._speed = self.host.tolist(), self.speed.tolist()
        self._load = self.load.T.tolist()
        self.set_cost(self.cost)

    def set_cost(self, cost: FloatArray) -> None:
        """Take new visits [nodes, experts, nodes], as they are with the present copies."""
        self.cost = cost
        self._fare = (self.fare * cost.transpose(1, 0, 2)).tolist()  # [expert][node][host]

    def settle(self, homes: IntArray) -> None:
        """Start with one copy of each expert, heaviest first, on the least busy GPU of its home with room for it."""
        self.copies = [[] for _ in range(self.experts)]
        self.held, self.total = [set() for _ in self._host], [0.0 for _ in self._host]
        for h in range(self.nodes):
            here = np.flatnonzero(homes == h)
            gpus = np.flatnonzero(self.host == h)
            room = even_share(len(here), self.slots[gpus].tolist())
            for e in here[np.argsort(-self.weight[here], kind="stable")].tolist():
                g = min(
                    (k for k in range(len(gpus)) if room[k]), key=lambda k: self.total[gpus[k]] / self.speed[gpus[k]]
                )
                room[g] -= 1
                self.place(e, int(gpus[g]), list(self._load[e]))

    def resume(self, expert: IntArray) -> None:
        """Start from the copies of a placement [gpus, places], used evenly."""
        self.copies = [[] for _ in range(self.experts)]
        self.held, self.total = [set() for _ in self._host], [0.0 for _ in self._host]
        count = np.bincount(expert[expert >= 0], minlength=self.experts).tolist()
        for gpu, place in zip(*(a.tolist() for a in np.nonzero(expert >= 0)), strict=True):
            e = int(expert[gpu, place])
            self.place(e, gpu, [tokens / count[e] for tokens in self._load[e]])

    def snapshot(self) -> Snapshot:
        """What `restore` needs to undo changes of copies and flows."""
        return (
            [[Copy(c.gpu, list(c.tokens)) for c in copies] for copies in self.copies],
            [set(held) for held in self.held],
            list(self.total),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, which must not be used again."""
        self.copies, self.held, self.total = snapshot

    def place(self, e: int, gpu: int, tokens: list[float]) -> None:
        """Put a copy of an expert on a GPU, with tokens of each source."""
        self.copies[e].append(Copy(gpu, tokens))
        self.held[gpu].add(e)
        self.total[gpu] += sum(tokens)

    # ---- flows -------------------------------------------------------------------------------------------------

    def pour(self, e: int, rounds: int = 1) -> float:
        """Spread an expert's tokens over its copies, source by source, to equal prices; the most that any flow changes.

        A copy costs `time` more for each token that its GPU gets and `risk` for each that it gets itself.
        """
        copies = self.copies[e]
        if len(copies) < 2:
            return 0.0
        risk = self.risk / max(self._weight[e], NOTHING)
        fill = _fill_two if len(copies) == 2 else _fill_many
        gpus = [c.gpu for c in copies]
        hosts, slow = [self._host[g] for g in gpus], [1 / self._speed[g] for g in gpus]
        power, rise = self.power, slow
        pace = [1 / (s + risk) for s in slow]  # tokens that raise a copy's price by 1
        total, held = [self.total[g] for g in gpus], [sum(c.tokens) for c in copies]
        most = 0.0
        for _ in range(rounds):
            for n, (tokens, fare) in enumerate(zip(self._load[e], self._fare[e], strict=True)):
                had = [c.tokens[n] for c in copies]
                base = [t * s for t, s in zip(total, slow, strict=True)]
                if power > 1:  # as a straight line through the price as it is
                    rise = [power * max(b, FLAT) ** (power - 1) * s for b, s in zip(base, slow, strict=True)]
                    pace = [1 / (r + risk) for r in rise]
                    base = [b**power for b in base]
                price = [
                    b - x * r + fare[h] + risk * (y - x)
                    for b, x, r, h, y in zip(base, had, rise, hosts, held, strict=True)
                ]
                for k, share in enumerate(fill(price, pace, tokens)):
                    change = share - had[k]
                    total[k] += change
                    held[k] += change
                    copies[k].tokens[n] = share
                    most = max(most, abs(change))
        for g, t in zip(gpus, total, strict=True):
            self.total[g] = t
        return most

    def sweep(self, rounds: int) -> None:
        """Pour every expert with several copies, heaviest first, until flows stand still or for so many rounds."""
        several = [e for e in np.argsort(-self.weight, kind="stable").tolist() if len(self.copies[e]) > 1]
        for _ in range(rounds):
            if max((self.pour(e) for e in several), default=0.0) < STILL:
                break

    def prices(self) -> tuple[list[tuple[int, Copy]], FloatArray, FloatArray]:
        """Copies of experts that have several, expert by expert, and what a token of each source pays there.

        Returns
        -------
        copies
            Expert and copy.
        price, tokens
            [copies, nodes] float64.
        """
        several = [(e, c) for e, copies in enumerate(self.copies) if len(copies) > 1 for c in copies]
        if not several:
            return several, np.zeros((0, self.nodes)), np.zeros((0, self.nodes))
        e, gpu = np.array([e for e, _ in several]), np.array([c.gpu for _, c in several])
        tokens = np.array([c.tokens for _, c in several])
        price = (np.array(self.total) / self.speed)[gpu, None] + self.fare * self.cost[:, e, self.host[gpu]].T
        price += (self.risk * tokens.sum(1) / np.maximum(self.weight[e], NOTHING))[:, None]
        return several, price, tokens

    def levels(self) -> FloatArray:
        """[nodes, experts] float64 price that each source pays for each expert now."""
        level = np.empty((self.nodes, self.experts))
        gpu = np.array([copies[0].gpu for copies in self.copies], np.int64)
        time = np.array(self.total) / self.speed
        level = time[gpu] + self.fare * self.cost[:, np.arange(self.experts), self.host[gpu]] + self.risk
        several, price, tokens = self.prices()
        if several:
            e, first = np.unique([e for e, _ in several], return_index=True)
            paid = np.maximum.reduceat(np.where(tokens > NOTHING, price, -np.inf), first)
            least = np.minimum.reduceat(price, first)
            level[:, e] = np.where(np.isfinite(paid), paid, least).T
        return np.asarray(level, np.float64)

    # ---- copies ------------------------------------------------------------------------------------------------

    def add(self, e: int, gpu: int) -> None:
        """Add a copy and let tokens flow to it."""
        self.place(e, gpu, [0.0] * self.nodes)
        self.pour(e, 2)

    def drop(self, e: int, gpu: int) -> None:
        """Take a copy away and let its tokens flow to the others."""
        copy = next(c for c in self.copies[e] if c.gpu == gpu)
        self.copies[e].remove(copy)
        self.held[gpu].discard(e)
        self.total[gpu] -= sum(copy.tokens)
        heir = self.copies[e][0]
        heir.tokens = [a + b for a, b in zip(heir.tokens, copy.tokens, strict=True)]
        self.total[heir.gpu] += sum(copy.tokens)
        self.pour(e, 2)

    def room(self) -> IntArray:
        """[gpus] int64 open slots."""
        return np.asarray(self.slots - np.array([len(h) for h in self.held]), np.int64)

    def fill(self) -> None:
        """Fill open slots one by one with the copy that lowers the objective most."""
        room = self.room()
        while room.any():
            e, gpu = self._best_copy(room)
            if e >= 0:
                self.add(e, gpu)
            room[gpu] -= 1

    def _best_copy(self, room: IntArray) -> tuple[int, int]:
        """Expert and GPU of the best further copy; -1 where every expert is on the GPU already.

        Moving m tokens by a price difference d gains m d - m^2: the difference closes as they move.
        """
        time = np.where(room > 0, np.array(self.total) / self.speed, np.inf)
        lightest = np.full(self.nodes, np.inf)
        np.minimum.at(lightest, self.host, time)
        saved = np.maximum(0.0, self.levels()[:, :, None] - self.fare * self.cost - lightest)
        tokens = self.load[:, :, None] * (saved > 0)
        moved = tokens.sum(0)
        worth = (tokens * saved).sum(0) / np.maximum(moved, NOTHING)
        moved = np.minimum(moved, worth / 2)
        gain = np.where(np.isfinite(lightest), moved * worth - moved * moved, -np.inf)
        for flat in np.argsort(-gain, axis=None, kind="stable"):
            e, h = divmod(int(flat), self.nodes)
            if not np.isfinite(gain[e, h]):
                break
            open_gpus = [g for g in np.flatnonzero((self.host == h) & (room > 0)).tolist() if e not in self.held[g]]
            if open_gpus:
                return e, min(open_gpus, key=lambda g: self.total[g] / self._speed[g])
        return -1, int(room.argmax())

    def least_missed(self, count: int) -> list[tuple[int, int]]:
        """Expert and GPU of the copies whose loss costs least, of experts that have others."""
        several, price, tokens = self.prices()
        e = np.array([e for e, _ in several], np.int64)
        loss = tokens.sum(1) ** 2
        for k in range(len(several)):
            others = (e == e[k]) & (np.arange(len(e)) != k)
            other = price[others].min(0)
            loss[k] += (tokens[k] * (other - price[k]))[tokens[k] > NOTHING].sum()
        worst = sorted(zip(loss.tolist(), e.tolist(), [c.gpu for _, c in several], strict=True))
        return [(e, gpu) for _, e, gpu in worst[:count]]

    def renew(self, count: int) -> None:
        """Drop the copies that are missed least and fill their slots anew."""
        for e, gpu in self.least_missed(count):
            if len(self.copies[e]) > 1:
                self.drop(e, gpu)
        self.sweep(1)
        self.fill()
        self.sweep(2)

    # ---- results -----------------------------------------------------------------------------------------------

    def sent(self) -> FloatArray:
        """[nodes, experts, nodes] float64 share of an expert's tokens from a source that goes to each host."""
        sent = np.zeros((self.nodes, self.experts, self.nodes))
        for e, copies in enumerate(self.copies):
            for c in copies:
                sent[:, e, self._host[c.gpu]] += self._shares(e, c)
        return np.minimum(sent, 1.0)

    def _shares(self, e: int, copy: Copy) -> FloatArray:
        """[nodes] float64 share of an expert's tokens that a copy gets; even where a source has none."""
        load = self.load[:, e]
        return np.where(load > 0, np.array(copy.tokens) / np.maximum(load, NOTHING), 1 / len(self.copies[e]))

    def largest(self) -> float:
        """Load over speed of the busiest GPU, in units of the mean."""
        return float((np.array(self.total) / self.speed).max())

    def rows(self) -> tuple[IntArray, FloatArray]:
        """Experts [gpus, places] int64, -1 where a GPU has fewer slots, and shares [nodes, gpus, places] float64."""
        expert = np.full((len(self.slots), int(self.slots.max())), -1, np.int64)
        share = np.zeros((self.nodes, *expert.shape))
        taken = [0] * len(self.slots)
        for e, copies in enumerate(self.copies):
            for c in copies:
                expert[c.gpu, taken[c.gpu]] = e
                share[:, c.gpu, taken[c.gpu]] = self._shares(e, c)
                taken[c.gpu] += 1
        return expert, share


def _fill_two(price: list[float], pace: list[float], tokens: float) -> tuple[float, float]:
    """What each of two copies gets, so that both cost the same in the end or one gets nothing."""
    one = pace[0] * (tokens + (price[1] - price[0]) * pace[1]) / (pace[0] + pace[1])
    one = min(max(one, 0.0), tokens)
    return one, tokens - one


def _fill_many(price: list[float], pace: list[float], tokens: float) -> list[float]:
    """What each copy gets, so that those that get anything cost the same in the end and the others no less."""
    ranked = sorted(range(len(price)), key=price.__getitem__)
    filled, fast, level = tokens, 0.0, 0.0
    for i, k in enumerate(ranked):
        fast += pace[k]
        filled += price[k] * pace[k]
        level = filled / fast
        if i + 1 == len(ranked) or level <= price[ranked[i + 1]]:
            break
    return [max(0.0, (level - p) * q) for p, q in zip(price, pace, strict=True)]


def even_share(items: int, room: Sequence[int]) -> list[int]:
    """Items for each bin in turn, as evenly as its room allows."""
    left, share = list(room), [0] * len(room)
    for _ in range(items):
        k = min((k for k in range(len(left)) if left[k]), key=lambda k: share[k])
        share[k], left[k] = share[k] + 1, left[k] - 1
    return share
