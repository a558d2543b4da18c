"""Writers of formats that know trees: what they write reads back, less what their docstrings leave out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Attachment, Fabric, Group, Host, Island, Tier
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies import catalog, formats, writers

TRAY = HostType("tray", 4, tuple(Nic(i, 50e9, i) for i in range(4)), 4, 900e9)
# Names with what host lists, YAML and Kubernetes might take for something else.
ODD = [
    "1101",
    "0x1f",
    "no",
    "null",
    "1e5",
    "n-01",
    "n-1",
    "a.b",
    "a1-2",
    "01-02",
    "r_9",
    "N9",
    "true",
    "k" * 70,
    "x" * 63,
]
ODD_GROUPS = [*ODD, "rack 1", "a,b", "sw[1-2]", "ü", "#x", "-", "A=B", "unplaced", "above", "n-01-direct", '"q"', "a:b"]
DNS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
TREE_FORMATS = ["slurm", "slurm-yaml", "topograph", "hypernode", "kueue"]
ISLAND_FORMATS = ["slurm-block", "slurm-yaml", "topograph", "kueue"]
JOINED = {"hypernode", "kueue"}  # a forest gets a group above


def unique(names: list[str], fixed: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.one_of(st.sampled_from(names), fixed), min_size=1, max_size=14, unique=True)


HOST_NAMES = unique(ODD, st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,8}[a-zA-Z0-9])?", fullmatch=True))
GROUP_NAMES = unique(ODD_GROUPS, st.text(min_size=1, max_size=8))


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Forests of up to four tiers, some hosts beside groups and some groups without hosts, some islands."""
    names = draw(GROUP_NAMES)
    depth = draw(st.integers(1, 4))
    tier = [draw(st.integers(0, depth - 1)) for _ in names]
    parent = []
    for k in range(len(names)):
        above = [p for p in range(len(names)) if tier[p] > tier[k]]
        parent.append(draw(st.sampled_from([-1, *above])))
    groups = tuple(
        Group(name, tier[k], parent[k], 1, (2.0,) if parent[k] >= 0 else (), 50e9) for k, name in enumerate(names)
    )
    hosts = tuple(Host(name, 0, draw(st.integers(0, len(names) - 1))) for name in draw(HOST_NAMES))
    colour = [draw(st.integers(0, 3)) for _ in hosts]
    islands = tuple(
        Island(f"nvl {c}" if c % 2 else f"nvl-{c}", tuple(h for h, own in enumerate(colour) if own == c), 900e9)
        for c in range(3)
        if colour.count(c) > 1
    )
    tiers = tuple(Tier(f"t {t}", 10.0 * 2**t) for t in range(depth))
    return Fabric("odd\nname: x", "ecmp", (TRAY,), hosts, tiers, groups, islands)


def shape(fabric: Fabric, *, joined: bool = False) -> object:
    """The tree as nested lists of hosts: what is left when names of groups and skipped tiers do not count.

    Groups without hosts are no more, hosts beside groups are a group, and chains of groups keep their length.
    """
    below: dict[int, list[object]] = {k: [] for k in range(-1, len(fabric.groups))}
    hosts: dict[int, list[str]] = {k: [] for k in range(len(fabric.groups))}
    for name, k in zip(fabric.host_names, fabric.host_group.tolist(), strict=True):
        hosts[k].append(name)
    for k in sorted(range(len(fabric.groups)), key=lambda k: fabric.groups[k].tier):
        own = tuple(sorted(hosts[k]))
        if own and below[k]:
            below[k].append((own, ()))
            own = ()
        if own or below[k]:
            below[fabric.groups[k].parent].append((own, tuple(sorted(below[k], key=repr))))
    roots = tuple(sorted(below[-1], key=repr))
    return (((), roots),) if joined and len(roots) > 1 else roots


def islands(fabric: Fabric) -> set[frozenset[str]]:
    return {frozenset(fabric.host_names[h] for h in i.hosts) for i in fabric.islands if len(i.hosts) > 1}


def back(fabric: Fabric, name: str) -> Fabric:
    reader = {"kueue": "kubernetes"}.get(name, name)
    text = writers.write(fabric, name)
    return formats.read(text, name="back", format=reader)


def with_dns_names(fabric: Fabric) -> Fabric:
    names = [h.name.lower().replace("_", "-").strip("-.") for h in fabric.hosts]
    fine = [name if DNS.fullmatch(name) and names.count(name) == 1 else f"host{i}" for i, name in enumerate(names)]
    return replace(fabric, hosts=tuple(replace(h, name=n) for h, n in zip(fabric.hosts, fine, strict=True)))


@pytest.mark.parametrize("name", TREE_FORMATS)
@settings(max_examples=60, deadline=None)
@given(fabric=fabrics())
def test_trees_come_back(name: str, fabric: Fabric) -> None:
    if name in JOINED:
        fabric = with_dns_names(fabric)
    found = back(fabric, name)
    assert set(found.host_names) == set(fabric.host_names)
    assert shape(found) == shape(fabric, joined=name in JOINED)


