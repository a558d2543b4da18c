"""Reader of lists that give each host its NVLink fabric: ClusterUUID and clique, a host a line."""

from __future__ import annotations

import re
from collections import Counter

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.names import natural_key
from topoplan.topologies.reading import MAX_HOSTS, SNIFF_CHARS, ReadOptions, lines, quoted
from topoplan.topologies.trees.site import MAX_ISLAND_HOSTS, Site, host_name
from topoplan.topologies.trees.tree import build

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
# "host: uuid", "host,uuid,clique", "host uuid.clique" as kubectl's custom columns have it, and
# "host: ClusterUUID : uuid" as pdsh passes nvidia-smi on.
_LINE = re.compile(
    rf"\s*\"?(?P<host>[^\s:,;=\"]+)\"?\s*[:,;=\s]\s*(?:Cluster\s?UUID\s*[:=]\s*)?\"?(?P<uuid>{_UUID})\"?"
    r"(?:\s*[.,;:\s]\s*(?:Clique\s?Id\s*[:=]\s*)?(?P<clique>[0-9]+))?\s*",
    re.IGNORECASE,
)
_CLIQUE = re.compile(r"\s*(?P<host>[^\s:,]+):\s*Clique\s?Id\s*[:=]\s*(?P<clique>[0-9]+)\s*", re.IGNORECASE)
_NONE = re.compile(r"\s*[^\s:,]+(?:\s*[:,]\s*(?:.*(?:N/A|Not Supported|-)|)|\s+(?:<none>|N/A))\s*", re.IGNORECASE)
_HEADER = re.compile(r"\s*(?:host|node|name)\w*[\s,;:]+.*(?:uuid|fabric|clique).*", re.IGNORECASE)
_MAX_LINE = 1024  # assumed: no name and UUID are longer
_ZERO = "00000000-0000-0000-0000-000000000000"  # what nvidia-smi shows until a fabric is there


def sniff(text: str) -> bool:
    """Whether the first line that says anything gives a host a ClusterUUID or a clique."""
    for line in text[:SNIFF_CHARS].split("\n"):
        if len(line) > _MAX_LINE:
            return False
        if line.strip() and not line.lstrip().startswith("#") and not _HEADER.fullmatch(line):
            return _LINE.fullmatch(line) is not None or _CLIQUE.fullmatch(line) is not None
    return False


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric whose hosts of one ClusterUUID and clique are an NVLink island; of the network the list tells nothing.

    Raises
    ------
    InputError
        A line that is no host and UUID, or a host with two of them.
    """
    fabric_of: dict[str, tuple[str, str]] = {}
    clique_of: dict[str, str] = {}
    for number, line in lines(text, path):
        place = Place(path, number)
        if len(line) > _MAX_LINE:
            raise InputError(f"a line of {len(line)} characters is no host and its ClusterUUID", place=place)
        if not line.strip() or line.lstrip().startswith("#") or _HEADER.fullmatch(line):
            continue
        if alone := _CLIQUE.fullmatch(line):
            clique_of[alone["host"]] = alone["clique"]
            continue
        host, found = _entry(line, place)
        if fabric_of.setdefault(host, found) != found:
            raise InputError(f"host {host} has two NVLink fabrics, {fabric_of[host][0]} and {found[0]}", place=place)
        if len(fabric_of) > MAX_HOSTS:
            raise InputError("more hosts than any fabric has", place=place)
    return build(_site(fabric_of, clique_of), path, options)


def _entry(line: str, place: Place) -> tuple[str, tuple[str, str]]:
    match = _LINE.fullmatch(line)
    if match:
        uuid = match["uuid"].lower()
        return host_name(match["host"], place), ("" if uuid == _ZERO else uuid, match["clique"] or "")
    if _NONE.fullmatch(line):
        return host_name(re.split(r"[\s:,]", line.strip(), maxsplit=1)[0], place), ("", "")
    raise InputError(
        f"{quoted(line.strip())} is not a host and its ClusterUUID",
        place=place,
        hint="write 'host: uuid', 'host: uuid.clique' or 'host,uuid,clique', one host a line",
    )


def _site(fabric_of: dict[str, tuple[str, str]], clique_of: dict[str, str]) -> Site:
    site, without = Site(in_order=True), []
    for host in sorted(fabric_of, key=natural_key):
        uuid, clique = fabric_of[host]
        clique = clique or clique_of.get(host, "")
        if uuid:
            site.islands.setdefault(f"{uuid}.{clique}" if clique else uuid, []).append(host)
        else:
            without.append(host)
    # Racks are all that is known of where hosts stand: the physical order goes rack by rack.
    site.unplaced = [*(host for hosts in site.islands.values() for host in hosts), *without]
    if without:
        site.warnings.append(f"{len(without)} hosts such as {without[0]} are in no NVLink fabric")
    sizes = Counter(len(hosts) for hosts in site.islands.values())
    if sizes and max(sizes) > MAX_ISLAND_HOSTS:
        site.warnings.append(f"an NVLink domain of {max(sizes)} hosts: NVL72 racks have {MAX_ISLAND_HOSTS}")
    return site
