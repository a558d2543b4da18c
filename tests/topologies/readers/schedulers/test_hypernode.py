"""The HyperNode reader and the patterns it matches."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats
from topoplan.topologies.readers.schedulers.name_patterns import all_names, compile_pattern

EXACT = "{{type: {0}, selector: {{exactMatch: {{name: {1}}}}}}}"


def hypernode(name: str, tier: int, *members: str) -> str:
    listed = "".join(f"  - {member}\n" for member in members)
    return (
        f"apiVersion: topology.volcano.sh/v1alpha1\nkind: HyperNode\nmetadata: {{name: {name}}}\n"
        f"spec:\n  tier: {tier}\n  members:\n{listed}"
    )


def member(name: str, kind: str = "Node") -> str:
    return EXACT.format(kind, name)


def pattern(text: str, kind: str = "Node") -> str:
    return f"{{type: {kind}, selector: {{regexMatch: {{pattern: '{text}'}}}}}}"


def labelled(match: str) -> str:
    return f"{{type: Node, selector: {{labelMatch: {match}}}}}"


def node(name: str, **labels: str) -> str:
    listed = ", ".join(f"{key}: {value}" for key, value in labels.items())
    return (
        f"kind: Node\nmetadata: {{name: {name}, labels: {{{listed}}}}}\nstatus: {{capacity: {{nvidia.com/gpu: 8}}}}\n"
    )


def read(*documents: str) -> Fabric:
    return formats.read("---\n".join(documents), name="hn.yaml", format="hypernode")


def homes(fabric: Fabric) -> dict[str, str]:
    return {h.name: fabric.groups[h.group].name for h in fabric.hosts}


def test_exact_members() -> None:
    fabric = read(
        hypernode("s0", 1, member("n0"), member("n1")), hypernode("s1", 1, member("n2")),
        hypernode("top", 2, member("s0", "HyperNode"), member("s1", "HyperNode")),
    )  # fmt: skip
    assert homes(fabric) == {"n0": "s0", "n1": "s0", "n2": "s1"}
    assert [(g.name, g.tier, g.parent) for g in fabric.groups] == [("top", 1, -1), ("s0", 0, 0), ("s1", 0, 0)]


def test_patterns_without_nodes_are_listed_where_they_end() -> None:
    fabric = read(hypernode("s0", 1, member("node-0"), pattern("^node-[01]$"), pattern("(a|b)-1")))
    assert homes(fabric) == dict.fromkeys(["a-1", "b-1", "node-0", "node-1"], "s0")
    with pytest.raises(InputError, match="the nodes themselves are needed"):
        read(hypernode("s0", 1, pattern("node-.*")))


def test_patterns_match_a_part_of_a_name_as_volcano_does() -> None:
    nodes = [node("n1"), node("n10"), node("m1")]
    fabric = read(hypernode("s0", 1, pattern("n1")), *nodes)
    assert homes(fabric) == {"n1": "s0", "n10": "s0", "m1": "unplaced"}


def test_labels() -> None:
    nodes = [node("n1", rack="a"), node("n2", rack="b", old="y"), node("n3", rack="b"), node("n4")]
    fabric = read(
        hypernode("s0", 1, labelled("{matchLabels: {rack: a}}")),
        hypernode(
            "s1",
            1,
            labelled(
                "{matchExpressions: [{key: rack, operator: In, values: [b]}, {key: old, operator: DoesNotExist}]}"
            ),
        ),
        hypernode("s2", 1, labelled("{matchExpressions: [{key: old, operator: Exists}]}")),
        hypernode("s3", 1, labelled("{matchExpressions: [{key: rack, operator: NotIn, values: [a, b]}]}")),
        *nodes,
    )
    assert homes(fabric) == {"n1": "s0", "n3": "s1", "n2": "s2", "n4": "s3"}
    assert fabric.host_types[0].gpus == 8


def test_members_that_are_hypernodes_by_pattern() -> None:
    fabric = read(
        hypernode("s0", 1, member("n0")),
        hypernode("s1", 1, member("n1")),
        hypernode("s9", 2, pattern("^s", "HyperNode")),
    )
    assert {g.name: g.parent for g in fabric.groups} == {"s9": -1, "s0": 0, "s1": 0}


def test_nodes_that_are_not_there() -> None:
    fabric = read(
        hypernode("s0", 1, member("n0"), member("gone")), hypernode("e", 1, member("gone")), node("n0"), node("x")
    )
    assert homes(fabric) == {"n0": "s0", "x": "unplaced"}
    assert any("node gone is not among the nodes" in line for line in fabric.warnings)
    assert "HyperNode e has no members" in fabric.warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (hypernode("a", 1, member("b", "HyperNode")), "which no HyperNode defines"),
        (hypernode("a", 1, member("a", "HyperNode")), "of tier 1 has member a of tier 1"),
        (hypernode("a", 1, member("n")) + "---\n" + hypernode("a", 1, member("m")), "listed twice"),
        (hypernode("a", 1, member("n")) + "---\n" + hypernode("b", 1, member("n")), "under a and under b"),
        (hypernode("a", 1, member("n", "Rack")), "member type 'Rack'"),
        (hypernode("a", 1, "{type: Node, selector: {}}"), "not 0"),
        (hypernode("a", 1, "{selector: {exactMatch: {name: n}, regexMatch: {pattern: n}}}"), "not 2"),
        (hypernode("a", 1, labelled("{matchLabels: {x: y}}")), "chosen by label: add the nodes"),
        (
            hypernode("a", 1, labelled("{matchExpressions: [{key: x, operator: Gt}]}")) + "---\n" + node("n"),
            "operator 'Gt'",
        ),
        (hypernode("a", 1, pattern("(x+)+y")) + "---\n" + node("n"), "repeats a group"),
        (hypernode("a", 1, pattern("x*y*z*w*")) + "---\n" + node("n"), "parts of any length"),
        (hypernode("a", 1, pattern("[")) + "---\n" + node("n"), "not a regular expression"),
        (hypernode("a", 1, pattern("[0-9][0-9][0-9][0-9][0-9][0-9]")), "more than"),
        ("networkTopologyDiscovery:\n- {source: label}\n", "how to discover"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a", "1", "-", "[0-3]", "[ab]", "(x|yz)", "\\.", "[a-c0]"]), min_size=1, max_size=5))
def test_listed_names_are_those_that_match(parts: list[str]) -> None:
    text = "".join(parts)
    names = all_names(f"^{text}$", 10_000)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(text, name) for name in names)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab*+?{}()[]|\\^$.0-9,-:", max_size=30), st.text(alphabet="ab0", max_size=60))
def test_patterns_end(text: str, name: str) -> None:
    with contextlib.suppress(ValueError):
        compile_pattern(text).search(name)


def test_the_real_configuration_is_explained(shared_dir: Path) -> None:
    path = shared_dir / "volcano" / "volcano-hypernode-api-example.yaml"
    with pytest.raises(InputError, match="there is no HyperNode"):
        formats.read(path.read_text(), name=path.name)
