"""Readers of labs, neighbour tables, managers and simulators: grammar, roles, and what is wrong with bad files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.topologies.examples import EXAMPLES
from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions
from topoplan.topologies.names.table import parse_names


def read(text: str, name: str = "folder/net.x", **kwargs: Any) -> Fabric:
    return formats.read(text, name=name, options=ReadOptions(**kwargs))


def refusal(text: str, **kwargs: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(text, **kwargs)
    return str(caught.value)


def tiers(fabric: Fabric) -> list[int]:
    return [sum(group.tier == t for group in fabric.groups) for t in range(len(fabric.tiers))]


# ---- labs ----------------------------------------------------------------------------------------------------------


def test_containerlab_kinds_and_labels() -> None:
    fabric = read(EXAMPLES["containerlab"][0])
    assert fabric.name == "lab"
    assert fabric.host_names == ("n1", "n2")
    assert tiers(fabric) == [2, 1]
    assert "link 1 has no two endpoints" in refusal("topology:\n  nodes: {}\n  links: [{endpoints: [a]}]\n")
    assert "names no node" in refusal("topology:\n  nodes: {}\n  links: [{endpoints: [a, 'b:1']}]\n")


def test_containerlab_groups_and_kinds_are_inherited() -> None:
    text = """\
topology:
  defaults: {kind: ceos}
  groups: {gpus: {kind: linux}, racks: {labels: {role: server}}}
  kinds: {vr-sros: {labels: {graph-hide: "yes"}}}
  nodes: {leaf1: {}, a: {group: gpus}, b: {group: gpus, kind: linux}, c: {group: racks}, d: {kind: vr-sros}}
  links:
