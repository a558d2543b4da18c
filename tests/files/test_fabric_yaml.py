from dataclasses import fields

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric, physical_order
from topoplan.model.fabric import Fabric

FULL = """\
apiVersion: topoplan/v1
kind: Fabric
name: two-pods
routing: ecmp
host_types:
  hgx: {gpus: 8, scale_up: {domain: host, bandwidth: 450 GB/s}, nics: {count: 8, bandwidth: 400 Gb/s}, speed: 1.5}
  tray: {gpus: 4, scale_up: {domain: 2 GPUs, bandwidth: 900 GB/s}, gpu_memory: 192 GB, flops: 2500 TFLOPS,
         nics: [{name: mlx5_0, bandwidth: 400 Gb/s}, {rail: 1, gpu: 3, bandwidth: 200 Gb/s}]}
tiers: [leaf, {name: pod, distance: 25, latency: 2 us}, core]
groups:
  - {name: leaf-1, tier: leaf, parent: pod-1, rails: 2, rail_links: [14, 16], uplink: 400 Gb/s}
  - {name: leaf-2, tier: leaf, parent: pod-0, rails: 8, oversubscription: 2}
  - {name: leaf-0, tier: leaf, parent: pod-0, rails: 8, uplink: 256 x 400 Gb/s}
  - {name: pod-1, tier: pod, parent: core-0}
  - {name: pod-0, tier: pod, parent: core-0, rails: 8, uplink: 250 x 400 Gb/s}
  - {name: core-0, tier: core}
hosts:
  - {names: "node-[0-3]", type: hgx, group: leaf-0, aliases: {fqdn: "node-[0-3].example.com", ip: ["::1", "::2", "::3", "::4"]}}
  - {names: [tray-01, "tray-[02-04]"], type: tray, group: leaf-1}
  - {names: "node-[4-7]", type: hgx, group: leaf-2}
  - {names: "dual", type: tray, attach: [{nic: 0, group: leaf-1}, {nic: 0, group: leaf-0, plane: 1}]}
islands: [{name: rack-01, hosts: "tray-[01-04]", bandwidth: 900 GB/s, unusable: "tray-02:3"}]
links: [{a: leaf-0, b: spine-3, count: 2, bandwidth: 400 Gb/s, plane: 1}]
unavailable: "node-7, node-[0-1]:[2-3]"
"""  # noqa: E501
HEAD = "apiVersion: topoplan/v1\nkind: Fabric\nname: small\nrouting: ecmp\n"
TYPE = (
    "host_types: {box: {gpus: 2, scale_up: {domain: host, bandwidth: 100 GB/s}, nics: {count: 2, bandwidth: 8 Gb/s}}}\n"
)


def same(a: Fabric, b: Fabric) -> bool:
    return all(getattr(a, field.name) == getattr(b, field.name) for field in fields(Fabric))


@pytest.fixture(scope="module")
def full() -> Fabric:
    return parse_fabric(FULL)


def test_hosts_stand_in_physical_order(full: Fabric) -> None:
    # pod-1 is listed before pod-0, and leaf-2 before leaf-0
    assert full.host_names == (
        "tray-01", "tray-02", "tray-03", "tray-04", "dual", "node-4", "node-5", "node-6", "node-7",
        "node-0", "node-1", "node-2", "node-3",
    )  # fmt: skip
    listed = parse_fabric(FULL.replace("tiers:", "host_order: listed\ntiers:"))
    assert listed.host_names[:5] == ("node-0", "node-1", "node-2", "node-3", "tray-01")


def test_host_types(full: Fabric) -> None:
    hgx, tray = full.host_types
    assert (hgx.gpus, hgx.scale_up_gpus, hgx.scale_up_bandwidth_bytes_per_s, hgx.speed) == (8, 8, 450e9, 1.5)
    assert [(nic.rail, nic.gpu, nic.bandwidth_bytes_per_s) for nic in hgx.nics] == [(i, i, 50e9) for i in range(8)]
    assert (tray.scale_up_gpus, tray.gpu_memory_bytes, tray.flops_per_s) == (2, 192e9, 2.5e15)
    assert [(nic.name, nic.rail, nic.gpu) for nic in tray.nics] == [("mlx5_0", 0, 0), ("", 1, 3)]


