"""Blocks and rings of topology.conf, and what scontrol shows."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType, Nic
from topoplan.names import expand
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions

BLOCKS = "BlockName=b2 Nodes=n[1-3]\nBlockName=b1 Nodes=n[10-12]\nBlockSizes=3,6\n"
HGX = HostType("hgx", 8, tuple(Nic(i, 50e9, i) for i in range(8)), 8, 450e9)


def read(text: str, **kwargs: Any) -> Fabric:
    return formats.read(text, name="topology.conf", options=ReadOptions(**kwargs))


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def test_blocks_are_groups_and_islands() -> None:
    fabric = read(BLOCKS)
    assert [(g.name, g.tier, g.parent) for g in fabric.groups] == [("above", 1, -1), ("b2", 0, 0), ("b1", 0, 0)]
    assert [(i.name, i.hosts) for i in fabric.islands] == [("b2", (0, 1, 2)), ("b1", (3, 4, 5))]
    assert fabric.gpus == 6 * 4
    assert int(fabric.gpu_island.max()) + 1 == 2
    assert any("blocks: NVLink islands" in line for line in fabric.assumed)
    assert any("block sizes 3, 6" in line for line in fabric.warnings)


def test_blocks_of_machines_with_nvlink_inside_are_groups_only() -> None:
    fabric = read(BLOCKS, host_type=HGX)
    assert not fabric.islands
    assert any("groups of the network only, as hgx" in line for line in fabric.assumed)


def test_blocks_wider_than_a_rack_are_groups_only() -> None:
    fabric = read("BlockName=a Nodes=n[1-19]\n")
    assert not fabric.islands
    assert fabric.gpus == 19 * 8
    assert any("no NVLink domain more than 18" in line for line in fabric.assumed)


def test_switches_and_blocks_in_one_file() -> None:
    fabric = read("SwitchName=top Nodes=n[1-4],m\nBlockName=a Nodes=n[1-2]\nBlockName=b Nodes=n[3-4]\n")
    assert [g.name for g in fabric.groups] == ["top"]
    assert [(i.name, [fabric.host_names[h] for h in i.hosts]) for i in fabric.islands] == [
        ("a", ["n1", "n2"]),
        ("b", ["n3", "n4"]),
    ]


def test_a_ring_keeps_its_order() -> None:
    fabric = read("RingName=r Nodes=n[3,1,2]\n")
    assert fabric.host_names == ("n3", "n1", "n2")
    assert [g.name for g in fabric.groups] == ["r"]
    assert any("rings:" in line for line in fabric.assumed)


def test_empty_blocks_hold_a_place() -> None:
    fabric = read("BlockName=a Nodes=n[1-2]\nBlockName=gap\nBlockName=b Nodes=n[3-4]\nBlockSizes=2\n")
    assert [i.name for i in fabric.islands] == ["a", "b"]
    assert "block gap has no nodes" in fabric.warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BlockName=a Nodes=n[1-2]\nBlockName=b Nodes=n3\nBlockSizes=2\n", "block b has 1 nodes, which is illegal"),
        ("BlockName=a Nodes=n[1-2]\nBlockName=b Nodes=n3\n", "the first block has 2 and BlockSizes is not given"),
        ("BlockName=a Nodes=n[1-4]\nBlockSizes=4,12\n", ":2: BlockSizes 12 is illegal in Slurm: it is not 4"),
        ("BlockName=a Nodes=n[1-4]\nBlockSizes=-1\n", ":2: BlockSizes -1 is illegal"),
        ("BlockName=a Nodes=n[1-4]\nBlockSizes=many\n", "not a list of numbers"),
        ("BlockName=a Nodes=n1\nBlockName=b Nodes=n1\n", "host n1 is in blocks a and b"),
        ("BlockName=a Nodes=n1\nBlockName=a Nodes=n2\n", ":2: block a is listed twice (first in line 1)"),
        ("#BlockName=a Nodes=n[1-4]\nBlockSizes=5\n", ":2: no block is left: 1 blocks such as a are commented out"),
        ("BlockSizes=5\n", "no BlockName"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert message in refusal(text)


def test_undersized_blocks_are_told_what_to_write() -> None:
    assert "BlockSizes=3" in refusal("# BlockName=a Nodes=n[1-4]\n#BlockName=b Nodes=n[5-7]\nBlockSizes=5\n")


def test_scontrol_tree() -> None:
    fabric = read(
        "SwitchName=s0 Level=0 LinkSpeed=1 Nodes=n[0-1]\nSwitchName=s1 Level=0 LinkSpeed=1 Nodes=n[2-3]\n"
        "SwitchName=idle Level=0 LinkSpeed=1 Nodes=(null)\n"
        "SwitchName=top Level=1 LinkSpeed=1 Nodes=n[0-3] Switches=idle,s[0-1]\n"
    )
    assert [(g.name, g.parent) for g in fabric.groups] == [("top", -1), ("s0", 0), ("s1", 0)]
    assert fabric.host_names == ("n0", "n1", "n2", "n3")


def test_scontrol_blocks() -> None:
    fabric = read(
        "BlockName=b1 BlockIndex=0 Nodes=10.0.0.1,10.0.0.2 BlockSize=2\n"
        "BlockName=b2 BlockIndex=1 Nodes=10.0.0.3,10.0.0.4 BlockSize=2\n"
        "AggregatedBlock=b[1-2] BlockIndex=2 Nodes=10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4 BlockSize=4\n"
    )
    assert [(i.name, i.hosts) for i in fabric.islands] == [("b1", (0, 1)), ("b2", (2, 3))]


WORDS = st.sampled_from(
    [
        *("BlockName=a", "BlockName=b", "blockname=c", "Nodes=n[1-3]", "Nodes=n1", "BlockSizes=1,2", "BlockSizes=-1"),
        *("RingName=r", "SwitchName=s Level=0", "BlockIndex=3", "AggregatedBlock=x", "\n", "\n", "#", "Nodes=(null)"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["slurm", "slurm-block", "scontrol"]), st.lists(st.one_of(WORDS, st.text(max_size=8))))
def test_no_text_breaks_the_readers(name: str, words: list[str]) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(formats.read(" ".join(words), format=name), Fabric)


@pytest.mark.parametrize(
    ("name", "hosts", "blocks"),
    [
        ("azslurm-block_topology.txt", 72, 4),
        ("slurm-backfill.conf", 32, 8),
        ("topograph-expected.slinky-dra-block.conf", 96, 12),
    ],
)
def test_real_files(shared_dir: Path, name: str, hosts: int, blocks: int) -> None:
    text = (shared_dir / "slurm_topology" / name).read_text()
    fabric = formats.read(text, name=name)
    listed = re.findall(r"^BlockName=(\S+) Nodes=(\S+)", text, re.MULTILINE)
    assert (len(fabric.hosts), len(fabric.islands)) == (hosts, blocks) == (
        sum(len(expand(nodes)) for _, nodes in listed), len(listed)
    )  # fmt: skip
    found = {i.name: {fabric.host_names[h] for h in i.hosts} for i in fabric.islands}
    assert found == {block: set(expand(nodes)) for block, nodes in listed}


def test_the_illegal_real_file_is_explained(shared_dir: Path) -> None:
    text = (shared_dir / "slurm_topology" / "azslurm-slurm_illegal_block_topology.txt").read_text()
    message = refusal(text)
    assert "4 blocks such as block1 are commented out" in message
    assert "BlockSizes=18" in message


def test_switches_without_hosts_below_are_left_out() -> None:
    fabric = read(
        "SwitchName=a Level=0 LinkSpeed=1 Nodes=\nSwitchName=b Level=1 LinkSpeed=1 Nodes= Switches=a\n"
        "SwitchName=s Level=0 LinkSpeed=1 Nodes=n1\nSwitchName=t Level=2 LinkSpeed=1 Nodes=n1 Switches=b,s\n"
    )
    assert [g.name for g in fabric.groups] == ["t", "s"]


def test_long_chains_without_hosts_are_gone_through_once() -> None:
    chain = "".join(f"SwitchName=s{n} Level=9 LinkSpeed=1 Nodes= Switches=s{n + 1}\n" for n in range(20_000))
    fabric = read(f"{chain}SwitchName=s20000 Level=0 LinkSpeed=1 Nodes=\nSwitchName=t Level=0 LinkSpeed=1 Nodes=n1\n")
    assert [g.name for g in fabric.groups] == ["t"]
