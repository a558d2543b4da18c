"""Fabric -> writer -> reader -> the same Fabric, less what the docstring of the writer says."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Attachment, Fabric, Group, Host, Island, Tier
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies import catalog, formats
from topoplan.topologies.writers import write

SMALL = ("azure-ndv5", "dgx-a100-superpod", "gb200-nvl72", "rail-only", "two-pods-fragmented")
NICS = (12.5e9, 25e9, 50e9)
SCALE_UP = (150e9, 300e9, 450e9, 900e9)


@st.composite
def trees(draw: st.DrawFn) -> Fabric:
    """Fabrics as sites build them: rails or not, two or three tiers, planes, mixed hosts, uneven uplinks.

    Every group above the leaves has two children or more, and every leaf group a host: no list of cables shows others.
    """
    rails = draw(st.sampled_from([1, 2, 4]))
    planes = draw(st.sampled_from([1, 1, 2]))
    apart = rails > 1 and draw(st.booleans())
    tiers = draw(st.integers(2, 3))
    kinds = []
    speed = draw(st.sampled_from(NICS))
    for n in range(draw(st.integers(1, 2))):
        per_nic = draw(st.sampled_from([1, 2]))
        gpus = rails * per_nic
        nics = tuple(Nic(rail, speed, rail * per_nic) for rail in range(rails))
        domain = draw(st.sampled_from([gpus, 1]))
        kinds.append(HostType(f"kind-{n}", gpus, nics, domain, draw(st.sampled_from(SCALE_UP))))
    groups = [Group("top", tiers - 1)]
    parents = [0]
    if tiers == 3:
        groups += [Group(f"pod-{pod}", 1, 0, 1, (1.0,), 50e9) for pod in range(draw(st.integers(2, 3)))]
        parents = list(range(1, len(groups)))
    leaves: list[list[int]] = []
    for parent in parents:
        for _ in range(draw(st.integers(2, 3))):
            leaves.append([])
            for plane in range(planes):
                wide = rails if apart else 1
                uplinks = tuple(float(draw(st.integers(1, 16))) for _ in range(wide))
                leaves[-1].append(len(groups))
                groups.append(Group(f"rack{len(leaves)}{'ab'[plane]}", 0, parent, wide, uplinks, 50e9))
    for k in parents if tiers == 3 else ():  # a pod with far more cables above than below looks like a core
        inside = sum(sum(group.uplinks) for group in groups if group.parent == k)
        groups[k] = replace(groups[k], uplinks=(float(draw(st.integers(1, 2 * int(inside)))),))
    hosts = []
    for n, leaf in enumerate(leaves):
        for h in range(draw(st.integers(2, 4))):
            kind = draw(st.integers(0, len(kinds) - 1))
            attach = tuple(Attachment(nic, group, plane) for nic in range(rails) for plane, group in enumerate(leaf))
            hosts.append(Host(f"n{n}-{h}", kind, -1 if planes > 1 else leaf[0], attach if planes > 1 else ()))
    tier_list = tuple(Tier(name, 10.0 * 2**t) for t, name in enumerate(("leaf", "pod", "core")[:tiers]))
    used = sorted({host.type for host in hosts})
    hosts = [Host(host.name, used.index(host.type), host.group, host.attach) for host in hosts]
    return Fabric("made", "ecmp", tuple(kinds[k] for k in used), tuple(hosts), tier_list, tuple(groups))


def near(value: float) -> float:
    return float(f"{value:.9g}")


def host_facts(fabric: Fabric) -> dict[str, object]:
    """What a list of cables holds of each host."""
    facts: dict[str, object] = {}
    for host in fabric.hosts:
        kind = fabric.host_types[host.type]
        speed = near(kind.scale_up_bandwidth_bytes_per_s) if kind.scale_up_gpus > 1 else 0.0
        nics = tuple(sorted((nic.rail, near(nic.bandwidth_bytes_per_s), nic.gpu) for nic in kind.nics))
        facts[host.name.replace(".", "-")] = (kind.gpus, kind.domain_of_gpu, speed, nics)
    return facts


def group_facts(fabric: Fabric) -> list[tuple[object, ...]]:
    """Tier, hosts below and bytes/s upwards on each rail of every group, whatever it is called."""
    below: list[set[str]] = [set() for _ in fabric.groups]
    for host in fabric.hosts:
        above = {item.group for item in host.attach} or {host.group}
        while above:
            for k in above:
                below[k].add(host.name.replace(".", "-"))
            above = {fabric.groups[k].parent for k in above} - {-1}
    return sorted(
        (
            group.tier,
            tuple(sorted(below[k])),
            tuple(sorted(near(links * group.link_bandwidth_bytes_per_s) for links in group.uplinks)),
        )
        for k, group in enumerate(fabric.groups)
        if below[k]
    )


def again(fabric: Fabric, name: str) -> Fabric:
    text = write(fabric, name)
    assert text == write(fabric, name)
    assert formats.detect(text).name == name
    return formats.read(text, name=fabric.name)


@pytest.mark.parametrize("name", ["graphml", "node-link"])
@pytest.mark.parametrize("fabric_name", SMALL)
def test_graphs_hold_all(name: str, fabric_name: str) -> None:
    fabric = parse_fabric(catalog.text(fabric_name), fabric_name)
    found = again(fabric, name)
    for field in fields(Fabric):
        assert getattr(found, field.name) == getattr(fabric, field.name), field.name


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(fabric=trees(), name=st.sampled_from(["graphml", "node-link", "infragraph", "simgrid"]))
def test_made_fabrics_read_back(fabric: Fabric, name: str) -> None:
    found = again(fabric, name)
    assert host_facts(found) == host_facts(fabric)
    assert group_facts(found) == group_facts(fabric)
    assert found.planes == fabric.planes
    if name in ("graphml", "node-link"):
        assert found.hosts == fabric.hosts
        assert found.host_types == fabric.host_types


@pytest.mark.parametrize("name", ["infragraph", "simgrid"])
@pytest.mark.parametrize(
    "fabric_name",
    ["azure-ndv5:units=2", "dgx-a100-superpod:units=2", "gb200-nvl72:racks=2", "rail-only:leaves=2", SMALL[-1]]
    + [pytest.param(name, marks=pytest.mark.slow) for name in SMALL[:-1]],
)
def test_catalogue_reads_back(name: str, fabric_name: str) -> None:
    entry, _, size = fabric_name.partition(":")
    sizes = {size.partition("=")[0]: int(size.partition("=")[2])} if size else {}
    fabric = parse_fabric(catalog.text(entry, **sizes), fabric_name)
    found = again(fabric, name)
    assert host_facts(found) == host_facts(fabric)
    assert group_facts(found) == group_facts(fabric)
    if name == "simgrid":
        assert [island.hosts for island in found.islands] == [island.hosts for island in fabric.islands]


KINDS = st.builds(
    lambda gpus, speed, each: HostType(
        "kind", gpus, tuple(Nic(n, speed, n // each, f"mlx5_{n}") for n in range(gpus * each)), gpus, 450e9
    ),
    st.sampled_from([2, 4, 8]),
    st.sampled_from(NICS),
    st.sampled_from([1, 2]),
)


@settings(deadline=None, max_examples=30)
@given(kind=KINDS, bandwidth=st.sampled_from(SCALE_UP), planes=st.sampled_from([1, 2]))
def test_nccl_holds_the_host(kind: HostType, bandwidth: float, planes: int) -> None:
    tiers = (Tier("leaf", 10.0),)
    groups = tuple(Group(f"leaf-{p}", 0, rails=len(kind.nics)) for p in range(planes))
    attach = tuple(Attachment(n, n % planes, n % planes) for n in range(len(kind.nics)))
    kind = HostType("kind", kind.gpus, kind.nics, kind.gpus, bandwidth)
    fabric = Fabric("f", "ecmp", (kind,), tuple(Host(f"n{h}", 0, -1, attach) for h in range(3)), tiers, groups)
    text = write(fabric, "nccl")
    found = formats.read(text, name="x").host_types[0]
    assert (found.gpus, found.scale_up_gpus, found.scale_up_bandwidth_bytes_per_s) == (kind.gpus, kind.gpus, bandwidth)
    assert [(n.rail, n.bandwidth_bytes_per_s, n.gpu, n.name) for n in found.nics] == [
        (n.rail, n.bandwidth_bytes_per_s, n.gpu, n.name) for n in kind.nics
    ]
    assert [n.plane for n in found.nics] == [n % planes for n in range(len(kind.nics))]


def test_what_cannot_be_written_is_refused() -> None:
    a, b = (HostType(name, 1, (Nic(0, 50e9, 0),), 1, 1e9) for name in "ab")
    mixed = Fabric("f", "ecmp", (a, b), (Host("x", 0), Host("y", 1)))
    with pytest.raises(InputError, match="types a, b"):
        write(mixed, "nccl")
    with pytest.raises(InputError, match="host x hangs from no group"):
        write(mixed, "infragraph")
    dots = Fabric("f", "ecmp", (a,), (Host("x.y", 0, 0), Host("x-y", 0, 0)), (Tier("leaf", 10.0),), (Group("l", 0),))
    with pytest.raises(InputError, match="two names become 'x-y'"):
        write(dots, "infragraph")
    clash = Fabric("f", "ecmp", (a,), (Host("l", 0, 0),), (Tier("leaf", 10.0),), (Group("l", 0),))
    with pytest.raises(InputError, match="l is a host and a switch"):
        write(clash, "simgrid")
    strange = Fabric("f", "ecmp", (a,), (Host("x", 0),), warnings=("\x07",))
    assert formats.read(write(strange, "node-link")).warnings == ("\x07",)


def test_islands_wider_than_hosts_survive_simgrid() -> None:
    kind = HostType("tray", 4, tuple(Nic(n, 50e9, n) for n in range(4)), 4, 900e9)
    hosts = tuple(Host(f"t{n}", 0, 0) for n in range(4))
    fabric = Fabric(
        "f", "ecmp", (kind,), hosts, (Tier("leaf", 10.0),), (Group("leaf", 0),), (Island("r", (0, 1, 2, 3), 900e9),)
    )
    found = again(fabric, "simgrid")
    assert [(island.hosts, island.bandwidth_bytes_per_s) for island in found.islands] == [((0, 1, 2, 3), 900e9)]