def test_tiers(full: Fabric) -> None:
    assert [(tier.name, tier.distance, tier.latency_s) for tier in full.tiers] == [
        ("leaf", 10, None), ("pod", 25, 2e-6), ("core", 40, None)
    ]  # fmt: skip


def test_uplinks(full: Fabric) -> None:
    groups = {group.name: group for group in full.groups}
    assert groups["leaf-0"].uplinks == (32.0,) * 8
    assert groups["leaf-0"].link_bandwidth_bytes_per_s == 50e9
    assert list(groups["leaf-1"].uplinks) == [14, 16]
    assert groups["leaf-2"].uplinks == (2.0,) * 8  # 4 hosts, the broken one too, 2:1
    assert not groups["core-0"].uplinks
    # absent: 1:1 of 4 trays with 400 + 200 Gb/s and half of dual's NIC 0, which goes to two leaves
    assert (groups["pod-1"].uplinks, groups["pod-1"].link_bandwidth_bytes_per_s) == ((4 * 2 + 4 + 1,), 25e9)
    assert full.assumed == ("uplinks of pod-1 are not given: 1:1",)


def test_unusable_gpus(full: Fabric) -> None:
    index = full.host_index
    broken = {(index["node-7"], gpu) for gpu in range(8)} | {(index["tray-02"], 3)}
    assert full.unusable_gpus == broken | {(index[name], gpu) for name in ("node-0", "node-1") for gpu in (2, 3)}


