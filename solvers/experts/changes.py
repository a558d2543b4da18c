"""The best single change of a placement: two replicas swapped, or a copy of one expert replaced by one of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray, IntArray

NEVER = -1.0  # gain of a change that is not allowed


@dataclass(eq=False)
class State:
    """Rows of a placement and what follows from them under even split.

    Parameters
    ----------
    load
        [rows, experts] float64.
    expert
        [rows, gpus, places] int64, -1 where there is no place.
    speed
        [gpus] float64.
    zone
        [gpus] int64; experts never leave their zone. All alike where they may go anywhere.
    limit
        [rows] float64 load over speed that no GPU should exceed; gains are counted in excess over it.
    domain, least
        [gpus] int64 failure domain of each GPU, and how many domains every expert stays in; 0 for no such rule.
    """

    load: FloatArray
    expert: IntArray
    speed: FloatArray
    zone: IntArray
    limit: FloatArray
    domain: IntArray | None = None
    least: int = 0

    def __post_init__(self) -> None:
        rows, none = self.load.shape  # one column more stands for no expert
        self.load = np.concatenate([self.load, np.zeros((rows, 1))], axis=1)
        self.row = np.arange(rows)
        self.real = self.expert >= 0
        self.name = np.where(self.real, self.expert, none)
        self.key = (self.row[:, None, None] * (none + 1) + self.name).ravel()
        self.copies = np.maximum(self._sum(np.ones(self.expert.shape)), 1.0)
        self.size = self._of_places(self.load / self.copies)
        self.time = self.size.sum(2) / self.speed
        self.over = self._excess(self.time)
        self.heavy = self.time.argmax(1)
        if self.least and self.domain is not None:
            domains = int(self.domain.max()) + 1
            key = (self.row[:, None, None] * domains + self.domain[:, None]) * (none + 1) + self.name
            self.inside = np.bincount(key.ravel(), minlength=rows * domains * (none + 1)).reshape(rows, domains, -1)
            self.spread = (self.inside > 0).sum(1)

    def _stays(self, row: IntArray, name: IntArray, old: IntArray, new: IntArray) -> BoolArray:
        """[...] bool whether experts are in enough domains when a copy goes from domain `old` to `new`."""
        gained = (self.inside[row, new, name] == 0).astype(np.int64) - (self.inside[row, old, name] == 1)
        return np.asarray((old == new) | (self.spread[row, name] + gained >= self.least), np.bool_)

    def _spare(self) -> BoolArray:
        """[rows, gpus, places] bool whether a place may lose its copy."""
        spare = self.real & (self._of_places(self.copies) > 1)
        if not self.least or self.domain is None:
            return np.asarray(spare, np.bool_)
        r = self.row[:, None, None]
        many = (self.inside[r, self.domain[:, None], self.name] > 1) | (self.spread[r, self.name] > self.least)
        return np.asarray(spare & many, np.bool_)

    def _excess(self, time: FloatArray) -> FloatArray:
        limit = self.limit.reshape(-1, *[1] * (time.ndim - 1))
        return np.maximum(time - limit, 0.0)

    def _of_places(self, per_expert: FloatArray) -> FloatArray:
        """[rows, gpus, places] value of each place's expert."""
        return np.asarray(per_expert[self.row[:, None, None], self.name], np.float64)

    def _sum(self, value: FloatArray) -> FloatArray:
        """[rows, experts] sum of [rows, gpus, places] over the places of each expert."""
        total = np.bincount(self.key, value.ravel(), self.load.size)
        return np.asarray(total, np.float64).reshape(self.load.shape)

    def best_swap(self) -> tuple[FloatArray, IntArray]:
        """Gain [rows] of the best swap of a place of the heaviest GPU p, and its flat index (place, GPU, place)."""
        r, p = self.row, self.heavy
        mine, name = self.size[r, p], self.expert[r, p]
        moved = mine[:, :, None, None] - self.size[:, None]
        after = self._excess(self.time[r, p][:, None, None, None] - moved / self.speed[p][:, None, None, None])
        after += self._excess(self.time[:, None, :, None] + moved / self.speed[:, None])
        gain = self.over[r, p][:, None, None, None] + self.over[:, None, :, None] - after
        there = np.zeros(self.load.shape, bool)
        there[r[:, None], self.name[r, p]] = True
        held = there[r[:, None, None], self.name]
        allowed = self.real & ~held & (self.zone == self.zone[p][:, None])[:, :, None]
        allowed[r, p] = False
        given = (name >= 0)[:, :, None] & ~(self.expert[:, None] == name[:, :, None, None]).any(3)
        if self.least and self.domain is not None:
            mine_at, n = self.domain[p], self.name[r, p]
            given &= self._stays(r[:, None, None], n[:, :, None], mine_at[:, None, None], self.domain)
            allowed &= self._stays(r[:, None, None], self.name, self.domain[:, None], mine_at[:, None, None])
        gain = np.where(allowed[:, None] & given[:, :, :, None], gain, NEVER).reshape(len(r), -1)
        best = gain.argmax(1)
        return gain[r, best], best

    def best_replacement(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Gain [rows] of the best replacement, the flat place (GPU, place) it changes and the expert that comes.

        Either a place of the heaviest GPU gets any expert, or any place gets an expert of the heaviest GPU, which
        then shares it with one GPU more. Where the expert that leaves and the one that comes meet on a third GPU, its
        gain is an estimate.
        """
        r, p = self.row, self.heavy
        copies, load = self._of_places(self.copies), self._of_places(self.load)
        less = load * (1 / copies - 1 / (copies + 1)) / self.speed[:, None]
        more = load * (1 / np.maximum(copies - 1, 1) - 1 / copies) / self.speed[:, None]
        over, time = self.over[:, :, None], self.time[:, :, None]
        relief = self._sum(over - self._excess(time - less))
        burden_here = self._excess(time + more) - over
        burden = np.where(self._spare(), self._of_places(self._sum(burden_here)) - burden_here, np.inf)
        new = self.load / (self.copies + 1)
        into = self._into_heavy(burden[r, p], relief, new)
        outof = self._out_of_heavy(burden, relief, new)
        places, experts = self.expert.shape[2], self.load.shape[1]
        a, b = into.argmax(1), outof.argmax(1)
        gain_a, gain_b = into[r, a], outof[r, b]
        place_a, place_b = p * places + a // experts, b // places
        name_b = self.expert[r, p, b % places]
        first = gain_a >= gain_b
        return (
            np.where(first, gain_a, gain_b),
            np.where(first, place_a, place_b),
            np.where(first, a % experts, name_b),
        )

    def _into_heavy(self, burden: FloatArray, relief: FloatArray, new: FloatArray) -> FloatArray:
        """[rows, places * experts] gain where a place of the heaviest GPU gets another expert."""
        r, p = self.row, self.heavy
        left = self.time[r, p][:, None] - self.size[r, p] / self.speed[p][:, None]
        after = self._excess(left[:, :, None] + (new / self.speed[p][:, None])[:, None])
        gain = self.over[r, p][:, None, None] - after - burden[:, :, None] + relief[:, None]
        home = np.zeros(self.load.shape, np.int64)
        home[r[:, None, None], self.name] = self.zone[:, None]
        allowed = home == self.zone[p][:, None]
        allowed[:, -1] = False
        allowed[r[:, None], self.name[r, p]] = False
        return np.where(allowed[:, None], gain, NEVER).reshape(len(r), -1)

    def _out_of_heavy(self, burden: FloatArray, relief: FloatArray, new: FloatArray) -> FloatArray:
        """[rows, gpus * places * places] gain where a place of another GPU gets an expert of the heaviest GPU."""
        r, p = self.row, self.heavy
        name = self.name[r, p]
        left = self.time[:, :, None] - self.size / self.speed[:, None]
        coming = new[r[:, None], name][:, None, None] / self.speed[:, None, None]
        gain = (self.over[:, :, None] - burden)[..., None] - self._excess(left[..., None] + coming)
        gain += relief[r[:, None], name][:, None, None]
        held = (self.expert[:, :, :, None] == name[:, None, None]).any(2)
        allowed = ~held & (self.zone == self.zone[p][:, None])[:, :, None] & self.real[r, p][:, None]
        return np.where(allowed[:, :, None], gain, NEVER).reshape(len(r), -1)

    def swapped(self, row: IntArray, flat: IntArray) -> None:
        """Make the swaps of `best_swap` in the given rows."""
        gpus, places = self.expert.shape[1:]
        a, rest = np.divmod(flat[row], gpus * places)
        q, b = np.divmod(rest, places)
        p = self.heavy[row]
        self.expert[row, p, a], self.expert[row, q, b] = self.expert[row, q, b], self.expert[row, p, a]

    def replaced(self, row: IntArray, flat: IntArray, name: IntArray) -> None:
        """Make the replacements of `best_replacement` in the given rows."""
        gpu, place = np.divmod(flat[row], self.expert.shape[2])
        self.expert[row, gpu, place] = name[row]


def unfinished(state: State) -> BoolArray:
    """[rows] bool whether some GPU exceeds the limit."""
    return np.asarray(state.over[state.row, state.heavy] > 0, np.bool_)
