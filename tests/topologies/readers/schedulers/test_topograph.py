"""The topograph reader: models, instance JSON, requests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.names import expand
from topoplan.topologies import formats

MODEL = """
switches:
  core: {switches: [spine-1, leaf-9]}
  spine-1:
    annotations: {accelerator.topology.test/domain: nvl-8}
    switches: [leaf-1]
blocks:
- {switch: leaf-1, nodes: ["n[1-2]", 1101]}
- switch: leaf-9
  nodes: ["n[3-4]"]
  labels: {network.topology.nvidia.com/accelerator: nvl-9}
"""


def read(text: str) -> Fabric:
    return formats.read(text, name="model.yaml", format="topograph")


def islands(fabric: Fabric) -> dict[str, list[str]]:
    return {i.name: [fabric.host_names[h] for h in i.hosts] for i in fabric.islands}


def test_model() -> None:
    fabric = read(MODEL)
    assert [g.name for g in fabric.groups] == ["core", "leaf-9", "spine-1", "leaf-1"]
    assert islands(fabric) == {"nvl-9": ["n3", "n4"], "nvl-8": ["n1", "n2", "1101"]}


def test_a_forest_stays_one() -> None:
    fabric = read("blocks:\n- {switch: a, nodes: [n1]}\n- {switch: b, nodes: [n2]}\n")
    assert fabric.host_component.tolist() == [0, 1]


def test_blocks_alone() -> None:
    domain = "annotations: {accelerator.topology.test/domain: "
    fabric = read(
        f"blocks:\n- {{nodes: ['n[1-2]'], {domain}a}}}}\n- {{nodes: ['n[3-4]'], {domain}b}}}}\n- {{nodes: [x]}}\n"
    )
    assert islands(fabric) == {"a": ["n1", "n2"], "b": ["n3", "n4"]}
    assert {g.name for g in fabric.groups} == {"above", "a", "b", "unplaced"}
    assert any("1 host without a place" in line for line in fabric.warnings)


def test_sub_domains_of_a_domain_that_no_rack_can_be() -> None:
    block = "- {{switch: s, nodes: ['n{0}[1-8]'], annotations: {{accelerator.topology.test/domain: d, {1}}}}}\n"
    texts = [block.format(i, f"accelerator.topology.test/sub-domain: r{i}") for i in range(3)]
    assert {name: len(hosts) for name, hosts in islands(read("blocks:\n" + "".join(texts))).items()} == {
        "r0": 8, "r1": 8, "r2": 8
    }  # fmt: skip
    assert {name: len(hosts) for name, hosts in islands(read("blocks:\n" + "".join(texts[:2]))).items()} == {"d": 16}


def test_instance_json_runs_from_the_leaf() -> None:
    fabric = read(
        '{"instances": [{"id": "i1", "network_layers": ["leaf-a", "top"], "labels": '
        '{"accelerator.topograph.run/domain": "d"}}, {"id": "i2", "network_layers": ["leaf-b", "top"], "labels": '
        '{"accelerator.topograph.run/domain": "d"}}, {"id": "i3", "network_layers": ["leaf-b", "other"]}]}'
    )
    parents = {g.name: fabric.groups[g.parent].name for g in fabric.groups if g.parent >= 0}
    assert parents == {
        "top": "above", "other": "above", "leaf-a": "top", "top-leaf-b": "top", "other-leaf-b": "other"
    }  # fmt: skip
    assert islands(fabric) == {"d": ["i1", "i2"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("switches: {a: {switches: [b]}, c: {switches: [b]}}\nblocks: [{switch: b, nodes: [n]}]\n", "under a and"),
        ("switches: {a: {switches: [a]}}\nblocks: [{switch: a, nodes: [n]}]\n", "above itself"),
        ("blocks: [{switch: a, nodes: [n]}, {switch: b, nodes: [n]}]\n", "host n is under a and under b"),
        ("blocks: [{switch: a, nodes: [n, n]}]\n", "lists a host twice: n"),
        ("blocks: [{nodes: [n, n]}]\n", "host n is listed twice"),
        ("blocks: [{switch: 'a b', nodes: [n]}]\n", "refused"),
        ("blocks: [{switch: a, nodes: ['n[1-']}]\n", "brackets"),
        ("blocks: 3\n", "blocks must be a list"),
        ("switches: [a]\n", "switches must be a mapping"),
        ("switches: {a: {switches: b}}\n", "must be a list"),
        ("blocks: []\n", "no hosts are named"),
        ('{"provider": {"name": "p", "params": {"modelFileName": "m.yaml"}}, "engine": {}}', "holds none"),
        ('{"instances": 3}', "instances must be a list"),
        ('{"instances": [{"id": 3.5}]}', "the name of a host must be a text"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value)


def test_a_request_names_its_model() -> None:
    with pytest.raises(InputError, match=r"m\.yaml"):
        read('{"provider": {"name": "p", "params": {"modelFileName": "m.yaml"}}, "engine": {}}')


@pytest.mark.parametrize("name", ["dual-xclr-regular", "large", "medium", "nvl72", "dual-xclr-irregular", "small-tree"])
def test_real_models(shared_dir: Path, name: str) -> None:
    path = shared_dir / "topograph_model" / f"{name}.yaml"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the samples")
    text = path.read_text()
    fabric = formats.read(text, name=path.name)
    lists = re.findall(r"^  ?-? *-? *\"?((?:srv|node|n|I)?\d*\[[-0-9,]+\])\"?$", text, re.MULTILINE)
    assert len(fabric.hosts) == sum(len(expand(part)) for part in lists)
    leaves = set(re.findall(r"switch: (\S+)", text))
    assert {fabric.groups[h.group].name for h in fabric.hosts} == leaves
    finest = re.findall(r"/sub-domain: \"?([\w.-]+)", text) or re.findall(r"/domain: \"?([\w.-]+)", text)
    assert len(fabric.islands) == len(set(finest))


def test_real_requests_are_explained(shared_dir: Path) -> None:
    paths = sorted((shared_dir / "topograph_payload").glob("*.json"))
    assert paths
    for path in paths:
        with pytest.raises(InputError, match="request to topograph"):
            formats.read(path.read_text(), name=path.name)