""" + "".join(f"    - endpoints: ['leaf1:eth{n}', '{name}:eth1']\n" for n, name in enumerate("abcd", 1))
    assert read(text).host_names == ("a", "b", "c")


def test_nvidia_air_and_dot() -> None:
    air, graphite = EXAMPLES["lab-json"]
    assert read(air).host_names == ("n1", "node-2")
    assert read(graphite).host_names == ("b",)
    assert read(EXAMPLES["dot"][0]).host_names == ("n01", "n02")
    outside = air.replace('{"interface": "swp1", "node": "leaf1"}', '"unconnected"')
    assert read(outside).host_names == ("node-2",)


# ---- LLDP ----------------------------------------------------------------------------------------------------------


def test_lldp_of_several_hosts() -> None:
    fabric = read(EXAMPLES["lldp"][0])
    assert fabric.host_names == ("node-1", "node-2")
    assert sorted(group.switches[0] for group in fabric.groups) == ["02-00-00-00-00-02", "leaf-1"]
    assert fabric.host_types[0].nics[0].bandwidth_bytes_per_s == 100e9 / 8


def test_lldp_of_one_host_is_called_like_its_file() -> None:
    fabric = read(EXAMPLES["lldp"][1], name="out/gpu-007.json")
    assert fabric.host_names == ("gpu-007",)
    assert "the machine whose neighbours these are: a host" in fabric.assumed


def test_lldp_in_all_forms_tells_the_same() -> None:
    found = set()
    for text in EXAMPLES["lldp"][1:]:
        fabric = read(text.replace("eth0.100", "ens1f0np0"), "n1.txt")
        cabled = [(nic.name, nic.rail) for kind in fabric.host_types for nic in kind.nics]
        found.add((fabric.host_names, tuple(cabled), tuple(group.switches for group in fabric.groups)))
    assert found == {(("n1",), (("ens1f0np0", 0),), (("leaf-a",),))}
    assert read(EXAMPLES["lldp"][2], "n1.txt").host_types[0].nics[0].bandwidth_bytes_per_s == 100e9 / 8
    assert "no neighbour" in refusal("<lldp label='x'/>")


def test_lldp_of_one_switch() -> None:
    text = "".join(
        f"lldp.swp{n}.via=LLDP\nlldp.swp{n}.chassis.name=n{n}\nlldp.swp{n}.port.ifname=ens{n}\n" for n in (1, 2)
    )
    fabric = read(text, "leaf1.txt")
    assert (fabric.host_names, fabric.groups[0].switches) == (("n1", "n2"), ("leaf1",))


def test_lldp_leaves_out_management_and_nameless_second_neighbours() -> None:
    def row(port: str, chassis: str, rest: str = "") -> str:
        return f"lldp.{port}.via=LLDP\nlldp.{port}.chassis.{chassis}\n{rest}"

    bridge = "lldp.eno1.chassis.Bridge.enabled=on\n"
    text = row("mlx5_0", "name=leaf1") + row("mlx5_0", "mac=02:00:00:00:00:07") + row("eno1", "name=oob-sw-1", bridge)
    fabric = read(text, "n1.txt")
    assert [nic.name for nic in fabric.host_types[0].nics] == ["mlx5_0"]
    assert any("1 nameless neighbours" in line for line in fabric.warnings)
    assert fabric.groups[0].switches == ("leaf1",)


def test_lldp_outputs_one_after_another() -> None:
    body = json.loads(EXAMPLES["lldp"][1])
    named = "\n".join(json.dumps({"host": f"n{n}", **body}) for n in range(3))
    assert read(named).host_names == ("n0", "n1", "n2")
    assert "one has no host" in refusal(json.dumps(body) + json.dumps(body))


def test_lldp_from_both_sides_of_a_cable() -> None:
    def row(port: str, name: str, far: str) -> dict[str, Any]:
        return {port: {"chassis": {name: {"id": {}}}, "port": {"id": {"type": "ifname", "value": far}}}}

    data = {
        "node-1": {"lldp": {"interface": [row("eth0", "leaf-1", "swp1"), row("eth1", "leaf-1", "swp2")]}},
        "leaf-1": {"lldp": {"interface": [row("swp1", "node-1", "eth0"), row("swp9", "spine-1", "swp1")]}},
    }
    fabric = read(json.dumps(data))
    assert fabric.host_names == ("node-1",)
    assert len(fabric.host_types[0].nics) == 2
    assert [(link.a, link.b, link.count) for link in fabric.links] == [("leaf-1", "spine-1", 1)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"lldp": {}}', "no neighbour"),
        ('{"lldp": {"interface": {"e": 3}}}', "is no mapping"),
        ('{"lldp": {"interface": {"e": {}}}}', "neither name nor chassis id"),
        ('{"a": 1, "b": {"lldp": {}}}', "has no lldp object"),
        ('[1, {"lldp": {}}]', "no output of lldpcli"),
    ],
)
def test_bad_lldp(text: str, why: str) -> None:
    assert why in refusal(text)


# ---- NetQ and NMX --------------------------------------------------------------------------------------------------


def test_netq() -> None:
    fabric = read(EXAMPLES["netq"][0])
    assert fabric.host_names == ("a", "b")  # by device type, and by tier where there is none
    assert fabric.groups[0].name == "leaf-1"
    assert "1 ends" in refusal('[{"nodes": [], "links": [{"compounded_links": [{"interfaces": [{"node": "1"}]}]}]}]')
    assert "no links" in refusal('[{"nodes": [{"compounded_nodes": []}], "links": []}]')


def test_nmx_racks_order_and_health() -> None:
    fabric = read(EXAMPLES["nmx"][0])
    assert fabric.host_names == ("tray-1", "tray-2", "tray-3")
    assert [(island.name, island.hosts) for island in fabric.islands] == [("d-1", (0, 1)), ("d-2", (2,))]
    assert fabric.unusable_gpus == frozenset({(0, 1), (2, 0), (2, 1)})
    assert fabric.hosts[1].aliases == (("nmx", "0a"),)
    assert "1 nodes are DEGRADED and take no ranks" in fabric.warnings
    wrapped = read(f'{{"data": {EXAMPLES["nmx"][0].strip()}}}')
    assert (wrapped.hosts, wrapped.islands) == (fabric.hosts, fabric.islands)
    assert "has no DomainUUID" in refusal('[{"Name": "a", "DomainUUID": 3}]')
    assert "is listed twice" in refusal('[{"Name": "a", "DomainUUID": "d"}, {"Name": "a", "DomainUUID": "e"}]')


# ---- ibdm ----------------------------------------------------------------------------------------------------------


def test_ibdm_definitions_speeds_and_guesses() -> None:
    fabric = read(EXAMPLES["ibdm"][0])
    assert fabric.host_names == ("n1", "n2", "n3")
    assert {link.bandwidth_bytes_per_s for link in fabric.links} == {5e9}  # 4 lanes of 10 Gb/s
    ports = {fabric.host_types[host.type].nics[0].bandwidth_bytes_per_s for host in fabric.hosts}
    assert ports == {5e9, 1.25e9}  # without a speed 4 lanes of 2.5 Gb/s
    assert any("taken for switches without bottlenecks inside: Other" in line for line in fabric.assumed)
    unknown = EXAMPLES["ibdm"][0].replace("HCA_1", "Widget")
    assert read(unknown).host_names == fabric.host_names
    assert any("taken for hosts, as they have few cables: Widget" in line for line in read(unknown).assumed)


def test_ibdm_defined_adapters() -> None:
    card = "TOPSYSTEM Card\nNODE CA 2 MT1 U1\n  1 -> P1\n\n"
    text = card + "Box sw\n  P1 -> Card a P1\n  P2 -> Card b P1\n  P3 -> Card c P1\n"
    assert read(text).host_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("  P1 -> HCA_1 n1 P1\n", "a link stands before any system"),
        ("SW s\n  P1 -> HCA_1 n1 P1\nwhat is this line\n", "neither system nor link"),
        ("SW s\n  P1 -> HCA_1 n1 P1\nXX n1\n", "is a HCA_1 and a XX"),
        ("TOPSYSTEM X\n", "definitions alone"),
    ],
)
def test_bad_ibdm(text: str, why: str) -> None:
    assert why in refusal(text)


# ---- simulators ----------------------------------------------------------------------------------------------------


def test_simai_rails_nvlink_and_counts() -> None:
    text = EXAMPLES["simai"][0]
    fabric = read(text)
    assert (len(fabric.hosts), fabric.gpus, fabric.host_types[0].name) == (2, 4, "h100-x2")
    assert fabric.host_types[0].scale_up_bandwidth_bytes_per_s == 360e9
    leaf = next(group for group in fabric.groups if group.tier == 0)
    assert (leaf.rails, leaf.uplinks) == (2, (2.0, 2.0))
    assert "12 links; the first line counts 13" in refusal(text.replace("12 H100", "13 H100"))
    assert "do not fill servers of 3" in refusal(text.replace("9 2 2", "9 3 2"))
    assert "the first line counts 5" in refusal(text.replace("4 5 6 7 8\n", "4 5 6 7\n"))
    assert "a link from node 0 to node 1" in refusal(text.replace("0 4 2880", "0 1 2880"))


def test_simai_dual_plane() -> None:
    rows = [
        f"{g} {s} {bw} 0.1ms 0"
        for g in range(4)
        for s, bw in ((4 + g // 2, "2880Gbps"), (6 + g % 2, "200Gbps"), (8 + g % 2, "200Gbps"))
    ]
    fabric = read("10 2 2 4 12 H100\n4 5 6 7 8 9\n" + "\n".join(rows) + "\n")
    assert fabric.planes == 2
    assert [nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics] == [50e9, 50e9]
    assert [len(host.attach) for host in fabric.hosts] == [4, 4]


def test_astrasim_dimensions() -> None:
    ring, mixed = (read(text) for text in EXAMPLES["astra-sim"])
    assert (len(ring.hosts), ring.gpus, tiers(ring)) == (4, 32, [1])
    assert ring.host_types[0].scale_up_bandwidth_bytes_per_s == 400e9
    assert {nic.bandwidth_bytes_per_s for nic in ring.host_types[0].nics} == {100e9}  # two links of 50 GB/s
    assert (len(mixed.hosts), mixed.gpus, tiers(mixed)) == (12, 24, [4, 1])
    leaf = next(group for group in mixed.groups if group.tier == 0)
    assert (leaf.rails, leaf.uplinks, leaf.link_bandwidth_bytes_per_s) == (2, (3.0, 3.0), 50e9)
    assert read(EXAMPLES["astra-sim-dims"][0]).gpus == 64
    assert "2 shapes, 1 counts" in refusal("topology: [Ring, Ring]\nnpus_count: [4]\nbandwidth: [1, 2]\n")
    assert "shape 'Torus'" in refusal("topology: [Torus]\nnpus_count: [4]\nbandwidth: [1]\n")
    assert ":3:13: bandwidth 'tbd' is no number" in refusal("topology: [Ring]\nnpus_count: [4]\nbandwidth: [tbd]\n")
    assert "more than any fabric" in refusal("topology: [Ring, Ring]\nnpus_count: [4, 900000]\nbandwidth: [1, 1]\n")


def test_htsim() -> None:
    text = EXAMPLES["htsim"][0]
    assert tiers(read(text)) == [4, 2, 1]
    assert "Tiers 2, but 3 are described" in refusal(text.replace("Tiers 3", "Tiers 2"))
    assert "do not divide" in refusal(text.replace("Nodes 8", "Nodes 9"))
    assert "tier 0 has no radix_up" in refusal(text.replace("Radix_Up 2\n", "", 1))


# ---- InfraGraph and graphs -----------------------------------------------------------------------------------------


def test_infragraph_slices_and_devices() -> None:
    new, old = (read(text) for text in EXAMPLES["infragraph"])
    assert (len(new.hosts), new.gpus) == (4, 8)
    assert new.host_types[0].scale_up_bandwidth_bytes_per_s == 450e9
    assert new.groups[0].rails == 2
    assert (len(old.hosts), old.host_types[0].nics[0].bandwidth_bytes_per_s) == (2, 12.5e9)
    text = EXAMPLES["infragraph"][0]
    assert "names no instance" in refusal(text.replace('"host[0:4]"', '"nowhere[0]"'))
    assert "has no component" in refusal(text.replace('component: "nic[0]"', 'component: "gone[0]"'))
    assert "rings of instances" in refusal(text.replace("scheme: one2one\n  link: eth", "scheme: ring\n  link: eth"))
    assert "index 9 is out of bounds" in refusal(text.replace('component: "nic[0]"', 'component: "nic[9]"'))
    assert "listed twice" in refusal(text.replace("name: leaf,", "name: host,"))


def test_infragraph_devices_alone() -> None:
    text = """
