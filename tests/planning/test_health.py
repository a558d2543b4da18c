"""What `examine` finds in small fabrics, and what it says each finding costs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from topoplan.model.fabric import Fabric, Group, Host, HostType, Link, Nic, Tier
from topoplan.planning.health import Finding, examine
from topoplan.planning.inputs import open_fabric
from topoplan.topologies import catalog

NIC = 50e9
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "topo"


def clos(links: tuple[Link, ...] | None = None, leaves: int = 4, hosts: int = 4, cables: int = 2) -> Fabric:
    """One rail, leaves of 4 hosts, two spines, 1:1."""
    kind = HostType("box", 1, (Nic(0, NIC, 0),), 1, 450e9)
    groups = [
        Group("spine", 1),
        *(Group(f"leaf-{k}", 0, 0, 1, (2.0 * cables,), NIC, (f"leaf-{k}",)) for k in range(leaves)),
    ]
    regular = tuple(Link(f"leaf-{k}", f"s{s}", cables, NIC) for k in range(leaves) for s in range(2))
    machines = tuple(Host(f"n{i}", 0, 1 + i // hosts) for i in range(leaves * hosts))
    tiers = (Tier("leaf", 10.0), Tier("spine", 20.0))
    return Fabric("f", "ecmp", (kind,), machines, tiers, tuple(groups), links=regular if links is None else links)


def of_kind(fabric: Fabric, kind: str) -> list[Finding]:
    return [item for item in examine(fabric) if item.kind == kind]


def test_a_regular_fabric_has_no_findings() -> None:
    assert examine(clos()) == ()
    assert examine(clos(links=())) == ()


@pytest.mark.parametrize("name", [n for n in catalog.names() if n != "two-pods-fragmented"])
def test_the_catalogue_is_regular(name: str) -> None:
    small = {key: 3 for key in catalog.entry(name).parameters if key in {"racks", "units", "leaves", "segments"}}
    found = examine(open_fabric(f"{name}:{','.join(f'{k}={v}' for k, v in small.items())}".rstrip(":")).fabric)
    assert [item.kind for item in found if item.cost is not None] == []


def test_a_missing_cable_costs_what_its_spine_must_push_through_the_rest() -> None:
    fabric = clos()
    links = tuple(
        dataclasses.replace(link, count=1) if (link.a, link.b) == ("leaf-3", "s1") else link for link in fabric.links
    )
    (found,) = examine(dataclasses.replace(fabric, links=links))
    assert (found.kind, found.where, found.says) == ("uneven-trunk", "leaf-3", "1 of 2 cables to s1")
    # 12 GPUs send 4 GPUs a byte each: 24 bytes come down from s1 over one cable, 12 over each before; a NIC takes 15
    assert found.all_to_all == pytest.approx(24 / 15)
    # the ring's one byte is shared by two spines, and no slower than a NIC even over one cable
    assert found.all_reduce == 1.0


def test_hosts_that_lack_a_nic_or_have_a_slow_one() -> None:
    kinds = tuple(
        HostType(name, 4, tuple(Nic(i, speed, i) for i in range(nics)), 4, 450e9)
        for name, nics, speed in (("whole", 4, NIC), ("three", 3, NIC), ("slow", 4, NIC / 4))
    )
    hosts = tuple(Host(f"n{i}", {3: 1, 5: 2}.get(i, 0), 0) for i in range(8))
    fabric = Fabric("f", "ecmp", kinds, hosts, (Tier("leaf", 10.0),), (Group("leaf", 0, rails=4),))
    (missing,) = of_kind(fabric, "missing-nic")
    assert (missing.where, missing.cost) == ("n3", 2.0)
    assert missing.says.startswith("3 NICs, not 4; none on rail 3")
    (slow,) = of_kind(fabric, "slow-nic")
    assert (slow.where, slow.says, slow.cost) == ("n5", "a NIC at 100 Gb/s, not 400 Gb/s", 4.0)


def test_parts_that_nothing_joins() -> None:
    fabric = clos()
    links = tuple(link for link in fabric.links if link.a != "leaf-2")
    (found,) = of_kind(dataclasses.replace(fabric, links=links), "cut-off")
    assert (found.where, found.cost) == ("n[8-11]", np.inf)
    assert found.says == "4 hosts have no path to the others on any rail"
    loose = dataclasses.replace(fabric, hosts=(*fabric.hosts, Host("extra", 0)))
    assert [item.where for item in of_kind(loose, "cut-off")] == ["extra"]


def test_single_trunks() -> None:
    found = of_kind(clos(cables=1, leaves=3), "single-trunk")
    assert found == []  # a cable to each of two spines
    fabric = clos(cables=1)
    links = tuple(link for link in fabric.links if link.b == "s0")
    assert [item.where for item in of_kind(dataclasses.replace(fabric, links=links), "single-trunk")] == [
        f"leaf-{k}" for k in range(4)
    ]
    tree = clos(links=())
    one = tuple(dataclasses.replace(g, uplinks=(1.0,)) if g.parent >= 0 else g for g in tree.groups)
    assert len(of_kind(dataclasses.replace(tree, groups=one), "single-trunk")) == 4


def test_an_uneven_uplink_without_cables() -> None:
    tree = clos(links=())
    less = tuple(dataclasses.replace(g, uplinks=(1.5,)) if g.name == "leaf-1" else g for g in tree.groups)
    (found,) = examine(dataclasses.replace(tree, groups=less))
    assert (found.kind, found.where) == ("uneven-uplink", "leaf-1")
    assert found.says == "600 Gb/s up, not 1.6 Tb/s as most"
    # 4 GPUs send 12 each over 1.5 cables instead of 4; a NIC takes 15
    assert found.all_to_all == pytest.approx(48 / 1.5 / 15)


def test_fewer_hosts_with_fewer_uplinks_are_not_uneven() -> None:
    """The same oversubscription with half the hosts is a small group, not a fault."""
    tree = clos(links=())
    groups = tuple(dataclasses.replace(g, uplinks=(2.0,)) if g.name == "leaf-3" else g for g in tree.groups)
    hosts = tree.hosts[:14]
    found = examine(dataclasses.replace(tree, groups=groups, hosts=hosts))
    assert [item.kind for item in found] == ["uneven-groups"]
    assert found[0].says == "groups hold 2 to 4 hosts; 3 of 4 hold 4"


def test_links_of_nameless_switches_leave_the_uplinks() -> None:
    fabric = clos()
    groups = tuple(dataclasses.replace(g, switches=(), name=f"group-{k}") for k, g in enumerate(fabric.groups))
    (found,) = examine(dataclasses.replace(fabric, groups=groups))
    assert found.kind == "unknown-switches"
    assert found.cost is None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real files are not here")
def test_a_real_fabric_with_degraded_trunks() -> None:
    fabric = open_fabric(str(SAMPLES / "ibnetdiscover" / "topograph-output_ibnetdiscover_example.out")).fabric
    found = examine(fabric)
    trunks = [item for item in found if item.kind == "uneven-trunk"]
    # counted in the file: 263 leaf-spine pairs with two cables, 6 with one, and 10 of 31 x 9 with none
    assert sum(item.says.count("1 of 2 cables") for item in trunks) == 5  # one switch has two of the six
    assert len(trunks) == 12
    assert trunks[0].all_to_all == pytest.approx(2.0, abs=0.05)
    (missing,) = [item for item in found if item.kind == "missing-nic"]
    assert missing.where.count("a05-p1-dgx-01") == 5
