"""Which hosts a job may use: the allocation, what is reserved or avoided, and the group that it must stay in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import BoolArray, Fabric, IntArray
from topoplan.names import closest, expand
from topoplan.solvers.ranks.select import avoid, within

GROUPS_PRICED = 4  # groups that would hold a job whole and are priced before one is chosen


def named_hosts(fabric: Fabric, names: tuple[str, ...], option: str) -> BoolArray:
    """[hosts] bool of the named hosts.

    Raises
    ------
    InputError
        A name that the fabric does not have.
    """
    found = np.zeros(len(fabric.hosts), bool)
    for name in names:
        h = fabric.alias_index.get(name, -1)
        if h < 0:
            hint = closest(name, fabric.host_names) or f"{option} takes names or aliases of the fabric's hosts"
            raise InputError(f"host {name!r} of {option} is not in fabric {fabric.name}", hint=hint)
        found[h] = True
    return found


def allowed_hosts(fabric: Fabric, hosts: tuple[str, ...] | None) -> BoolArray | None:
    """[hosts] bool of the hosts of an allocation, None for no restriction; raises InputError for an unknown name."""
    return None if hosts is None else named_hosts(fabric, hosts, "--hosts")


def host_names_of(text: str, option: str) -> tuple[str, ...]:
    """Names of a host list such as "node-[1-4],node-9"; raises InputError where it is not one."""
    try:
        return tuple(dict.fromkeys(expand(text))) if text else ()
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def choose_hosts(
    fabric: Fabric,
    allowed: BoolArray | None,
    ranks: int,
    *,
    require: str = "",
    spares: int = 0,
    avoided: BoolArray | None = None,
    price: Callable[[BoolArray], tuple[float, ...]],
) -> BoolArray | None:
    """[hosts] bool of the hosts that a job is planned on; None for all of them.

    Parameters
    ----------
    require
        Tier in one group of which all ranks and spare hosts must be; "" for no demand.
    spares
        Hosts that must be left over.
    avoided
        [hosts] bool hosts that are used only where the others do not suffice.
    price
        Of a set of hosts, to choose between groups.

    Raises
    ------
    InfeasibleError
        No group of the tier holds the job; says what is short.
    """
    free = fabric.free_gpus if allowed is None else np.where(allowed, fabric.free_gpus, 0)
    sets = [allowed]
    if require:
        sets = [(free > 0) & inside for _, inside in within(fabric, free, ranks, require, spares)[:GROUPS_PRICED]]
    if avoided is not None and avoided.any():
        need = ranks + spares * int(free.max(initial=1))
        sets = [_without(fabric, free, chosen, need, avoided) for chosen in sets]
    if len(sets) == 1:
        return sets[0]
    return min((hosts for hosts in sets if hosts is not None), key=price)


def _without(fabric: Fabric, free: IntArray, chosen: BoolArray | None, need: int, avoided: BoolArray) -> BoolArray:
    inside = free if chosen is None else np.where(chosen, free, 0)
    return avoid(inside, fabric.host_group, need, avoided)
