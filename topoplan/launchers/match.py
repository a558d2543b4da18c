"""Host names as machines report them: short, fully qualified, an alias, in another case; ambiguity is refused."""

from __future__ import annotations

from collections.abc import Iterator

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.names import check_name

_SEVERAL = -2


class HostNames:
    """Finds a host of a fabric by any name that a machine may report for itself.

    In this order: exactly; then without regard to case, where either side may leave out trailing domain parts
    (node-1 and node-1.cluster.example are the same host, node-1.a and node-1.b are not).
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._exact = fabric.alias_index
        self._full: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        for name, h in self._exact.items():
            _add(self._full, name.lower(), h)
            for stem in _stems(name.lower()):
                _add(self._stems, stem, h)

    def find(self, name: str) -> int | None:
        """Index of the host, None when no host has that name.

        Raises
        ------
        InputError
            Several hosts could be meant.
        """
        if name in self._exact:
            return self._exact[name]
        low = name.lower()
        for table, key in [(self._full, low), (self._stems, low), *((self._full, stem) for stem in _stems(low))]:
            h = table.get(key)
            if h == _SEVERAL:
                raise InputError(
                    f"host name {name!r} fits several hosts of the fabric {self._fabric.name}",
                    hint="report fully qualified names, or give the hosts aliases in the fabric file",
                )
            if h is not None:
                return h
        return None

    def all_names(self) -> list[tuple[str, ...]]:
        """Of each host, sorted: every safe name that means this host and no other."""
        names: list[set[str]] = [set() for _ in self._fabric.hosts]
        for name, h in (self._stems | self._full | self._exact).items():
            if h >= 0 and _is_safe(name):
                names[h].add(name)
        return [tuple(sorted(found)) for found in names]


def _add(table: dict[str, int], name: str, host: int) -> None:
    table[name] = host if table.get(name, host) == host else _SEVERAL


def _stems(name: str) -> Iterator[str]:
    """The name, then without its last dotted parts one after the other; an address has no such stems."""
    yield name
    parts = name.split(".")
    if all(part.isdigit() for part in parts):
        return
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count])


def _is_safe(name: str) -> bool:
    try:
        return bool(check_name(name))
    except ValueError:  # an IPv6 address, for example: no machine calls itself that
        return False
