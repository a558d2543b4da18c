"""The files that the collecting script writes: sections of other tools' output, one file a host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from topoplan.errors import InputError, Place
from topoplan.names import check_name
from topoplan.topologies.collect.tools import slurm_node
from topoplan.topologies.reading import clean_name, lines

MAGIC = "# topoplan collected "
VERSION = 1
_HEAD = re.compile(r"@ ([a-z][a-z0-9-]{0,39})( missing)?")
_GENERIC = frozenset(("localhost", "localhost.localdomain", "(none)", "unknown"))


@dataclass(frozen=True, eq=False)
class Collected:
    """One host's file.

    Parameters
    ----------
    host
        Name by which launchers know it: Slurm's, Kubernetes', or its own.
    aliases
        (kind, name) pairs of its other names.
    sections
        Section -> text, without those that are empty.
    complete
        Whether the script came to its end.
    """

    path: str
    host: str
    aliases: tuple[tuple[str, str], ...]
    sections: dict[str, str]
    complete: bool

    def rows(self, section: str) -> Iterator[dict[str, str]]:
        """Rows of key=value pairs, separated by tabs."""
        for line in self.sections.get(section, "").split("\n"):
            yield dict(pair.split("=", 1) for pair in line.split("\t") if "=" in pair)


def sniff(text: str) -> bool:
    """Whether the script wrote `text`."""
    return text.lstrip("\ufeff").startswith(MAGIC)


def parse(text: str, path: str) -> Collected:
    """Split a file into its sections.

    Raises
    ------
    InputError
        Not a file of the script, a section twice, or a host without a name of its own.
    """
    if not sniff(text):
        raise InputError("the collecting script did not write this", place=Place(path), hint=f"no {MAGIC.strip()!r}")
    sections: dict[str, list[str]] = {}
    here: list[str] = []
    for number, line in lines(text, path):
        if line.startswith("|"):
            here.append(line[1:])
        elif line.startswith("@ "):
            match = _HEAD.fullmatch(line)
            if not match or match[1] in sections:
                raise InputError(
                    "this is not the head of a section, or one of its name is above", place=Place(path, number)
                )
            here = sections.setdefault(match[1], [])
        elif line and not line.lstrip("\ufeff").startswith("#"):
            raise InputError("a line outside all sections", place=Place(path, number), hint="collect the file again")
    names = dict(line.split("=", 1) for line in sections.get("host", ()) if "=" in line)
    node = slurm_node("\n".join(sections.get("scontrol-node", ())))
    host, aliases = _names(names, node.names if node else (), path)
    kept = {name: "\n".join(found) for name, found in sections.items() if any(map(str.strip, found))}
    return Collected(path, host, aliases, kept, "end" in sections)


def _names(told: dict[str, str], slurm: tuple[str, ...], path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name of the host and its aliases."""
    found = {kind: _safe(told.get(key, "")) for kind, key in
             (("slurm", "slurm"), ("k8s", "kubernetes"), ("hostname", "name"), ("fqdn", "fqdn"))}  # fmt: skip
    host = next((name for name in found.values() if name), "")
    if not host:
        raise InputError(
            f"this host calls itself {clean_name(told.get('name', '')) or 'nothing'}, as others may too",
            place=Place(path),
            hint="write its name behind name= under @ host",
        )
    addresses = [word for word in told.get("ip", "").split() if re.fullmatch(r"[0-9.]{7,15}", word)]
    pairs = [*found.items(), ("ip", _safe(addresses[0]) if addresses else "")]
    pairs += [(f"slurm-{n}", _safe(name)) for n, name in enumerate(slurm)]  # what Slurm itself connects to
    aliases: dict[str, str] = {}
    for kind, name in pairs:
        if name and name != host and name not in aliases.values():
            aliases[kind] = name
    return host, tuple(aliases.items())


def _safe(name: str) -> str:
    """`name` where it can be a host's own, "" otherwise."""
    name = name.strip()
    try:
        return "" if name.lower() in _GENERIC else check_name(name)
    except ValueError:
        return ""