def test_aliases_islands_links(full: Fabric) -> None:
    node = full.hosts[full.host_index["node-2"]]
    assert node.aliases == (("fqdn", "node-2.example.com"), ("ip", "::3"))
    assert [full.host_names[h] for h in full.islands[0].hosts] == ["tray-01", "tray-02", "tray-03", "tray-04"]
    assert (full.links[0].b, full.links[0].count, full.links[0].plane) == ("spine-3", 2, 1)
    dual = full.hosts[full.host_index["dual"]]
    assert [(item.nic, full.groups[item.group].name, item.plane) for item in dual.attach] == [
        (0, "leaf-1", 0), (0, "leaf-0", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("change", [("", ""), ("tiers:", "host_order: listed\ntiers:"), ("routing: ecmp\n", "")])
def test_canonical_text_reads_back(change: tuple[str, str]) -> None:
    fabric = parse_fabric(FULL.replace(*change) if change[0] else FULL)
    text = format_fabric(fabric)
    again = parse_fabric(text)
    assert same(fabric, again)
    assert format_fabric(again) == text


def test_assumptions_are_said() -> None:
    fabric = parse_fabric(
        "apiVersion: topoplan/v1\nkind: Fabric\nname: x\nhost_types: {box: {gpus: 2}}\nhosts: [{names: a}]\n"
    )
    assert fabric.routing == "adaptive"
    assert "routing is not given: adaptive (InfiniBand, as no fabric_type is given)" in fabric.assumed
    assert "host type box: scale_up is not given: no NVLink between its GPUs" in fabric.assumed
    assert not fabric.host_types[0].nics
    assert fabric.warnings == ("host type box has no NICs, so its hosts reach no other host",)
    ethernet = parse_fabric(HEAD.replace("routing: ecmp", "fabric_type: ethernet") + TYPE + "hosts: [{names: a}]\n")
    assert ethernet.routing == "ecmp"


def test_warnings_are_said() -> None:
    text = (
        HEAD + TYPE + "tiers: [leaf, core]\n"
        "groups: [{name: l, tier: leaf, parent: c, rails: 4}, {name: c, tier: core}]\n"
        "hosts: [{names: a, group: l}, {names: b}]\n"
    )
    assert parse_fabric(text).warnings == (
        "hosts b hang from no group, so they reach no other host",
        "some rails of l have no NIC below",
    )


def test_physical_order_is_stable() -> None:
    #    0   1
    #   2 3  4      hosts of group 3, 4, 2, none, 3
    assert physical_order([-1, -1, 0, 0, 1], [3, 4, 2, -1, 3]) == [2, 0, 4, 1, 3]
    assert physical_order([], [-1, -1]) == [0, 1]


CASES = [  # what is changed, into what, the place of the error, the message, the hint
    ("kind: Fabric", "kind: Fabrik", "2:7", "kind must be 'Fabric' here, not 'Fabrik'", ""),
    ("kind: Fabric", "kind: Job", "2:7", "kind must be 'Fabric' here, not 'Job'", ""),
    ("kind: Fabric\n", "", "1:1", "kind is missing", ""),
    ("topoplan/v1", "topoplan/v2", "1:13", "apiVersion must be 'topoplan/v1'", ""),
    ("routing: ecmp", "routing: ecpm", "4:10", "routing must be 'adaptive', 'ecmp' or 'static', not 'ecpm'", ""),
    ("gpus: 8", "gpu: 8", "6:9", "unknown key", "did you mean 'gpus'"),
    ("gpus: 8", "gpus: eight", "6:15", "whole number", ""),
    ("gpus: 8", "gpus: 0", "6:15", "at least 1", ""),
    ("gpus: 8", "gpus: 100000000", "6:15", "at most", ""),
    ("domain: host", "domain: hots", "6:37", "host, none or a number", ""),
    ("domain: 2 GPUs", "domain: 9 GPUs", "7:38", "larger than the host's 4", "islands"),
    ("bandwidth: 400 Gb/s}, speed", "bandwidth: 400}, speed", "6:93", "no unit", ""),
    ("bandwidth: 400 Gb/s}, speed", "bandwidth: -400 Gb/s}, speed", "6:93", "above zero", ""),
    ("bandwidth: 400 Gb/s}, speed", "bandwidth: 0 Gb/s}, speed", "6:93", "above zero", ""),
    ("gpu: 3", "gpu: 4", "8:69", "GPUs 0 to 3, not 4", ""),
    ("count: 8", "cuont: 8", "6:72", "unknown key", "did you mean 'count'"),
    ("distance: 25", "distance: -1", "9:37", "above 0", ""),
    ("[leaf, {name: pod", "[leaf, leaf, {name: pod", "9:15", "tier leaf is listed twice, first on line 9", ""),
    ("name: leaf-2", "name: leaf-1", "12:5", "group leaf-1 is listed twice, first on line 11", ""),
    ("tier: leaf, parent: pod-1", "tier: leef, parent: pod-1", "11:26", "tier 'leef' is not in", "did you mean 'leaf'"),
    ("parent: pod-1", "parent: pdo-1", "11:40", "group 'pdo-1' is not in", "did you mean 'pod-1'"),
    ("tier: core}", "tier: core, parent: leaf-1}", "11:40", "groups form a cycle", ""),
    ("tier: pod, parent: core-0}", "tier: pod, parent: pod-1}", "14:38", "groups form a cycle: pod-1 -> pod-1", ""),
    ("tier: pod, parent: core-0}", "tier: pod, parent: pod-0}", "14:38", "not above pod", "closest to the host"),
    ("tier: core}", "tier: core, uplink: 4 x 400 Gb/s}", "16:5", "has an uplink but no parent", ""),
    ("rail_links: [14, 16]", "rail_links: [14]", "11:69", "1 counts for 2 rails", ""),
    ("rail_links: [14, 16], uplink: 400", "rail_links: [14, 16], uplink: 2 x 400", "11:5", "one link", ""),
    ("rails: 2, rail", "rails: 1, rail", "11:69", "2 counts for 1 rails", ""),
    ("oversubscription: 2", "oversubscription: 2, uplink: 4 x 8 Gb/s", "12:75", "not both", ""),
    ("oversubscription: 2", "oversubscription: 0", "12:75", "above 0", ""),
    ("250 x 400 Gb/s", "250", "15:64", "no unit", ""),
    ("rails: 8, over", "rails: 4, over", "12:54", "4 rails, but a host below has a NIC on rail 7", ""),
    ('node-[0-3]", type: hgx', 'node-[0-3]", type: hxg', "18:33", "host type 'hxg'", "did you mean 'hgx'"),
    ('node-[0-3]", type: hgx,', 'node-[0-3]",', "18:5", "type is missing", ""),
    ("group: leaf-0", "group: leaf-9", "18:45", "group 'leaf-9' is not in", "did you mean"),
    ('"node-[4-7]"', '"node-[3-7]"', "20:13", "host node-3 is listed in groups leaf-0 and leaf-2", "one group"),
    ('"node-[4-7]"', '"node-[4-7],node-5"', "20:13", "host node-5 is listed twice", ""),
    ('"node-[4-7]"', '"node-[4-7"', "20:13", "brackets", ""),
    ('"node-[4-7]"', '"node-4;reboot"', "20:13", "refused", ""),
    ('"node-[4-7]"', '"$(reboot)"', "20:13", "refused", ""),
    ('"node-[4-7]"', '""', "20:13", "no host is named", ""),
    ('"node-[4-7]"', "47", "20:13", "must be a text", ""),
    ('"node-[0-3].example.com"', '"node-[0-2].example.com"', "18:69", "3 fqdn aliases for 4 hosts", ""),
    ('"::1"', '"a b:c"', "18:100", "IPv6", ""),
    ("{nic: 0, group: leaf-1}", "{nic: 2, group: leaf-1}", "21:48", "none with index 2", ""),
    ('hosts: "tray-[01-04]"', 'hosts: "tray-[01-05]"', "22:34", "host 'tray-05' is not in", "did you mean"),
    ("links: [{", "links: [{c: 1, ", "23:10", "unknown key", ""),
    ('"tray-02:3"', '"tray-02:4"', "22:81", "tray-02 has GPUs 0 to 3, not 4", ""),
    ('unavailable: "node-7', 'unavailable: "node-77', "24:14", "host 'node-77' is not in", "did you mean 'node-7'"),
    ('unavailable: "node-7', 'unavailable: "node-7:x', "24:14", "not a GPU index", ""),
    ("unavailable:", "unavialable:", "24:1", "unknown key", "did you mean 'unavailable'"),
    ("name: two-pods", "name: [two, pods]", "3:7", "name must be a text", ""),
    ("name: two-pods\n", "", "1:1", "name is missing", ""),
]


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "hint"), CASES, ids=[f"{old}->{new}" for old, new, *_ in CASES]
)
def test_bad_fabric(old: str, new: str, place: str, message: str, hint: str) -> None:
    assert old in FULL
    with pytest.raises(InputError) as caught:
        parse_fabric(FULL.replace(old, new, 1), "f.yaml")
    assert str(caught.value.place) == f"f.yaml:{place}"
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_two_islands_of_one_host() -> None:
    text = FULL.replace("islands: [", 'islands: [{name: b, hosts: "tray-04", bandwidth: 1 GB/s}, ')
    with pytest.raises(InputError, match="host tray-04 is in islands b and rack-01"):
        parse_fabric(text)


