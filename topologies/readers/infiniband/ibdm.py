"""Reader of ibdm's topology files: systems with their front-panel ports (.topo), or a cable a line (.cables).

A .topo names each system's type, as system definitions (.ibnl) describe them: "SysType SysName [CFG: ...]", then
indented "PORT [-WIDTH-SPEED->] SysType SysName PORT". Definitions may stand in the same text; types without one are
told apart by what they are known as, or by their cables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.topologies.cables.wiring import Wire, Wiring, wired_fabric
from topoplan.topologies.names.roles import HOST, SWITCH
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions, lines, quoted

# Adapters as ibdm's own definitions call them, and the chips that its generators write in their place.
_ADAPTERS = re.compile(
    r"Cougar(?:Cub)?|Jaguar|Lion(?:Cub|Mini)?\w*|Tiger|Cheetah|Falcon|Hawk|Eagle|Pelican|Sinai\w*|Arbel\w*|Tavor"
    r"|HCA[-_]?\d*|MT(?:23108|2520[48]|25218|254[0-9]{2}|25[48]\d\d|264\d\d|275\d\d|4099|411[3-9]|412[13579])|MHX\w*|MC[XB]\w*",
    re.IGNORECASE,
)
_WORD = r"[A-Za-z][\w.:-]*"
_PORT = r"(?:[\w.-]+/)*P\d+"
_SPEED = r"(?:-(\d{1,2})[xX])?(?:-(2\.5|5|10|14|25|50|100|200)G)?"
_LINK = re.compile(rf"\s+({_PORT})\s+(?:{_SPEED}->)\s+({_WORD})\s+(\S+)\s+({_PORT})\s*")
_HEAD = re.compile(rf"({_WORD})\s+(\S+)((?:\s+CFG\s*:.*|\s+[\w.-]+\s*=.*)?)\s*", re.IGNORECASE)
_CABLE = re.compile(rf"\s*({_WORD})\s+(\S+)\s+({_PORT})\s+({_WORD})\s+(\S+)\s+({_PORT})(?:\s+{_SPEED})?\s*")
_DEFINITION = re.compile(r"^[ \t]*TOPSYSTEM[ \t]+\S", re.MULTILINE)
_NODE = re.compile(r"\s*NODE\s+(SW|CA)\s+\d+\s+\S+\s+\S+.*", re.IGNORECASE)
_PART = re.compile(r"\s*(SYSTEM|TOPSYSTEM|SUBSYSTEM)\s+(\S+).*", re.IGNORECASE)
_ADAPTER_PORTS = 2  # of any adapter that ibdm knows
_SHOWN = 8  # unknown types that a note lists
_BYTES_PER_GBIT = 1e9 / 8
_HINT = "a .topo has systems such as 'MTS3600 SW1' and, indented below, ports such as 'P1 -4x-10G-> HCA_1 H1 P1'"


@dataclass(slots=True)
class _Read:
    """Systems and cables; `adapter` tells of defined types whether they are adapters, `top` names the last of them."""

    type_of: dict[str, str] = field(default_factory=dict)
    adapter: dict[str, bool] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)


def sniff(text: str) -> bool:
    """Whether `text` has links of a .topo or definitions of an .ibnl."""
    head = text[:SNIFF_CHARS]
    return _DEFINITION.search(head) is not None or any(
        "->" in line and _LINK.fullmatch(line.rstrip()) for line in head.split("\n")
    )


def sniff_cables(text: str) -> bool:
    """Whether the first line of `text` is a cable between two typed systems."""
    for line in text[:SNIFF_CHARS].split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return _CABLE.fullmatch(line.rstrip()) is not None
    return False


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a .topo.

    Director switches count as one switch each, without bottlenecks inside. Links without a speed run at 4x SDR, which
    is ibdm's default.

    Raises
    ------
    InputError
        A line that is neither system nor link, a system with two types, definitions alone, or no adapter.
    """
    found = _Read()
    here = ""
    inside = False  # a definition
    for number, line in lines(text.replace("\t", " "), path):
        bare = line.split("#", maxsplit=1)[0].rstrip()
        place = Place(path, number)
        if len(bare) > 4096:
            raise InputError("a line is too long for a topology file", place=place)
        if not bare:
            continue
        if part := _PART.fullmatch(bare):
            inside, here = True, ""
            _define(found, part)
            continue
        if inside and (bare[0] == " " or _in_definition(bare)):
            if node := _NODE.fullmatch(bare):
                _define_node(found, node)
            continue
        if match := _LINK.fullmatch(bare):
            if not here:
                raise InputError("a link stands before any system", place=place, hint=_HINT)
            _add(found, here, match, place)
        elif bare[0] != " " and (match := _HEAD.fullmatch(bare)):
            inside, here = False, match[2]
            _name_system(found, match[1], here, place)
        else:
            raise InputError("this line is neither system nor link", place=place, hint=_HINT)
    if not found.wires:
        raise InputError(
            "system definitions alone describe no fabric" if found.adapter else "there is no link in this text",
            place=Place(path),
            hint="put the .topo that uses them behind them" if found.adapter else _HINT,
        )
    return _fabric(found, path, options)


