"""What a new placement keeps of a previous one: experts, GPUs and the order of slots."""

from __future__ import annotations

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import BoolArray, FloatArray, IntArray
from topoplan.solvers.experts.part import Part, from_map
from topoplan.solvers.experts.problem import ExpertProblem


def previous_rows(part: Part, problem: ExpertProblem) -> IntArray:
    """[rows, live, places] int64 experts of the previous placement, -1 in places that it does not fill.

    Raises
    ------
    InputError
        The previous placement is of another model or other GPUs.
    """
    previous = problem.previous
    assert previous is not None
    if (previous.gpus, previous.layers, previous.experts) != (problem.gpus, problem.layers, problem.experts):
        raise InputError(
            f"the previous placement has {previous.layers} layers of {previous.experts} experts on {previous.gpus} "
            f"GPUs, the load {problem.layers} of {problem.experts} on {problem.gpus}",
            hint="list lost GPUs as dead instead of leaving them out",
        )
    return from_map(part, previous.physical_to_logical_map, previous.slot_gpu)


def complete(part: Part, rows: IntArray) -> IntArray:
    """Fill open places and give every expert a slot again, where GPUs were lost or slots added.

    Lost experts go first, heaviest first, each to the least loaded GPU with an open place, else in place of the copy
    that is missed least; open places that are left get a copy of the expert with the heaviest replicas.
    """
    rows = rows.copy()
    real = np.arange(part.places) < part.slots[:, None]
    for row, load in zip(rows, part.load, strict=True):
        copies = np.bincount(row[row >= 0], minlength=len(load))
        lost = sorted(np.flatnonzero(copies == 0), key=lambda e: (-load[e], e))
        for _ in range(len(lost) + int((real & (row < 0)).sum())):
            expert = lost.pop(0) if lost else _next_copy(row, load, copies, real)
            if expert < 0:
                break
            gpu, place = _place_for(row, load / np.maximum(copies, 1), copies, real, int(expert), part.speed)
            if row[gpu, place] >= 0:
                copies[row[gpu, place]] -= 1
            row[gpu, place] = expert
            copies[expert] += 1
    return rows


def _next_copy(row: IntArray, load: FloatArray, copies: IntArray, real: BoolArray) -> int:
    """Expert with the heaviest replicas that some GPU with an open place does not hold; -1 without open places."""
    is_open = (real & (row < 0)).any(1)
    if not is_open.any():
        return -1
    for expert in np.argsort(-load / copies, kind="stable"):
        if (is_open & ~(row == expert).any(1)).any():
            return int(expert)
    return int((load / copies).argmax())


def _place_for(
    row: IntArray, share: FloatArray, copies: IntArray, real: BoolArray, expert: int, speed: FloatArray
) -> tuple[int, int]:
    """GPU and place for an expert: an open place, else that of the lightest replica whose expert has others."""
    is_open = real & (row < 0)
    if is_open.any():
        time = np.where(row >= 0, share[row], 0.0).sum(1) / speed + np.where((row == expert).any(1), 1e30, 0.0)
        gpu = int(np.where(is_open.any(1), time, np.inf).argmin())
        return gpu, int(is_open[gpu].argmax())
    cost = np.where((row >= 0) & (copies[row] > 1), share[row], np.inf)
    best = int(cost.argmin())
    return best // row.shape[1], best % row.shape[1]


def moved_slots(old: IntArray, new: IntArray) -> IntArray:
    """[rows] int64 places whose GPU did not hold their expert before.

    Parameters
    ----------
    old, new
        [rows, gpus, places] int64, -1 where there is no place.
    """
    rows, gpus, _ = old.shape
    experts = int(max(old.max(), new.max())) + 1
    gpu = np.arange(rows * gpus).reshape(rows, gpus, 1) * experts

    def held(where: IntArray) -> IntArray:
        return np.bincount((gpu + where)[where >= 0], minlength=rows * gpus * experts)

    return np.asarray(np.maximum(held(new) - held(old), 0).reshape(rows, -1).sum(1), np.int64)


def keep_order(old: IntArray, new: IntArray) -> IntArray:
    """The new placement with every expert that stays on its GPU in the place it had; the others fill the rest.

    Parameters
    ----------
    old, new
        [rows, gpus, places] int64, -1 where there is no place.
    """
    left, kept = new.copy(), np.full(new.shape, -1, np.int64)
    room = new >= 0  # the places a GPU has come first
    for s in range(new.shape[2]):
        match = (left == old[:, :, s, None]) & (left >= 0) & room[:, :, s, None]
        r, g = np.nonzero(match.any(2))
        kept[r, g, s] = old[r, g, s]
        left[r, g, match.argmax(2)[r, g]] = -1
    for s in range(new.shape[2]):
        r, g = np.nonzero((kept[:, :, s] < 0) & room[:, :, s])
        first = (left[r, g] >= 0).argmax(1)
        kept[r, g, s] = left[r, g, first]
        left[r, g, first] = -1
    return kept


def relabel(part: Part, old: IntArray, new: IntArray, zone: IntArray) -> IntArray:
    """Which GPU of the new placement each GPU should be, among those that are alike, so that most experts stay.

    Parameters
    ----------
    old, new
        [rows, live, places] int64.
    zone
        [live] int64; GPUs of different zones are not alike.

    Returns
    -------
    source
        [rows, live] int64: GPU g is to hold what `new` puts on GPU source[g].
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - loaded only where a previous placement is given

    alike = np.all([v[:, None] == v for v in (zone, part.slots, part.speed)], axis=0)
    source = np.empty(old.shape[:2], np.int64)
    for k, (before, after) in enumerate(zip(old, new, strict=True)):
        held = np.zeros((2, len(part.gpus), part.load.shape[1] + 1))
        for h, where in zip(held, (before, after), strict=True):
            np.put_along_axis(h, where, 1.0, 1)  # column -1: no place
        same = held[0, :, :-1] @ held[1, :, :-1].T
        source[k] = linear_sum_assignment(np.where(alike, same, -1e6), maximize=True)[1]
    return source
