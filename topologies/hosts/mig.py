"""MIG slices as `nvidia-smi -L` lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SLICES = 64  # of one GPU; MIG makes at most 7 of one
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
