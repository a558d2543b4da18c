"""Rows of the tree of groups."""

from __future__ import annotations

import numpy as np
import pytest

from topoplan.model.below import below
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.planning.inputs import open_fabric
from topoplan.planning.tree import tree_rows


def fabric(spec: str) -> Fabric:
    return open_fabric(spec).fabric


def test_siblings_that_are_alike_share_a_row() -> None:
    rows = tree_rows(fabric("meta-roce-24k:pods=3,racks=5,broken=host-2-4-1"))
    assert [(row.depth, row.name, len(row.groups), row.hosts, row.free, row.broken) for row in rows] == [
        (0, "core", 1, 30, 232, 8),
        (1, "pod-1,pod-3", 2, 10, 80, 0),
        (2, "rack-1-[1-5]", 5, 2, 16, 0),
        (1, "pod-2", 1, 10, 72, 8),
        (2, "rack-2-1 ..", 4, 2, 16, 0),
        (2, "rack-2-4", 1, 2, 8, 8),
    ]
    assert [(row.uplink, row.oversubscription) for row in rows[:3]] == [
        ("", ""), ("11.429 x 400 Gb/s", "7:1"), ("32 x 400 Gb/s", "0.5:1")
    ]  # fmt: skip


def test_every_group_is_in_one_row_without_folding_and_counted_with_it() -> None:
    whole = fabric("dgx-b200-superpod:units=10,broken=3")
    assert [row.groups for row in tree_rows(whole, fold=False) if len(row.groups) > 1] == []
    assert sorted(row.groups[0] for row in tree_rows(whole, fold=False)) == sorted(g.name for g in whole.groups)
    leaves = [row for row in tree_rows(whole) if row.depth == 1]
    assert sum(len(row.groups) * row.hosts for row in leaves) == 320
    assert sum(len(row.groups) * row.broken for row in leaves) == 24


def test_groups_are_alike_only_if_all_below_them_is() -> None:
    """Two pods of six hosts, one as three and three, one as two and four; the same uplinks."""
    kind = HostType("box", 1, (Nic(0, 50e9, 0),), 1, 0.0)
    groups = [Group("core", 2), *(Group(f"pod-{p}", 1, 0, 1, (4.0,), 50e9) for p in range(2))]
    groups += [Group(f"leaf-{k}", 0, 1 + k // 2, 1, (4.0,), 50e9) for k in range(4)]
    sizes = (3, 3, 2, 4)
    hosts = tuple(Host(f"n{k}-{i}", 0, 3 + k) for k, size in enumerate(sizes) for i in range(size))
    it = Fabric("f", "ecmp", (kind,), hosts, (Tier("leaf", 10.0), Tier("pod", 20.0), Tier("core", 40.0)), tuple(groups))
    assert [row.groups for row in tree_rows(it)] == [
        ("core",), ("pod-0",), ("leaf-0", "leaf-1"), ("pod-1",), ("leaf-2",), ("leaf-3",)
    ]  # fmt: skip


def test_hosts_are_below_a_group_in_each_plane() -> None:
    rows = tree_rows(fabric("alibaba-hpn7:pods=2,segments=2"))
    assert [(row.groups, row.hosts, row.free) for row in rows] == [
        (("core",), 544, 4096),
        (("agg-1-p0", "agg-1-p1", "agg-2-p0", "agg-2-p1"), 272, 2048),
        (("seg-1-1-p0", "seg-1-2-p0"), 136, 1024),
    ]
    assert [row.oversubscription for row in rows] == ["", "15:1", "1.1:1"]


def test_names_fit_the_terminal() -> None:
    for spec in ("meta-roce-24k:broken=90", "alibaba-hpn7", "dgx-b200-superpod:units=64,broken=20"):
        assert all(2 * row.depth + len(row.name) <= 20 for row in tree_rows(fabric(spec)))


@pytest.mark.parametrize("spec", ["two-pods-fragmented", "aws-p5", "alibaba-hpn7:pods=2,segments=2"])
def test_below_is_the_slow_sum(spec: str) -> None:
    it = fabric(spec)
    found = below(it)
    for k, group in enumerate(it.groups):
        hosts = set()
        total = 0.0
        for h in range(len(it.hosts)):
            for rail in range(it.rails):
                for plane in range(it.planes):
                    here = int(it.port_group[plane, h * it.rails + rail])
                    while here >= 0 and here != k:
                        here = it.groups[here].parent
                    if here == k:
                        hosts.add(h)
                        total += it.port_bandwidth[h * it.rails + rail] / it.planes
        assert found.hosts[k].tolist() == sorted(hosts)
        assert found.bandwidth[k].sum() == pytest.approx(total)
        if group.rails == 1:
            assert not np.any(found.bandwidth[k, 1:])
