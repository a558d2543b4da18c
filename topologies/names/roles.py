"""Which devices of a list of cables are hosts, which switches, and which neither: what is told, else what is likely.

A device gets its role from the first of these that says something: the file or the user, words of its name, the names
of its ports, its place among its neighbours. Each way but the first is an assumption that the reader passes on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from topoplan.names import natural_key
from topoplan.topologies.names.ports import looks_like

HOST, SWITCH, ASIDE = "host", "switch", "aside"
_WORDS = {
    HOST: "server srv serv host compute gpu node worker client dgx hgx xpu npu computer tray",
    SWITCH: "leaf spine superspine core tor switch sw router agg aggregation access distribution asw psw csw dsw"
    " fanout fanoutleaf fanoutroot ssw fsw rsw backbone border devsonic",
    ASIDE: "mgmt management oob pdu console consoleserver bmc firewall fw storage stor nas filer ufm patch panel cable"
    " ups kvm traffic ixia",
}
_ROLE_OF = {word: role for role, words in _WORDS.items() for word in words.split()}
_SHOWN = 6  # devices that a note names


@dataclass(slots=True)
class Roles:
    """Role of each device, and what was assumed to find it."""

    of: dict[str, str] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)

    def hosts(self) -> set[str]:
        """Devices that are hosts."""
        return {device for device, role in self.of.items() if role == HOST}


def role_of_word(text: str) -> str:
    """Role that a label such as "Leaf", "GPU server" or "Access Switch" means; "" when none.

    A label that names another network ("Management Switch") is `ASIDE` whatever else it says, and "gpu-leaf-3" a leaf.
    """
    found = {_ROLE_OF.get(word, "") for word in re.findall(r"[a-z]+", text.lower())}
    for role in (ASIDE, SWITCH, HOST):
        if role in found:
            return role
    return ""


def role_of_name(name: str) -> str:
    """Role that words of a device's name say: "su1-leaf-3" is a switch, "dgx012" a host; "" when unclear."""
    return role_of_word(name.split(".", maxsplit=1)[0])


def find_roles(cables: Sequence[tuple[str, str, str, str]], told: Mapping[str, str]) -> Roles:
    """Role of each end of `cables`, which are (device, port, device, port).

    Parameters
    ----------
    told
        Role of devices that the file or the user names.
    """
    roles = Roles({device: role for device, role in told.items() if role})
    ports: defaultdict[str, Counter[str]] = defaultdict(Counter)
    near: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for a, a_port, b, b_port in cables:
        near[a][b] += 1
        near[b][a] += 1
        ports[a][looks_like(a_port)] += 1
        ports[b][looks_like(b_port)] += 1
    open_ = [device for device in near if device not in roles.of]
    open_ = _settle(roles, open_, role_of_name, "the words of their names")
    open_ = _settle(roles, open_, lambda d: _by_ports(ports[d]), "the names of their ports")
    _by_place(roles, open_, near)
    return roles


def _settle(roles: Roles, devices: Iterable[str], rule: object, why: str) -> list[str]:
    """Give a role to those that `rule` knows, note it, and return the others."""
    assert callable(rule)
    rest, found = [], defaultdict(list)
    for device in devices:
        role = rule(device)
        if role:
            roles.of[device] = role
            found[role].append(device)
        else:
            rest.append(device)
    if found:
        roles.assumed.append(f"roles by {why}: " + "; ".join(_told(role, found[role]) for role in sorted(found)))
    return rest


def _told(role: str, devices: Sequence[str]) -> str:
    shown = sorted(devices, key=natural_key)[:_SHOWN]
    more = f" and {len(devices) - len(shown)} more" if len(devices) > len(shown) else ""
    words = {HOST: "hosts", SWITCH: "switches", ASIDE: "neither"}
    return f"{words[role]} {', '.join(name[:60] for name in shown)}{more}"


def _by_ports(kinds: Counter[str]) -> str:
    """Role that all named ports of a device agree on."""
    said = {kind for kind in kinds if kind}
    return said.pop() if len(said) == 1 else ""


def _by_place(roles: Roles, devices: Sequence[str], near: Mapping[str, Counter[str]]) -> None:
    """Of what is left, devices with fewest cables are hosts, the others switches.

    A host has a few ports, no more than known hosts or than most others, and stands between switches that carry more:
    it is a local minimum of the graph. Spines above small leaves are minima too, but few, and with more cables.
    """
    cables = {device: near[device].total() for device in near}
    known = roles.hosts() & near.keys()
    lowest = [
        device
        for device in devices
        if not known & near[device].keys() and all(cables[device] < cables[other] for other in near[device])
    ]
    sizes = Counter(cables[device] for device in known or lowest)
    usual = max(sizes) if known else max(sizes, key=lambda n: (sizes[n], -n), default=0)
    hosts = {device for device in lowest if cables[device] <= usual}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for device in devices:
        role = HOST if device in hosts else SWITCH
        roles.of[device] = role
        found[role].append(device)
    if found:
        roles.assumed.append(
            "roles by the number of cables: " + "; ".join(_told(role, found[role]) for role in sorted(found))
        )
