"""The ibnetdiscover reader: grammar, hosts, rails and tiers, on fabrics written for the tests."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric, HostType, Nic
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions

Clos = Callable[..., Any]
HGX = HostType("hgx", 8, tuple(Nic(i, 50e9, i) for i in range(8)), 8, 450e9)


def read(text: str, **kwargs: Any) -> Fabric:
    return formats.read(text, name="folder/net.out", format="ibnetdiscover", options=ReadOptions(**kwargs))


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def types_of(fabric: Fabric) -> dict[str, str]:
    return {host.name: fabric.host_types[host.type].name for host in fabric.hosts}


def leaves(fabric: Fabric) -> dict[str, tuple[float, ...]]:
    return {group.name: group.uplinks for group in fabric.groups if group.tier == 0}


def test_two_levels(make_clos: Clos) -> None:
    fabric = read(make_clos(groups=3, rails=4, hosts=11, spines=2, cables=2).text())
    assert fabric.name == "net"
    assert fabric.routing == "adaptive"
    assert [tier.name for tier in fabric.tiers] == ["leaf", "spine"]
    assert [(g.name, g.parent) for g in fabric.groups if g.tier == 1] == [("spine-0", -1)]
    assert leaves(fabric) == {f"leaf-0-{g}": (4.0,) * 4 for g in range(3)}
    assert {g.link_bandwidth_bytes_per_s for g in fabric.groups if g.tier == 0} == {50e9}
    assert fabric.host_names[:12] == (*(f"gpu-0-0-{n}" for n in range(1, 12)), "gpu-0-1-1")
    assert set(types_of(fabric).values()) == {"hca-4"}
    assert [(nic.rail, nic.gpu, nic.name) for nic in fabric.host_types[0].nics] == [
        (i, i, f"mlx5_{i}") for i in range(4)
    ]
    assert len(fabric.links) == 3 * 4 * 2
    assert {link.count for link in fabric.links} == {2}
    assert fabric.warnings == ()
    assert any("one for each of its adapters" in line for line in fabric.assumed)


def test_three_levels(make_clos: Clos) -> None:
    fabric = read(make_clos(pods=2, groups=2, rails=2, hosts=2, spines=2, cores=3).text())
    assert [tier.name for tier in fabric.tiers] == ["leaf", "pod", "core"]
    tree = {g.name: fabric.groups[g.parent].name for g in fabric.groups if g.parent >= 0}
    assert tree == {
        **{f"leaf-{p}-{g}": f"pod-{p}" for p in range(2) for g in range(2)},
        **{f"pod-{p}": "core-0" for p in range(2)},
    }
    assert next(g.uplinks for g in fabric.groups if g.name == "pod-1") == (6.0,)


def test_spines_of_one_rail_keep_it_apart(ibnet: Any) -> None:
    net = ibnet()
    cores = [net.switch(f"core{c}") for c in range(2)]
    for pod in range(2):
        for rail in range(2):
            leaf, spine = net.switch(f"leaf-p{pod}-r{rail}"), net.switch(f"spine-p{pod}-r{rail}")
            net.cable(leaf, spine, count=3)
            for core in cores:
                net.cable(spine, core, count=1 + rail)
            net.cable(net.ca(f"n{pod} mlx5_{rail}"), leaf)
    fabric = read(net.text())
    assert next(g.uplinks for g in fabric.groups if g.name == "pod-0") == (2.0, 4.0)


def test_hcas_named_both_ways_are_the_same_rails(ibnet: Any) -> None:
    net = ibnet()
    spine = net.switch("spine")
    for group, names in enumerate((["HCA-1", "HCA-2", "HCA-5", "HCA-6"], ["mlx5_0", "mlx5_1", "mlx5_4", "mlx5_5"])):
        # In the second group the switches are listed backwards: rails must not follow the order of the file.
        for rail in range(4) if group == 0 else (3, 2, 1, 0):
            leaf = net.switch(f"leaf-g{group}-{rail}")
            net.cable(leaf, spine, count=rail + 1)
            for host in range(2):
                net.cable(net.ca(f"n{group}{host} {names[rail]}"), leaf)
    fabric = read(net.text())
    assert leaves(fabric) == {"leaf-g0": (1.0, 2.0, 3.0, 4.0), "leaf-g1": (1.0, 2.0, 3.0, 4.0)}
    assert len(fabric.host_types) == 1
    assert [nic.name for nic in fabric.host_types[0].nics] == ["mlx5_0", "mlx5_1", "mlx5_4", "mlx5_5"]
    assert any("only numbers" in line for line in fabric.assumed)


def test_absent_rail_of_hcas_counted_from_one(ibnet: Any) -> None:
    net = ibnet()
    spine = net.switch("spine")
    for group, names in enumerate((["mlx5_0", "mlx5_1", "mlx5_4", "mlx5_5"], ["HCA-1", "HCA-2", "HCA-6"])):
        for rail, name in enumerate(names):
            leaf = net.switch(f"leaf-g{group}-{rail}")
            net.cable(leaf, spine)
            net.cable(net.ca(f"n{group} {name}"), leaf)
    fabric = read(net.text())
    assert leaves(fabric)["leaf-g1"] == (1.0, 1.0, 0.0, 1.0)
    assert types_of(fabric) == {"n0": "hca-4", "n1": "hca-3-rails-0-1-3"}


def test_swapped_cables_follow_the_leaf_and_not_the_name(make_clos: Clos) -> None:
    net = make_clos(groups=2, rails=4, hosts=3)
    a, b = (next(g for g, d in net.description.items() if d == f"gpu-0-1-2 mlx5_{i}") for i in (2, 3))
    (leaf_a, port_a, speed), (leaf_b, port_b, _) = net.ends[a][0], net.ends[b][0]
    net.ends[a], net.ends[b] = [(leaf_b, port_b, speed)], [(leaf_a, port_a, speed)]
    net.ends[leaf_a][port_a - 1], net.ends[leaf_b][port_b - 1] = (b, 1, speed), (a, 1, speed)
    fabric = read(net.text())
    swapped = {"gpu-0-1-2": "hca-4-rails-0-1-3-2"}
    assert {host: kind for host, kind in types_of(fabric).items() if kind != "hca-4"} == swapped
    kind = fabric.host_types[1]
    assert [(nic.rail, nic.gpu, nic.name) for nic in kind.nics[2:]] == [(3, 2, "mlx5_2"), (2, 3, "mlx5_3")]


def test_absent_rail_switch_leaves_a_gap(make_clos: Clos) -> None:
    net = make_clos(groups=2, rails=4, hosts=3)
    gone = next(g for g, d in net.description.items() if "leaf-0-1-r2" in d)
    cas = {peer for peer, _, _ in net.ends[gone] if peer[0] == "H"}
    fabric = read(without(net, {gone, *cas}).text())
    assert leaves(fabric) == {"leaf-0-0": (2.0,) * 4, "leaf-0-1": (2.0, 2.0, 0.0, 2.0)}
    assert {kind for host, kind in types_of(fabric).items() if "-0-1-" in host} == {"hca-3-rails-0-1-3"}
    assert any("3 of 6 hosts show fewer" in line for line in fabric.warnings)


def without(net: Any, gone: set[str]) -> Any:
    """`net` without some nodes; ports are numbered anew."""
    left = type(net)()
    left.kind = {g: kind for g, kind in net.kind.items() if g not in gone}
    left.head, left.description = net.head, net.description
    left.ends = {guid: [] for guid in left.kind}
    for guid in left.kind:
        for peer, port, speed in net.ends[guid]:
            mine = next(i for i, end in enumerate(net.ends[peer], 1) if end[0] == guid and i == port)
            if peer not in gone and guid < peer:
                assert mine
                left.cable(guid, peer, speed)
    return left


def test_all_rails_in_one_switch(ibnet: Any) -> None:
    net = ibnet()
    spine = net.switch("spine")
    for rack in range(2):
        leaf = net.switch(f"tor{rack}")
        net.cable(leaf, spine, count=4)
        for host in range(2):
            for n in range(8):
                net.cable(net.ca(f"h{rack}{host} mlx5_{n}"), leaf)
    fabric = read(net.text())
    assert leaves(fabric) == {"tor0": (4.0,), "tor1": (4.0,)}
    assert [nic.rail for nic in fabric.host_types[0].nics] == list(range(8))


def test_stray_cable_joins_no_groups(make_clos: Clos) -> None:
    net = make_clos(groups=2, rails=2, hosts=4)
    ca = next(g for g, d in net.description.items() if d == "gpu-0-0-1 mlx5_1")
    other = next(g for g, d in net.description.items() if "leaf-0-1-r1" in d)
    fabric = read(rewire(net, ca, other).text())
    assert set(leaves(fabric)) == {"leaf-0-0", "leaf-0-1"}
    host = fabric.hosts[fabric.host_index["gpu-0-0-1"]]
    assert [fabric.groups[item.group].name for item in host.attach] == ["leaf-0-0", "leaf-0-1"]
    assert any("1 NICs reach another leaf group" in line for line in fabric.warnings)


def rewire(net: Any, ca: str, switch: str) -> Any:
    """`net` with the one cable of `ca` moved to `switch`."""
    left = type(net)()
    left.kind, left.head, left.description = net.kind, net.head, net.description
    left.ends = {guid: [] for guid in net.kind}
    for guid, ends in net.ends.items():
        for peer, _, speed in ends:
            if guid < peer:
                left.cable(guid, switch if guid == ca else peer, speed) if peer != ca else left.cable(switch, ca)
    return left


def test_what_is_no_host(make_clos: Clos) -> None:
    net = make_clos(groups=1, rails=2, hosts=2)
    leaf = [g for g, d in net.description.items() if "leaf-" in d]
    spine = next(g for g, d in net.description.items() if d == "spine0-0")
    for description in (
        "Mellanox Technologies Aggregation Node",
        "MT4129 ConnectX7   Mellanox Technologies",
        "localhost HCA-1",
        "ubuntu mlx5_0",
        "",
        "evil;rm HCA-1",
        "site-ufm-02 mlx5_0",
    ):
        net.cable(net.ca(description), leaf[0])
    for n in range(2):
        net.cable(net.ca("cloned HCA-1"), leaf[n])
    net.cable(net.router("router"), leaf[1])
    net.cable(net.ca("Mellanox Technologies Aggregation Node"), spine)
    fabric = read(net.text())
    assert fabric.host_names == ("gpu-0-0-1", "gpu-0-0-2")
    text = "\n".join(fabric.warnings)
    assert "7 adapters were left out" in text
    for part in ("MT4129", "localhost", "ubuntu", "2 SHARP", "1 adapters of UFM", "1 routers"):
        assert part in text


def test_host_on_a_spine_makes_it_no_leaf(make_clos: Clos) -> None:
    net = make_clos(groups=3, rails=2, hosts=2, spines=2)
    spine = next(g for g, d in net.description.items() if d == "spine0-1")
    net.cable(net.ca("login1 mlx5_0"), spine)
    fabric = read(net.text())
    assert leaves(fabric) == {"leaf-0-0": (2, 2), "leaf-0-1": (2, 2), "leaf-0-2": (2, 2), "spine0-1": (1, 0)}
    assert fabric.groups[fabric.hosts[fabric.host_index["login1"]].group].name == "spine0-1"


def test_speeds_and_extra_fields(ibnet: Any) -> None:
    net = ibnet()
    leaf, spine = net.switch("leaf1"), net.switch("spine1")
    for speed in ("4xHDR", "4xHDR s=4 w=2 v=4 e=8", "2xHDR"):
        net.cable(leaf, spine, speed)
    net.cable(net.ca("n1 mlx5_0"), leaf, "4xFDR10")
    net.cable(net.ca("n1 mlx5_1"), leaf, "2xNDR")
    net.cable(net.ca("n2 mlx5_0"), leaf, "4x???")
    fabric = read(net.text().replace("\n", "\r\n"))
    group = next(g for g in fabric.groups if g.tier == 0)
    assert group.link_bandwidth_bytes_per_s == 25e9
    assert sum(group.uplinks) == 2.5
    nics = {h.name: [n.bandwidth_bytes_per_s for n in fabric.host_types[h.type].nics] for h in fabric.hosts}
    assert nics == {"n1": [5e9, 25e9], "n2": [25e9]}
    assert sorted((link.count, link.bandwidth_bytes_per_s) for link in fabric.links) == [(1, 12.5e9), (2, 25e9)]
    assert any("show no speed" in line for line in fabric.warnings)


def test_split_ports(ibnet: Any) -> None:
    net = ibnet()
    leaf, spine = net.switch("leaf1"), net.switch("spine1")
    net.cable(leaf, spine, "4xNDR")
    for n in range(4):
        net.cable(net.ca(f"n{n} mlx5_0"), leaf, "2xNDR")
    text = (
        net.text()
        .replace("Switch\t5 ", "Switch\t129 ")
        .replace("[5](", "[5][ext 129](")
        .replace("\n[2]\t", "\n[2][ext 1]\t")
    )
    assert "Switch\t129 " in text
    assert "[ext 1]" in text
    fabric = read(text)
    assert [nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics] == [25e9]
    assert [(group.name, group.uplinks) for group in fabric.groups if group.parent >= 0] == [("leaf1", (1.0,))]


def test_director_chassis_is_one_switch(ibnet: Any) -> None:
    net = ibnet()
    chips = [net.switch(f"MF0;director:CS8500/L{n}/U1", image="abc") for n in range(3)]
    net.cable(chips[0], chips[2], count=4)
    net.cable(chips[1], chips[2], count=4)
    for rack in range(2):
        leaf = net.switch(f"tor{rack}")
        net.cable(leaf, chips[rack], count=2)
        net.cable(net.ca(f"h{rack} mlx5_0"), leaf)
    fabric = read(net.text())
    assert [tier.name for tier in fabric.tiers] == ["leaf", "spine"]
    assert [(link.a, link.b, link.count) for link in fabric.links] == [("director", "tor0", 2), ("director", "tor1", 2)]
    assert any("1 director chassis" in line for line in fabric.assumed)


def test_system_image_of_zero_joins_no_switches(make_clos: Clos) -> None:
    text = make_clos(groups=2, rails=1, hosts=1).text()
    fabric = read(re.sub(r"sysimgguid=0x\w+", "sysimgguid=0x0", text))
    assert set(leaves(fabric)) == {"leaf-0-0-r0", "leaf-0-1-r0"}


def test_parts_without_a_cable_between_them(ibnet: Any) -> None:
    net = ibnet()
    for island in range(2):
        net.cable(net.ca(f"h{island} mlx5_0"), net.switch(f"tor{island}"))
    fabric = read(net.text())
    assert fabric.host_component.tolist() == [0, 1]
    assert any("2 parts" in line for line in fabric.warnings)


def test_leaves_cabled_to_each_other(ibnet: Any) -> None:
    net = ibnet()
    a, b = net.switch("tor-a"), net.switch("tor-b")
    net.cable(a, b, count=3)
    net.cable(net.ca("h1 mlx5_0"), a)
    net.cable(net.ca("h2 mlx5_0"), b)
    fabric = read(net.text())
    assert leaves(fabric) == {"tor-a": (3.0,), "tor-b": (3.0,)}
    assert fabric.host_component.tolist() == [0, 0] or len(set(fabric.host_component.tolist())) == 1


def test_rails_are_not_kept_apart_above_a_switch_that_mixes_them(ibnet: Any) -> None:
    net = ibnet()
    r0, r1, tor = (net.switch(name) for name in ("leaf-r0", "leaf-r1", "tor"))
    net.cable(r0, tor)
    for n in range(3):
        net.cable(net.ca(f"h1 mlx5_{n}"), tor)
    net.cable(net.ca("h2 mlx5_0"), r0)
    net.cable(net.ca("h2 mlx5_1"), r1)
    fabric = read(net.text())
    assert next(g.rails for g in fabric.groups if g.tier == 1) == 1
    assert parse_fabric(format_fabric(fabric)).groups == fabric.groups


def test_host_type_gives_gpus_and_keeps_nics(make_clos: Clos) -> None:
    fabric = read(make_clos(groups=1, rails=4, hosts=2).text(), host_type=HGX, routing="static")
    (kind,) = fabric.host_types
    assert (kind.gpus, kind.scale_up_bandwidth_bytes_per_s, fabric.routing) == (8, 450e9, "static")
    assert [(nic.rail, nic.gpu) for nic in kind.nics] == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert any("hgx" in line for line in fabric.assumed)


def test_loopback_cable_is_nothing(make_clos: Clos) -> None:
    net = make_clos(groups=1, rails=1, hosts=1)
    leaf = next(g for g, d in net.description.items() if "leaf-" in d)
    net.cable(leaf, leaf)
    assert all(link.a != link.b for link in read(net.text()).links)


def test_refusals_say_what_and_where(make_clos: Clos) -> None:
    text = make_clos(groups=1, rails=1, hosts=2).text()
    rows = text.split("\n")
    ca = next(i for i, row in enumerate(rows) if row.startswith("Ca"))
    assert re.search(rf":{ca + 1}: ca .*gpu-0-0-1.* not one link", refusal("\n".join(rows[: ca + 1])))
    assert "does not list" in refusal("\n".join(rows[: ca - 4]))
    assert "speed" in refusal("\n".join([*rows[: ca + 1], rows[ca + 1][:-3]]))
    assert "not a whole link" in refusal("\n".join([*rows[: ca + 1], rows[ca + 1][:20]]))
    assert "not the whole head" in refusal("\n".join([*rows[:ca], rows[ca][:12]]))
    assert "listed twice" in refusal(text + "\n" + text)
    assert "no GUID" in refusal(text.replace('"S-', '"S-REDACTED'))
    assert "no adapter names its host: 2 'localhost'" in refusal(re.sub(r"gpu-0-0-\d mlx5_0", "localhost HCA-1", text))
    assert "listed twice" in refusal(text.replace("\n[2]", "\n[1]", 1))
    assert "no Switch and no Ca" in refusal("# nothing\n")
    assert ":2: a line of 100000 characters" in refusal("#\n[1]" + 99996 * " " + "x")


def test_ibsim_net_files_are_refused(tmp_path: Path) -> None:
    text = 'Switch\t8 "Sw1"\n[1]\t"Hca1"[1]\n\nHca\t2 "Hca1"\n[1]\t"Sw1"[1]\n'
    assert formats.detect(text).name == "ibnetdiscover"
    assert "ibsim" in refusal(text)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.95, 0.999])
def test_every_cut_is_refused(make_clos: Clos, part: float) -> None:
    text = make_clos(groups=2, rails=2, hosts=2).text()
    assert "hint:" in refusal(text[: int(part * len(text))])


PIECES = st.sampled_from(
    [
        *('Switch 4 "S-01" # "a" x', 'Ca 1 "H-02" # "n1 HCA-1"', 'Rt 1 "R-03" # ""', 'Switch 9 "S-04" # "b;c:d"'),
        *('[1] "H-02"[1](02) # "n1" lid 1 4xNDR', '[1](02) "S-01"[1] # lid 1 lmc 0 "a" lid 2 4xNDR', "[1"),
        *('[2] "S-04"[2] # "" 4x???', '[2] "S-01"[2] # "" 99xSDR', '[1][ext 3] "S-01"[1] # 4xQDR', "sysimgguid=0xa"),
        *('Ca 255 "H-5" # "localhost mlx5_0"', "# comment", "", "\x00\x1c\u2028", 'Hca 1 "x"', "vendid=0x2c9"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=30)), max_size=14))
def test_no_text_breaks_the_reader(rows: list[str]) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(read("\n".join(rows)), Fabric)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 300), st.text(max_size=5)), min_size=1, max_size=3))
def test_no_edit_breaks_the_reader(make_clos: Clos, edits: list[tuple[int, int, str]]) -> None:
    text = make_clos(groups=2, rails=2, hosts=1, spines=1).text()
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    with contextlib.suppress(InputError):
        assert isinstance(read(text), Fabric)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_random_cabling_is_read_or_refused(ibnet: Any, data: st.DataObject) -> None:
    """Any wiring of a few switches and hosts gives a Fabric with every named host and every cable."""
    net = ibnet()
    switches = [net.switch(f"sw{n}") for n in range(data.draw(st.integers(1, 6)))]
    pick = st.sampled_from(switches)
    trunks = data.draw(st.lists(st.tuples(pick, pick), max_size=12))
    for a, b in trunks:
        net.cable(a, b, data.draw(st.sampled_from(["4xNDR", "4xHDR"])))
    hosts = data.draw(st.integers(1, 5))
    for host in range(hosts):
        for n in range(data.draw(st.integers(1, 3))):
            name = data.draw(st.sampled_from([f"h{host} mlx5_{n}", f"h{host}", f"h{host} HCA-{n + 1}"]))
            net.cable(net.ca(name), data.draw(pick))
    used = {g for g in net.kind if net.ends[g]}
    net.kind = {g: kind for g, kind in net.kind.items() if g in used}
    if all(len({end[0] for end in net.ends[g]}) == 0 for g in switches):
        return
    fabric = read(net.text())
    assert set(fabric.host_names) <= {f"h{n}" for n in range(hosts)}
    assert sum(link.count for link in fabric.links) == sum(a != b for a, b in trunks)
    again = parse_fabric(format_fabric(fabric))
    for name in ("hosts", "host_types", "groups", "tiers", "links", "assumed"):
        assert getattr(again, name) == getattr(fabric, name)
    assert fabric.gpus == sum(len(fabric.host_types[h.type].nics) for h in fabric.hosts)


def test_real_fabric(shared_dir: Path) -> None:
    """The real 2025 NDR fabric; counted beforehand with a script of its own."""
    path = shared_dir / "ibnetdiscover" / "topograph-output_ibnetdiscover_example.out"
    text = path.read_text()
    fabric = read(text)
    switches = {link.a for link in fabric.links} | {link.b for link in fabric.links}
    assert len(switches) == 31 + 9
    assert sum(link.count for link in fabric.links) == 532
    assert sorted(link.count for link in fabric.links) == [1] * 6 + [2] * 263
    rows = leaves(fabric)
    assert len(rows) == 8
    assert sum(count > 0 for uplinks in rows.values() for count in uplinks) == 31
    assert sum(map(sum, rows.values())) == 532
    assert fabric.rails == 4
    nics = [len(fabric.host_types[host.type].nics) for host in fabric.hosts]
    assert (len(nics), nics.count(4), nics.count(3)) == (119, 109, 10)
    assert [g.name for g in fabric.groups if g.tier == 1] == ["spine-0"]
    assert any("74 adapters" in line for line in fabric.warnings)
    assert any("40 SHARP" in line for line in fabric.warnings)
