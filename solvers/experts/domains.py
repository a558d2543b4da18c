"""Copies in different failure domains: at least so many of every expert, so that losing a host or a leaf loses none."""

from __future__ import annotations

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.domain_repair import repair
from topoplan.solvers.experts.domain_row import Row
from topoplan.solvers.experts.part import Part
from topoplan.solvers.experts.problem import Across, many


def balance_across(part: Part, across: Across) -> tuple[IntArray, FloatArray]:
    """Experts and bound of rows with `least` copies of each expert in different domains, as even as swaps get them.

    Copies are handed out greedily, `least` to every expert first; replicas go to GPUs heaviest first, each to the least
    loaded GPU of a domain that its expert does not have yet; then replicas are swapped away from the largest GPU for as
    long as that helps and keeps the copies apart.

    Returns
    -------
    expert
        [rows, live, places] int64.
    bound
        [rows] float64 load over speed of the largest GPU; it knows that every expert has so many copies.

    Raises
    ------
    InfeasibleError
        Too few domains, or too few slots in them; says how many would do.
    """
    domain, least = across.domain[part.gpus], across.least
    check_room(part.slots, domain, part.load.shape[1], least, across.name)
    expert = np.full((len(part.load), len(part.gpus), part.places), EMPTY, np.int64)
    bound = np.zeros(len(part.load))
    for k, load in enumerate(part.load):
        copies = spread_copies(load, int(part.slots.sum()), least, len(part.gpus))
        bound[k] = max(load.sum() / part.speed.sum(), float((load / copies).max()) / part.speed.max())
        row = Row(load / copies, part.slots, domain, part.speed, least)
        row.fill(copies)
        row.level(bound[k])
        expert[k] = repair(row.expert, load, part.slots, domain, least)
    return expert, bound


def check_room(slots: IntArray, domain: IntArray, experts: int, least: int, name: str) -> None:
    """Raise an InfeasibleError where so many copies of all experts cannot be in different domains.

    They can exactly if no expert needs a domain twice: the domains' slots, each counted up to the number of experts,
    hold all copies.

    Parameters
    ----------
    slots
        [gpus] int64 slots of each GPU.
    """
    several = many(name)
    by_domain = np.bincount(domain, slots)
    live = int((by_domain > 0).sum())
    if live < least:
        raise InfeasibleError(
            f"{least} copies on different {several} need {least} {several}; the experts' GPUs are on {live}",
            hint=f"use more {several}, or fewer copies",
        )
    needed, room = least * experts, int(np.minimum(by_domain, experts).sum())
    if room < needed:
        gpus = int((slots > 0).sum())
        raise InfeasibleError(
            f"{least} copies of {experts} experts on different {several} need {needed} slots; there are {room} that "
            f"can be used ({int(slots.sum())} in all)",
            hint=f"{-(-needed // gpus)} slots on each of {gpus} GPUs would hold them",
        )


def spread_copies(load: FloatArray, slots: int, least: int, most: int) -> IntArray:
    """[experts] int64 copies, at least and at most so many of each: each further one to the heaviest replica."""
    copies = np.full(len(load), least, np.int64)
    for _ in range(slots - int(copies.sum())):
        heaviest = int(np.where(copies < most, load / copies, -1.0).argmax())
        if copies[heaviest] >= most:
            break
        copies[heaviest] += 1
    return copies


def domains_of(placement: ExpertPlacement, domain: IntArray) -> IntArray:
    """[layers, experts] int64 number of different domains that hold each expert."""
    layers, experts, count = placement.layers, placement.experts, int(domain.max()) + 1
    layer, slot = np.nonzero(placement.physical_to_logical_map >= 0)
    expert = placement.physical_to_logical_map[layer, slot]
    seen = np.zeros((layers, experts, count), bool)
    seen[layer, expert, domain[placement.slot_gpu[slot]]] = True
    return np.asarray(seen.sum(2), np.int64)


def experts_lost(placement: ExpertPlacement, domain: IntArray, least: int = 2) -> IntArray:
    """[layers] int64 experts that have copies in fewer than `least` domains: losing one may lose them."""
    return np.asarray((domains_of(placement, domain) < least).sum(1), np.int64)


def worst_loss(placement: ExpertPlacement, domain: IntArray) -> int:
    """Most experts of any layer that would have no copy left after losing one domain."""
    count = int(domain.max()) + 1
    layer, slot = np.nonzero(placement.physical_to_logical_map >= 0)
    expert, where = placement.physical_to_logical_map[layer, slot], domain[placement.slot_gpu[slot]]
    seen = np.zeros((placement.layers, placement.experts, count), bool)
    seen[layer, expert, where] = True
    only = seen & (seen.sum(2) == 1)[:, :, None]
    return int(only.sum(1).max())
