"""Slurm's topology plugins -> Site: trees, blocks, rings and tori, from whichever file they were read.

What a block is: Slurm's block plugin is made for racks that NVLink joins, so a block is a leaf group of the network
and, where it is no wider than an NVL72 rack and the user's host type is no machine of more than 4 GPUs, which has its
NVLink inside, also an NVLink island. The network above blocks is hidden: one group above them all is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from topoplan.errors import InputError, Place
from topoplan.model.host_type import HostType
from topoplan.names import natural_key
from topoplan.topologies.readers.schedulers.slurm_lines import Records, Sizes
from topoplan.topologies.reading import ReadOptions
from topoplan.topologies.trees.site import MAX_ISLAND_HOSTS, Site, Switch

_TRAY_GPUS = 4  # GPUs of a compute tray of GB200 and GB300 NVL72; machines with more have NVLink inside
_RAIL_HINT = (
    "a host hangs from one switch; in files with a switch for each rail, as made from lists of adapters' GUIDs, join "
    "the rail switches of a rack into one"
)


def site_of(records: Records, options: ReadOptions, path: str) -> Site:
    """Site of a file that uses one plugin, or switches and blocks side by side.

    Raises
    ------
    InputError
        No records at all, or block sizes that Slurm refuses.
    """
    blocks = with_hosts(records.blocks)
    check_sizes(blocks.values(), records.sizes, path)
    if records.switches:
        site = tree_site(records.switches)
        add_blocks(site, blocks, options)
        site.warnings += [f"ring {name} is left out: the tree places its hosts" for name in records.rings]
    elif records.rings:
        site = ring_site(records.rings)
        add_blocks(site, blocks, options)
    elif blocks:
        site = block_site(blocks, records.sizes, options)
    else:
        raise InputError("there is no SwitchName in this text", place=Place(path))
    site.warnings += [f"block {name} has no nodes" for name in records.blocks if name not in blocks]
    return site


def tree_site(switches: Mapping[str, Switch]) -> Site:
    """A forest of switches; parts without a common root stay apart, as Slurm never lets a job span them."""
    return Site(dict(switches), hint_two_switches=_RAIL_HINT)


def block_site(blocks: Mapping[str, Switch], sizes: Sizes | None, options: ReadOptions) -> Site:
    """Blocks in the order of the file, which is the order in which Slurm joins them to larger ones."""
    site = Site(in_order=True, joined=True, entry="BlockName")
    for block in blocks.values():
        block.hosts.sort(key=natural_key)
        site.add(block)
    add_blocks(site, blocks, options)
    if sizes and len(sizes.values) > 1:
        listed = ", ".join(map(str, sizes.values))
        site.warnings.append(f"block sizes {listed}: the larger blocks are no groups here; neighbours stay neighbours")
    return site


def add_blocks(site: Site, blocks: Mapping[str, Switch], options: ReadOptions) -> None:
    """Make `blocks` NVLink islands of `site` where they can be; hosts that nothing else places are unplaced."""
    if not blocks:
        return
    placed = set(site.host_names)
    site.unplaced += [host for block in blocks.values() for host in block.hosts if host not in placed]
    widest = max(blocks.values(), key=lambda block: len(block.hosts))
    if len(widest.hosts) > MAX_ISLAND_HOSTS:
        site.assumed.append(
            f"blocks: groups of the network only, as {widest.name} has {len(widest.hosts)} hosts and no NVLink domain "
            f"more than {MAX_ISLAND_HOSTS}"
        )
    elif (kind := options.host_type) and has_nvlink_inside(kind):
        site.assumed.append(f"blocks: groups of the network only, as {kind.name} has its NVLink domain inside")
    else:
        _add_islands(site, blocks)


def _add_islands(site: Site, blocks: Mapping[str, Switch]) -> None:
    home: dict[str, str] = {}
    for block in blocks.values():
        for host in block.hosts:
            if home.setdefault(host, block.name) != block.name:
                raise InputError(f"host {host} is in blocks {home[host]} and {block.name}", place=block.place)
        site.islands[block.name] = list(block.hosts)
    site.assumed.append(
        "blocks: NVLink islands, which Slurm's block plugin is made for (with 8-GPU hosts give their --host-type, and "
        "blocks are groups of the network only)"
    )


def has_nvlink_inside(kind: HostType) -> bool:
    """Whether hosts of that type hold a whole NVLink domain, which no other host joins."""
    return kind.gpus > _TRAY_GPUS or kind.scale_up_gpus < kind.gpus


def ring_site(rings: Mapping[str, Switch]) -> Site:
    """Each ring is a group whose hosts stand in the order of the ring."""
    site = Site(dict(rings), in_order=True, joined=True, entry="RingName")
    site.assumed.append("rings: a group each, its hosts in the ring's order; which of them are neighbours is not kept")
    return site


def with_hosts(blocks: Mapping[str, Switch]) -> dict[str, Switch]:
    """`blocks` without those that only hold a place."""
    return {name: block for name, block in blocks.items() if block.hosts}


def check_sizes(blocks: Iterable[Switch], sizes: Sizes | None, path: str) -> None:
    """Refuse what Slurm's block plugin refuses.

    The first size is the base: the others are the base times a power of two, and no block has fewer hosts than the
    base, which is the size of the first block where no sizes are given (Slurm's block plugin and topology.conf(5)).
    """
    listed = list(blocks)
    counts = {block.name: len(block.hosts) for block in listed}
    if not counts:
        return
    base = next(iter(counts.values()))
    if sizes:
        base = sizes.values[0]
        _check_powers(sizes, min(counts.values()))
    small = next((block for block in listed if len(block.hosts) < base), None)
    if small:
        source = (
            f"BlockSizes begins with {base}" if sizes else f"the first block has {base} and BlockSizes is not given"
        )
        raise InputError(
            f"block {small.name} has {len(small.hosts)} nodes, which is illegal in Slurm: {source}, and no block may "
            "have fewer",
            place=small.place or Place(path),
            hint=f"let BlockSizes begin with {min(counts.values())}, the smallest block",
        )


def _check_powers(sizes: Sizes, smallest: int) -> None:
    base = sizes.values[0]
    for size in sizes.values:
        if size < 1:
            raise InputError(
                f"BlockSizes {size} is illegal in Slurm: a block has at least one node",
                place=sizes.place,
                hint=f"begin with the size of the smallest block, {smallest}",
            )
        if size % base or (size // base).bit_count() != 1:
            raise InputError(
                f"BlockSizes {size} is illegal in Slurm: it is not {base}, the first, times a power of two",
                place=sizes.place,
                hint=f"{base}, {2 * base}, {4 * base} and so on",
            )