devices:
  - name: box
    description: a server with {}
    components: [{{name: xpu, count: 2, type: xpu}}, {{name: sw, count: 1, type: custom}}]
    connections: [xpu.0.nvlink.sw.0, xpu.1.nvlink.sw.0]
    instances: [{{name: card, device: cx7}}]
instances: [{{name: card, device: cx7}}]
"""
    fabric = read(text.format("two NVIDIA A100 GPUs"))
    assert fabric.host_types[0].scale_up_bandwidth_bytes_per_s == 300e9
    assert any("300 GB/s each direction, as NVLink 3" in line for line in fabric.assumed)
    assert any("'cx7'" in line and "one file" in line for line in fabric.warnings)
    other = read(text.format("two accelerators").replace("instances: [{name: card, device: cx7}]\n", ""))
    assert other.host_types[0].scale_up_bandwidth_bytes_per_s == 450e9
    assert any("H100" in line for line in other.assumed)
    assert other.warnings == ()


def test_graphs_of_others() -> None:
    graph, link = read(EXAMPLES["graphml"][0]), read(EXAMPLES["node-link"][0])
    assert (graph.host_names, link.host_names) == (("n1", "n2"), ("gpu-1", "gpu-2"))
    assert [(found.count, found.bandwidth_bytes_per_s) for found in graph.links] == [(2, 100e9)]
    assert [(found.count, found.bandwidth_bytes_per_s) for found in link.links] == [(2, 50e9)]
    assert "which are not both listed" in refusal(
        EXAMPLES["node-link"][0].replace('"target": "leaf-1"', '"target": "x"')
    )


def test_simgrid_of_others() -> None:
    fabric = read(EXAMPLES["simgrid"][0])
    assert {host.name: fabric.host_types[host.type].gpus for host in fabric.hosts} == {"n1": 2, "n2": 1}
    text = EXAMPLES["simgrid"][0]
    assert "uses what is not defined" in refusal(text.replace('<link_ctn id="b"/>', '<link_ctn id="zz"/>'))
    assert "not one flat zone" in refusal(text.replace('<router id="leaf"/>', '<cluster id="c"/>'))


# ---- GUIDs ---------------------------------------------------------------------------------------------------------


def test_hosts_of_anonymous_guids() -> None:
    text = EXAMPLES["ibnetdiscover"][0].replace('"n2 mlx5_0"', '"MT4129 ConnectX7   Mellanox Technologies"')
    assert read(text).host_names == ("n1", "n3")
    for guid in ("0x0000000000000012", "12", "H-0000000000000012"[2:]):
        table = parse_names(f"guid,host,device\n{guid.zfill(8)},secret-2,mlx5_3\n", "t")
        fabric = read(text, names=table)
        assert fabric.host_names == ("n1", "secret-2", "n3")
    assert read(text, names=parse_names("guid,role\n0000000011,storage\n", "t")).host_names == ("n3",)
    assert read(text, nics="mlx5_0").host_names == ("n1", "n3")
    assert "no NIC is called 'mlx5_9'" in refusal(text, nics="mlx5_9")
