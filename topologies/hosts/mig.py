"""MIG slices: as `nvidia-smi -L` lists them, and how many a GPU has where only all of them are counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_SLICES = 64  # of one GPU; MIG makes at most 7 of one
WHOLE = 7  # compute slices of a GPU that MIG can cut: A100, H100, H200, B200 (NVIDIA's MIG User Guide; A30 has 4)
_LISTED = re.compile(r"^[ \t]*(?:GPU (\d{1,4}): |MIG (?:\d+c\.)?\d+g\.(\d+)gb\S*[ \t]+Device[ \t]+\d+:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice and its memory."""

    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of each GPU in the order of the list, () for a whole one; empty where GPUs are not listed."""

    of_gpu: tuple[tuple[Slice, ...], ...]


def find_slices(text: str) -> Slices:
    """Slices of the first list of GPUs in `text`."""
    found: list[list[Slice]] = []
    for match in _LISTED.finditer(text):
        if match[1] is not None:
            if int(match[1]) != len(found):
                break  # the list of another host, or something else
            found.append([])
        elif found and len(found[-1]) < MAX_SLICES:
            found[-1].append(Slice(float(match[2][:6]) * 1e9))
    return Slices(tuple(tuple(slices) for slices in found))


def on_gpus(sizes: Sequence[int], gpus: int = 0) -> tuple[int, ...]:
    """How many slices each GPU has, of all slices of a host: alike where they are, else as few GPUs as hold them.

    Parameters
    ----------
    sizes
        Compute slices of each, 1 to `WHOLE`.
    gpus
        GPUs of the host, 0 when unknown.
    """
    if len(set(sizes)) == 1:
        each = WHOLE // sizes[0]
        if gpus and len(sizes) % gpus == 0 and len(sizes) // gpus <= each:
            return (len(sizes) // gpus,) * gpus
        full, rest = divmod(len(sizes), each)
        return (each,) * full + ((rest,) if rest else ())
    free: list[int] = []
    count: list[int] = []
    for size in sorted(sizes, reverse=True):
        gpu = next((g for g, left in enumerate(free) if left >= size), len(free))
        if gpu == len(free):
            free.append(WHOLE)
            count.append(0)
        free[gpu] -= size
        count[gpu] += 1
    return tuple(count)
