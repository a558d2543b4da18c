"""InfiniBand's GUIDs join a network file to collected hosts of other names, NIC by NIC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.planning.inputs import open_fabric
from topoplan.topologies import formats
from topoplan.topologies.collect import reader as collected
from topoplan.topologies.merge import Part, merge
from topoplan.topologies.reading import HOST, NETWORK, ReadOptions

TOPO = "\tGPU0\tGPU1\tNIC0\tNIC1\nGPU0\t X \tNV18\tSYS\tPIX\nGPU1\tNV18\t X \tPIX\tSYS\n" \
    "\nNIC Legend:\n\n  NIC0: ibp0\n  NIC1: ibp1\n"  # fmt: skip


def host(name: str, guids: tuple[str, str]) -> tuple[str, str]:
    rows = "".join(
        f"|device=ibp{n}\tport=1\tnode_guid={guid}\tstate=4: ACTIVE\trate=400 Gb/sec (4X NDR)\n"
        for n, guid in enumerate(guids)
    )
    topo = "".join(f"|{line}\n" for line in TOPO.splitlines())
    text = f"# topoplan collected 1\n@ host\n|name={name}\n@ nvidia-smi-topo\n{topo}@ infiniband\n{rows}@ end\n"
    return text, f"{name}.collected"


def test_guids_join_what_names_do_not(ibnet: type[Any]) -> None:
    net = ibnet()
    spine = net.switch("spine")
    rails = [net.switch(f"leaf-r{rail}") for rail in range(2)]
    for leaf in rails:
        net.cable(leaf, spine)
    cas = {}
    for name in ("ib-a", "ib-b"):
        for rail in range(2):
            cas[name, rail] = net.ca(f"{name} mlx5_{rail}")
            net.cable(cas[name, rail], rails[rail])

    def spelt(name: str, rail: int) -> str:
        digits = cas[name, rail][2:]
        return ":".join(digits[i : i + 4] for i in range(0, 16, 4))

    network = Part("ib.out", "ibnetdiscover", formats.read(net.text(), name="ib.out"), frozenset({HOST, NETWORK}))
    # the kernel of n2 numbers its adapters the other way round
    files = [
        host("n1", (spelt("ib-a", 0), spelt("ib-a", 1))),
        host("n2", (spelt("ib-b", 1), spelt("ib-b", 0))),
    ]
    fabric = merge([network, *collected.parts(files, ReadOptions())])
    assert fabric.host_names == ("n1", "n2")
    assert [fabric.alias_index[name] for name in ("ib-a", "ib-b")] == [0, 1]
    rail_of = [{nic.name: (nic.rail, nic.gpu) for nic in fabric.host_types[host.type].nics} for host in fabric.hosts]
    assert rail_of == [{"ibp0": (0, 1), "ibp1": (1, 0)}, {"ibp0": (1, 1), "ibp1": (0, 0)}]
    assert not [line for line in fabric.assumed if "NIC i" in line]


def test_collected_hosts_name_anonymous_adapters(ibnet: type[Any], tmp_path: Path) -> None:
    net = ibnet()
    spine = net.switch("spine")
    rails = [net.switch(f"leaf-r{rail}") for rail in range(2)]
    for leaf in rails:
        net.cable(leaf, spine)
    cas = [[net.ca("MT4129 ConnectX7   Mellanox Technologies") for _ in rails] for _ in range(3)]
    for own in cas:
        for ca, leaf in zip(own, rails, strict=True):
            net.cable(ca, leaf)
    (tmp_path / "ib.out").write_text(net.text())
    for n, own in enumerate(cas[:2], 1):  # nobody collected on the third
        text, name = host(f"n{n}", (own[0][2:], own[1][2:]))
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="no adapter names its host") as caught:
        open_fabric(str(tmp_path / "ib.out"))
    assert "--collect-script" in caught.value.hint
    fabric = open_fabric(str(tmp_path)).fabric
    assert fabric.host_names == ("n1", "n2")
    assert [(nic.name, nic.rail, nic.gpu) for nic in fabric.host_types[0].nics] == [("ibp0", 0, 1), ("ibp1", 1, 0)]
    assert any("2 adapters were left out" in line for line in fabric.warnings)


def test_guids_of_two_hosts_name_none() -> None:
    found = collected.names([host("a", ("1" * 16, "2" * 16)), host("b", ("1" * 16, "3" * 16))])
    assert {key: entry.host for key, entry in found.items()} == {"2" * 16: "a", "3" * 16: "b"}
