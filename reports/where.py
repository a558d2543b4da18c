"""Where stages and expert groups went: labels of ranks, and the groups of the fabric that they spread over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.job import Job, dense_groups
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.reports.amounts import percent

MOST_NAMES = 4  # groups named in a table cell before they are only counted


@dataclass(frozen=True, eq=False)
class Meetings:
    """Bytes-free view of how near pairs of ranks are: share of pairs that meet on each level.

    Parameters
    ----------
    levels
        "host", then the tiers closest first, then "beyond" for pairs that no group holds.
    share
        Share of pairs of each level.
    """

    levels: tuple[str, ...]
    share: tuple[float, ...]

    def __str__(self) -> str:
        return ", ".join(f"{level} {percent(s)}" for level, s in zip(self.levels, self.share, strict=True) if s > 0)


def expert_group_of_rank(plan: Plan) -> IntArray | None:
    """[ranks] int64 expert group of each rank, -1 for ranks in none; None without expert groups."""
    if plan.placement is None or plan.ep_rank_to_rank is None:
        return None
    group = np.full(plan.placement.ranks, -1, np.int64)
    for index, ranks in enumerate(plan.ep_rank_to_rank):
        group[ranks] = index
    return group


def levels(fabric: Fabric) -> tuple[str, ...]:
    """Names of the levels at which two ranks can meet, closest first."""
    islands = ("NVLink island",) if fabric.islands else ()
    return ("host", *islands, *(tier.name for tier in fabric.tiers), "beyond")


def level_places(fabric: Fabric) -> list[IntArray]:
    """[hosts] int64 place of each host on each level but the last, -1 for none."""
    island = np.full(len(fabric.hosts), -1, np.int64)
    for index, each in enumerate(fabric.islands):
        island[list(each.hosts)] = index
    return [np.arange(len(fabric.hosts)), *([island] if fabric.islands else []), *fabric.host_ancestor]


def meeting_level(fabric: Fabric, a: IntArray, b: IntArray) -> IntArray:
    """[pairs] int64 index into `levels` of the closest place that holds hosts a and b ([pairs] int64)."""
    places_of = level_places(fabric)
    level = np.full(len(a), len(places_of), np.int64)
    for index in range(len(places_of) - 1, -1, -1):
        up = places_of[index]
        level[(up[a] == up[b]) & (up[a] >= 0)] = index
    return level


def next_stage_meetings(placement: RankPlacement, job: Job) -> list[Meetings]:
    """How near the ranks of each stage are to their partners of the next one, one item a pair of stages.

    With several virtual stages a rank the last one is followed by the first.
    """
    columns = list(dense_groups(job, "pp").T)
    names, host = levels(placement.fabric), placement.host
    wraps = job.parallel is not None and job.parallel.vpp > 1
    found = []
    for here, after in pairwise([*columns, *columns[:wraps]]):
        level = meeting_level(placement.fabric, host[here], host[after])
        share = np.bincount(level, minlength=len(names)) / len(level)
        found.append(Meetings(names, tuple(float(s) for s in share)))
    return found


def spread(placement: RankPlacement, label: IntArray) -> IntArray:
    """[labels, levels] int64 hosts, islands and groups of each tier, then 1, that the ranks of each label touch.

    A rank that no place of a level holds counts as in a place of its host's own.
    """
    fabric, host = placement.fabric, placement.host
    known = label >= 0
    labels = int(label.max(initial=-1)) + 1
    alone = np.arange(len(fabric.hosts)) + max(len(fabric.groups), len(fabric.islands))
    columns = [np.where(where >= 0, where, alone)[host] for where in level_places(fabric)]
    table = np.ones((labels, len(columns) + 1), np.int64)
    for level, place in enumerate(columns):
        width = int(place.max(initial=0)) + 1
        pairs = np.unique(label[known] * width + place[known])
        table[:, level] = np.bincount(pairs // width, minlength=labels)
    return table


def places(fabric: Fabric, hosts: IntArray) -> str:
    """Groups of the closest tier that hold `hosts`, with the number of hosts in each; a count where there are many."""
    found, number = np.unique(fabric.host_group[hosts], return_counts=True)
    if not fabric.groups:
        return ""
    names = [fabric.groups[k].name if k >= 0 else "no group" for k in found]
    if len(names) > MOST_NAMES:
        return f"{len(names)} groups, {names[0]} … {names[-1]}"
    return ", ".join(f"{name} ({n})" for name, n in zip(names, number, strict=True))