def read_cables(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of a .cables list: "SysType SysName PORT SysType SysName PORT [-4x-10G]" a line.

    Raises
    ------
    InputError
        Another line, a system with two types, or no adapter.
    """
    found = _Read()
    for number, line in lines(text, path):
        bare = line.split("#", maxsplit=1)[0].rstrip()
        if not bare.strip():
            continue
        match = _CABLE.fullmatch(bare) if len(bare) <= 4096 else None
        if not match:
            raise InputError(
                "this line is no cable", place=Place(path, number), hint="write: Type Name P1 Type Name P1"
            )
        place = Place(path, number)
        _name_system(found, match[1], match[2], place)
        _name_system(found, match[4], match[5], place)
        speed = _bandwidth(match[7], match[8])
        found.wires.append(Wire(match[2], match[3], match[5], match[6], speed))
    if not found.wires:
        raise InputError("there is no cable in this text", place=Place(path))
    return _fabric(found, path, options)


def _in_definition(line: str) -> bool:
    """Whether a line that is not indented still belongs to a definition, as attributes such as U1=isChaBma do."""
    return _NODE.fullmatch(line) is not None or re.fullmatch(r"[\w./]+\s*=\s*\S.*", line) is not None


def _define(found: _Read, part: re.Match[str]) -> None:
    """Begin a definition; SYSTEM and SUBSYSTEM describe boards inside the TOPSYSTEM."""
    if part[1].upper() == "TOPSYSTEM":
        found.top = [name.partition(":")[0] for name in part[2].split(",")]
        found.adapter |= dict.fromkeys(found.top, False)


def _define_node(found: _Read, node: re.Match[str]) -> None:
    """Note that the type being defined holds an adapter or a switch chip."""
    found.adapter |= dict.fromkeys(found.top, node[1].upper() == "CA")


def _name_system(found: _Read, kind: str, name: str, place: Place) -> None:
    if found.type_of.setdefault(name, kind) != kind:
        raise InputError(f"system {quoted(name)} is a {found.type_of[name][:40]} and a {kind[:40]}", place=place)


def _add(found: _Read, here: str, match: re.Match[str], place: Place) -> None:
    _name_system(found, match[4], match[5], place)
    found.wires.append(Wire(here, match[1], match[5], match[6], _bandwidth(match[2], match[3])))


def _bandwidth(width: str | None, lane: str | None) -> float:
    """Bytes/s; ibdm takes 4x and 2.5G where a file says neither."""
    return int(width or 4) * float(lane or 2.5) * _BYTES_PER_GBIT


def _fabric(found: _Read, path: str, options: ReadOptions) -> Fabric:
    wiring = Wiring(wires=found.wires)
    guessed = {}
    for name, kind in found.type_of.items():
        if kind in found.adapter:
            wiring.roles[name] = HOST if found.adapter[kind] else SWITCH
        elif _ADAPTERS.fullmatch(kind):
            wiring.roles[name] = HOST
        else:
            guessed[kind] = SWITCH
    guessed |= dict.fromkeys(_small_types(found, guessed), HOST)
    for name, kind in found.type_of.items():
        wiring.roles.setdefault(name, guessed.get(kind, ""))
    for role, words in ((SWITCH, "switches without bottlenecks inside"), (HOST, "hosts, as they have few cables")):
        kinds = sorted(kind for kind, guess in guessed.items() if guess == role)
        if kinds:
            shown = ", ".join(kind[:40] for kind in kinds[:_SHOWN]) + (" and more" if len(kinds) > _SHOWN else "")
            wiring.assumed.append(f"system types that no definition describes, taken for {words}: {shown}")
    return wired_fabric(wiring, path, options, routing="static")


def _small_types(found: _Read, guessed: Mapping[str, str]) -> set[str]:
    """Unknown types of which no system has more than an adapter's two cables, each to a system with more than it."""
    cables = Counter(end for wire in found.wires for end in (wire.a, wire.b))
    small = set(guessed)
    for wire in found.wires:
        for here, there in ((wire.a, wire.b), (wire.b, wire.a)):
            if cables[here] > _ADAPTER_PORTS or cables[there] <= cables[here]:
                small.discard(found.type_of[here])
    return small
