"""How many slots a GPU should have: what each added one gains, and the memory that it takes from the KV cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.cost.moe_memory import expert_bytes, kv_room_bytes, kv_token_bytes
from topoplan.errors import InfeasibleError
from topoplan.model.job import ModelShape

MOST_ADDED = 8  # slots a GPU beyond one copy of each expert
ENOUGH = 0.005  # assumed: where memory is not known, a slot must shorten a layer by this share


@dataclass(frozen=True, slots=True)
class Priced:
    """A number of slots, all GPUs together: balance (mean of layers), and the relative time of a layer."""

    slots: int
    balance: float
    time: float


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A number of slots.

    Parameters
    ----------
    per_gpu, slots
        On each GPU, and on all.
    balance
        Mean / largest GPU, mean of layers, as planned.
    gain
        Share of a layer's time that is saved by the last slot a GPU.
    bytes
        Memory of a GPU's slots, all layers; None without a model.
    kv_tokens
        Tokens that the KV cache of a GPU still holds; below zero where weights do not fit. None without a model.
    worth
        Tokens in the KV cache over the time of a layer, 1 at best: what decode throughput is bound by.
    """

    per_gpu: int
    slots: int
    balance: float
    gain: float
    bytes: float | None
    kv_tokens: float | None
    worth: float | None


@dataclass(frozen=True, slots=True)
class SlotSweep:
    """Numbers of slots a GPU, the one that is recommended, and why."""

    rows: tuple[SlotRow, ...]
    recommended: int
    reason: str


def sweep_slots(
    experts: int, gpus: int, price: Callable[[int], Priced], model: ModelShape | None, gpu_memory_bytes: float | None
) -> SlotSweep:
    """Price every number of slots a GPU from the least that holds all experts.

    Parameters
    ----------
    price
        Prices a number of slots, all GPUs together; InfeasibleError where it cannot be.

    Raises
    ------
    InfeasibleError
        No number of slots can be, or none leaves memory for a KV cache.
    """
    least = -(-experts // gpus)
    found: list[Priced] = []
    reason = ""
    for per_gpu in range(least, min(2 * least, least + MOST_ADDED) + 1):
        try:
            found.append(price(per_gpu * gpus))
        except InfeasibleError as error:
            reason = error.message
    if not found:
        raise InfeasibleError(f"no number of slots can be planned: {reason}")
    rooms = [None if model is None else kv_room_bytes(model, p.slots / gpus, gpu_memory_bytes) for p in found]
    worth = [None if room is None else max(room, 0.0) / p.time for room, p in zip(rooms, found, strict=True)]
    best = max((w for w in worth if w is not None), default=0.0)
    if model is not None and best <= 0:
        raise InfeasibleError("the experts' slots leave a GPU no memory for a KV cache", hint="use more GPUs")
    rows = []
    for i, (p, room, value) in enumerate(zip(found, rooms, worth, strict=True)):
        rows.append(
            SlotRow(
                per_gpu=p.slots // gpus,
                slots=p.slots,
                balance=p.balance,
                gain=0.0 if i == 0 else 1 - p.time / found[i - 1].time,
                bytes=None if model is None else p.slots / gpus * model.moe_layers * expert_bytes(model),
                kv_tokens=None if room is None or model is None else room / kv_token_bytes(model),
                worth=None if value is None else value / best,
            )
        )
    return _recommend(tuple(rows))


def _recommend(rows: tuple[SlotRow, ...]) -> SlotSweep:
    if rows[0].worth is not None:
        best = int(np.argmax([row.worth or 0.0 for row in rows]))
        why = "most KV cache for the time of a layer, which is what bounds decode throughput"
    else:
        best = max(i for i, row in enumerate(rows) if i == 0 or row.gain >= ENOUGH)
        why = f"the last slot that shortens a layer by {100 * ENOUGH:g} %; name the model to weigh memory"
    return SlotSweep(rows, rows[best].per_gpu, why)
