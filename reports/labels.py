"""What the cells of a fabric figure are coloured by: stages, expert groups, or plain rank numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from topoplan.model.fabric import IntArray

# viridis (van der Walt and Smith 2015, matplotlib): even in lightness, so that it survives grey print and every
# common colour vision; sampled from dark to light, its yellow end left out.
_VIRIDIS = (
    "#471365", "#482576", "#453581", "#404688", "#39558c", "#33638d", "#2d718e", "#287d8e", "#238a8d",
    "#1f968b", "#20a386", "#29af7f", "#3dbc74", "#56c667", "#75d054", "#98d83e", "#bade28", "#dfe318",
)  # fmt: skip
# Okabe and Ito's palette without black, ordered so that neighbours differ in lightness too
_CYCLE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
MOST_RUNS = 16  # runs of rank numbers that get a colour each


@dataclass(frozen=True, eq=False)
class Labels:
    """A label for every rank.

    Parameters
    ----------
    noun
        "stage", "expert group" or "ranks".
    of_rank
        [ranks] int64 label, -1 for none.
    names, colours
        Of each label; colours as "#rrggbb".
    """

    noun: str
    of_rank: IntArray
    names: tuple[str, ...]
    colours: tuple[str, ...]


def stage_labels(stage: IntArray) -> Labels:
    """Labels of pipeline stages ([ranks] int64): ordered, so dark to light."""
    count = int(stage.max()) + 1
    return Labels("stage", stage, tuple(map(str, range(count))), _ordered(count))


def expert_group_labels(group: IntArray) -> Labels:
    """Labels of expert groups ([ranks] int64): told apart from their neighbours."""
    count = int(group.max()) + 1
    return Labels(
        "expert group", group, tuple(map(str, range(count))), tuple(_CYCLE[i % len(_CYCLE)] for i in range(count))
    )


def rank_labels(ranks: int) -> Labels:
    """Labels of runs of consecutive ranks, for jobs without stages."""
    size = 2 ** max(0, ceil(np.log2(ranks / MOST_RUNS)))
    count = ceil(ranks / size)
    names = tuple(f"{i * size}-{min(ranks, (i + 1) * size) - 1}" if size > 1 else str(i) for i in range(count))
    return Labels("ranks", np.arange(ranks) // size, names, _ordered(count))


def shades(count: int) -> tuple[str, ...]:
    """Colours from light, for little, to dark, for much."""
    return _ordered(count)[::-1]


def _ordered(count: int) -> tuple[str, ...]:
    """Colours from dark to light, between the samples of the scale."""
    scale = np.array([_channels(colour) for colour in _VIRIDIS])
    at = np.linspace(0, len(_VIRIDIS) - 1, count) if count > 1 else np.array([len(_VIRIDIS) // 2])
    mixed = [np.interp(at, np.arange(len(scale)), channel) for channel in scale.T]
    return tuple("#" + "".join(f"{round(value):02x}" for value in colour) for colour in zip(*mixed, strict=True))


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def ink_on(colour: str) -> str:
    """Black or white, whichever contrasts more (WCAG 2.2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(_channels(colour)) / 255]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"  # equal contrast with black and white
