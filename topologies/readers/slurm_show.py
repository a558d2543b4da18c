"""Reader of what `scontrol show topology` prints: the tree or the blocks that slurmctld really uses."""

from __future__ import annotations

import re

from topoplan.model.fabric import Fabric
from topoplan.topologies.readers import slurm_lines, slurm_site
from topoplan.topologies.readers.base import SNIFF_CHARS, ReadOptions
from topoplan.topologies.tree import build

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
    empty = {name for name, switch in records.switches.items() if not switch.children and not switch.hosts}
    while empty:
        for name in empty:
            del records.switches[name]
        gone = empty
        for switch in records.switches.values():
            switch.children = [child for child in switch.children if child not in gone]
        empty = {name for name, switch in records.switches.items() if not switch.children and not switch.hosts}
    return build(slurm_site.site_of(records, options, path), path, options)
