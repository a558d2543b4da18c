"""NCCL's topology and graphs XML: hosts written here, each for one rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric, HostType
from topoplan.topologies import catalog, formats
from topoplan.topologies.formats import ReadOptions

SWITCHES = ("0000:f0:00.0", "0000:f1:00.0")


def pci(bus: str, number: str, *inside: str, rest: str = "") -> str:
    kind = f' class="{number}"' if number else ""
    return f'<pci busid="{bus}"{kind} link_speed="32.0 GT/s PCIe" link_width="16" {rest}>{"".join(inside)}</pci>'


def bridge(bus: str, *inside: str) -> str:
    return pci(bus, "0x060400", *inside)


def gpu(bus: str, dev: int, links: dict[str, int] | None = None, tclass: str = "0x068000", sm: int = 90) -> str:
    made = "".join(f'<nvlink target="{t}" count="{c}" tclass="{tclass}"/>' for t, c in (links or {}).items())
    return pci(bus, "0x030200", f'<gpu dev="{dev}" sm="{sm}" rank="{dev}" gdr="1">{made}</gpu>')


def net(name: str, speed: int = 400_000, port: int = 1, rest: str = "") -> str:
    return f'<net name="{name}" dev="0" speed="{speed}" port="{port}" guid="0x1" {rest}/>'


def nic(bus: str, *nets: str) -> str:
    return pci(bus, "0x020700", f"<nic>{''.join(nets)}</nic>")


def system(*cpus: str, hosts: str = "") -> str:
    made = "".join(f'<cpu numaid="{n}" {hosts}>{inside}</cpu>' for n, inside in enumerate(cpus))
    return f'<?xml version="1.0"?>\n<!-- dump -->\n<system version="1">{made}</system>\n'


def read(text: str, host_type: HostType | None = None) -> Fabric:
    return formats.read(text, name="box.xml", options=ReadOptions(host_type=host_type))


def host(text: str) -> HostType:
    fabric = read(text)
    assert len(fabric.hosts) == 1
    assert not fabric.groups
    return fabric.host_types[0]


def told(fabric: Fabric) -> str:
    return "\n".join((*fabric.assumed, *fabric.warnings))


def test_switches_pair_gpus_with_nics_that_the_order_would_not() -> None:
    text = system(
        bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", net("mlx5_7"))),
        bridge("0000:20:00.0", gpu("0000:21:00.0", 1), nic("0000:22:00.0", net("mlx5_2"))),
    )
    kind = host(text)
    assert [(n.name, n.gpu, n.rail) for n in kind.nics] == [("mlx5_7", 0, 1), ("mlx5_2", 1, 0)]
    assert kind.nic_of_gpu == (0, 1)


def test_merged_ports_are_read_as_ports() -> None:
    ports = [net("mlx5_0", 200_000), net("mlx5_1", 200_000)]
    merged = net("mlx5_0+mlx5_1", 400_000)
    hidden = [port.replace("/>", 'net="0"/>') for port in ports]
    for nets in ((*ports, merged), (merged,), (*hidden, merged)):
        kind = host(system(gpu("0000:11:00.0", 0) + nic("0000:12:00.0", *nets)))
        assert [(n.name, n.bandwidth_bytes_per_s) for n in kind.nics] == [("mlx5_0", 25e9), ("mlx5_1", 25e9)]


def test_nvlinks_to_what_nccl_cannot_see_lead_to_switches() -> None:
    made = "".join(gpu(f"0000:1{n}:00.0", n, {"fffffff:ffff:ff": 18}).replace(' tclass="0x068000"', "") for n in (0, 1))
    assert (host(system(made)).scale_up_gpus, host(system(made)).scale_up_bandwidth_bytes_per_s) == (2, 450e9)


def test_a_tray_on_nvlink_switches_and_parts_of_a_gpu_are_pointed_out() -> None:
    tray = gpu("0000:11:00.0", 0, {SWITCHES[0]: 18}, sm=100).replace("</gpu>", '<c2c bw="44712" count="10"/></gpu>')
    assert "NVL72" in told(read(system(tray)))
    assert "NVL72" not in told(read(system(gpu("0000:11:00.0", 0, {SWITCHES[0]: 18}))))
    inside = '<gpu dev="0" sm="100" rank="0" mlopart="0"/><gpu dev="1" sm="100" rank="1" mlopart="1"/>'
    parts = read(system(pci("0000:11:00.0", "0x030200", inside)))
    assert parts.host_types[0].gpus == 1
    assert "MLOPart" in told(parts)


def test_nvlink_counts_of_all_switches_add_up() -> None:
    links = dict(zip(SWITCHES, (10, 8), strict=True))
    kind = host(system(bridge("0000:10:00.0", gpu("0000:11:00.0", 0, links), gpu("0000:12:00.0", 1, links))))
    assert (kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == (2, 18 * 25e9)


def test_nvlink_between_gpus_makes_pairs_of_any_shape() -> None:
    bus = [f"0000:1{n}:00.0" for n in range(4)]
    made = [gpu(bus[n], n, {bus[3 - n]: 4}, "0x030200", 80) for n in range(4)]
    kind = host(system("".join(made)))
    assert (kind.domain_of_gpu, kind.scale_up_bandwidth_bytes_per_s) == ((0, 1, 1, 0), 100e9)


def test_xgmi_is_read_as_nvlink_is() -> None:
    bus = ["0000:0c:00.0", "0000:15:00.0"]
    made = [
        pci(bus[n], "0x120000", f'<gpu dev="{n}" sm="304" gcn="gfx942"><xgmi target="{bus[1 - n]}" count="1"/></gpu>')
        for n in range(2)
    ]
    kind = host(system("".join(made)))
    assert (kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == (2, 64e9)


def test_links_to_cpus_and_to_itself_join_nothing() -> None:
    itself = gpu("0000:11:00.0", 0, {"0000:11:00.0": 12}, "0x030200", 80)
    cpu = gpu("0000:12:00.0", 1, {"fff:ff:ff.0": 2}, "0x068001", 80)
    fabric = read(system(itself + cpu))
    assert fabric.host_types[0].scale_up_gpus == 1
    assert "from a GPU to itself" in told(fabric)


def test_two_ports_are_two_nics_of_one_gpu_and_the_bundle_has_both() -> None:
    ports = net("mlx5_0", 180_000) + net("mlx5_1", 180_000, 2)
    fabric = read(system(bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", ports))))
    kind = fabric.host_types[0]
    assert kind.nics_of_gpu == ((0, 1),)
    assert {nic.rail for nic in kind.nics} == {0}
    assert fabric.port_bandwidth.tolist() == [2 * 180e9 / 8]


def test_rails_and_planes_of_the_file_are_kept() -> None:
    nets = net("mlx5_0", rest='rail="3" plane="0"') + net("mlx5_1", port=2, rest='rail="3" plane="1"')
    kind = host(system(bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", nets))))
    assert [(n.rail, n.plane) for n in kind.nics] == [(3, 0), (3, 1)]
    huge = system(
        bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", net("a", rest='rail="999999999"')))
    )
    assert host(huge).nics[0].rail == 0


def test_storage_and_slow_nics_are_left_out_and_said() -> None:
    near = bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", net("mlx5_0")))
    far = nic("0000:20:00.0", net("mlx5_1", 200_000)) + "<nic>" + net("eth0", 10_000) + "</nic>"
    fabric = read(system(near, far))
    kind = fabric.host_types[0]
    assert [n.name for n in kind.nics] == ["mlx5_0"]
    assert {n.name: n.network for n in kind.other_nics} == {"mlx5_1": "storage or front-end", "eth0": "front-end"}
    assert "mlx5_1" in told(fabric)
    slow = system(
        gpu("0000:11:00.0", 0) + nic("0000:12:00.0", net("mlx5_0")) + nic("0000:13:00.0", net("mlx5_1", 25_000))
    )
    assert [n.name for n in host(slow).nics] == ["mlx5_0"]


def test_a_slow_bridge_caps_nothing() -> None:
    text = system(bridge("0000:10:00.0", gpu("0000:11:00.0", 0), nic("0000:12:00.0", net("mlx5_0"))))
    assert host(text.replace('class="0x060400" link_speed="32.0', 'class="0x060400" link_speed="2.5')) == host(text)


def test_classes_tell_where_nothing_is_named() -> None:
    inside = [
        bridge(f"ffff:ff:0{n}.0", pci(f"000{n}:00:00.0", "0x030200"), pci(f"010{n}:00:00.0", "0x020700"))
        for n in (2, 1)
    ]
    fabric = read(system(*inside))
    kind = fabric.host_types[0]
    # GPU 0 is the first by bus id, not the first of the file
    assert [(n.gpu, n.rail, n.bandwidth_bytes_per_s) for n in kind.nics] == [(0, 0, 50e9), (1, 1, 50e9)]
    assert "bandwidth of NICs" in told(fabric)


def test_nics_alone_stand_for_a_gpu_under_each_switch() -> None:
    four = "".join(pci(f"0000:4{n}:00.0", "") for n in range(4))
    fabric = read(system(pci("0000:40:00.0", "", four), pci("0000:50:00.0", "", four.replace(":4", ":5"))))
    kind = fabric.host_types[0]
    assert (kind.gpus, len(kind.nics), kind.nics_of_gpu) == (2, 8, ((0, 1, 2, 3), (4, 5, 6, 7)))
    assert fabric.port_bandwidth.tolist() == [50e9, 50e9]  # a slot's worth for each GPU
    assert "one under each PCIe switch" in told(fabric)


def test_devices_right_under_the_cpus_are_gpus_and_then_nics() -> None:
    fabric = read(system(*["".join(f'<pci busid="0000:00:{n:02x}.0"/>' for n in part) for part in ((6, 7), (8, 9, 5))]))
    kind = fabric.host_types[0]
    assert (kind.gpus, len(kind.nics), kind.scale_up_gpus) == (4, 1, 1)
    assert "4 GPUs without NVLink, then 1 NICs" in told(fabric)


def test_interfaces_of_software_and_impossible_speeds_are_not_believed() -> None:
    made = gpu("0000:11:00.0", 0) + f"<nic>{net('veth0', 10_000)}</nic>"
    kind = host(system(made + nic("0000:12:00.0", net("cxi0", 200_000_000))))
    assert [(n.name, n.bandwidth_bytes_per_s) for n in kind.nics] == [("cxi0", 50e9)]  # of such a slot
    assert [n.name for n in kind.other_nics] == ["veth0"]


def test_dumps_of_several_hosts_give_them_all_and_their_nvlink_domain() -> None:
    links = {"fffffff:ffff:ff.f": 18}
    cpus = "".join(
        f'<cpu host_hash="0x{h}" numaid="0">{gpu("0000:11:00.0", 0, links)}{gpu("0000:12:00.0", 1, links)}</cpu>'
        for h in (7, 5, 6)
    )
    fabric = read(f"<system version='1'>{cpus}</system>")
    assert [h.name for h in fabric.hosts] == ["box-0", "box-1", "box-2"]
    assert len(fabric.host_types) == 1
    assert [island.hosts for island in fabric.islands] == [(0, 1, 2)]
    assert set(fabric.gpu_island.tolist()) == {0}


def test_a_named_host_type_fills_what_the_file_does_not_tell() -> None:
    text = system(bridge("ffff:ff:01.0", pci("0001:00:00.0", "0x030200"), pci("0101:00:00.0", "0x020700")))
    known = catalog.host_type("hgx-h200")
    fabric = read(text, host_type=known)
    kind = fabric.host_types[0]
    assert (kind.gpu_memory_bytes, kind.nics[0].bandwidth_bytes_per_s) == (141e9, 50e9)
    assert "the file shows 1 GPUs, hgx-h200 has 8" in told(fabric)


def test_it_reads_back_from_its_yaml() -> None:
    nets = net("mlx5_0", rest='rail="3" plane="0"') + net("mlx5_1", port=2, rest='rail="3" plane="1"')
    bus = [f"0000:1{n}:00.0" for n in range(4)]
    made = [gpu(bus[n], n, {bus[3 - n]: 4}, "0x030200", 80) for n in range(4)]
    fabric = read(system("".join(made), nic("0000:22:00.0", nets)))
    again = parse_fabric(format_fabric(fabric))
    assert (again.host_types, again.hosts, again.assumed, again.warnings) == (
        fabric.host_types, fabric.hosts, fabric.assumed, fabric.warnings,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<system version='1'></system>", "no <cpu>"),
        ("<system version='1'><cpu numaid='0'></cpu></system>", "no GPU"),
        ("<system version='1'><cpu numaid='0'>", "not well-formed"),
        ("<!DOCTYPE system [<!ENTITY a 'x'>]><system version='1'>&a;</system>", "declares entity"),
        (system("".join(gpu(f"0000:{n:02x}:00.0", n) for n in range(256)) * 2), "more than one host has"),
        ("<graphs version='1'></graphs>", "no GPU"),
        ("<graphs version='1'><graph><channel><gpu dev='x'/></channel></graph></graphs>", "dev 'x'"),
    ],
)
def test_what_is_not_a_host_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(text)
    assert caught.value.place is not None


def test_graphs_tell_gpus_nics_and_who_stands_beside_whom() -> None:
    ring = (
        '<channel><net dev="1"/><gpu dev="0"/><gpu dev="1"/><net dev="0"/></channel>'
        '<channel><net dev="0"/><gpu dev="1"/><gpu dev="0"/><net dev="1"/></channel>'
    )
    graph = (
        f'<graph id="0" nchannels="2" speedintra="40" speedinter="20" typeintra="NVL" typeinter="PIX">{ring}</graph>'
    )
    fabric = read(f'<graphs version="1">{graph}</graphs>')
    kind = fabric.host_types[0]
    assert [(n.gpu, n.bandwidth_bytes_per_s) for n in kind.nics] == [(1, 40e9), (0, 40e9)]
    assert (kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == (2, 80e9)


TAGS = st.sampled_from(["pci", "gpu", "nic", "net", "nvlink", "cpu", "xgmi"])
KEYS = st.sampled_from(
    ["busid", "class", "dev", "sm", "gcn", "count", "target", "tclass", "speed", "name", "rail", "plane", "host_hash"]
)
WORDS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "1e999",
        "0x030200",
        "0x020700",
        "0x060400",
        "nan",
        "9" * 30,
        "mlx5_0",
        "gfx942",
        "é",
        "32 GT/s",
        "90",
    ]
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> str:
    keys = draw(st.lists(KEYS, max_size=5, unique=True))
    attributes = "".join(f' {key}="{draw(WORDS)}"' for key in keys)
    inside = draw(st.lists(trees(depth + 1), max_size=3)) if depth < 4 else []
    tag = draw(TAGS)
    return f"<{tag}{attributes}>{''.join(inside)}</{tag}>"


@settings(deadline=None, max_examples=60)
@given(st.lists(trees(), max_size=4), st.sampled_from(["system", "graphs"]))
def test_any_tree_gives_a_fabric_or_an_input_error(inside: list[str], root: str) -> None:
    text = f"<{root}>{''.join(inside)}</{root}>"
    try:
        fabric = read(text)
    except InputError:
        return
    assert parse_fabric(format_fabric(fabric)).host_types == fabric.host_types
