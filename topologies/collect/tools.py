"""What `ibstat` and `scontrol show node` print of one host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CA = re.compile(r"CA '([A-Za-z][\w.-]{0,63})'")
_PORT = re.compile(r"Port (\d{1,3}):")
_WORDS = {"State": "state", "Rate": "rate", "Link layer": "link"}
_GRES = re.compile(r"gpu(?::([A-Za-z][\w.-]{0,63}))?(?::(\d{1,4}))?(?:\([^()]{0,200}\))?")
_FIELD = re.compile(r"(?:^|\s)(Gres|State|NodeAddr|NodeHostName)=(\S{0,4000})")
# States in which Slurm gives a node no further job; suffixes such as "*" and flags behind "+" are cut off.
_AWAY = frozenset(("DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "MAINT", "NOT_RESPONDING", "REBOOT"))


def ibstat_rows(text: str) -> Iterator[dict[str, str]]:
    """Ports as rows of the script's own section "infiniband", without places in the PCI tree."""
    device, guid = "", ""
    port: dict[str, str] = {}
    for line in text.split("\n"):
        bare = line.strip()
        if ca := _CA.fullmatch(bare):
            yield from (port,) if port else ()
            device, guid, port = ca[1], "", {}
        elif found := _PORT.fullmatch(bare):
            yield from (port,) if port else ()
            port = {"device": device, "port": found[1], "node_guid": guid} if device else {}
        else:
            key, _, value = bare.partition(":")
            value = value.strip()
            if key == "Node GUID":
                guid = ":".join(re.findall(r"[0-9a-fA-F]{4}", value.removeprefix("0x").zfill(16)))
            elif port and key in _WORDS:
                port[_WORDS[key]] = f"{value} Gb/sec" if key == "Rate" else value
    yield from (port,) if port else ()


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node as Slurm knows it.

    Parameters
    ----------
    gpus
        That Slurm hands out there, 0 when it knows of none.
    model
        Its word for them, such as h100; "" without one.
    away
        Why it gets no further job; "" when it does.
    names
        NodeHostName and NodeAddr.
    """

    gpus: int
    model: str
    away: str
    names: tuple[str, ...]


def slurm_node(text: str) -> SlurmNode | None:
    """Node of `scontrol -o show node NAME`; None where `text` is none."""
    fields = dict(_FIELD.findall(text))
    if "State" not in fields:
        return None
    gpus, model = 0, ""
    for item in re.split(r",(?![^()]*\))", fields.get("Gres", "")):
        if match := _GRES.fullmatch(item):
            gpus += int(match[2] or 1)
            model = model or match[1] or ""
    states = {re.sub(r"\W+$", "", word) for word in fields["State"].upper().split("+")}
    names = tuple(fields[key] for key in ("NodeHostName", "NodeAddr") if fields.get(key))
    return SlurmNode(gpus, model, ", ".join(sorted(states & _AWAY)), names)
