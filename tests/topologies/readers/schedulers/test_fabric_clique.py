"""The reader of ClusterUUID and clique lists."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats

A, B = "0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-4000-8000-00000000000b"
ZERO = "00000000-0000-0000-0000-000000000000"


def islands(text: str) -> dict[str, list[str]]:
    fabric = formats.read(text, name="cliques.txt")
    return {i.name: [fabric.host_names[h] for h in i.hosts] for i in fabric.islands}


@pytest.mark.parametrize(
    "text",
    [
        f"n1: {A}\nn2: {B}\nn3: {A}\n",
        f"# comment\nhost,uuid\nn1,{A}\nn2,{B}\n\nn3,{A.upper()}\n",
        f"n1 {A}\nn3\t{A}\nn2  {B}\n",
        f"n1:     ClusterUUID  : {A}\nn2:  ClusterUUID  : {B}\nn3:    Cluster UUID : {A}\n",
    ],
)
def test_shapes(text: str) -> None:
    assert islands(text) == {A: ["n1", "n3"]}


def test_cliques_split_a_rack() -> None:
    expected = {f"{A}.1": ["n1", "n3"], f"{A}.2": ["n2", "n4"]}
    assert islands("".join(f"n{i}: {A}.{2 - i % 2}\n" for i in range(1, 5))) == expected
    assert islands("".join(f"n{i},{A},{2 - i % 2}\n" for i in range(1, 5))) == expected
    smi = "".join(f"n{i}: ClusterUUID : {A}\nn{i}: CliqueId : {2 - i % 2}\n" for i in range(1, 5))
    assert islands(smi) == expected
    pairs = [(f"n{i}: CliqueId : {2 - i % 2}\n", f"n{i}: ClusterUUID : {A}\n") for i in range(1, 5)]
    assert islands("".join(clique + uuid for clique, uuid in pairs)) == expected


def test_hosts_without_a_fabric_stand_alone() -> None:
    fabric = formats.read(f"n1: {A}\nn2: {A}\nn3: {ZERO}\nn4: N/A\nn5:\n", name="c")
    assert len(fabric.hosts) == 5
    assert [i.hosts for i in fabric.islands] == [(0, 1)]
    assert any("3 hosts such as n3 are in no NVLink fabric" in line for line in fabric.warnings)
    assert fabric.groups == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"n1: {A}\nn1: {B}\n", ":2: host n1 has two NVLink fabrics"),
        (f"n1: {A}\nhello world\n", ":2: 'hello world' is not a host"),
        (f"n1: {A}\n-n: {A}\n", ":2: name '-n' is refused"),
        (f"n1: {A}\n{'x' * 2000}\n", ":2: a line of 2000 characters"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        formats.read(text, name="c.txt")
    assert message in str(caught.value)


def test_real_file(shared_dir: Path) -> None:
    path = shared_dir / "fabric_clique" / "azslurm-nodes_clusterUUIDs.txt"
    text = path.read_text()
    fabric: Fabric = formats.read(text, name=path.name)
    pairs = re.findall(r"^(\S+): (\S+)$", text, re.MULTILINE)
    assert len(fabric.hosts) == len(pairs) == 72
    assert Counter(len(i.hosts) for i in fabric.islands) == Counter(Counter(uuid for _, uuid in pairs).values())
    uuid = dict(pairs)
    assert all({uuid[fabric.host_names[h]] for h in i.hosts} == {i.name} for i in fabric.islands)


def test_columns_of_kubectl() -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    text = f"NAME    CLIQUE\nn1      {uuid}.7\nn2      {uuid}.7\nn3      <none>\n"
    fabric = formats.read(text, name="cliques.txt")
    assert [[fabric.host_names[h] for h in island.hosts] for island in fabric.islands] == [["n1", "n2"]]
    assert "n3" in fabric.host_names
