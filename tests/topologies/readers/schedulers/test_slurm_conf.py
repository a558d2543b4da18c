"""The topology.conf reader."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, HostType, Nic
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions

TREE = """
# two racks
switchname=core SWITCHES=rack[1-2]
SwitchName=rack2 Nodes=n[10-11],n9   LinkSpeed=4   # trailing words
SwitchName=rack1 \\
    Nodes=n[1-2]
"""


def read(text: str, **kwargs: Any) -> Fabric:
    return formats.read(text, name="topology.conf", format="slurm", options=ReadOptions(**kwargs))


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tree(end: str) -> None:
    fabric = read(TREE.replace("\n", end))
    assert fabric.name == "topology"
    assert fabric.host_names == ("n1", "n2", "n9", "n10", "n11")
    groups = [(g.name, g.tier, g.parent, g.uplinks) for g in fabric.groups]
    assert groups == [("core", 1, -1, ()), ("rack1", 0, 0, (16.0,)), ("rack2", 0, 0, (24.0,))]
    assert fabric.gpus == 5 * 8
    assert fabric.routing == "ecmp"
    assert {"1:1", "8 GPUs"} <= {part for part in ("1:1", "8 GPUs") if any(part in line for line in fabric.assumed)}


def test_unbalanced_forest() -> None:
    fabric = read(
        "SwitchName=root Switches=mid,rack3\nSwitchName=mid Switches=rack[1-2]\n"
        "SwitchName=rack1 Nodes=a1\nSwitchName=rack2 Nodes=a2\nSwitchName=rack3 Nodes=a3\nSwitchName=alone Nodes=b1\n"
    )
    tier = {g.name: fabric.tiers[g.tier].name for g in fabric.groups}
    assert tier == {"root": "core", "mid": "pod", "rack1": "leaf", "rack2": "leaf", "rack3": "leaf", "alone": "leaf"}
    parent = {g.name: fabric.groups[g.parent].name for g in fabric.groups if g.parent >= 0}
    assert parent["rack3"] == "root"
    assert fabric.host_component[fabric.host_index["b1"]] != fabric.host_component[fabric.host_index["a1"]]
    assert next(g.uplinks for g in fabric.groups if g.name == "mid") == (16.0,)


def test_host_type_is_used_whole() -> None:
    kind = HostType("mine", 4, tuple(Nic(i, 25e9, i) for i in range(2)), 4, 300e9)
    fabric = read(TREE, host_type=kind, routing="adaptive")
    assert fabric.host_types == (kind,)
    assert fabric.routing == "adaptive"
    rack = next(g for g in fabric.groups if g.name == "rack1")
    assert (rack.uplinks, rack.link_bandwidth_bytes_per_s) == ((4.0,), 25e9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SwitchName=a Switches=b\n", ":1: switch a lists b, which no SwitchName defines"),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2\n", ":2: switch a is listed twice"),
        ("SwitchName=a Nodes=n1\nSwitchName=b Nodes=n1\n", "host n1 is under a and under b"),
        ("SwitchName=a Nodes=n1,n1\n", "lists a host twice"),
        ("SwitchName=x Switches=c\nSwitchName=y Switches=c\nSwitchName=c Nodes=n1\n", "under x and under y"),
        ("SwitchName=a Switches=b\nSwitchName=b Switches=a\n", "above itself"),
        ("SwitchName=a Switches=a\n", "above itself"),
        ("SwitchName=a\n", "neither Switches nor Nodes"),
        ("SwitchName=a Nodes=n1 Switches=b\n", "both"),
        ("SwitchName=a Nodes=n[1-\n", "brackets"),
        ("SwitchName=a Nodes=n[5-1]\n", "backwards"),
        ("SwitchName=a Nodes=n1;reboot\n", "refused"),
        ("SwitchName=a Nodes=n[1-9999999]\n", "more than"),
        ("SwitchName=a Nods=n1\n", "unknown key 'Nods'"),
        ("SwitchName=a nonsense\n", "not Key=Value"),
        ("Nodes=n1\n", "without SwitchName"),
        ("Include other.conf\n", "not followed"),
        ("SwitchName=a Nodes=n1 RingName=b\n", ":1: RingName has no place beside SwitchName"),
        ("\n", "no SwitchName"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert message in refusal(text)


def test_rail_guid_files_are_explained() -> None:
    text = refusal("SwitchName=rail0 Nodes=n[1-2]\nSwitchName=rail1 Nodes=n[1-2]\n")
    assert "GUIDs" in text


def test_a_long_chain_is_refused() -> None:
    chain = "".join(f"SwitchName=s{n} Switches=s{n + 1}\n" for n in range(5000)) + "SwitchName=s5000 Nodes=n1\n"
    assert "levels deep" in refusal(chain)


WORDS = st.sampled_from(
    [
        *("SwitchName=a", "SwitchName=b", "switchname=c", "Switches=b", "Switches=a,c", "Nodes=n[1-3]", "Nodes=n1"),
        *("Nodes=[[", "LinkSpeed=", "# x", "\\", "\n", "\n", "\n", "\r\n", '"', "=", "BlockName=q", 'Nodes="m[1-2]"'),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=20))
def test_no_text_breaks_the_reader(words: list[str]) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(read(" ".join(words)), Fabric)


@pytest.mark.parametrize(
    ("name", "hosts", "groups", "tiers"),
    [
        ("azslurm-slurm_topology.txt", 16, 6, 2),
        ("slurm-test133_1-case1.conf", 10_000, 529, 4),
        ("slurm-test133_1-case3.conf", 400, 23, 3),
        ("slurm-test133_1-case4.conf", 400, 22, 2),
        ("slurm-test133_1-case5.conf", 400, 22, 2),
    ],
)
def test_real_files(shared_dir: Path, name: str, hosts: int, groups: int, tiers: int) -> None:
    fabric = formats.read((shared_dir / "slurm_topology" / name).read_text(), name=name)
    assert (len(fabric.hosts), len(fabric.groups), len(fabric.tiers)) == (hosts, groups, tiers)
