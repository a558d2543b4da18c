"""Expected slowest link when ECMP hashes flows onto the parallel links of uplinks.

Each flow is cut into queue pairs; every queue pair lands on one of the n links of an uplink, uniformly and
independently. The load of one link is then a sum of independent Bernoulli(1/n) terms, whose distribution is exact by
Fourier transform on a lattice of bytes; the slowest of all links follows from the product of the links' distribution
functions. Links of one uplink are negatively correlated, so this errs to the fast side, by 2 % where few queue pairs
meet few links and less elsewhere; the tests compare it with Monte Carlo.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.model.fabric import FloatArray, IntArray

KEPT_SIZE = 2**14  # lattices up to which transforms of one queue pair are remembered: 128 KiB each
LATTICE = 24  # steps of the largest queue pair; smaller ones than half a step are spread evenly


@dataclass(frozen=True, eq=False)
class HashedFlows:
    """How many queue pairs of each size class cross each uplink of one direction.

    Parameters
    ----------
    count
        [uplinks, classes] float64 queue pairs of each class.
    steps
        [classes] int64 size of a class in lattice steps.
    step_bytes
        Bytes of a step.
    fluid_bytes
        [uplinks] float64 bytes that are spread evenly: what rounding to the lattice left over.
    links
        [uplinks] float64 parallel links.
    bandwidth
        [uplinks] float64 bytes/s of one link.
    """

    count: FloatArray
    steps: IntArray
    step_bytes: float
    fluid_bytes: FloatArray
    links: FloatArray
    bandwidth: FloatArray


def classify(size_bytes: FloatArray) -> tuple[IntArray, IntArray, float]:
    """Size class of each flow: class [flows] (-1 for spread evenly), steps [classes], bytes of a step.

    Flows of one size make one class of one step.
    """
    largest = float(size_bytes.max(initial=0.0)) / QUEUE_PAIRS
    if largest <= 0:
        return np.full(len(size_bytes), -1, np.int64), np.zeros(0, np.int64), 1.0
    if float(size_bytes.min()) / QUEUE_PAIRS >= largest * (1 - 1e-9):
        return np.zeros(len(size_bytes), np.int64), np.ones(1, np.int64), largest
    step = largest / LATTICE
    steps = np.rint(size_bytes / QUEUE_PAIRS / step).astype(np.int64)
    used, index = np.unique(steps, return_inverse=True)
    zero = int(used[0] == 0)
    return np.asarray(index, np.int64) - zero, used[zero:], step


def link_distribution(flows: HashedFlows) -> FloatArray:
    """[uplinks, steps] float64 probability that one link of an uplink carries at most k lattice steps."""
    odds = 1.0 / flows.links
    mean = (flows.count * flows.steps).sum(1) * odds
    spread = np.sqrt((flows.count * flows.steps.astype(float) ** 2).sum(1) * odds)
    most = (flows.count * flows.steps).sum(1)
    # ten standard deviations and the largest class beyond the mean hold all that matters
    reach = np.minimum(most, mean + 10 * spread + 6 * flows.steps.max(initial=1)).max(initial=1)
    size = int(2 ** np.ceil(np.log2(2 * reach + 2)))
    alike, kind = np.unique(odds, return_inverse=True)  # few: logarithms of complex numbers are what takes time
    log = np.zeros((len(flows.count), size // 2 + 1), complex)
    for c in range(len(flows.steps)):
        term = np.array([_transform(float(p), int(flows.steps[c]), size) for p in alike])
        has = np.flatnonzero(flows.count[:, c] > 0)
        log[has] += flows.count[has, c, None] * term[kind[has]]
    density = np.fft.irfft(np.exp(log), size, axis=1)
    return np.asarray(np.clip(np.cumsum(np.clip(density, 0, None), axis=1), 0, 1))


def _transform(odds: float, step: int, size: int) -> npt.NDArray[np.complex128]:
    """[frequencies] complex128 logarithm of the transform of one queue pair of `step` lattice steps of `size`."""
    return (_remembered if size <= KEPT_SIZE else _transformed)(odds, step, size)


def _transformed(odds: float, step: int, size: int) -> npt.NDArray[np.complex128]:
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) * step / size)
    with np.errstate(divide="ignore"):  # log(0) where every queue pair has one link to go to
        return np.asarray(np.log(1 - odds + odds * turn), np.complex128)


_remembered = lru_cache(maxsize=256)(_transformed)


@dataclass(frozen=True, eq=False)
class Slowest:
    """Distribution of the time of the slowest link.

    Parameters
    ----------
    moments
        [moments] float64 seconds, rising; the first is what other links take at least.
    exceed
        [moments] float64 probability that the slowest link takes longer.
    """

    moments: FloatArray
    exceed: FloatArray

    @property
    def expected_s(self) -> float:
        """Expected time, s."""
        return float(self.moments[0] + (self.exceed[:-1] * np.diff(self.moments)).sum())

    def quantile_s(self, share: float) -> float:
        """Time (s) that the slowest link keeps to in `share` of all hashings, 0 < share < 1."""
        return float(self.moments[int(np.argmax(self.exceed <= 1 - share))])


def expected_slowest(flows: HashedFlows, at_least_s: float, repeat: FloatArray | None = None) -> float:
    """Expected time (s) of the slowest link of all uplinks, or `at_least_s` where other links are slower.

    Parameters
    ----------
    repeat
        As for `slowest_link`.
    """
    return slowest_link(flows, at_least_s, repeat).expected_s


def slowest_link(flows: HashedFlows, at_least_s: float, repeat: FloatArray | None = None) -> Slowest:
    """Time of the slowest link of all uplinks, no less than the `at_least_s` of other links.

    Uplinks with equal counts, links and bandwidth are evaluated once; `repeat` [uplinks] float64 says how many alike
    each row stands for.
    """
    live = np.flatnonzero((flows.count.sum(1) > 0) | (flows.fluid_bytes > 0))
    if not len(live):
        return Slowest(np.array([at_least_s]), np.zeros(1))
    spread = np.round(flows.fluid_bytes / np.maximum(flows.links, 1) / flows.step_bytes, 3)
    key = np.column_stack([flows.count, flows.links, flows.bandwidth, spread])[live]
    key, index = np.unique(key, axis=0, return_inverse=True)
    times = np.bincount(index, None if repeat is None else repeat[live], len(key))
    classes = len(flows.steps)
    if (key[:, classes] <= 0).any():
        return Slowest(np.array([np.inf]), np.zeros(1))  # bytes on an uplink that has no links
    unique = HashedFlows(
        key[:, :classes], flows.steps, flows.step_bytes, np.zeros(len(key)), key[:, classes], key[:, classes + 1]
    )
    offset = key[:, classes + 2]
    below = link_distribution(unique)
    weight = times * unique.links
    seconds = flows.step_bytes / unique.bandwidth  # of one step on a link of each uplink
    grid = (np.arange(below.shape[1])[None, :] + offset[:, None]) * seconds[:, None]
    moments = np.unique(np.concatenate([[at_least_s], grid[grid > at_least_s]]))
    with np.errstate(divide="ignore"):  # log(0) before a link can be done; the first column is before it starts
        logs = weight[:, None] * np.log(np.pad(below, ((0, 0), (1, 0))))
    log = np.zeros(len(moments))
    for row in range(len(key)):
        k = np.floor(moments / seconds[row] - offset[row] + 1e-9).astype(np.int64)
        log += logs[row, np.clip(k, -1, below.shape[1] - 1) + 1]
    return Slowest(moments, 1 - np.exp(log))
