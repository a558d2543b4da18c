"""Files found, read and merged: folders, sizes, types for some hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import at_most
from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.planning import fabric_files
from topoplan.planning.inputs import open_fabric

TREE = "SwitchName=core Switches=rack[1-2]\nSwitchName=rack1 Nodes=n[1-2]\nSwitchName=rack2 Nodes=n[3-4]\n"
TOPO = """\
\tGPU0\tGPU1\tNIC0
GPU0\t X \tNV18\tPIX
GPU1\tNV18\t X \tSYS
NIC0\tPIX\tSYS\t X

NIC Legend:

  NIC0: mlx5_0
"""
CLIQUES = "".join(f"n{n}: 11111111-2222-3333-4444-55555555555{(n - 1) // 2}\n" for n in range(1, 5))
JOB = "apiVersion: topoplan/v1\nkind: Job\nname: j\nmodel: mixtral-8x22b\nparallel: {tp: 1}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"topology.conf": TREE, "topo.txt": TOPO, "cliques": CLIQUES}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_files_and_folders_and_their_order(folder: Path) -> None:
    found = open_fabric(["topology.conf", "topo.txt", "cliques"])
    assert found.format == "merged"
    assert [(file.path, file.format, file.hosts) for file in found.files] == [
        ("cliques", "fabric-clique", 4), ("topo.txt", "nvidia-smi", 1), ("topology.conf", "slurm", 4)
    ]  # fmt: skip
    fabric = found.fabric
    assert (fabric.gpus, len(fabric.islands), len(fabric.host_types), fabric.name) == (8, 2, 1, "topology")
    again = open_fabric(["cliques", "topo.txt", "topology.conf", "topo.txt"])
    assert (format_fabric(again.fabric), again.file) == (format_fabric(fabric), found.file)
    (folder / "sub").mkdir()
    for name in ("topology.conf", "topo.txt", "cliques"):
        (folder / name).rename(folder / "sub" / name)
    assert format_fabric(open_fabric("sub").fabric) == format_fabric(replace(fabric, name="sub"))


def test_neighbours_of_several_machines_are_one_network(folder: Path) -> None:
    (folder / "lldp").mkdir()
    for host, leaf in (("n1", "a"), ("n2", "a"), ("n3", "b")):
        rows = [{f"ens{r}": {"chassis": {f"{leaf}{r}": {"id": {"type": "mac", "value": f"{leaf}{r}"}}},
                             "port": {"id": {"type": "ifname", "value": host}}}} for r in range(2)]  # fmt: skip
        (folder / "lldp" / f"{host}.json").write_text(json.dumps({"lldp": {"interface": rows}}))
    found = open_fabric("lldp")
    assert (found.fabric.name, found.fabric.host_names) == ("lldp", ("n1", "n2", "n3"))
    assert [group.rails for group in found.fabric.groups] == [2, 2]
    assert {nic.name for nic in found.fabric.host_types[0].nics} == {"ens0", "ens1"}
    (folder / "lldp" / "again.json").write_text('{"n1": {"lldp": {"interface": []}}}')
    with pytest.raises(InputError, match=r"n1 has two tables of neighbours, in again\.json and n1\.json"):
        open_fabric("lldp")


def test_other_files_of_a_folder_are_left_out(folder: Path) -> None:
    (folder / "README.md").write_text("What these files are.\n")
    (folder / "job.yaml").write_text(JOB)
    (folder / "core").write_bytes(b"\x7fELF\0")
    (folder / ".hidden").write_text(TREE)
    (folder / "sub").mkdir()
    found = open_fabric(str(folder))
    assert [Path(file.path).name for file in found.files if file.skipped] == ["README.md", "core", "job.yaml"]
    assert "left out: README.md, core, job.yaml" in found.fabric.warnings[-1]
    with pytest.raises(InputError, match=r"README\.md: no known topology format"):
        open_fabric(["topology.conf", "README.md"])
    with pytest.raises(InputError, match="no files in this folder"):
        open_fabric(str(folder / "sub"))
    (folder / "sub" / "a").write_text("x")
    with pytest.raises(InputError, match="no known topology format"):
        open_fabric(str(folder / "sub"))


def test_a_file_for_some_hosts(folder: Path) -> None:
    (folder / "big.txt").write_text(TOPO.replace("NV18", "NV12"))
    fabric = open_fabric(["topology.conf", "topo.txt=n[1-3]", "big.txt=n4"]).fabric
    assert [fabric.host_types[host.type].name for host in fabric.hosts] == ["topo", "topo", "topo", "big"]
    alone = open_fabric("topo.txt=a[1-2]").fabric
    assert (alone.host_names, alone.gpus) == (("a1", "a2"), 4)
    with pytest.raises(InputError, match="describes 4 hosts by name"):
        open_fabric(["topology.conf=n1", "topo.txt"])
    with pytest.raises(InputError, match="brackets"):
        open_fabric("topo.txt=a[1-")
    with pytest.raises(InputError, match="no such file"):
        open_fabric("gone.txt=a[1-2]")


def test_the_catalogue_gives_what_files_do_not(folder: Path) -> None:
    fabric = open_fabric(["topology.conf", "cliques"], host_type="gb200-tray").fabric
    assert {kind.gpus for kind in fabric.host_types} == {4}


def test_a_gigabyte_is_refused_unread(folder: Path) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(2**30)
    with at_most(4):
        for spec in ("huge", ["huge", "topo.txt"], str(folder)):
            with pytest.raises(InputError, match="huge: larger than 256 MiB"):
                open_fabric(spec)


def test_what_has_no_size_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("needs /dev/zero")
    monkeypatch.setattr(fabric_files, "MAX_TOPOLOGY_BYTES", 2**20)
    with pytest.raises(InputError, match="larger than 1 MiB"):
        open_fabric("/dev/zero")


def test_many_files_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fabric_files, "MAX_ALL_BYTES", 100)
    with pytest.raises(InputError, match="together"):
        open_fabric(str(folder))
    monkeypatch.setattr(fabric_files, "MAX_FILES", 2)
    monkeypatch.setattr(fabric_files, "MAX_ALL_BYTES", 10**6)
    with pytest.raises(InputError, match="more than 2 files"):
        open_fabric(str(folder))


@pytest.mark.parametrize("spec", ["a\0b", "x" * 5000, "a\0b=n1", "", "=", "=n1"])
def test_odd_paths(spec: str) -> None:
    with pytest.raises(InputError):
        open_fabric(spec)
