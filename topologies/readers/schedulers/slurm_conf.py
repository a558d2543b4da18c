"""Reader of Slurm's topology.conf: switches (topology/tree), blocks (topology/block) and rings (topology/ring)."""

from __future__ import annotations

import re

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.readers.schedulers import slurm_lines, slurm_show, slurm_site
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions
from topoplan.topologies.trees.tree import build

_TREE = re.compile(r"^[ \t]*(?:SwitchName|RingName)[ \t]*=", re.MULTILINE | re.IGNORECASE)
_BLOCK = re.compile(r"^[ \t]*(?:BlockName|BlockSizes)[ \t]*=", re.MULTILINE | re.IGNORECASE)


def sniff(text: str) -> bool:
    """Whether `text` has switches or rings of topology.conf."""
    return _TREE.search(text, 0, SNIFF_CHARS) is not None and not slurm_show.sniff(text)


def sniff_blocks(text: str) -> bool:
    """Whether `text` has blocks, or sizes of blocks that are commented out."""
    found = _BLOCK.search(text, 0, SNIFF_CHARS) is not None
    return found and not _TREE.search(text, 0, SNIFF_CHARS) and not slurm_show.sniff(text)


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a topology.conf, of any plugin; `slurm_site` says what a block and a ring become.

    The height of a switch above the hosts is its tier, so trees of unequal depth are fine, and so are several roots.
    The file holds no bandwidths (LinkSpeed has no unit and no meaning to Slurm): uplinks are assumed 1:1.

    Raises
    ------
    InputError
        An unknown key, a switch or host that is missing, doubled or its own ancestor, blocks that Slurm refuses.
    """
    records = slurm_lines.parse(text, path)
    if records.sizes and not records.blocks and not records.switches:
        raise _without_blocks(text, records.sizes)
    return build(slurm_site.site_of(records, options, path), path, options)


def _without_blocks(text: str, sizes: slurm_lines.Sizes) -> InputError:
    """Why a file with BlockSizes and without BlockName is illegal."""
    hidden = slurm_lines.commented_blocks(text)
    small = [(name, hosts) for name, hosts in hidden if hosts < sizes.values[0]]
    place = Place(sizes.place.path, sizes.place.line)
    if not small:
        return InputError("there is BlockSizes but no BlockName, so no node is in any block", place=place)
    least = min(hosts for _, hosts in small)
    return InputError(
        f"no block is left: {len(small)} blocks such as {small[0][0][:60]} are commented out, as they have {least} "
        f"nodes or a few more and Slurm refuses blocks with fewer than the first of BlockSizes, {sizes.values[0]}",
        place=place,
        hint=f"take the # from the BlockName lines and write BlockSizes={least}",
    )
