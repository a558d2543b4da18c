"""Reader of what `scontrol show topology` prints: the tree or the blocks that slurmctld really uses."""

from __future__ import annotations

import re
from collections import defaultdict

from topoplan.model.fabric import Fabric
from topoplan.topologies.readers.schedulers import slurm_lines, slurm_site
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions
from topoplan.topologies.trees.site import Switch
from topoplan.topologies.trees.tree import build

_LINE = re.compile(
    r"^(?:SwitchName=\S+ Level=|BlockName=\S+ BlockIndex=|AggregatedBlock=|RingName=\S+ RingIndex=)", re.M
)


def sniff(text: str) -> bool:
    """Whether `text` has lines as scontrol prints them."""
    return _LINE.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of scontrol's output; switches without hosts are left out.

    Raises
    ------
    InputError
        A line that scontrol does not print, or a tree that is none.
    """
    records = slurm_lines.parse(text, path, shown=True)
    _drop_empty(records.switches)
    return build(slurm_site.site_of(records, options, path), path, options)


def _drop_empty(switches: dict[str, Switch]) -> None:
    """Take out the switches that have no host anywhere below."""
    above: defaultdict[str, list[Switch]] = defaultdict(list)
    for switch in switches.values():
        for child in switch.children:
            above[child].append(switch)
    empty = [switch for switch in switches.values() if not switch.hosts and not switch.children]
    left = {switch.name: len(switch.children) for switch in switches.values()}
    gone: set[str] = set()
    while empty:
        name = empty.pop().name
        gone.add(name)
        for switch in above[name]:
            left[switch.name] -= 1
            if not left[switch.name] and not switch.hosts:
                empty.append(switch)
    for name in gone:
        del switches[name]
    for switch in switches.values():
        switch.children = [child for child in switch.children if child not in gone]
