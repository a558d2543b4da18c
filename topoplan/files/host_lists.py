"""Lists of hosts in a Fabric file: names, aliases, and the GPUs that may not be used."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from topoplan import names
from topoplan.errors import InputError
from topoplan.files.fabric_shape import HostsShape
from topoplan.files.marked import Marked

Loc = tuple[str | int, ...]


class HostEntries:
    """Names and aliases of each entry under `hosts`, expanded and checked.

    Parameters
    ----------
    marked
        The file, for places.
    entries
        Its `hosts` section.

    Raises
    ------
    InputError
        A pattern that cannot be read, a name that launch files cannot hold, or a host listed twice.
    """

    def __init__(self, marked: Marked, entries: Sequence[HostsShape]) -> None:
        self.marked = marked
        self.entries = entries
        self.names: list[list[str]] = []
        home: dict[str, int] = {}
        for e, entry in enumerate(entries):
            loc = ("hosts", e, "names")
            members = self.expand(marked, loc, entry.names, names.MAX_NAMES - len(home))
            if not members:
                raise marked.error("no host is named", loc)
            for name in members:
                if name in home:
                    raise self._twice(name, home[name], e)
                home[name] = e
            self.names.append(members)

    def _twice(self, name: str, first: int, second: int) -> InputError:
        line = self.marked.place(("hosts", first)).line
        groups = [self.entries[e].group for e in (first, second)]
        detail = f"in groups {groups[0]} and {groups[1]}" if groups[0] != groups[1] else f"twice, first on line {line}"
        return self.marked.error(
            f"host {name} is listed {detail}", ("hosts", second, "names"), hint="each host belongs to one group"
        )

    @staticmethod
    def expand(marked: Marked, loc: Loc, patterns: Sequence[str], limit: int = names.MAX_NAMES) -> list[str]:
        """Names of all patterns, in order."""
        found: list[str] = []
        for i, pattern in enumerate(patterns):
            try:
                found.extend(names.expand(pattern, limit=limit - len(found)))
            except ValueError as error:
                raise marked.error(str(error), (*loc, i)) from None
        return found

    def aliases(self, e: int) -> list[tuple[tuple[str, str], ...]]:
        """(kind, name) pairs of each host of entry `e`."""
        members = self.names[e]
        columns: list[list[tuple[str, str]]] = []
        for kind, patterns in self.entries[e].aliases.items():
            loc = ("hosts", e, "aliases", kind)
            other = self._alias_names(loc, patterns)
            if len(other) != len(members):
                raise self.marked.error(f"{len(other)} {kind} aliases for {len(members)} hosts", loc)
            columns.append([(kind, name) for name in other])
        return list(zip(*columns, strict=True)) if columns else [()] * len(members)

    def _alias_names(self, loc: Loc, patterns: Sequence[str]) -> list[str]:
        found: list[str] = []
        for i, pattern in enumerate(patterns):
            if ":" in pattern:  # the names of launch files have no colon, but IPv6 addresses do
                found.append(self._address(pattern, (*loc, i)))
            else:
                found.extend(self.expand(self.marked, (*loc, i), [pattern]))
        return found

    def _address(self, text: str, loc: Loc) -> str:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:
            raise self.marked.error(f"{text[:80]!r} is neither a host name nor an IPv6 address", loc) from None


def unusable(
    marked: Marked, loc: Loc, items: Sequence[str], index: Mapping[str, int], gpus: Sequence[int]
) -> set[tuple[int, int]]:
    """(host, GPU) pairs of lists such as "node-7, node-[9-12]:3, node-20:[0-3]"; a bare host means all its GPUs.

    Parameters
    ----------
    loc
        Where the lists stand in the file.
    index
        Host by name or alias.
    gpus
        GPUs of each host.
    """
    found: set[tuple[int, int]] = set()
    left = names.MAX_NAMES
    for i, text in enumerate(items):
        try:
            for part in names.split_list(text):
                members, colon, local = part.partition(":")
                hosts = names.expand(members, limit=left)
                left -= len(hosts)
                found |= _pairs(hosts, _gpus(colon, local), index, gpus)
        except ValueError as error:
            message, _, hint = str(error).partition("\n")
            raise marked.error(message, (*loc, i), hint=hint) from None
    return found


def _pairs(
    hosts: Sequence[str], local: Sequence[int] | None, index: Mapping[str, int], gpus: Sequence[int]
) -> set[tuple[int, int]]:
    """(host, GPU) pairs of one list; ValueError, with the hint on its second line, when one does not exist."""
    found: set[tuple[int, int]] = set()
    for name in hosts:
        if name not in index:
            raise ValueError(f"host {name!r} is not in this file\n{names.closest(name, index)}")
        h = index[name]
        if local is not None and max(local) >= gpus[h]:
            raise ValueError(f"host {name} has GPUs 0 to {gpus[h] - 1}, not {max(local)}")
        found.update((h, gpu) for gpu in (range(gpus[h]) if local is None else local))
    return found


def _gpus(colon: str, text: str) -> list[int] | None:
    """Indices of "3" or "[0-3]"; None when no colon stands before."""
    if not colon:
        return None
    if not text.strip("[]"):
        raise ValueError("a GPU index is missing after ':'")
    return [int(number) for number in names.expand(text, limit=1024) if number.isdecimal()] or _no_gpu(text)


def _no_gpu(text: str) -> list[int]:
    raise ValueError(f"{text[:80]!r} is not a GPU index such as 3 or [0-3]")
