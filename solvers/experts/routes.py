"""Routing traces: which experts fire together, where their tokens come from, and what visits to hosts that causes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray, IntArray

MOST_TOKENS, POOLED_TOKENS = 40_000, 8_000  # of a layer; and that stand for each source where all route alike
SOLE = -60.0  # log of the chance to miss a host that an expert always sends to


@dataclass(frozen=True, eq=False)
class Routes:
    """A routing trace.

    Parameters
    ----------
    expert_ids
        [layers, tokens, top_k] int16 or wider, the experts of each token.
    source
        [tokens] float64 in [0, 1): times the number of GPUs, the GPU that a token starts from.

    Raises
    ------
    InputError
        No tokens, shapes that disagree, a negative expert, or a source out of range; names the layer.
    """

    expert_ids: npt.NDArray[np.integer]
    source: FloatArray

    def __post_init__(self) -> None:
        ids, source = np.asarray(self.expert_ids), np.asarray(self.source, np.float64)
        if ids.ndim != 3 or not np.issubdtype(ids.dtype, np.integer):
            raise InputError(
                f"expert_ids have shape {list(ids.shape)} of {ids.dtype}, not [layers, tokens, top_k] integers"
            )
        if not ids.size:
            raise InputError("the routing trace has no tokens")
        if source.shape != (ids.shape[1],):
            raise InputError(f"the routing trace has {ids.shape[1]} tokens but {source.size} sources")
        if not (np.isfinite(source).all() and source.min() >= 0 and source.max() < 1):
            raise InputError("a token's source is not in [0, 1)")
        negative = np.flatnonzero((ids < 0).any((1, 2)))
        if negative.size:
            raise InputError(f"layer {negative[0]}: the routing trace names a negative expert")
        object.__setattr__(self, "expert_ids", ids)
        object.__setattr__(self, "source", source)

    def check(self, layers: int, experts: int) -> None:
        """Raise an InputError that names the layer where the trace does not fit a load of that shape."""
        if len(self.expert_ids) != layers:
            raise InputError(f"the routing trace has {len(self.expert_ids)} layers, the load {layers}")
        unknown = np.flatnonzero((self.expert_ids >= experts).any((1, 2)))
        if unknown.size:
            name = int(self.expert_ids[unknown[0]].max())
            raise InputError(f"layer {unknown[0]}: the routing trace names expert {name}, the load has {experts}")

    def counts(self, experts: int) -> FloatArray:
        """[layers, experts] float64 tokens of each expert in the trace."""
        return np.array([np.bincount(ids.ravel(), minlength=experts) for ids in self.expert_ids], np.float64)

    def nodes(self, host: IntArray) -> IntArray:
        """[tokens] int64 index of the host, among those in ascending order, that each token starts from."""
        index = np.unique(host, return_inverse=True)[1]
        return np.asarray(index[(self.source * len(host)).astype(np.int64)], np.int64)


class Visits:
    """How often tokens of one layer visit hosts, as a function of where each source sends each expert's tokens.

    Parameters
    ----------
    ids
        [tokens, top_k] int64.
    node
        [tokens] int64 host index each token starts from.
    share
        [hosts] float64 share of tokens that start on each host.
    experts
        Number of experts.
    pooled
        Whether any token may stand for one of any source, which is less noisy where sources route alike.
    """

    def __init__(self, ids: IntArray, node: IntArray, share: FloatArray, experts: int, pooled: bool) -> None:
        hosts = len(share)
        self.dispatches = ids.size
        thin = max(1, len(ids) // MOST_TOKENS)
        ids, node = ids[::thin], node[::thin]
        self.ids, self.experts, self.hosts = ids, experts, hosts
        self.share = share
        self._all = _Sorted(ids, experts)
        stride = max(1, len(ids) // POOLED_TOKENS)
        self._of = [_Sorted(ids[n % stride :: stride] if pooled else ids[node == n], experts) for n in range(hosts)]

    def of_homes(self, home: IntArray) -> tuple[FloatArray, float]:
        """Chance [experts, hosts] that no other expert of a token goes there, and remote hosts a token.

        For one copy an expert, on its home host [experts] int64.
        """
        alone, visits = self._all.alone((home[:, None] == np.arange(self.hosts)).astype(np.float64))
        return alone * (1 - self.share), float((visits * (1 - self.share)).sum())

    def affinity(self) -> FloatArray:
        """[experts, experts] float64 how much more often two experts fire together than by chance; 0 with itself."""
        pair = self.ids[:, :, None] * self.experts + self.ids[:, None]
        count = np.bincount(pair.ravel(), minlength=self.experts**2).reshape(self.experts, -1) / len(self.ids)
        share = np.diagonal(count)
        together = count - share[:, None] * share
        np.fill_diagonal(together, 0.0)
        return np.asarray(together, np.float64)

    def patterns(self, size: int) -> tuple[npt.NDArray[np.float32], FloatArray]:
        """Blocks of `size` consecutive experts that tokens use: [patterns, blocks] float32 0 or 1, and their shares."""
        blocks = self.experts // size
        used = np.zeros((len(self.ids), blocks), bool)
        used[np.arange(len(self.ids))[:, None], self.ids // size] = True
        packed, count = np.unique(np.packbits(used, axis=1), axis=0, return_counts=True)
        pattern = np.unpackbits(packed, axis=1, count=blocks).astype(np.float32)
        return pattern, np.asarray(count / len(self.ids), np.float64)

    def marginal(self, sent: FloatArray) -> tuple[FloatArray, float]:
        """What one more dispatch to a host adds, and remote hosts a token.

        Parameters
        ----------
        sent
            [nodes, experts, hosts] float64 share of an expert's tokens from a node that goes to each host.

        Returns
        -------
        cost
            [nodes, experts, hosts] float64 chance that no other expert of the token goes there already; 0 at home.
        remote
            Expected hosts, other than its own, that a token visits.
        """
        cost, remote = np.zeros(sent.shape), 0.0
        for n, tokens in enumerate(self._of):
            if self.share[n] > 0:
                cost[n], visits = tokens.alone(sent[n])
                cost[n, :, n] = visits[n] = 0.0
                remote += self.share[n] * float(visits.sum())
        return cost, remote


class _Sorted:
    """Tokens with their experts sorted by expert, so that sums over an expert's tokens are quick."""

    def __init__(self, ids: IntArray, experts: int) -> None:
        self.ids = ids
        self.token = np.argsort(ids.ravel(), kind="stable") // ids.shape[1]
        self.count = np.bincount(ids.ravel(), minlength=experts)
        self.seen = np.flatnonzero(self.count)
        self.start = np.concatenate([[0], self.count.cumsum()])[self.seen]

    def alone(self, sent: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[experts, hosts] chance that no other expert of a token goes to a host, and [hosts] chance of a visit."""
        cost = np.zeros(sent.shape)
        if not len(self.ids):
            return cost, np.zeros(sent.shape[1])
        with np.errstate(divide="ignore"):
            miss = np.maximum(np.log1p(-np.minimum(sent, 1.0)), SOLE)
        none = np.exp(sum_rows(miss, self.ids))
        # what a token's other experts miss is what all miss over what its own does, which is the same for all tokens
        mine = np.add.reduceat(none.take(self.token, axis=0), self.start, axis=0)
        cost[self.seen] = mine / np.exp(miss[self.seen]) / self.count[self.seen, None]
        return cost, 1.0 - none.mean(0)


def sum_rows(table: FloatArray, ids: IntArray) -> FloatArray:
    """[tokens, parts] float64 sum of a table's [experts, parts] rows over each token's experts [tokens, top_k]."""
    total = table.take(ids[:, 0], axis=0)
    for column in ids.T[1:]:
        total += table.take(column, axis=0)
    return np.asarray(total, np.float64)


def source_shares(node: IntArray, host: IntArray) -> FloatArray:
    """[hosts] float64 share of tokens that start on each host: by its GPUs, unless the trace clearly says otherwise.

    Parameters
    ----------
    node
        [tokens] int64 host index each token starts from.
    host
        [gpus] int64 host of each GPU.
    """
    even = np.unique(host, return_counts=True)[1] / len(host)
    count = np.bincount(node, minlength=len(even))
    chi_square, freedom = float(((count - len(node) * even) ** 2 / (len(node) * even)).sum()), len(even) - 1
    by_chance = chi_square <= freedom + 3 * np.sqrt(2 * freedom)  # mean and 3 standard deviations of chi square
    return np.asarray(even if by_chance else count / len(node), np.float64)


def source_loads(ids: IntArray, node: IntArray, load: FloatArray, share: FloatArray) -> tuple[FloatArray, bool]:
    """[nodes, experts] float64 load of each expert from each source host, and whether sources route alike.

    The counts of a trace are noisy, so they are drawn towards "all sources route alike" by as much of their spread as
    chance explains.

    Parameters
    ----------
    ids, node
        [tokens, top_k] and [tokens] int64.
    load
        [experts] float64 tokens to split.
    share
        [hosts] float64 share of tokens that start on each host.
    """
    experts, width, hosts = len(load), ids.shape[1], len(share)
    count = np.bincount(np.repeat(node, width) * experts + ids.ravel(), minlength=hosts * experts).reshape(hosts, -1)
    total = count.sum(0)
    expected = share[:, None] * total
    chance = (share * (1 - share))[:, None] * total  # variance of a count if all sources route alike
    spread, noise = float(((count - expected) ** 2).sum()), float(chance.sum())
    real = max(0.0, 1.0 - noise / spread) if spread > 0 else 0.0
    own = np.where(total > 0, count / np.maximum(total, 1), share[:, None])
    freedom = max(1, (hosts - 1) * int((total > 0).sum()))
    if real < 3 * np.sqrt(2 / freedom):  # chance alone gives as much once in a thousand traces
        real = 0.0
    return load * ((1 - real) * share[:, None] + real * own), real == 0.0
