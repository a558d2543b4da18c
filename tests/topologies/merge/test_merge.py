"""Files merged into one fabric: who decides what, what is said, what is refused."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.topologies.merge import Part, merge
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK

NDR = 50e9
INSIDE, CABLES, TREE, CLIQUES = map(frozenset, ((HOST,), (HOST, NETWORK), (NETWORK,), (ISLANDS,)))
UNKNOWN = ("all hosts: 8 GPUs, each with a NIC of 400 Gb/s", "scale-up bandwidth of a GPU: 450 GB/s, assumed")


def box(name: str = "box", gpus: int = 4, nics: int = 4, speed: float = NDR, stem: str = "mlx5_") -> HostType:
    made = tuple(Nic(i, speed, i % gpus, f"{stem}{i}" if stem else "") for i in range(nics))
    return HostType(name, gpus, made, gpus, 450e9)


def tree(
    source: str,
    leaves: dict[str, Sequence[str]],
    kind: HostType | None = None,
    *,
    tells: frozenset[str] = TREE,
    rails: int = 1,
    assumed: Sequence[str] = (),
    form: str = "slurm",
    aliases: dict[str, tuple[tuple[str, str], ...]] | None = None,
) -> Part:
    """A two-tier network with `leaves`; each leaf has as many uplinks as its hosts have NICs."""
    kind = kind or box()
    groups = [Group("core", 1)]
    hosts = []
    for k, (leaf, names) in enumerate(leaves.items(), 1):
        groups.append(Group(leaf, 0, 0, rails, (len(names) * len(kind.nics) / rails,) * rails, NDR))
        hosts += [Host(name, 0, k, aliases=(aliases or {}).get(name, ())) for name in names]
    tiers = (Tier("leaf", 10), Tier("spine", 20))
    fabric = Fabric("net", "ecmp", (kind,), tuple(hosts), tiers, tuple(groups), assumed=tuple(assumed))
    return Part(source, form, fabric, tells)


def inside(source: str, kind: HostType, *names: str, assumed: Sequence[str] = (), named: bool = True) -> Part:
    hosts = tuple(Host(name, 0) for name in names or ("host",))
    return Part(source, "topo", Fabric("host", "ecmp", (kind,), hosts, assumed=tuple(assumed)), INSIDE, named=named)


def racks(source: str, islands: dict[str, Sequence[str]]) -> Part:
    names = list(dict.fromkeys(itertools.chain.from_iterable(islands.values())))
    made = tuple(Island(name, tuple(names.index(host) for host in members), 900e9) for name, members in islands.items())
    hosts = tuple(Host(name, 0) for name in names)
    said = ("all hosts: 4 GPUs assumed", "NVLink bandwidth inside an island: 900 GB/s")
    return Part(source, "clique", Fabric("racks", "ecmp", (box("tray"),), hosts, islands=made, assumed=said), CLIQUES)


def text(fabric: Fabric) -> str:
    return "\n".join([*fabric.warnings, *fabric.assumed])


def in_any_order(*parts: Part) -> Fabric:
    """The merge, which must be the same for every order and can be written and read."""
    found = {format_fabric(merge(order)) for order in itertools.permutations(parts)}
    assert len(found) == 1
    merged = merge(parts)
    again = parse_fabric(found.pop())
    assert (again.hosts, again.host_types, again.groups, again.islands) == (
        merged.hosts, merged.host_types, merged.groups, merged.islands
    )  # fmt: skip
    assert format_fabric(merge([*parts, *parts])) == format_fabric(merged)
    return merged


def test_one_file_stays_as_it_is() -> None:
    part = tree("a", {"l1": ["n1", "n2"]})
    assert merge([part]) is part.fabric
    assert merge([part, part]) is part.fabric
    with pytest.raises(InputError, match="nothing to merge"):
        merge([])


def test_each_file_decides_what_it_knows() -> None:
    network = tree("slurm.conf", {"l1": ["n1", "n2"], "l2": ["n3", "n4"]}, box(gpus=8, nics=8), assumed=UNKNOWN)
    host = inside("topo.txt", box("h200", gpus=4, nics=2, speed=100e9), named=False)
    cliques = racks("racks.txt", {"rack-a": ["n1", "n2"], "rack-b": ["n3", "n4"]})
    fabric = in_any_order(network, host, cliques)
    assert fabric.host_names == ("n1", "n2", "n3", "n4")
    assert [(kind.name, kind.gpus, len(kind.nics)) for kind in fabric.host_types] == [("h200", 4, 2)]
    assert fabric.host_types[0].nics[0].bandwidth_bytes_per_s == 100e9
    assert [(i.name, i.hosts, i.bandwidth_bytes_per_s) for i in fabric.islands] == [
        ("rack-a", (0, 1), 450e9), ("rack-b", (2, 3), 450e9)
    ]  # fmt: skip
    assert [group.name for group in fabric.groups] == ["core", "l1", "l2"]
    assert "all hosts" not in text(fabric)


def test_assumed_uplinks_follow_the_real_nics() -> None:
    said = (*UNKNOWN, "uplinks of all switches: 1:1")
    network = tree("slurm.conf", {"l1": ["n1", "n2"]}, box(gpus=8, nics=8), assumed=said)
    fabric = in_any_order(network, inside("topo.txt", box(nics=2, speed=100e9), named=False))
    leaf = next(group for group in fabric.groups if group.name == "l1")
    assert (leaf.uplinks, leaf.link_bandwidth_bytes_per_s) == ((4.0,), 100e9)
    counted = tree("slurm.conf", {"l1": ["n1", "n2"]}, box(gpus=8, nics=8))
    known = in_any_order(counted, inside("t", box(nics=2), named=False))
    assert next(group for group in known.groups if group.name == "l1").uplinks == (16.0,)


def test_names_and_aliases() -> None:
    network = tree("ib.out", {"l1": ["n1.hpc.site", "n2.hpc.site"]})
    nodes = dataclasses.replace(inside("k8s", box(), "n1", "N2"), format="k8s")
    fabric = in_any_order(network, nodes)
    assert fabric.host_names == ("n1.hpc.site", "n2.hpc.site")
    assert fabric.hosts[0].aliases == (("k8s", "n1"),)
    assert fabric.alias_index["N2"] == 1


def test_guids_join_hosts_of_other_names() -> None:
    network = tree("ib.out", {"l1": ["ib-a", "ib-b"]}, aliases={
        "ib-a": (("guid-0", "0x0011"),), "ib-b": (("guid-0", "0x0022"),)
    })  # fmt: skip
    looked = inside("collected", box("h100", gpus=8), "n1", "n2")
    hosts = (Host("n1", 0, aliases=(("guid-0", "22"),)), Host("n2", 0, aliases=(("guid-0", "0000:0011"),)))
    looked = dataclasses.replace(looked, fabric=dataclasses.replace(looked.fabric, hosts=hosts))
    fabric = in_any_order(network, looked)
    assert fabric.host_names == ("ib-a", "ib-b")
    assert fabric.alias_index["n2"] == 0
    assert fabric.host_types[0].name == "h100"


def test_ambiguous_names_are_refused() -> None:
    network = tree("ib.out", {"l1": ["n1.a.site", "n1.b.site"]})
    with pytest.raises(InputError, match=r"n1 of k8s may be n1\.a\.site of ib\.out or n1\.b\.site of ib\.out"):
        merge([network, inside("k8s", box(), "n1")])
    shared = tree("ib.out", {"l1": ["x", "y"]}, aliases={"x": (("short", "n1"),), "y": (("short", "n1"),)})
    with pytest.raises(InputError, match=r"n1 .*may be x or y of ib\.out"):
        merge([shared, inside("k8s", box(), "n1")])
    assert len(merge([shared, inside("k8s", box(), "x", "y")]).hosts) == 2


def test_two_hosts_that_another_file_takes_for_one_are_refused() -> None:
    one = tree("ib.out", {"l1": ["n1"]}, aliases={"n1": (("k8s", "m1"),)})
    with pytest.raises(InputError, match=r"m1 and n1 are two hosts in k8s, but one by the names in ib\.out"):
        merge([one, inside("k8s", box(), "m1", "n1")])


def test_hosts_of_one_file_alone_are_named() -> None:
    names = [f"n{i}" for i in range(1, 9)]
    fabric = in_any_order(tree("ib.out", {"l1": names}), inside("hosts", box(), *names[2:], "extra"))
    assert "1 host of hosts not in ib.out: extra" in text(fabric)
    assert "2 hosts of ib.out not in hosts: n[1-2]" in text(fabric)
    assert "1 host (extra)" not in text(fabric)
    assert "in no group of the network, out of reach of others: extra" in text(fabric)


def test_nics_are_matched_by_device_not_by_index() -> None:
    """GPU 0 sits beside mlx5_3; the cables say which rail that is."""
    looked = HostType("h200", 4, tuple(Nic(i, NDR, gpu, f"mlx5_{3 - i}") for i, gpu in enumerate(range(4))), 4, 450e9)
    fabric = in_any_order(
        tree("ib.out", {"l1": ["n1", "n2"]}, box(), tells=CABLES, rails=4), inside("topo.txt", looked, named=False)
    )
    assert [(nic.name, nic.gpu, nic.rail) for nic in fabric.host_types[0].nics] == [
        ("mlx5_3", 0, 3), ("mlx5_2", 1, 2), ("mlx5_1", 2, 1), ("mlx5_0", 3, 0)
    ]  # fmt: skip
    assert "NIC i" not in text(fabric)


def test_nics_are_matched_by_guid() -> None:
    cabled = box(stem="")
    network = tree("ib.out", {"l1": ["n1"]}, cabled, tells=CABLES, rails=4, aliases={
        "n1": tuple((f"guid-{i}", f"a{i}") for i in range(4))
    })  # fmt: skip
    looked = inside("collected", box("h100"), "n1")
    hosts = (Host("n1", 0, aliases=tuple((f"guid-mlx5_{i}", f"0xa{3 - i}") for i in range(4))),)
    looked = dataclasses.replace(looked, fabric=dataclasses.replace(looked.fabric, hosts=hosts))
    fabric = in_any_order(network, looked)
    assert {nic.name: nic.rail for nic in fabric.host_types[0].nics} == {f"mlx5_{i}": 3 - i for i in range(4)}


def test_a_match_by_order_is_said() -> None:
    network = tree("ib.out", {"l1": ["n1"]}, box(stem=""), tells=CABLES, rails=4)
    fabric = in_any_order(network, inside("topo.txt", box("h100"), named=False))
    assert "which NIC of 1 host (n1) reaches which switch: NIC i of topo.txt is NIC i of ib.out" in text(fabric)
    one_switch = in_any_order(
        tree("ib.out", {"l1": ["n1"]}, box(stem=""), tells=CABLES), inside("t", box("h"), named=False)
    )
    assert "NIC i" not in text(one_switch)


def test_nics_without_a_cable_are_left_out_and_attachments_follow() -> None:
    network = tree("ib.out", {"l1": ["n1"], "l2": ["n2"]}, box(nics=2), tells=CABLES)
    hosts = tuple(
        dataclasses.replace(host, group=-1, attach=(Attachment(0, 1), Attachment(1, 2, 1)))
        for host in network.fabric.hosts
    )
    network = dataclasses.replace(network, fabric=dataclasses.replace(network.fabric, hosts=hosts))
    looked = HostType("h", 4, (Nic(0, NDR, 0, "mlx5_9"), Nic(1, NDR, 3, "mlx5_1"), Nic(2, NDR, 1, "mlx5_0")), 4, 450e9)
    fabric = in_any_order(network, inside("topo.txt", looked, named=False))
    assert [(nic.name, nic.gpu) for nic in fabric.host_types[0].nics] == [("mlx5_1", 3), ("mlx5_0", 1)]
    assert fabric.hosts[0].attach == (Attachment(0, 2, 1), Attachment(1, 1))
    assert "2 hosts (n[1-2]): mlx5_9 of topo.txt: no cable in ib.out; left out" in text(fabric)


def test_a_measured_speed_wins_over_an_assumed_one() -> None:
    network = tree("ib.out", {"l1": ["n1"]}, box(speed=25e9), tells=CABLES)
    fabric = in_any_order(network, inside("t", box("h"), named=False, assumed=["NIC speed: 400 Gb/s"]))
    assert {nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics} == {25e9}
    assert "Gb/s" not in text(fabric)
    stays = in_any_order(
        tree("t", {"l1": ["n1"]}, tells=TREE), inside("t", box("h"), "n1", assumed=["NIC speed: 9 Gb/s"])
    )
    assert "9 Gb/s" in text(stays)


def test_speeds_that_differ_are_said_with_both_numbers() -> None:
    fabric = in_any_order(
        tree("ib.out", {"l1": ["n1"]}, box(speed=25e9), tells=CABLES), inside("topo.txt", box("h"), named=False)
    )
    assert {nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics} == {25e9}
    assert "1 host (n1): mlx5_0 has 400 Gb/s in topo.txt, 200 Gb/s in ib.out; the slower counts" in text(fabric)


def test_two_types_without_hosts_are_refused_and_hosts_settle_it() -> None:
    network = tree("ib.out", {"l1": ["n1", "n2"]}, box())
    a, b = inside("a.xml", box("a", gpus=4), "a", named=False), inside("b.xml", box("b", gpus=8), "b", named=False)
    with pytest.raises(InputError, match="FILE=node") as caught:
        merge([network, a, b])
    assert "host n1 has 4 GPUs in a.xml, 8 in b.xml" in str(caught.value)
    fabric = in_any_order(network, dataclasses.replace(a, hosts=("n1",)), dataclasses.replace(b, hosts=("n2",)))
    assert [fabric.host_types[host.type].name for host in fabric.hosts] == ["a", "b"]
    with pytest.raises(InputError, match="describes 2 hosts by name"):
        merge([dataclasses.replace(network, hosts=("n1",)), a])


def test_hosts_nobody_looked_into_are_like_the_others() -> None:
    network = tree("slurm.conf", {"l1": ["n1", "n2", "n3"]}, box(gpus=8, nics=8), assumed=UNKNOWN)
    fabric = in_any_order(network, inside("collected", box("h"), "n1"))
    assert {fabric.host_types[host.type].name for host in fabric.hosts} == {"h"}
    assert "what is inside 2 hosts (n[2-3]): the same as in the hosts of collected" in text(fabric)
    apart = merge([network, inside("collected", box("h"), "n1")], fill=False)
    assert {kind.name for kind in apart.host_types} == {"h", "box"}


def test_who_knows_racks_guesses_hosts_better() -> None:
    network = tree("slurm.conf", {"l1": ["n1", "n2"]}, box(gpus=8, nics=8), assumed=UNKNOWN)
    fabric = in_any_order(network, racks("racks", {"r": ["n1", "n2"]}))
    assert [kind.name for kind in fabric.host_types] == ["tray"]
    assert "8 GPUs" not in text(fabric)
    assert "4 GPUs" in text(fabric)


def test_islands_are_joined_by_name_and_by_host() -> None:
    network = tree("ib.out", {"l1": ["n1", "n2", "n3", "n4"]})
    fabric = in_any_order(
        network, racks("a", {"r1": ["n1", "n2"]}), racks("b", {"r1": ["n3"]}), racks("c", {"other": ["n3", "n4"]})
    )
    assert [(island.name, island.hosts) for island in fabric.islands] == [("r1", (0, 1, 2, 3))]


def test_the_finer_islands_count() -> None:
    network = tree("ib.out", {"l1": ["n1", "n2", "n3", "n4"]})
    fabric = in_any_order(
        network,
        racks("racks", {"r": ["n1", "n2", "n3", "n4"]}),
        racks("cliques", {"c1": ["n1", "n2"], "c2": ["n3", "n4"]}),
    )
    assert [(island.name, island.hosts) for island in fabric.islands] == [("c1", (0, 1)), ("c2", (2, 3))]
    assert "NVLink domains are smaller in cliques than in racks" in text(fabric)


def test_crossing_islands_are_refused() -> None:
    a = racks("a", {"r1": ["n1", "n2"], "r2": ["n3", "n4"]})
    b = racks("b", {"q1": ["n2", "n3"], "q2": ["n1", "n4"]})
    with pytest.raises(InputError, match="crosses"):
        merge([tree("ib.out", {"l1": ["n1", "n2", "n3", "n4"]}), a, b])


def test_networks_in_pieces_are_one() -> None:
    whole = tree("whole", {"l1": ["n1", "n2"], "l2": ["n3"]})
    fabric = in_any_order(tree("a", {"l1": ["n1", "n2"]}), tree("b", {"l2": ["n3"]}))
    assert format_fabric(fabric) == format_fabric(dataclasses.replace(whole.fabric, warnings=fabric.warnings))


def test_other_neighbours_are_said() -> None:
    best = tree("ib.out", {"l1": ["n1", "n2", "n3"], "l2": ["n4", "n5", "n6"]}, tells=CABLES, form="ib")
    other = tree("slurm.conf", {"s1": ["n1", "n2", "n4"], "s2": ["n3", "n5", "n6"]}, assumed=["uplinks: 1:1"])
    fabric = in_any_order(best, other)
    assert [group.name for group in fabric.groups] == ["core", "l1", "l2"]
    assert "2 hosts with other neighbours in slurm.conf than in ib.out, which counts: n[3-4]" in text(fabric)
    coarser = tree("slurm.conf", {"s": [f"n{i}" for i in range(1, 7)]}, assumed=["uplinks: 1:1"])
    assert "neighbours" not in text(in_any_order(best, coarser))


def test_hosts_only_the_scheduler_knows_join_their_neighbours() -> None:
    best = tree("ib.out", {"l1": ["n1"], "l2": ["n3", "n4"]}, tells=CABLES, form="ib")
    other = tree("slurm.conf", {"s1": ["n1", "n2"], "s2": ["n3", "n4"]}, assumed=["uplinks: 1:1"])
    fabric = in_any_order(best, other)
    assert fabric.groups[fabric.hosts[fabric.host_index["n2"]].group].name == "l1"
    assert "group of n2, not in ib.out: that of their neighbours" in text(fabric)


def test_the_same_groups_with_other_hosts_are_refused() -> None:
    a, b = tree("a", {"l1": ["n1"], "l2": ["n2"]}), tree("b", {"l1": ["n2"], "l2": ["n1"]})
    with pytest.raises(InputError, match="host n1 is in l1 in a and in l2 in b"):
        merge([a, b])


def test_unusable_gpus_are_all_kept() -> None:
    network = tree("slurm.conf", {"l1": ["n1", "n2"]}, box(gpus=8, nics=8), assumed=UNKNOWN)
    drained = frozenset((1, gpu) for gpu in range(8))
    network = dataclasses.replace(network, fabric=dataclasses.replace(network.fabric, unusable_gpus=drained))
    fabric = in_any_order(network, inside("t", box("h"), named=False))
    assert fabric.free_gpus.tolist() == [4, 0]


def test_a_hosts_own_name_wins_over_an_alias_of_another() -> None:
    network = tree("ib.out", {"l1": ["n1", "n2"]}, aliases={"n2": (("old", "n1"),)})
    fabric = in_any_order(network, inside("k8s", box("h"), "n1"))
    assert fabric.host_names == ("n1", "n2")


def test_neighbours_in_two_groups_place_nobody() -> None:
    best = tree("ib.out", {"l1": ["n1"], "l2": ["n3"]}, tells=CABLES, form="ib")
    other = tree("slurm.conf", {"s1": ["n1", "n2", "n3"]}, assumed=["uplinks: 1:1"])
    fabric = in_any_order(best, other)
    assert fabric.groups[fabric.hosts[fabric.host_index["n2"]].group].name == "s1"


def test_hosts_that_the_finer_islands_do_not_know_stay() -> None:
    network = tree("ib.out", {"l1": ["n1", "n2", "n3", "n4", "n5", "n6"]})
    coarse = racks("racks", {"r1": ["n1", "n2", "n5"], "r2": ["n3", "n4"]})
    fine = racks("cliques", {"c1": ["n1"], "c2": ["n2"], "c3": ["n3"]})
    fabric = in_any_order(network, coarse, fine, racks("some", {"s": ["n2", "n6"]}))
    islands = {island.name: island.hosts for island in fabric.islands}
    assert islands == {"c1": (0,), "c2": (1, 5), "r1": (4,), "c3": (2, 3)}


def test_a_host_taken_out_whole_is_out_whole() -> None:
    network = tree("slurm.conf", {"l1": ["n1", "n2"]}, box(gpus=4), assumed=UNKNOWN)
    drained = frozenset((1, gpu) for gpu in range(4))
    network = dataclasses.replace(network, fabric=dataclasses.replace(network.fabric, unusable_gpus=drained))
    broken = inside("t", box("h", gpus=8), named=False)
    broken = dataclasses.replace(broken, fabric=dataclasses.replace(broken.fabric, unusable_gpus=frozenset({(0, 5)})))
    assert in_any_order(network, broken).free_gpus.tolist() == [7, 0]


def test_other_assumptions_stay_with_their_file() -> None:
    network = tree("ib.out", {"l1": ["n1"]}, assumed=["director chassis count as one"])
    fabric = in_any_order(network, inside("t", box("h"), named=False, assumed=["rails of NICs: in order"]))
    assert fabric.assumed == ("ib.out: director chassis count as one", "t: rails of NICs: in order")


def test_ports_share_the_speed_of_their_nic() -> None:
    network = tree("lldp", {"l1": ["n1"], "l2": []}, box(nics=2), assumed=["uplinks: 1:1"])
    both = tuple(Attachment(nic, k, k - 1) for nic in (0, 1) for k in (1, 2))
    hosts = (Host("n1", 0, attach=both),)
    network = dataclasses.replace(network, fabric=dataclasses.replace(network.fabric, hosts=hosts))
    fabric = in_any_order(network, inside("t", box("h", nics=2), named=False))
    carried = {group.name: group.uplink_bandwidth_bytes_per_s for group in fabric.groups}
    assert carried == {"core": 0, "l1": NDR, "l2": NDR}


def test_the_order_of_the_network_file_is_kept() -> None:
    fabric = in_any_order(tree("a", {"l2": ["n9", "n10"], "l1": ["n3", "n2"]}), inside("t", box("h"), named=False))
    assert fabric.host_names == ("n9", "n10", "n3", "n2")
    assert [group.name for group in fabric.groups] == ["core", "l2", "l1"]


def test_files_without_a_host_in_common() -> None:
    fabric = in_any_order(tree("ib.out", {"l1": ["a", "b"]}, form="ib"), tree("slurm.conf", {"s1": ["x", "y"]}))
    assert "ib.out has no host in common with the other files: is it of another cluster" in text(fabric)
    assert "no host in common" not in text(in_any_order(tree("a", {"l1": ["a"]}), tree("b", {"l1": ["x"]})))


def test_a_host_file_without_nics_is_no_matter_where_cables_show_them() -> None:
    bare = HostType("bare", 4, (), 4, 450e9)
    part = inside("topo.txt", bare, named=False)
    part = dataclasses.replace(
        part, fabric=dataclasses.replace(part.fabric, warnings=("host type bare has no NICs, so ...",))
    )
    fabric = in_any_order(tree("ib.out", {"l1": ["n1"]}, tells=CABLES), part)
    assert len(fabric.host_types[0].nics) == 4
    assert "no NICs" not in text(fabric)
    assert "nearest GPU of each NIC of 1 host (n1): in order" in text(fabric)
