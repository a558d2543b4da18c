"""Pipelines run operation by operation: times from the order of each rank and what its operations wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from topoplan.cost.schedules.orders import Op, Turn


@dataclass(frozen=True, slots=True)
class Slot:
    """A turn of a rank and when it runs."""

    rank: int
    turn: Turn
    start_s: float
    end_s: float


def play(turns: list[list[Turn]], seconds: Callable[[int, Op], float], stages: int, hop_s: float = 0.0) -> list[Slot]:
    """When each turn runs, each as soon as its rank is free and what it needs has come, rank by rank in order.

    Parameters
    ----------
    turns
        Of each rank, in the order in which it takes them; see `topoplan.cost.schedules.orders`.
    seconds
        Of an operation on a rank.
    stages
        Virtual stages of one pipeline.
    hop_s
        Of a message between ranks.
    """
    owner = {op: r for r, row in enumerate(turns) for turn in row for op in turn}
    done: dict[Op, float] = {}
    free = [0.0] * len(turns)
    left = [deque(row) for row in turns]
    slots: list[Slot] = []
    while any(left):
        before = len(slots)
        for r, row in enumerate(left):
            while row:
                needs = [need for op in row[0] for need in _needs(op, stages, owner) if need not in row[0]]
                if any(need not in done for need in needs):
                    break
                turn = row.popleft()
                start = max([free[r], *(done[need] + hop_s * (owner[need] != r) for need in needs)])
                free[r] = start + sum(seconds(r, op) for op in turn)
                slots.append(Slot(r, turn, start, free[r]))
                done.update(dict.fromkeys(turn, free[r]))
        if len(slots) == before:
            raise AssertionError("the orders of the ranks wait for each other")
    return sorted(slots, key=lambda slot: (slot.rank, slot.start_s, slot.turn))


def _needs(op: Op, stages: int, owner: dict[Op, int]) -> list[Op]:
    kind, stage, micro = op
    if kind == "F":
        return [("F", stage - 1, micro)] if stage % stages else []
    if kind == "W":
        return [("B", stage, micro)]
    after = [("F", stage, micro)]
    if (stage + 1) % stages:
        after += [need for need in (("B", stage + 1, micro), ("BW", stage + 1, micro)) if need in owner]
    return after
