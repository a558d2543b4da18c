"""Reader of Slurm's topology.yaml: several topologies in one file, each a tree, blocks, a ring, a torus or flat."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from topoplan.errors import InputError
from topoplan.files.marked import Marked, parse
from topoplan.model.fabric import Fabric
from topoplan.names import check_name, closest
from topoplan.topologies.readers.schedulers.slurm_lines import Sizes, expand_hosts
from topoplan.topologies.readers.schedulers.slurm_site import (
    add_blocks,
    block_site,
    check_sizes,
    ring_site,
    tree_site,
    with_hosts,
)
from topoplan.topologies.reading import MAX_HOSTS, SNIFF_CHARS, ReadOptions, quoted
from topoplan.topologies.trees.site import Site, Switch
from topoplan.topologies.trees.tree import build

Loc = tuple[str | int, ...]

_ENTRY = re.compile(r"(?:^|[\s{,])[\"']?topology[\"']?[ \t]*:[ \t]*[^\s{\[]")
_PLUGIN = re.compile(r"(?:^|[\s{,])[\"']?(?:tree|block|ring|torus3d|flat)[\"']?[ \t]*:")


def sniff(text: str) -> bool:
    """Whether `text` has entries of topology.yaml: a topology, and a plugin beside it."""
    return all(pattern.search(text, 0, SNIFF_CHARS) for pattern in (_ENTRY, _PLUGIN))


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a topology.yaml.

    The topology with `cluster_default: true` (the first of several, as in Slurm; the first of all without one) places
    its hosts first, the others those that are left. Blocks of hosts that are placed already become NVLink islands.

    Raises
    ------
    InputError
        Not such a list, an unknown plugin, or a topology that Slurm refuses.
    """
    document = parse(text, path)
    if not isinstance(document.data, list) or not document.data:
        raise document.error("topology.yaml is a list of entries, each with 'topology: name' and its plugin")
    topologies = [_topology(document, (i,)) for i in range(len(document.data))]
    first = next((t for t in topologies if t.default), topologies[0])
    merged = Site(joined=False)
    for topology in [first, *(t for t in topologies if t is not first)]:
        _merge(merged, topology, _PLUGINS[topology.plugin](document, topology, options), options)
    if not merged.host_names and all(topology.plugin == "flat" for topology in topologies):
        raise document.error(
            "only flat topologies: they name no hosts and say nothing of the network",
            hint="give the network's own description, such as the output of ibnetdiscover",
        )
    return build(merged, path, options)


@dataclass(frozen=True, slots=True)
class _Topology:
    name: str
    plugin: str
    loc: Loc
    default: bool


def _topology(document: Marked, loc: Loc) -> _Topology:
    entry = _mapping(document, loc)
    name = entry.get("topology")
    if not isinstance(name, str) or not name:
        raise document.error("an entry without 'topology: name'", loc)
    for key in entry:
        if key not in ("topology", "cluster_default", *_PLUGINS):
            known = ["cluster_default", *_PLUGINS]
            hint = closest(key, known) or f"plugins: {', '.join(_PLUGINS)}"
            raise document.error(f"unknown key {quoted(key)} in topology {name[:60]}", (*loc, key), key=True, hint=hint)
    plugins = [key for key in entry if key in _PLUGINS]
    if len(plugins) != 1:
        raise document.error(f"topology {name[:60]} has {len(plugins)} of {', '.join(_PLUGINS)}, not one", loc)
    return _Topology(name, plugins[0], (*loc, plugins[0]), _truth(document, (*loc, "cluster_default"), entry))


def _truth(document: Marked, loc: Loc, entry: dict[str, object]) -> bool:
    value = entry.get("cluster_default", False)
    word = {"yes": True, "on": True, "no": False, "off": False}.get(str(value).lower(), value)
    if not isinstance(word, bool):
        raise document.error(f"cluster_default must be true or false, not {quoted(str(value))}", loc)
    return word


def _merge(merged: Site, topology: _Topology, site: Site, options: ReadOptions) -> None:
    """Add what `topology` tells to what the topologies before it told."""
    if not merged.switches and not merged.host_names:
        for name in ("switches", "unplaced", "islands", "in_order", "joined", "entry", "hint_two_switches"):
            setattr(merged, name, getattr(site, name))
        merged.assumed += site.assumed
        merged.warnings += site.warnings
        return
    placed = set(merged.host_names)
    hosts = site.host_names
    known = [host for host in hosts if host in placed]
    if topology.plugin == "block":
        inside = {name: switch for name, switch in site.switches.items() if set(switch.hosts) <= placed}
        add_blocks(merged, with_hosts(inside), options)
        site.switches = {name: switch for name, switch in site.switches.items() if name not in inside}
        hosts = site.host_names
        known = [host for host in hosts if host in placed]
    if not hosts:
        return
    if known:
        merged.warnings.append(
            f"topology {topology.name}: left out, as another topology places {len(known)} of its {len(hosts)} hosts"
        )
        return
    _add_apart(merged, topology, site)


def _add_apart(merged: Site, topology: _Topology, site: Site) -> None:
    """Add a part of the cluster that no topology before has."""
    clash = sorted(site.switches.keys() & merged.switches.keys())
    if clash:
        raise InputError(
            f"switch {clash[0]} of topology {topology.name} is in another topology with other hosts",
            place=site.switches[clash[0]].place,
        )
    merged.switches |= site.switches
    merged.islands |= {name: hosts for name, hosts in site.islands.items() if name in site.switches}
    merged.in_order = merged.in_order or site.in_order
    merged.assumed += [line for line in site.assumed if line not in merged.assumed]
    merged.warnings += [*site.warnings, f"topology {topology.name}: its hosts stand apart from those of the others"]


