"""List the sets of vertices that cut little of a weighted graph, given a price for each vertex."""

from __future__ import annotations

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray


class Lister:
    """Decides vertices one by one, in or out, and drops partial sets that cannot come below a limit.

    Parameters
    ----------
    weight
        [n, n] weight between vertices, symmetric, 0 on the diagonal.

    Attributes
    ----------
    work
        Partial sets looked at so far.
    """

    def __init__(self, weight: IntArray) -> None:
        reached, left = np.zeros(len(weight)), list(range(len(weight)))
        order = []
        while left:  # a vertex is decided soon after those it is tied to most, so that partial cuts say much
            vertex = max(left, key=lambda v: (reached[v], -v))
            order.append(vertex)
            left.remove(vertex)
            reached = reached + weight[vertex]
        self._order = np.array(order, np.int64)
        self._weight = weight[np.ix_(order, order)].astype(np.float64)
        self.work = 0

    def sets(
        self, sizes: range, scale: float, price: FloatArray, limit: float, most: int
    ) -> tuple[BoolArray, FloatArray, bool]:
        """Sets whose scale x cut - prices is at most `limit`, cheapest first.

        Parameters
        ----------
        sizes
            Numbers of vertices allowed.
        price
            [n] float64.
        most
            Partial sets kept at a time; beyond it only the most promising are, and sets may be missing.

        Returns
        -------
        inside
            [sets, n] bool.
        value
            [sets] float64 scale x cut - prices.
        complete
            Whether no set is missing.
        """
        weight, p, n = self._weight * scale, price[self._order], len(self._order)
        inside, value, count, complete = np.zeros((1, n), bool), np.zeros(1), np.zeros(1, np.int64), True
        to_in, to_out = np.zeros((1, n)), np.zeros((1, n))  # weight from each vertex to those in, and to those out
        for i in range(n):
            take = np.flatnonzero(count < sizes[-1])
            leave = np.flatnonzero(count + (n - i - 1) >= sizes[0])
            value = np.concatenate([value[take] + to_out[take, i] - p[i], value[leave] + to_in[leave, i]])
            inside = np.concatenate([inside[take], inside[leave]])
            inside[: len(take), i] = True
            count = np.concatenate([count[take] + 1, count[leave]])
            to_in = np.concatenate([to_in[take] + weight[i], to_in[leave]])
            to_out = np.concatenate([to_out[take], to_out[leave] + weight[i]])
            rest = slice(i + 1, n)
            least = value + _least(to_out[:, rest] - p[rest], to_in[:, rest], sizes[0] - count, sizes[-1] - count)
            self.work += len(least)
            keep = np.flatnonzero(least <= limit)
            if len(keep) > most:
                keep, complete = np.sort(keep[np.argsort(least[keep], kind="stable")[:most]]), False
            inside, value, count = inside[keep], value[keep], count[keep]
            to_in, to_out = to_in[keep], to_out[keep]
        order = np.argsort(value, kind="stable")
        result = np.zeros_like(inside)
        result[:, self._order] = inside[order]
        return result, value[order], complete


def _least(enter: FloatArray, stay: FloatArray, low: IntArray, high: IntArray) -> FloatArray:
    """[sets] least that the undecided vertices add, of which `low` to `high` enter, each paying for those decided."""
    gain = np.sort(enter - stay, axis=1)
    sums = np.concatenate([np.zeros((len(gain), 1)), np.cumsum(gain, axis=1)], axis=1)
    # the sums fall as long as gains are below zero
    number = np.clip((gain < 0).sum(1), np.maximum(low, 0), np.minimum(high, gain.shape[1]))
    return np.asarray(stay.sum(1) + sums[np.arange(len(sums)), number])
