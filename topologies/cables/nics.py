"""Which NICs of a cabling carry the GPUs' traffic: the user's selection, told by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase

from topoplan.errors import InputError
from topoplan.model.host_type import Nic
from topoplan.names import expand, split_list
from topoplan.topologies.cables.cabling import Cabling, Port
from topoplan.topologies.reading import clean_name

_MAX_PATTERNS = 256  # assumed: no host has more ports


def select_nics(cabling: Cabling, pattern: str) -> tuple[Cabling, list[str]]:
    """`cabling` with the ports that `pattern` names alone, and a note of what was left out.

    Raises
    ------
    InputError
        A pattern that cannot be read, or that leaves no port.
    """
    if not pattern:
        return cabling, []
    wanted = compile_pattern(pattern)
    kept = tuple(port for port in cabling.ports if wanted(name_of(port)))
    if not kept:
        seen = sorted({name_of(port) for port in cabling.ports})
        raise InputError(f"no NIC is called {pattern!r}", hint=f"NICs seen: {', '.join(seen[:12])}")
    aside = Counter(port.switch for port in cabling.ports if not wanted(name_of(port)))
    left = Counter(name_of(port) for port in cabling.ports if not wanted(name_of(port)))
    notes = [f"NICs left out, as the selection says: {_shown(left)}"] if left else []
    others: dict[str, set[Nic]] = {host: set(nics) for host, nics in cabling.others.items()}
    for port in cabling.ports:
        if not wanted(name := name_of(port)):
            nic = Nic(0, port.bandwidth_bytes_per_s, 0, clean_name(name), network="other")
            others.setdefault(port.host, set()).add(nic)
    return dataclasses.replace(
        cabling,
        ports=kept,
        nameless=cabling.nameless + aside,
        others={host: tuple(nics) for host, nics in others.items()},
    ), notes


def name_of(port: Port) -> str:
    """Name to select a port by: the device's, else the adapter's; GUIDs that are only numbered count as mlx5_N."""
    if port.device or not port.card.startswith("H-"):  # a GUID as ibnetdiscover writes it
        return port.device or port.card
    return f"mlx5_{port.ordinal}" if port.ordinal >= 0 else port.card


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Test of names for a list of names, host-list brackets and globs; "!" before an item takes names away.

    Raises
    ------
    InputError
        Brackets that do not match.
    """
    take: list[str] = []
    drop: list[str] = []
    try:
        for item in split_list(pattern):
            names = drop if item.startswith("!") else take
            text = item.removeprefix("!")
            names.extend([text] if {"*", "?"} & set(text) else expand(text, limit=_MAX_PATTERNS))
    except ValueError as error:
        raise InputError(f"selection of NICs: {error}") from None
    if len(take) + len(drop) > _MAX_PATTERNS:
        raise InputError(f"selection of NICs: more than {_MAX_PATTERNS} names")
    verdict: dict[str, bool] = {}

    def wanted(name: str) -> bool:
        if name not in verdict:
            taken = not take or any(fnmatchcase(name, item) for item in take)
            verdict[name] = taken and not any(fnmatchcase(name, item) for item in drop)
        return verdict[name]

    return wanted


def _shown(left: Counter[str]) -> str:
    names = sorted(left, key=lambda name: (-left[name], name))
    more = f" and {len(names) - 6} other names" if len(names) > 6 else ""
    return ", ".join(f"{left[name]} {name}" for name in names[:6]) + more
