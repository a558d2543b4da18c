"""Where each copy of each expert sits, and how tokens are spread over the copies.

Index conventions: layer l (of the listed MoE layers), logical expert e, physical slot s (numbered GPU by GPU, so
rank-major), GPU g, node n (a host, as a source of tokens).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray, IntArray

EMPTY = -1  # a slot that a layer does not use, where layers differ in their number of slots


def _none() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class ExpertPlacement:
    """A map of physical slots to logical experts, layer by layer.

    Parameters
    ----------
    gpus
        GPUs that slots are numbered over, those without a slot too.
    physical_to_logical_map
        [layers, slots] int64 expert in each slot; -1 where a layer leaves a slot out.
    experts
        Logical experts of a layer; 0 takes the highest in the map + 1.
    slot_gpu
        [slots] int64 GPU of each slot, ascending; empty where every GPU has slots / gpus of them.
    dispatch
        Share of its expert's tokens that goes to each slot, in any scale: [layers, slots] float64, or
        [nodes, layers, slots], a set for each source node. None: copies are used evenly.
    dispatch_slot
        [ep_ranks, layers, experts] int64 the one slot that a source rank sends an expert's tokens to, or None.
    lower_bound
        [layers] float64 tokens (over speed) that no placement's largest GPU can go below, or None where not known.
    max_load
        [layers] float64 tokens (over speed) of the largest GPU under the dispatch, or None where not known.

    Raises
    ------
    InputError
        Shapes disagree, an expert has no slot, a weight is negative, or a dispatch slot holds another expert.
    """

    gpus: int
    physical_to_logical_map: IntArray
    experts: int = 0
    slot_gpu: IntArray = field(default_factory=_none)
    dispatch: FloatArray | None = None
    dispatch_slot: IntArray | None = None
    lower_bound: FloatArray | None = None
    max_load: FloatArray | None = None

    def __post_init__(self) -> None:
        self._freeze("physical_to_logical_map", np.int64)
        p2l = self.physical_to_logical_map
        if p2l.ndim != 2 or not p2l.size:
            raise InputError("an expert map needs the shape [layers, slots]")
        if self.experts < 1:
            object.__setattr__(self, "experts", int(p2l.max()) + 1)
        if not len(self.slot_gpu):
            if self.gpus < 1 or self.slots % self.gpus:
                raise InputError(f"{self.slots} slots do not divide by {self.gpus} GPUs, so each slot's GPU is needed")
            object.__setattr__(self, "slot_gpu", np.repeat(np.arange(self.gpus), self.slots // self.gpus))
        self._freeze("slot_gpu", np.int64)
        self._check_map()
        for name in ("lower_bound", "max_load"):
            if self._freeze(name, np.float64) and getattr(self, name).shape != (self.layers,):
                raise InputError(f"{name} needs one value a layer")
        if self._freeze("dispatch", np.float64):
            self._check_dispatch()
        if self._freeze("dispatch_slot", np.int64):
            self._check_dispatch_slot()

    # ---- sizes and counts --------------------------------------------------------------------------------------

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.physical_to_logical_map)

    @property
    def slots(self) -> int:
        """Number of slots, those that only some layers use too."""
        return int(self.physical_to_logical_map.shape[1])

    @property
    def even(self) -> bool:
        """Whether slot s sits on GPU s // (slots / gpus) and every layer uses every slot."""
        rank_major = self.slots % self.gpus == 0 and np.array_equal(
            self.slot_gpu, np.repeat(np.arange(self.gpus), self.slots // self.gpus)
        )
        return bool(rank_major and self.physical_to_logical_map.min() >= 0)

    @property
    def copies(self) -> IntArray:
        """[layers, experts] int64 slots of each expert."""
        return np.asarray(self._per_expert(np.ones(self.physical_to_logical_map.shape)), np.int64)

    @property
    def duplicates(self) -> int:
        """Slots whose expert another slot of the same GPU holds too, over all layers."""
        used = self.physical_to_logical_map >= 0
        key = np.where(used, self.slot_gpu * self.experts + self.physical_to_logical_map, -1)
        key.sort(axis=1)
        return int(((key[:, 1:] == key[:, :-1]) & (key[:, 1:] >= 0)).sum())

    # ---- loads -------------------------------------------------------------------------------------------------

    def shares(self, *, even: bool = False) -> FloatArray:
        """[layers, slots] float64 share of its expert's tokens that each slot gets, summing to 1 over an expert.

        Parameters
        ----------
        even
            Ignore the dispatch weights. Weights per source node are averaged: sources send alike.
        """
        if self.dispatch is None or even:
            return self._normalised(np.ones(self.physical_to_logical_map.shape))
        if self.dispatch.ndim == 2:
            return self._normalised(self.dispatch)
        return np.asarray(np.mean([self._normalised(node) for node in self.dispatch], axis=0), np.float64)

    def node_shares(self, node: int) -> FloatArray:
        """[layers, slots] float64 share of its expert's tokens from one source node that each slot gets."""
        if self.dispatch is None or self.dispatch.ndim == 2:
            return self.shares()
        return self._normalised(self.dispatch[node])

    def gpu_load(self, load: FloatArray, *, even: bool = False) -> FloatArray:
        """[layers, gpus] float64 tokens that each GPU computes.

        Parameters
        ----------
        load
            [layers, experts] float64 tokens of each expert.
        even
            Ignore the dispatch weights.
        """
        load = np.asarray(load, np.float64)
        if load.shape != (self.layers, self.experts):
            raise InputError(f"load has shape {list(load.shape)}, the map is for {[self.layers, self.experts]}")
        slot_load = np.take_along_axis(load, np.maximum(self.physical_to_logical_map, 0), 1) * self.shares(even=even)
        key = np.arange(self.layers)[:, None] * self.gpus + self.slot_gpu
        total = np.bincount(key.ravel(), slot_load.ravel(), self.layers * self.gpus)
        return np.asarray(total, np.float64).reshape(self.layers, self.gpus)

    def with_max_load(self, load: FloatArray, speed: FloatArray) -> ExpertPlacement:
        """The same placement with `max_load` under its dispatch; speed is [gpus] float64."""
        return replace(self, max_load=(self.gpu_load(load) / speed).max(1))

    def balancedness(self, load: FloatArray, *, even: bool = False) -> FloatArray:
        """[layers] float64 mean / max load of the GPUs that have a slot, 1 where all are equal."""
        on = self.gpu_load(load, even=even)[:, np.unique(self.slot_gpu)]
        return np.asarray(on.mean(1) / on.max(1), np.float64)

    # ---- checks ------------------------------------------------------------------------------------------------

    def _freeze(self, name: str, kind: type[np.generic]) -> bool:
        """Store the named array with its dtype, read-only; False where it is None."""
        value = getattr(self, name)
        if value is None:
            return False
        value = np.array(value, kind)
        value.flags.writeable = False
        object.__setattr__(self, name, value)
        return True

    def _normalised(self, weight: FloatArray) -> FloatArray:
        """[layers, slots] float64 weights that sum to 1 over an expert's slots."""
        p2l = self.physical_to_logical_map
        total = np.take_along_axis(self._per_expert(weight), np.maximum(p2l, 0), 1)
        return np.asarray(np.where(p2l >= 0, weight / np.where(p2l >= 0, total, 1.0), 0.0), np.float64)

    def _per_expert(self, value: FloatArray) -> FloatArray:
        """[layers, experts] float64 sum over each expert's slots."""
        p2l = self.physical_to_logical_map
        key = np.arange(self.layers)[:, None] * self.experts + np.maximum(p2l, 0)
        total = np.bincount(key.ravel(), np.where(p2l >= 0, value, 0.0).ravel(), self.layers * self.experts)
        return np.asarray(total, np.float64).reshape(self.layers, self.experts)

    def _check_map(self) -> None:
        p2l = self.physical_to_logical_map
        if self.slot_gpu.shape != (self.slots,):
            raise InputError(f"{self.slot_gpu.size} slots have a GPU, the map has {self.slots}")
        if self.slot_gpu.min() < 0 or self.slot_gpu.max() >= self.gpus or (np.diff(self.slot_gpu) < 0).any():
            raise InputError(f"slots must be numbered GPU by GPU, from GPU 0 to at most {self.gpus - 1}")
        bad = np.flatnonzero(((p2l < EMPTY) | (p2l >= self.experts)).any(1))
        if bad.size:
            raise InputError(f"layer {bad[0]}: the map names an expert that does not exist (0 to {self.experts - 1})")
        missing = np.argwhere(self.copies == 0)
        if missing.size:
            raise InputError(f"layer {missing[0, 0]}: expert {missing[0, 1]} has no slot")

    def _check_dispatch(self) -> None:
        weight, shape = self.dispatch, self.physical_to_logical_map.shape
        assert weight is not None
        if weight.ndim not in (2, 3) or weight.shape[-2:] != shape or not weight.size:
            raise InputError(f"dispatch has shape {list(weight.shape)}, not [layers, slots] or [nodes, layers, slots]")
        if not np.isfinite(weight).all() or weight.min() < 0:
            raise InputError("a dispatch weight is negative or not a number")
        for node in weight.reshape(-1, *shape):
            lost = np.argwhere(self._per_expert(node) <= 0)
            if lost.size:
                raise InputError(f"layer {lost[0, 0]}: no copy of expert {lost[0, 1]} gets any dispatch weight")

    def _check_dispatch_slot(self) -> None:
        slot = self.dispatch_slot
        assert slot is not None
        if slot.ndim != 3 or slot.shape[1:] != (self.layers, self.experts):
            raise InputError(f"dispatch_slot has shape {list(slot.shape)}, not [ep_ranks, layers, experts]")
        if slot.min() < 0 or slot.max() >= self.slots:
            raise InputError("dispatch_slot names a slot that does not exist")
        held = self.physical_to_logical_map[np.arange(self.layers)[:, None], slot]
        wrong = np.argwhere(held != np.arange(self.experts))
        if wrong.size:
            rank, layer, expert = wrong[0]
            raise InputError(f"layer {layer}: dispatch_slot of rank {rank} sends expert {expert} to another's slot")
