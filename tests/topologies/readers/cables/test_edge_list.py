"""Tables of cables: headers, units, roles, planes, and what is left out."""

from __future__ import annotations

import contextlib
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions
from topoplan.topologies.names.table import parse_names


def read(text: str, names: str = "", nics: str = "", **columns: str) -> Fabric:
    options = ReadOptions(nics=nics, names=parse_names(names, "names.csv") if names else {}, columns=columns)
    return formats.read(text, name="cables.csv", format="edges", options=options)


def refusal(text: str, **kwargs: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text, **kwargs)
    return str(caught.value)


RACKS = """device,interface,peer,peer port,speed_gbps
node-1,mlx5_0,leaf-a,swp1,400
node-1,mlx5_1,leaf-b,swp1,400
node-2,mlx5_0,leaf-a,swp2,400
node-2,mlx5_1,leaf-b,swp2,400
leaf-a,swp31,spine-1,swp1,800
leaf-a,swp32,spine-1,swp2,800
leaf-b,swp31,spine-1,swp3,800
"""


def test_rails_and_multiplicity() -> None:
    fabric = read(RACKS)
    assert fabric.host_names == ("node-1", "node-2")
    leaf = next(group for group in fabric.groups if group.tier == 0)
    assert (leaf.rails, leaf.uplinks, leaf.link_bandwidth_bytes_per_s) == (2, (2.0, 1.0), 100e9)
    assert [(nic.name, nic.rail, nic.bandwidth_bytes_per_s) for nic in fabric.host_types[0].nics] == [
        ("mlx5_0", 0, 50e9), ("mlx5_1", 1, 50e9)
    ]  # fmt: skip
    assert sorted((link.a, link.b, link.count) for link in fabric.links) == [
        ("leaf-a", "spine-1", 2), ("leaf-b", "spine-1", 1)
    ]  # fmt: skip


def test_cables_listed_from_both_ends_count_once() -> None:
    rows = [row.split(",") for row in RACKS.splitlines()[1:]]
    turned = "".join(f"{c},{d},{a},{b},{e}\n" for a, b, c, d, e in rows)
    assert read(RACKS + turned).links == read(RACKS).links


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("400G", 50e9), ("400 Gb/s", 50e9), ("100GbE", 12.5e9), ("50 GB/s", 50e9), ("1.6T", 200e9), ("800Gbps", 100e9)],
)
def test_speeds_with_units(text: str, bytes_per_s: float) -> None:
    fabric = read(f"src,dst,bandwidth\nnode-1,leaf-1,{text}\nnode-2,leaf-1,{text}\n")
    assert fabric.host_types[0].nics[0].bandwidth_bytes_per_s == bytes_per_s


def test_bare_speeds_need_a_unit() -> None:
    text = "src,dst,bandwidth\nnode-1,leaf-1,400\n"
    assert "cables.csv:2: speed 400 has no unit" in refusal(text)
    fabric = read(text, a="src", b="dst", bandwidth="bandwidth:Gb/s")
    assert fabric.host_types[0].nics[0].bandwidth_bytes_per_s == 50e9
    assert "no column 'Dst'" in refusal(text, a="src", b="Dst")
    assert "no part 'colour'" in refusal(text, a="src", b="dst", colour="x")
    assert "must name the ends" in refusal(text, a="src")


def test_columns_by_number_when_there_is_no_header() -> None:
    assert "does not name both ends" in refusal("node-1 x,leaf-1\n")
    fabric = read("node-1,leaf-1\nnode-2,leaf-1\n", a="1", b="2")
    assert fabric.host_names == ("node-1", "node-2")
    assert any("speed of 2 cables: 400 Gb/s, assumed" in line for line in fabric.assumed)


def test_dual_tor_becomes_planes() -> None:
    text = "a,a_port,b,b_port\n" + "".join(
        f"srv-{h},enp{card}s0f{port},tor-{card}{'ab'[port]},swp{h}\n"
        for h in range(4)
        for card in (1, 2)
        for port in (0, 1)
    )
    fabric = read(text)
    assert fabric.planes == 2
    assert fabric.gpus == 8
    assert [nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics] == [100e9, 100e9]
    groups = {fabric.groups[item.group].name: item.plane for item in fabric.hosts[0].attach}
    assert sorted(groups.values()) == [0, 1]
    told = "\n".join(f"srv-{h};tor-{'ab'[p]};0;{p}" for h in range(3) for p in (0, 1))
    assert read("a;b;rail;plane\n" + told).planes == 2


def test_crossed_ports_are_no_planes() -> None:
    """Switches that serve the first port of some cards and the second of others are two rails of a port each."""
    rows = [f"srv-{h},enp1s0f{port},tor-{(h + port) % 2},swp{h}" for h in range(4) for port in (0, 1)]
    fabric = read("a,a_port,b,b_port\n" + "\n".join(rows))
    assert fabric.planes == 1
    assert len(fabric.host_types[0].nics) == 2


