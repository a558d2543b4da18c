"""Reader of topograph's model YAML, and of the instance JSON that its graph engine writes."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.marked import Marked
from topoplan.model.fabric import Fabric
from topoplan.names import check_name, expand
from topoplan.topologies.documents import is_json, list_at, load, mapping_at, text_at, value_at
from topoplan.topologies.reading import MAX_HOSTS, MAX_TIERS, SNIFF_CHARS, ReadOptions, quoted
from topoplan.topologies.trees.site import MAX_ISLAND_HOSTS, Paths, Site, Switch, check_text, host_name
from topoplan.topologies.trees.tree import build

# Label or annotation of the NVLink domain, and of the part of it that is one rack: of models, of nodes since 2026, of
# nodes before (topograph's docs/modeling.md and docs/engines/k8s.md).
DOMAIN_KEYS = (
    "accelerator.topology.test/domain",
    "accelerator.topograph.run/domain",
    "network.topology.nvidia.com/accelerator",
)
SUB_DOMAIN_KEYS = (
    "accelerator.topology.test/sub-domain",
    "accelerator.topograph.run/sub-domain",
    "network.topology.nvidia.com/sub-domain",
)
_MODEL = re.compile(r"^(?:switches|blocks)[ \t]*:", re.MULTILINE)
_INSIDE = re.compile(r"[ \t{,](?:nodes|switches|switch)[ \t]*:")  # not at the beginning of a line
_GRAPH = re.compile(r'"network_layers"\s*:')
_REQUEST = (re.compile(r'"provider"\s*:\s*\{'), re.compile(r'"engine"\s*:\s*\{'))


def sniff(text: str) -> bool:
    """Whether `text` is a model, an instance JSON, or a request (which `read` explains)."""
    head = text[:SNIFF_CHARS]
    if is_json(head):
        return bool(_GRAPH.search(head)) or all(part.search(head) for part in _REQUEST)
    return bool(_MODEL.search(head) and _INSIDE.search(head))


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a model or of an instance JSON.

    A block's domain is an NVLink island; where it has sub-domains and more hosts than any NVLink domain, they are.

    Raises
    ------
    InputError
        A request, which only names a model; a switch or host that is missing or doubled.
    """
    documents = load(text, path)
    if not documents:
        raise InputError("the file is empty", place=Place(path))
    document = documents[0]
    if not isinstance(document.data, dict):
        raise document.error("a topograph model is a mapping with 'switches' and 'blocks'")
    if "instances" in document.data:
        return build(_graph_site(document), path, options)
    if "switches" not in document.data and "blocks" not in document.data:
        raise _request_error(document)
    return build(_model_site(document), path, options)


def _request_error(document: Marked) -> InputError:
    provider = text_at(document.data, "provider", "name") or "some provider"
    model = text_at(document.data, "provider", "params", "modelFileName")
    where = f"import that model, {quoted(model)}," if model else "import what the request's answer holds"
    return document.error(
        f"this is a request to topograph (provider {provider[:60]}): it asks for a topology and holds none",
        hint=f"{where} or the file that topograph writes" if model else where,
    )


# ---- instance JSON ---------------------------------------------------------------------------------------------------


def _graph_site(document: Marked) -> Site:
    site, paths, domains = Site(joined=True), Paths(), Domains()
    entries = document.data["instances"]
    if not isinstance(entries, list):
        raise document.error("instances must be a list", ("instances",))
    for i, entry in enumerate(entries):
        place = document.place(("instances", i))
        name = host_name(value_at(entry, "id"), place)
        layers = list_at(entry, "network_layers")
        paths.add(name, [check_text(layer, "a network layer", place) for layer in reversed(layers)])
        domains.add(name, mapping_at(entry, "labels"))
    paths.into(site)
    site.islands = domains.islands()
    return site


