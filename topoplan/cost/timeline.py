"""When each pipeline rank does what in a step, for pictures: the schedule's order run operation by operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topoplan.cost.schedules.events import Slot, play
from topoplan.cost.schedules.orders import Op, Turn, orders
from topoplan.model.fabric import FloatArray
from topoplan.model.step import Interval

_WORD = {"F": "forward", "B": "backward", "BW": "backward", "W": "weights"}


@dataclass(frozen=True, eq=False)
class Pieces:
    """What a step is put together from.

    Parameters
    ----------
    forward, backward, weights
        [pp] float64 seconds of compute of one micro-batch, as in `topoplan.cost.schedules.Pass`.
    inside
        Exposed seconds a step of axes that work inside micro-batches; half goes with the forward.
    hop_s
        Exposed seconds of a message between ranks.
    after
        Seconds a step of what each rank does when its micro-batches are done, in order.
    """

    schedule: str
    forward: FloatArray
    backward: FloatArray
    weights: FloatArray
    micro_batches: int
    virtual: int
    inside: tuple[tuple[str, float], ...]
    hop_s: float
    after: tuple[tuple[str, float], ...]


def timeline(pieces: Pieces) -> tuple[Interval, ...]:
    """Intervals of each pipeline rank in order, those between them spent waiting; none where no order is defined.

    It ends when the step does where ranks have like work, up to the exactness of the schedule's closed form
    (`topoplan.cost.schedules.forms`), and sooner elsewhere: for unlike ranks that form is a bound.
    """
    ranks = len(pieces.forward)
    turns = orders(pieces.schedule, ranks, pieces.micro_batches, pieces.virtual)
    if turns is None:
        return ()

    def seconds(rank: int, op: Op) -> float:
        return sum(s for _, s in _parts(pieces, rank, op))

    slots = play(turns, seconds, ranks * pieces.virtual, pieces.hop_s)
    found = [interval for slot in slots for interval in _of_slot(pieces, slot)]
    ends = {slot.rank: slot.end_s for slot in slots}  # slots of a rank are in order
    return tuple(sorted((*found, *_afterwards(pieces, ends)), key=lambda i: (i.stage, i.start_s, i.end_s)))


def _parts(pieces: Pieces, rank: int, op: Op) -> list[tuple[str, float]]:
    """What an operation is made of: compute, then what blocks it; gradients of weights wait for nobody."""
    compute = {
        "F": pieces.forward[rank],
        "B": pieces.backward[rank],
        "W": pieces.weights[rank],
        "BW": pieces.backward[rank] + pieces.weights[rank],
    }[op[0]]
    parts = [(_WORD[op[0]], float(compute) / pieces.virtual)]
    if op[0] != "W":
        parts += [(name, seconds / (2 * pieces.micro_batches * pieces.virtual)) for name, seconds in pieces.inside]
    return parts


def _of_slot(pieces: Pieces, slot: Slot) -> Iterator[Interval]:
    at = slot.start_s
    for what, seconds in _merged(pieces, slot.rank, slot.turn).items():
        if seconds > 0:
            yield Interval(slot.rank, at, at + seconds, what, slot.turn[0][2])
            at += seconds


def _merged(pieces: Pieces, rank: int, turn: Turn) -> dict[str, float]:
    """Parts of a turn by name; operations that run as one are one, "both"."""
    found: dict[str, float] = {}
    for op in turn:
        for what, seconds in _parts(pieces, rank, op):
            word = "both" if len(turn) > 1 and what in _WORD.values() else what
            found[word] = found.get(word, 0.0) + seconds
    return found


def _afterwards(pieces: Pieces, ends: dict[int, float]) -> Iterator[Interval]:
    for rank, end in ends.items():
        at = end
        for what, seconds in pieces.after:
            if seconds > 0:
                yield Interval(rank, at, at + seconds, what)
                at += seconds