def test_other_networks_are_left_out_with_a_note() -> None:
    text = RACKS.replace("speed_gbps", "speed") + (
        "node-1,bmc,oob-sw,1,1G\nnode-1,storage0,leaf-s,swp1,200G\nnode-2,eno1,leaf-a,swp9,10G\n"
        "node-1,eno2,storage-leaf,swp9,400G\nnode-1,ib9,node-2,ib9,400G\n"
    )
    text = "\n".join(row + "G" if row.endswith("00") else row for row in text.splitlines())
    fabric = read(text)
    assert fabric.host_types == read(RACKS).host_types
    assert [line for line in fabric.warnings if "left out" in line] == [
        "1 cables between two hosts were left out",
        "1 cables from hosts' ports called like storage ones were left out",
        "1 cables from hosts' ports slower than a quarter of their fastest were left out",
        "2 cables to devices of other networks (management, storage and the like) were left out",
    ]


def test_nics_of_other_networks_that_all_hosts_have_are_kept() -> None:
    text = "a,a_port,b,b_port,bandwidth\n" + "".join(
        f"gpu{n},eth0,leaf1,{n},400G\ngpu{n},storage0,leaf2,{n},100G\ngpu{n},bmc,oob-sw,{n},1G\ngpu{n},eno1,leaf3,{n},25G\n"
        for n in (1, 2)
    )
    fabric = read(text + "gpu1,storage1,leaf2,9,100G\nodd one,bmc,oob-sw,9,1G\n")
    (kind,) = fabric.host_types
    assert [(nic.name, nic.network, nic.bandwidth_bytes_per_s) for nic in kind.other_nics] == [
        ("eno1", "front-end", 3.125e9), ("bmc", "management", 0.125e9), ("storage0", "storage", 12.5e9)
    ]  # fmt: skip
    assert [nic.name for nic in kind.nics] == ["eth0"]


def test_choice_of_nics() -> None:
    fabric = read(RACKS, nics="mlx5_[0-7],!mlx5_1")
    assert [nic.name for nic in fabric.host_types[0].nics] == ["mlx5_0"]
    assert [(nic.name, nic.network) for nic in fabric.host_types[0].other_nics] == [("mlx5_1", "other")]
    assert "NICs left out, as the selection says: 2 mlx5_1" in fabric.warnings
    assert "NICs seen: mlx5_0, mlx5_1" in refusal(RACKS, nics="bnxt*")
    assert "brackets do not match" in refusal(RACKS, nics="mlx5_[0")


def test_roles_from_a_table_a_column_and_the_number_of_cables() -> None:
    text = "a,b\nred,x\nblue,x\ngreen,y\nyellow,y\nx,z\ny,z\n"
    fabric = read(text)
    assert sorted(fabric.host_names) == ["blue", "green", "red", "yellow"]
    assert any(line.startswith("roles by the number of cables") for line in fabric.assumed)
    told = read(
        text, names="name,role\nred,server\nblue,host\ngreen,Storage Server\nyellow,gpu\nx,leaf\ny,leaf\nz,core\n"
    )
    assert sorted(told.host_names) == ["blue", "red", "yellow"]
    assert not any("roles by" in line for line in told.assumed)
    column = read("a,b,b_role\nred,x,switch\nblue,x,switch\n")
    assert sorted(column.host_names) == ["blue", "red"]
    assert "is a switch in one row and a host in this" in refusal("a,b,b_role\nred,x,switch\nblue,x,server\n")


def test_ids_become_hosts_by_a_table() -> None:
    names = "mac,host,device\n02:00:00:00:00:0A,node-1,eth0\n0200.0000.000b,node-2,eth0\n"
    fabric = read("a,b\n02:00:00:00:00:0a,leaf-1\n02-00-00-00-00-0b,leaf-1\n", names=names)
    assert fabric.host_names == ("node-1", "node-2")
    assert fabric.host_types[0].nics[0].name == "eth0"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "no row"),
        ("guid,host\n", "no row"),
        ("guid\n1\n", "names no key with something behind it"),
        ("guid,host\n0xabcdef0123,a\n0xABCDEF0123,b\n", "two rows that differ"),
        ("guid,host\n0xabcdef0123\n", "1 cells; the header has 2"),
        ("guid,host\n1,-rm\n", "is refused"),
    ],
)
def test_bad_tables_of_names(table: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_names(table, "names.csv")


def test_refusals() -> None:
    assert "no table" in refusal("hello\n")
    assert "no cable in this table" in refusal("a,b\n")
    assert "no device is a host" in refusal("a,b\nleaf-1,spine-1\n")
    assert "no cable joins a host to a switch; 1 cables between two hosts" in refusal("a,b\nnode-1,node-2\n")
    assert "2 cells" not in refusal("a,b,count\nnode-1,leaf-1,0\n")
    assert "count '0'" in refusal("a,b,count\nnode-1,leaf-1,0\n")
    assert "1 cells" in refusal("a,b\nnode-1\n")


CELL = st.sampled_from(
    ["node-1", "node-2", "leaf-1", "spine", "", '"', "eth0", "400G", "1", "-1", "x" * 9, "\x00", "é"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(CELL, min_size=1, max_size=7), max_size=8))
def test_any_table_is_read_or_refused(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["a", "a_port", "b", "b_port", "bandwidth", "count", "rail"], *rows])
    with contextlib.suppress(InputError):
        assert read(out.getvalue()).hosts