class Domains:
    """Collects the accelerator domain and sub-domain of each host."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, host: str, *labels: dict[str, Any]) -> bool:
        """Note the domain that the first of `labels` with one gives; False when none does."""
        for found in labels:
            domain = next((str(found[key]) for key in DOMAIN_KEYS if found.get(key)), "")
            if domain:
                part = next((str(found[key]) for key in SUB_DOMAIN_KEYS if found.get(key)), "")
                self._hosts[domain][part].append(host)
                return True
        return False

    def islands(self) -> dict[str, list[str]]:
        """NVLink islands: name -> hosts."""
        found: dict[str, list[str]] = {}
        for domain, parts in self._hosts.items():
            hosts = [host for inside in parts.values() for host in inside]
            if len(hosts) <= MAX_ISLAND_HOSTS or set(parts) == {""}:
                found[domain] = hosts
                continue
            for part, inside in parts.items():
                found[part if part and part not in found else f"{domain}-{part or 'rest'}"] = inside
        return found


# ---- model -----------------------------------------------------------------------------------------------------------


def _model_site(document: Marked) -> Site:
    site = Site(hint_two_switches="a node is in one block")
    _add_switches(document, site)
    domains, count = Domains(), 0
    inherited = _inherited(site, document)
    blocks = document.data.get("blocks") or []
    if not isinstance(blocks, list):
        raise document.error("blocks must be a list", ("blocks",))
    for i, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise document.error("a block must be a mapping", ("blocks", i))
        hosts = _nodes(document, ("blocks", i, "nodes"), block.get("nodes"), MAX_HOSTS - count)
        count += len(hosts)
        _attach(document, i, site, hosts, block.get("switch"))
        above = inherited.get(str(block.get("switch")), [])
        for host in hosts:
            domains.add(host, mapping_at(block, "annotations"), mapping_at(block, "labels"), *above)
    site.islands = domains.islands()
    if not site.switches:
        _blocks_as_groups(site)
    return site


def _blocks_as_groups(site: Site) -> None:
    """A model of blocks alone: its NVLink domains are the groups of the network, as far as anybody knows."""
    for name, hosts in site.islands.items():
        site.add(Switch(name, hosts=list(hosts)))
    placed = {host for hosts in site.islands.values() for host in hosts}
    site.unplaced = [host for host in site.unplaced if host not in placed]
    site.joined = True


def _add_switches(document: Marked, site: Site) -> None:
    table = document.data.get("switches") or {}
    if not isinstance(table, dict):
        raise document.error("switches must be a mapping of names to switches", ("switches",))
    children: dict[str, Place] = {}
    for name, entry in table.items():
        place = document.place(("switches", name), key=True)
        listed = (entry or {}).get("switches") if isinstance(entry, dict | None) else entry
        if listed is not None and not isinstance(listed, list):
            raise document.error(f"switches of {quoted(name)} must be a list", ("switches", name))
        below = [_switch_name(child, place) for child in listed or []]
        site.add(Switch(_switch_name(name, place), place, below))
        children |= dict.fromkeys(below, place)
    for name, place in children.items():
        if name not in site.switches:
            site.add(Switch(name, place))


def _switch_name(value: object, place: Place) -> str:
    try:
        return check_name(check_text(value, "the name of a switch", place))
    except ValueError as error:
        raise InputError(str(error), place=place) from None


def _inherited(site: Site, document: Marked) -> dict[str, list[dict[str, Any]]]:
    """Labels and annotations of each switch and of those above it, nearest first."""
    parent = {child: switch.name for switch in site.switches.values() for child in switch.children}
    own = {
        name: [mapping_at(entry, "annotations"), mapping_at(entry, "labels")]
        for name, entry in (document.data.get("switches") or {}).items()
    }
    found = {}
    for name in site.switches:
        chain: list[str] = []
        here = name
        while here and len(chain) <= MAX_TIERS:  # longer chains and cycles are refused later
            chain.append(here)
            here = parent.get(here, "")
        found[name] = [labels for switch in chain for labels in own.get(switch, []) if labels]
    return found


def _nodes(document: Marked, loc: tuple[str | int, ...], value: object, limit: int) -> list[str]:
    parts = value if isinstance(value, list) else [] if value is None else [value]
    found: list[str] = []
    for part in parts:
        text = check_text(part, "a list of nodes", document.place(loc))
        try:
            found += expand(text, limit=limit - len(found))
        except ValueError as error:
            raise document.error(str(error), loc) from None
    return found


def _attach(document: Marked, block: int, site: Site, hosts: list[str], switch: object) -> None:
    if switch is None:
        site.unplaced += hosts
        return
    place = document.place(("blocks", block, "switch"))
    name = _switch_name(switch, place)
    if name not in site.switches:
        site.add(Switch(name, place))
    site.switches[name].hosts += hosts
