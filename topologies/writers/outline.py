"""What formats that know trees alone can take of a Fabric: groups with their hosts, under names that fit the format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies.trees.site import unique_names

_MAX_NAME = 63  # of a Kubernetes label's value and of a DNS label; Slurm takes 64
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_MAX_DNS_NAME = 253


@dataclass(slots=True)
class Branch:
    """A group: its tier, its parent's index in the outline (-1 at the top), and what hangs from it."""

    name: str
    tier: int
    parent: int
    children: list[int] = field(default_factory=list)
    hosts: list[int] = field(default_factory=list)


def plain_names(names: Iterable[str]) -> list[str]:
    """Names of letters, digits, ".", "_" and "-", at most 63 long and all different; those that are so stay."""
    return _fitted(list(names), lambda name: _NAME.fullmatch(name) is not None, lambda name: name)


def dns_names(names: Iterable[str]) -> list[str]:
    """Names that Kubernetes takes for objects: as `plain_names`, in lower case and without "_"."""
    return _fitted(
        list(names),
        lambda name: len(name) <= _MAX_NAME and _DNS_NAME.fullmatch(name) is not None,
        lambda name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
    )


def _fitted(names: list[str], fits: Callable[[str], bool], mend: Callable[[str], str]) -> list[str]:
    kept: dict[str, int] = {}
    for i, name in enumerate(names):
        if fits(name):
            kept.setdefault(name, i)
    other = [i for i, name in enumerate(names) if kept.get(name) != i]
    changed = dict(zip(other, unique_names((mend(names[i])[:_MAX_NAME] for i in other), "group", kept), strict=True))
    return [changed.get(i, name) for i, name in enumerate(names)]


def outline(fabric: Fabric, fit: Callable[[Iterable[str]], list[str]]) -> list[Branch]:
    """Groups of `fabric` that have hosts, parents before children, their names made to `fit`.

    Hosts beside groups get a group of their own; where the fabric has no groups at all, one holds every host.
    """
    branches = [Branch(group.name, group.tier, group.parent) for group in fabric.groups]
    strays: list[int] = []
    for h, k in enumerate(fabric.host_group.tolist()):
        (branches[k].hosts if k >= 0 else strays).append(h)
    if strays:
        branches.append(Branch("unplaced" if fabric.groups else "all", 0, -1, hosts=strays))
    for k, branch in enumerate(branches):
        if branch.parent >= 0:
            branches[branch.parent].children.append(k)
    kept = _with_hosts(branches)
    for k in [k for k in kept if branches[k].hosts and any(child in kept for child in branches[k].children)]:
        branches.append(Branch(f"{branches[k].name}-direct", 0, k, hosts=branches[k].hosts))
        branches[k].hosts = []
        branches[k].children.append(len(branches) - 1)
        kept.add(len(branches) - 1)
    return _in_order(branches, kept, fit)


def _with_hosts(branches: list[Branch]) -> set[int]:
    """Branches that have hosts somewhere below."""
    kept: set[int] = set()
    for k, branch in enumerate(branches):
        here = k
        while branch.hosts and here >= 0 and here not in kept:
            kept.add(here)
            here = branches[here].parent
    return kept


def _in_order(branches: list[Branch], kept: set[int], fit: Callable[[Iterable[str]], list[str]]) -> list[Branch]:
    order: list[int] = []
    stack = [k for k in reversed(range(len(branches))) if branches[k].parent < 0 and k in kept]
    while stack:
        order.append(stack.pop())
        stack.extend(k for k in reversed(branches[order[-1]].children) if k in kept)
    place = {k: i for i, k in enumerate(order)}
    names = fit(branches[k].name for k in order)
    return [
        Branch(
            name,
            branches[k].tier,
            place.get(branches[k].parent, -1),
            [place[child] for child in branches[k].children if child in kept],
            branches[k].hosts,
        )
        for k, name in zip(order, names, strict=True)
    ]


def island_hosts(fabric: Fabric) -> dict[str, list[int]]:
    """NVLink islands wider than a host: name that every format takes -> hosts."""
    wide = [island for island in fabric.islands if len(island.hosts) > 1]
    names = plain_names(island.name for island in wide)
    return {name: list(island.hosts) for name, island in zip(names, wide, strict=True)}


def node_names(fabric: Fabric) -> list[str]:
    """Name of each host as Kubernetes knows it: its k8s alias, else its own name.

    Raises
    ------
    InputError
        A name that no node can have.
    """
    found = []
    for host in fabric.hosts:
        aliases: Mapping[str, str] = dict(host.aliases)
        name = aliases.get("k8s", host.name)
        if len(name) > _MAX_DNS_NAME or not _DNS_NAME.fullmatch(name):
            raise InputError(
                f"host {host.name}: {name[:80]!r} cannot be the name of a Kubernetes node",
                hint="give the hosts their node names as k8s aliases",
            )
        found.append(name)
    return found


def title(fabric: Fabric) -> str:
    """The fabric's name on one line, for comments."""
    return " ".join("".join(char if char.isprintable() else " " for char in fabric.name).split())[:80]
