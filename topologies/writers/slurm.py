"""Writers of Slurm's topology.conf (tree or block) and topology.yaml (both)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from topoplan.errors import InputError
from topoplan.files.emit import scalar
from topoplan.model.fabric import Fabric
from topoplan.names import compress
from topoplan.topologies.writers.outline import Branch, island_hosts, outline, plain_names, title

_MAX_LEVEL = 15  # Slurm's block plugin takes sizes up to the base times 2 to this power


def write_tree(fabric: Fabric) -> str:
    """topology.conf for topology/tree.

    Left out, as Slurm has no place for it: what is inside a host, islands, aliases, unusable GPUs, bandwidths and
    numbers of uplinks, rails, planes, real links, names, latencies and distances of tiers, and groups without hosts.
    A host hangs from its first group alone. Names longer than 63 characters, or with others than letters, digits, ".",
    "_" and "-", are changed. Tiers that a branch skips are closed up, and hosts beside groups get one of their own.
    """
    lines = [f"# {title(fabric)}: written by topoplan for TopologyPlugin=topology/tree"]
    branches = outline(fabric, plain_names)
    for branch in branches:
        if branch.children:
            lines.append(f"SwitchName={branch.name} Switches={compress([branches[k].name for k in branch.children])}")
        if branch.hosts:
            lines.append(f"SwitchName={branch.name} Nodes={_nodes(fabric, branch.hosts)}")
    return "\n".join(lines) + "\n"


def write_blocks(fabric: Fabric) -> str:
    """topology.conf for topology/block: a block is an NVLink island or, in a fabric without any, a leaf group.

    Left out: all that `write_tree` leaves out but islands, further all groups, and hosts outside islands where there
    are islands (a comment names them). That a block is a leaf group and no island is lost as well.
    """
    blocks = _blocks(fabric)
    lines = [f"# {title(fabric)}: written by topoplan for TopologyPlugin=topology/block"]
    inside = {h for hosts in blocks.values() for h in hosts}
    outside = [h for h in range(len(fabric.hosts)) if h not in inside]
    if outside:
        lines.append(f"# in no NVLink domain and so in no block: {_nodes(fabric, outside)}")
    lines += [f"BlockName={name} Nodes={_nodes(fabric, hosts)}" for name, hosts in blocks.items()]
    lines.append("BlockSizes=" + ",".join(map(str, _sizes(blocks))))
    return "\n".join(lines) + "\n"


def write_yaml(fabric: Fabric) -> str:
    """topology.yaml: the tree as the cluster's default and, where there are islands, a second topology of blocks.

    Left out: what `write_tree` leaves out, but for islands.
    """
    branches = outline(fabric, plain_names)
    lines = [f"# {title(fabric)}: written by topoplan", "---", "- topology: tree", "  cluster_default: true", "  tree:"]
    lines.append("    switches:")
    for branch in branches:
        lines.append(f"      - switch: {scalar(branch.name)}")
        lines += _contents(fabric, branch, branches)
    islands = island_hosts(fabric)
    if islands:
        lines += ["- topology: nvlink", "  cluster_default: false", "  block:", "    block_sizes:"]
        lines += [f"      - {size}" for size in _sizes(islands)]
        lines.append("    blocks:")
        for name, hosts in islands.items():
            lines += [f"      - block: {scalar(name)}", f"        nodes: {scalar(_nodes(fabric, hosts))}"]
    return "\n".join(lines) + "\n"


def _contents(fabric: Fabric, branch: Branch, branches: list[Branch]) -> Iterable[str]:
    if branch.children:
        yield f"        children: {scalar(compress([branches[k].name for k in branch.children]))}"
    if branch.hosts:
        yield f"        nodes: {scalar(_nodes(fabric, branch.hosts))}"


def _blocks(fabric: Fabric) -> Mapping[str, list[int]]:
    islands = island_hosts(fabric)
    if islands:
        return islands
    return {branch.name: branch.hosts for branch in outline(fabric, plain_names) if branch.hosts}


def _sizes(blocks: Mapping[str, list[int]]) -> list[int]:
    """The smallest block, and its doubles as long as there are blocks enough."""
    if not blocks:
        raise InputError("there is nothing to make blocks of")
    base = min(map(len, blocks.values()))
    levels = min(len(blocks).bit_length() - 1, _MAX_LEVEL)
    return [base << level for level in range(levels + 1)]


def _nodes(fabric: Fabric, hosts: Iterable[int]) -> str:
    return compress([fabric.host_names[h] for h in hosts])
