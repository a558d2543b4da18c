"""The tree of a fabric's groups as rows, groups that are alike in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topoplan import names
from topoplan.model.below import Below, below
from topoplan.model.fabric import Fabric, Group
from topoplan.units import rate_text

_NAME = 20  # characters of a row's names, so that the whole row fits a terminal of 80 columns


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A group, or several siblings that are alike down to their hosts.

    Parameters
    ----------
    depth
        Groups above it.
    groups
        Names of all that the row stands for.
    hosts, free, broken
        Hosts, and usable and broken GPUs, of each.
    uplink, oversubscription
        Of each, in words; "" at the top.
    """

    depth: int
    groups: tuple[str, ...]
    hosts: int
    free: int
    broken: int
    rails: int
    uplink: str
    oversubscription: str

    @property
    def name(self) -> str:
        """Names for a terminal: a host list, or the first and last of many."""
        first, last = self.groups[0], self.groups[-1]
        texts = (names.compress(self.groups), f"{first} .. {last}", f"{first} ..")
        room = _NAME - 2 * self.depth
        return first if len(self.groups) == 1 else next((text for text in texts if len(text) <= room), texts[-1])


Signature = tuple[object, ...]


def tree_rows(fabric: Fabric, *, fold: bool = True) -> list[TreeRow]:
    """Rows of all groups from the top down; with `fold`, siblings that are alike, children and all, share one."""
    return list(_Tree(fabric, fold).rows(-1, 0))


class _Tree:
    """Walks the groups of a fabric."""

    def __init__(self, fabric: Fabric, fold: bool) -> None:
        self._fabric = fabric
        self._fold = fold
        self._below: Below = below(fabric)
        self._children: dict[int, list[int]] = {}
        for k, group in enumerate(fabric.groups):
            self._children.setdefault(group.parent, []).append(k)
        self._facts = [self._group_facts(k, group) for k, group in enumerate(fabric.groups)]
        self._signatures: dict[int, Signature] = {}
        for k in sorted(range(len(fabric.groups)), key=lambda k: fabric.groups[k].tier):
            inside = sorted((self._signatures[child] for child in self._children.get(k, [])), key=repr)
            self._signatures[k] = (hash((fabric.groups[k].tier, self._facts[k], tuple(inside))),)

    def _group_facts(self, k: int, group: Group) -> tuple[int, int, int, int, str, str]:
        hosts = self._below.hosts[k]
        free, total = int(self._fabric.free_gpus[hosts].sum()), int(self._fabric.host_gpus[hosts].sum())
        up = group.uplink_bandwidth_bytes_per_s
        links = f"{sum(group.uplinks):.5g} x {rate_text(group.link_bandwidth_bytes_per_s)}" if up else ""
        ratio = f"{self._below.bandwidth[k].sum() / up:.2g}:1" if up else ""
        return len(hosts), free, total - free, group.rails, links, ratio

    def rows(self, parent: int, depth: int) -> Iterator[TreeRow]:
        """Rows of the groups below `parent`, each followed by those below it."""
        alike: dict[object, list[int]] = {}
        for k in self._children.get(parent, []):
            alike.setdefault(self._signatures[k] if self._fold else k, []).append(k)
        for members in alike.values():
            yield TreeRow(depth, tuple(self._fabric.groups[k].name for k in members), *self._facts[members[0]])
            yield from self.rows(members[0], depth + 1)
