"""Failures, each or at random."""

from __future__ import annotations

import pytest

from tests.fabrics import two_leaves
from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.studies.failures import broken, failures
from topoplan.studies.model import FailureSpec

FABRIC = parse_fabric(two_leaves())  # n3 is broken


def test_each_host_leaf_and_uplink() -> None:
    hosts = list(failures(FABRIC, [FailureSpec("host")]))
    assert [f.what for f in hosts] == [f"n{i}" for i in range(12) if i != 3]
    leaves = list(failures(FABRIC, [FailureSpec("leaf")]))
    assert [(f.what, len(f.hosts)) for f in leaves] == [("leaf-0", 5), ("leaf-1", 6)]
    links = list(failures(FABRIC, [FailureSpec("uplink")]))
    assert len(links) == 2 * 4
    assert links[5].what == "uplink leaf-1 rail 1"
    assert broken(FABRIC, links[5]).groups[2].uplinks == (2.0, 1.0, 2.0, 2.0)
    assert broken(FABRIC, leaves[0]).free_gpus.sum() == 24
    assert [f.count for f in failures(FABRIC, [FailureSpec()])] == [0]


def test_random_failures_are_nested_and_differ_by_draw_and_seed() -> None:
    spec = FailureSpec("host", (1, 3, 11), draws=4, seed=7)
    found = list(failures(FABRIC, [spec]))
    assert [f.count for f in found] == [1] * 4 + [3] * 4 + [11] * 4
    for draw in range(4):
        assert set(found[draw].hosts) <= set(found[4 + draw].hosts)
    assert len({f.hosts for f in found[4:8]}) > 1
    assert [f.hosts for f in failures(FABRIC, [spec])] == [f.hosts for f in found]
    other = list(failures(FABRIC, [FailureSpec("host", (3,), draws=4, seed=8)]))
    assert {f.hosts for f in other} != {f.hosts for f in found[4:8]}


def test_leaf_means_the_lowest_tier_whatever_its_name() -> None:
    racks = parse_fabric(two_leaves().replace("[leaf, core]", "[rack, core]").replace("tier: leaf", "tier: rack"))
    assert [f.what for f in failures(racks, [FailureSpec("leaf")])] == ["leaf-0", "leaf-1"]


@pytest.mark.parametrize(("spec", "words"), [(FailureSpec("pod"), "'pod'"), (FailureSpec("host", (12,)), "12 of 11")])
def test_failures_that_cannot_be(spec: FailureSpec, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(failures(FABRIC, [spec]))