def test_all_shape_errors_at_once() -> None:
    text = FULL.replace("gpus: 8", "gpus: eight").replace("250 x 400 Gb/s", "250").replace("speed: 1.5", "speed: 0")
    with pytest.raises(InputError) as caught:
        parse_fabric(text, "f.yaml")
    assert caught.value.message.count("\n  also f.yaml:") == 2


@pytest.mark.parametrize("text", ["- a\n", "5\n", "a\n", "~\n"])
def test_not_a_mapping(text: str) -> None:
    with pytest.raises(InputError, match="mapping"):
        parse_fabric(text)


@pytest.mark.parametrize(
    "text",
    [
        'hosts: [{names: "a[0-199999]"}]\n',  # of 512 GPUs each
        "hosts: [" + '{names: "[0-1999999]"}, ' * 100 + "]\n",
        'hosts: [{names: a}]\nunavailable: "' + "b[0-1999999] " * 100 + '"\n',
    ],
)
def test_huge_lists_are_bounded(text: str) -> None:
    with pytest.raises(InputError):  # expanded, they would take gigabytes and minutes
        parse_fabric(HEAD + TYPE.replace("gpus: 2", "gpus: 512") + text)


def test_large_fabric() -> None:
    groups = "".join(
        f"  - {{name: leaf-{k}, tier: leaf, parent: c, rails: 2, uplink: 64 x 8 Gb/s}}\n" for k in range(256)
    )
    hosts = "".join(f'  - {{names: "node-[{k * 32}-{k * 32 + 31}]", type: box, group: leaf-{k}}}\n' for k in range(256))
    text = f"{HEAD}{TYPE}tiers: [leaf, core]\ngroups:\n{groups}  - {{name: c, tier: core}}\nhosts:\n{hosts}"
    fabric = parse_fabric(text)
    assert len(fabric.hosts) == 8192
