"""Ports of UFM's REST API: two hosts on two rails, with everything that UFM says of a port and with less."""

from __future__ import annotations

import json
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats

GBIT = 1e9 / 8
LEAVES = {"leaf-0": 0xA0, "leaf-1": 0xA1}
SPINE = ("spine", 0xB0)
Entry = dict[str, Any]


def end(system: str, guid: int, number: int, device: str = "") -> Entry:
    adapter = f"HCA-{int(device[-1]) + 1}/1" if device else str(number)
    return {
        "system_name": system,
        "node_description": f"{system} {device}" if device else f"{system}:{number}",
        "dname": adapter,
        "name": f"{guid:016x}_{number}",
        "description": "Computer IB Port" if device else "Switch IB Port",
        "systemID": f"{guid:016x}",
    }


def entry(own: Entry, peer: Entry, state: str = "Link Up", speed: str = "NDR") -> Entry:
    return own | {
        "peer_node_name": peer["system_name"],
        "peer_node_description": peer["node_description"],
        "peer_port_dname": peer["dname"],
        "peer": peer["name"],
        "peer_node_guid": peer["systemID"],
        "physical_state": state,
        "active_speed": speed,
        "active_width": "4x",
    }


def both(a: Entry, b: Entry) -> list[Entry]:
    return [entry(a, b), entry(b, a)]


def ports(uplinks: int = 2) -> list[Entry]:
    found = []
    for rail, (leaf, guid) in enumerate(LEAVES.items()):
        for h in range(2):
            found += both(end(f"node-{h}", 16 * h + rail + 1, 1, f"mlx5_{rail}"), end(leaf, guid, h + 1))
        for n in range(uplinks if rail else uplinks - 1):  # a cable of the first rail is missing
            found += both(end(leaf, guid, 10 + n), end(*SPINE, 10 * rail + n + 1))
    return found


def read(data: object) -> Fabric:
    text = json.dumps(data)
    assert formats.detect(text).name == "ufm"
    return formats.read(text, name="ports.json")


def test_hosts_rails_and_trunks() -> None:
    fabric = read(ports())
    assert [host.name for host in fabric.hosts] == ["node-0", "node-1"]
    assert dict(fabric.hosts[1].aliases) == {"guid-0": f"{17:016x}", "guid-1": f"{18:016x}"}
    kind = fabric.host_types[0]
    assert [(nic.name, nic.rail, nic.bandwidth_bytes_per_s) for nic in kind.nics] == [
        ("mlx5_0", 0, 400 * GBIT),
        ("mlx5_1", 1, 400 * GBIT),
    ]
    leaf = next(group for group in fabric.groups if group.tier == 0)
    assert (leaf.rails, leaf.uplinks, leaf.link_bandwidth_bytes_per_s) == (2, (1.0, 2.0), 400 * GBIT)
    assert {(link.a, link.b): link.count for link in fabric.links} == {("leaf-0", "spine"): 1, ("leaf-1", "spine"): 2}


def test_each_end_of_a_cable_is_enough() -> None:
    whole = format_fabric(read(ports()))
    for part in (ports()[::2], ports()[1::2], {"data": ports()}):
        assert format_fabric(read(part)) == whole


def test_names_alone_do() -> None:
    keys = ("system_name", "peer_node_name", "node_description", "description")
    spelt = {key: key.title().replace("_", "") for key in keys}
    rows = [{spelt[key]: port[key] for key in keys} for port in ports() if "Computer" in port["description"]]
    fabric = read(rows)
    assert [host.name for host in fabric.hosts] == ["node-0", "node-1"]
    assert [nic.name for nic in fabric.host_types[0].nics] == ["mlx5_0", "mlx5_1"]
    assert any("400 Gb/s" in line and "no speeds" in line for line in fabric.assumed)
    names = [{key: value for key, value in port.items() if key not in ("name", "peer")} for port in ports()]
    counts = {(link.a, link.b): link.count for link in read(names).links}
    assert counts == {("leaf-0", "spine"): 1, ("leaf-1", "spine"): 2}


def test_ports_that_are_down_are_counted() -> None:
    found = ports()
    found[0] |= {"physical_state": "Polling"}
    found[1] |= {"physical_state": "Polling"}
    fabric = read(found)
    assert "1 ports of hosts are down" in fabric.warnings
    assert sorted(len(kind.nics) for kind in fabric.host_types) == [1, 2]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([{"peer_node_name": "leaf-0"}], "port 1 of the list is on no system"),
        ([entry(end("n", 1, 1, "mlx5_0"), end("leaf", 2, 1), state="Down")], "no port in this list leads anywhere"),
        (["peer_node_name", {"peer_node_name": 1}], "a port is no mapping"),
        (both(end("leaf", 1, 1), end("spine", 2, 1)), "no adapter names its host"),
    ],
)
def test_refused(data: object, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read(data)
    assert str(caught.value).startswith("ports.json")
