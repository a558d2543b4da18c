"""Changes that make sense of any fabric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fabrics import two_leaves
from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.studies.fabrics import changed, nics_below, without_links
from topoplan.topologies import catalog

FABRIC = parse_fabric(two_leaves())


@settings(max_examples=30, deadline=None)
@given(ratio=st.floats(0.25, 64), nics=st.sampled_from([None, "100 Gb/s", "800 Gb/s"]))
def test_oversubscription_counts_the_nics_below(ratio: float, nics: str | None) -> None:
    fabric = changed(FABRIC, {"oversubscription.leaf": ratio, **({"nic_bandwidth": nics} if nics else {})})
    below = nics_below(fabric)
    for k, group in enumerate(fabric.groups):
        if group.parent >= 0:
            assert below[k].sum() / group.uplink_bandwidth_bytes_per_s == pytest.approx(ratio)
            assert group.link_bandwidth_bytes_per_s == 50e9  # cables stay what they were; there are more or fewer


def test_it_agrees_with_the_file_format() -> None:
    text = two_leaves().replace("uplink: 8 x 400 Gb/s", "oversubscription: 3")
    ours, theirs = changed(FABRIC, {"oversubscription.top": 3}), parse_fabric(text)
    for a, b in zip(ours.groups, theirs.groups, strict=True):
        assert a.uplinks == pytest.approx(b.uplinks)


def test_top_is_the_highest_tier_with_uplinks() -> None:
    fabric = parse_fabric(catalog.text("meta-roce-24k", pods=2, racks=4))
    top = changed(fabric, {"oversubscription.top": 2})
    pods = changed(fabric, {"oversubscription.pod": 2})
    assert [g.uplinks for g in top.groups] == [g.uplinks for g in pods.groups] != [g.uplinks for g in fabric.groups]


def test_other_changes() -> None:
    assert changed(FABRIC, {"routing": "adaptive"}).routing == "adaptive"
    assert set(changed(FABRIC, {"scale_up_bandwidth": "900 GB/s"}).gpu_scale_up) == {900e9}
    faster = changed(FABRIC, {"nic_bandwidth": "800 Gb/s"})
    assert set(faster.port_bandwidth) == {100e9}
    assert [g.uplinks for g in faster.groups] == [g.uplinks for g in FABRIC.groups]
    assert (changed(FABRIC, {"unavailable": "n[0-1]"}).free_gpus[:3] == [0, 0, 4]).all()
    assert (np.flatnonzero(changed(FABRIC, {"unavailable": 2}).free_gpus == 0) == [3, 10, 11]).all()
    assert changed(FABRIC, {}) is FABRIC


def test_lost_links_never_go_below_none() -> None:
    worse = without_links(FABRIC, [(1, 0)] * 3)
    assert worse.groups[1].uplinks == (0.0, 2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oversubscription.pod": 2}, "no tier 'pod'"),
        ({"oversubscription.core": 2}, "no uplink to change"),
        ({"oversubscription.leaf": 0}, "number above 0"),
        ({"oversubscription.leaf": "2"}, "number above 0"),
        ({"nic_bandwidth": 400}, "nic_bandwidth"),
        ({"unavailable": "n99"}, "n99"),
        ({"unavailable": "n["}, "unavailable"),
        ({"unavailable": 12}, "not 0 to 10"),
        ({"unavailable": 0.5}, "unavailable"),
        ({"speed": 2}, "can be varied"),
    ],
)
def test_changes_that_cannot_be(changes: dict[str, str | int | float], words: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(FABRIC, changes)
    assert words in str(caught.value)


def test_a_lone_host_type_has_no_tiers() -> None:
    lone = replace(FABRIC, tiers=(), groups=(), hosts=tuple(replace(h, group=-1) for h in FABRIC.hosts))
    with pytest.raises(InputError, match="no tier 'top'"):
        changed(lone, {"oversubscription.top": 2})
