"""The topology.yaml reader."""

from __future__ import annotations

from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions

TREE = """
- topology: topo-switch
  cluster_default: true
  tree:
    switches:
    - {switch: root, children: "s[1-2],deep"}
    - {switch: deep, children: [s3]}
    - {switch: s1, nodes: "a[1-2]"}
    - {switch: s2, nodes: [a3, a4]}
    - {switch: s3, nodes: "a[5-6]"}
"""
BLOCKS = """
- topology: racks
  block:
    block_sizes: [2, 4]
    blocks:
    - {block: b1, nodes: "a[1-2]"}
    - {block: b2, nodes: "a[3-4]"}
"""


def read(text: str, **kwargs: Any) -> Fabric:
    return formats.read(text, name="topology.yaml", options=ReadOptions(**kwargs))


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        formats.read(text, name="topology.yaml", format="slurm-yaml")
    return str(caught.value)


def parents(fabric: Fabric) -> dict[str, str]:
    return {g.name: fabric.groups[g.parent].name if g.parent >= 0 else "" for g in fabric.groups}


def test_unbalanced_tree() -> None:
    fabric = read(TREE)
    assert parents(fabric) == {"root": "", "deep": "root", "s3": "deep", "s1": "root", "s2": "root"}
    assert {fabric.groups[h.group].name: h.name for h in fabric.hosts} == {"s1": "a2", "s2": "a4", "s3": "a6"}
    assert [fabric.tiers[fabric.groups[k].tier].name for k in range(5)] == ["core", "pod", "leaf", "leaf", "leaf"]
    assert fabric.islands == ()


def test_forest() -> None:
    fabric = read("- {topology: t, tree: {switches: [{switch: a, nodes: n1}, {switch: b, nodes: n2}]}}")
    assert parents(fabric) == {"a": "", "b": ""}
    assert fabric.host_component.tolist() == [0, 1]


def test_blocks_alone() -> None:
    fabric = read(BLOCKS)
    assert parents(fabric) == {"above": "", "b1": "above", "b2": "above"}
    assert [(i.name, i.hosts) for i in fabric.islands] == [("b1", (0, 1)), ("b2", (2, 3))]


@pytest.mark.parametrize("text", [TREE + BLOCKS, BLOCKS + TREE])
def test_blocks_of_a_default_tree_are_its_islands(text: str) -> None:
    fabric = read(text)
    assert parents(fabric)["s1"] == "root"
    members = {i.name: {fabric.host_names[h] for h in i.hosts} for i in fabric.islands}
    assert members == {"b1": {"a1", "a2"}, "b2": {"a3", "a4"}}


def test_topologies_of_other_hosts_stand_apart() -> None:
    fabric = read(TREE + "- {topology: cpu, tree: {switches: [{switch: x, nodes: c1}]}}\n- {topology: f, flat: true}\n")
    assert parents(fabric)["x"] == ""
    assert len(set(fabric.host_component.tolist())) == 2
    assert any("topology cpu: its hosts stand apart" in line for line in fabric.warnings)


def test_topologies_of_the_same_hosts_are_left_out() -> None:
    fabric = read(TREE + "- {topology: again, tree: {switches: [{switch: x, nodes: 'a[1-6]'}]}}\n")
    assert "x" not in parents(fabric)
    assert any("topology again: left out, as another topology places 6 of its 6 hosts" in w for w in fabric.warnings)


def test_the_first_default_counts() -> None:
    one, two = (
        f"- {{topology: t{n}, cluster_default: {flag}, tree: {{switches: [{{switch: s{n}, nodes: n1}}]}}}}\n"
        for n, flag in ((1, "False"), (2, "True"))
    )
    assert list(parents(read(one + two))) == ["s2"]
    assert list(parents(read(one + two.replace("True", "no")))) == ["s1"]


def test_ring_and_torus_keep_their_order() -> None:
    fabric = read("- {topology: r, ring: {rings: [{ring: r1, nodes: 'n[3,1,2]'}]}}")
    assert (parents(fabric), fabric.host_names) == ({"r1": ""}, ("n3", "n1", "n2"))
    fabric = read("- {topology: t, torus3d: {dims: [1, 2, 2], nodes: 'n[4,3,2,1]'}}")
    assert (parents(fabric), fabric.host_names) == ({"torus-t": ""}, ("n4", "n3", "n2", "n1"))
    assert any("torus 1 x 2 x 2" in line for line in fabric.assumed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topology: x\ntree: {}\n", "is a list of entries"),
        ("- {topology: x}\n", "topology x has 0 of"),
        ("- {topology: x, flat: true, ring: {}}\n", "topology x has 2 of"),
        ("- {tree: {}}\n", "without 'topology: name'"),
        ("- {topology: x, tre: {}}\n", "did you mean 'tree'"),
        ("- {topology: x, cluster_default: maybe, flat: true}\n", "must be true or false"),
        ("- {topology: x, flat: true}\n", "only flat topologies"),
        ("- {topology: x, tree: {switches: []}}\n", "no hosts are named"),
        ("- {topology: x, tree: {switches: [{switch: a}]}}\n", "neither children nor nodes"),
        ("- {topology: x, tree: {switches: [{switch: a, children: b}]}}\n", "which no switch entry defines"),
        ("- {topology: x, tree: {switches: [{switch: a, children: a}]}}\n", "above itself"),
        ("- {topology: x, tree: {switches: [{switch: a, nodes: n1}, {switch: a, nodes: n2}]}}\n", "listed twice"),
        ("- {topology: x, tree: {switches: {}}}\n", "switches must be a list"),
        ("- {topology: x, tree: 3}\n", "must be a mapping"),
        ("- {topology: x, block: {block_sizes: [3], blocks: [{block: b, nodes: 'n[1-2]'}]}}\n", "illegal in Slurm"),
        ("- {topology: x, block: {block_sizes: [2, 6], blocks: [{block: b, nodes: 'n[1-2]'}]}}\n", "power of two"),
        ("- {topology: x, block: {block_sizes: [-1], blocks: [{block: b, nodes: n1}]}}\n", "at least one node"),
        ("- {topology: x, block: {block_sizes: y, blocks: [{block: b, nodes: n1}]}}\n", "list of whole numbers"),
        ("- {topology: x, torus3d: {dims: [2, 2, 2], nodes: 'n[1-7]'}}\n", "a torus of 2 x 2 x 2 has 8 hosts, not 7"),
        ("- {topology: x, torus3d: {dims: no, nodes: n1}}\n", "dims must be"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert message in refusal(text)