@pytest.mark.parametrize("name", ISLAND_FORMATS)
@settings(max_examples=60, deadline=None)
@given(fabric=fabrics())
def test_islands_come_back(name: str, fabric: Fabric) -> None:
    if name == "kueue":
        fabric = with_dns_names(fabric)
    if name == "slurm-block" and not islands(fabric):
        return
    assert islands(back(fabric, name)) == islands(fabric)


@pytest.mark.parametrize("name", TREE_FORMATS)
def test_names_that_fit_stay(name: str) -> None:
    groups = (Group("top.1", 1), Group("leaf-1", 0, 0, 1, (1.0,), 1e9), Group("leaf-2", 0, 0, 1, (1.0,), 1e9))
    hosts = (Host("n1", 0, 1), Host("n2", 0, 2))
    fabric = Fabric("f", "ecmp", (TRAY,), hosts, (Tier("leaf", 10), Tier("spine", 20)), groups)
    found = back(fabric, name)
    assert {g.name: g.parent for g in found.groups} == {"top.1": -1, "leaf-1": 0, "leaf-2": 0}
    assert [(h.name, found.groups[h.group].name) for h in found.hosts] == [("n1", "leaf-1"), ("n2", "leaf-2")]


@pytest.mark.parametrize("name", TREE_FORMATS)
def test_fabrics_without_groups(name: str) -> None:
    fabric = Fabric("f", "ecmp", (TRAY,), (Host("n1", 0), Host("n2", 0)))
    assert [g.name for g in back(fabric, name).groups] == ["all"]


def test_blocks_without_islands_are_leaves() -> None:
    groups = (Group("top", 1), Group("a", 0, 0, 1, (1.0,), 1e9), Group("b", 0, 0, 1, (1.0,), 1e9))
    hosts = tuple(Host(f"n{i}", 0, 1 + i // 3) for i in range(5))
    fabric = Fabric("f", "ecmp", (TRAY,), hosts, (Tier("leaf", 10), Tier("spine", 20)), groups)
    text = writers.write(fabric, "slurm-block")
    assert text.splitlines()[1:] == ["BlockName=a Nodes=n[0-2]", "BlockName=b Nodes=n[3-4]", "BlockSizes=2,4"]


def test_hosts_outside_blocks_are_named() -> None:
    hosts = tuple(Host(f"n{i}", 0) for i in range(4))
    fabric = Fabric("f", "ecmp", (TRAY,), hosts, islands=(Island("a", (0, 1), 9e11),))
    text = writers.write(fabric, "slurm-block")
    assert "# in no NVLink domain and so in no block: n[2-3]" in text


def test_a_host_hangs_from_its_first_group() -> None:
    groups = (Group("a", 0), Group("b", 0))
    host = Host("n1", 0, -1, (Attachment(0, 1), Attachment(1, 0, 1)))
    fabric = Fabric("f", "ecmp", (TRAY,), (host,), (Tier("leaf", 10),), groups)
    assert "SwitchName=b Nodes=n1" in writers.write(fabric, "slurm")
    assert "SwitchName=a" not in writers.write(fabric, "slurm")


def test_kubernetes_names() -> None:
    hosts = (Host("Node_1", 0, aliases=(("k8s", "node-1.example"),)), Host("n2", 0))
    fabric = Fabric("f", "ecmp", (TRAY,), hosts)
    for name in JOINED:
        assert set(back(fabric, name).host_names) == {"node-1.example", "n2"}
        with pytest.raises(InputError, match="cannot be the name of a Kubernetes node"):
            writers.write(replace(fabric, hosts=(Host("Node_1", 0),)), name)


def test_kueue_fills_every_level() -> None:
    groups = (Group("top", 2), Group("mid", 1, 0, 1, (1.0,), 1.0), Group("a", 0, 1, 1, (1.0,), 1.0),
              Group("b", 0, 0, 1, (1.0,), 1.0))  # fmt: skip
    tiers = (Tier("leaf", 10), Tier("pod", 20), Tier("core", 40))
    fabric = Fabric("f", "ecmp", (TRAY,), (Host("n1", 0, 2), Host("n2", 0, 3)), tiers, groups)
    text = writers.write(fabric, "kueue")
    assert re.findall(r"nodeLabel: (\S+)", text) == [
        "topoplan.io/core", "topoplan.io/pod", "topoplan.io/leaf", "kubernetes.io/hostname"
    ]  # fmt: skip
    assert "topoplan.io/pod: b" in text.split("name: n2")[1]


@pytest.mark.parametrize("name", [w.name for w in writers.WRITERS])
def test_same_fabric_same_bytes(name: str) -> None:
    text = catalog.text("two-pods-fragmented")
    one, two = (writers.write(parse_fabric(text, "x"), name) for _ in range(2))
    assert one == two
    assert one.endswith("\n")


def test_unknown_format() -> None:
    hosts = (Host("n1", 0),)
    with pytest.raises(InputError, match="did you mean 'slurm'"):
        writers.write(Fabric("f", "ecmp", (TRAY,), hosts), "slrum")


def test_names_are_unique() -> None:
    assert len({w.name for w in writers.WRITERS}) == len(writers.WRITERS)
    assert all(w.description for w in writers.WRITERS)