# ---- the plugins -----------------------------------------------------------------------------------------------------


def _tree(document: Marked, topology: _Topology, options: ReadOptions) -> Site:
    switches = _switches(document, (*topology.loc, "switches"), "switch")
    for switch in switches.values():
        if not switch.children and not switch.hosts:
            raise InputError(f"switch {switch.name} has neither children nor nodes", place=switch.place)
        if switch.children and switch.hosts:
            raise InputError(f"switch {switch.name} has both children and nodes", place=switch.place)
    site = tree_site(switches)
    site.entry = "switch entry"
    return site


def _blocks(document: Marked, topology: _Topology, options: ReadOptions) -> Site:
    blocks = _switches(document, (*topology.loc, "blocks"), "block")
    loc = (*topology.loc, "block_sizes")
    listed = _mapping(document, topology.loc).get("block_sizes")
    sizes = None
    if listed is not None:
        values: list[Any] = listed if isinstance(listed, list) else [listed]
        if not values or not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise document.error("block_sizes must be a list of whole numbers", loc)
        sizes = Sizes(tuple(int(value) for value in values), document.place(loc))
    full = with_hosts(blocks)
    check_sizes(full.values(), sizes, document.path)
    return block_site(full, sizes, options)


def _ring(document: Marked, topology: _Topology, options: ReadOptions) -> Site:
    return ring_site(_switches(document, (*topology.loc, "rings"), "ring"))


def _torus(document: Marked, topology: _Topology, options: ReadOptions) -> Site:
    """A torus has no switches: its hosts are one group, in the order of the file, x running slowest."""
    entry = _mapping(document, topology.loc)
    loc = (*topology.loc, "nodes")
    hosts = _hosts(document, loc, entry.get("nodes"), "torus3d")
    dims = _dims(document, (*topology.loc, "dims"), entry.get("dims"))
    if dims and math.prod(dims) != len(hosts):
        size = " x ".join(map(str, dims))
        raise document.error(f"a torus of {size} has {math.prod(dims)} hosts, not {len(hosts)}", loc)
    names = [f"torus-{topology.name}"]
    try:
        check_name(names[0])
    except ValueError:
        names = ["torus"]
    site = Site(in_order=True)
    site.add(Switch(names[0], document.place(topology.loc), hosts=hosts))
    size = " x ".join(map(str, dims)) or "of unknown size"
    site.assumed.append(f"torus {size}: one group, its hosts in the file's order; which are neighbours is not kept")
    return site


def _flat(document: Marked, topology: _Topology, options: ReadOptions) -> Site:
    return Site()


_PLUGINS: dict[str, Callable[[Marked, _Topology, ReadOptions], Site]] = {
    "tree": _tree,
    "block": _blocks,
    "ring": _ring,
    "torus3d": _torus,
    "flat": _flat,
}


def _dims(document: Marked, loc: Loc, value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    parts = value if isinstance(value, list) else re.split(r"[\sx,*]+", value) if isinstance(value, str) else [value]
    if isinstance(value, dict):
        parts = [value.get(axis) for axis in ("x", "y", "z")]
    if not all(re.fullmatch(r"[1-9][0-9]{0,5}", str(part)) for part in parts) or not parts:
        raise document.error("dims must be three whole numbers such as [4, 4, 8]", loc)
    return tuple(int(str(part)) for part in parts)


def _switches(document: Marked, loc: Loc, kind: str) -> dict[str, Switch]:
    """Entries of a list as switches: `kind` is the key of their names."""
    parent = _mapping(document, loc[:-1])
    entries = parent.get(str(loc[-1]))
    if entries is None and kind == "ring" and "nodes" in parent:
        loc, entries = loc[:-1], [parent]  # a ring alone may stand without a list
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise document.error(f"{loc[-1]} must be a list", loc)
    found: dict[str, Switch] = {}
    for i, entry in enumerate(entries):
        here = (*loc, i)
        if not isinstance(entry, dict):
            raise document.error(f"an entry of {loc[-1]} must be a mapping", here)
        switch = _switch(document, here, entry, kind)
        if found.setdefault(switch.name, switch) is not switch:
            raise document.error(f"{kind} {switch.name} is listed twice", here)
    return found


def _switch(document: Marked, loc: Loc, entry: dict[str, object], kind: str) -> Switch:
    value = entry.get(kind)
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(name, str):
        raise document.error(f"an entry without '{kind}: name'", loc)
    try:
        check_name(name)
    except ValueError as error:
        raise document.error(str(error), (*loc, kind)) from None
    children = _hosts(document, (*loc, "children"), entry.get("children"), f"{kind} {name}")
    return Switch(name, document.place(loc), children, _hosts(document, (*loc, "nodes"), entry.get("nodes"), name))


def _hosts(document: Marked, loc: Loc, value: object, what: str) -> list[str]:
    """Names of a host list, or of a list of them."""
    if value is None:
        return []
    parts = value if isinstance(value, list) else [value]
    found: list[str] = []
    for part in parts:
        if not isinstance(part, str | int) or isinstance(part, bool):
            raise document.error(f"{what}: a host list must be a text", loc)
        found += expand_hosts(str(part), MAX_HOSTS - len(found), what, document.place(loc))
    return found


def _mapping(document: Marked, loc: Loc) -> dict[str, object]:
    here: Any = document.data
    for part in loc:
        here = here[part]
    if not isinstance(here, dict):
        raise document.error(f"{loc[-1] if isinstance(loc[-1], str) else 'an entry'} must be a mapping", loc)
    return here
