"""The collecting script runs anywhere, and what it writes is read and merged."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.shells import complaints
from topoplan.errors import InputError
from topoplan.planning.inputs import open_fabric
from topoplan.topologies import formats
from topoplan.topologies.collect import script
from topoplan.topologies.collect.sections import parse

TOPO = """\
\tGPU0\tGPU1\tNIC0\tNIC1\tNIC2\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV18\tSYS\tPIX\tSYS\t0-31\t0\t\tN/A
GPU1\tNV18\t X \tPIX\tSYS\tNODE\t32-63\t1\t\tN/A
NIC0\tSYS\tPIX\t X \tSYS\tNODE\t\t\t\t
NIC1\tPIX\tSYS\tSYS\t X \tSYS\t\t\t\t
NIC2\tSYS\tNODE\tNODE\tSYS\t X \t\t\t\t

Legend:

  X    = Self
  NV#  = Connection traversing a bonded set of # NVLinks

NIC Legend:

  NIC0: mlx5_0
  NIC1: mlx5_1
  NIC2: mlx5_2
"""
LIST = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-a)\nGPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-b)\n"
FABRIC = """\
GPU 00000000:18:00.0
    Fabric
        State                             : Completed
        Status                            : Success
        CliqueId                          : 7
        ClusterUUID                       : 11111111-2222-3333-4444-55555555555{rack}
"""
RDMA = (
    "device=mlx5_{n}\tport=1\tnode_guid=b8ce:f603:00aa:0{host}{n}0\tgid=fe80::1\tstate=4: ACTIVE\t"
    "rate=200 Gb/sec (4X HDR)\tlink=InfiniBand\tnuma=0\tplace=/sys/devices/pci0000:00/0000:1{n}:00.0\tnet=ib{n},\n"
)
SLURM = "SwitchName=core Level=1 LinkSpeed=1 Nodes=n[1-2] Switches=rack1\n" \
    "SwitchName=rack1 Level=0 LinkSpeed=1 Nodes=n[1-2]\n"  # fmt: skip
LLDP = """{"lldp": {"interface": [
 {"eno1": {"chassis": {"office": {"id": {"type": "mac", "value": "1"}}}, "port": {"id": {"type": "ifname", "value": "p1"}}}},
 {"ib0": {"chassis": {"leaf-a": {"id": {"type": "mac", "value": "2"}}}, "port": {"id": {"type": "ifname", "value": "e%d"}}}},
 {"ib1": {"chassis": {"leaf-b": {"id": {"type": "mac", "value": "3"}}}, "port": {"id": {"type": "ifname", "value": "e%d"}}}}
]}}
"""  # noqa: E501


def collected(name: str, sections: dict[str, str], **names: str) -> str:
    told = {"name": name, "fqdn": f"{name}.site", "ip": f"10.0.0.{name[-1]} fe80::1", "slurm": "", "kubernetes": ""}
    rows = "".join(f"|{key}={value}\n" for key, value in (told | names).items())
    body = "".join(
        f"@ {section}\n" + "".join(f"|{line}\n" for line in text.splitlines()) for section, text in sections.items()
    )
    return f"# topoplan collected 1\n@ host\n{rows}{body}@ lldp missing\n@ end\n".replace(
        "@ lldp missing\n", "" if "lldp" in sections else "@ lldp missing\n"
    )


def host(number: int, more: dict[str, str] | None = None) -> str:
    sections = {
        "nvidia-smi-list": LIST,
        "nvidia-smi-topo": TOPO,
        "nvidia-smi-fabric": FABRIC.format(rack=0),
        "infiniband": "".join(RDMA.format(n=n, host=number) for n in range(3)),
    } | (more or {})
    return collected(f"n{number}", sections)


def folder(tmp_path: Path, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def test_a_folder_of_hosts(tmp_path: Path) -> None:
    texts = {f"n{n}.collected": host(n, {"scontrol-topology": SLURM}) for n in (1, 2)}
    fabric = open_fabric(folder(tmp_path, texts)).fabric
    assert fabric.host_names == ("n1", "n2")
    (kind,) = fabric.host_types
    assert (kind.name, kind.gpus, kind.scale_up_bandwidth_bytes_per_s) == ("nvidia-h100-80gb-hbm3-x2", 2, 450e9)
    assert {(nic.name, nic.gpu, nic.bandwidth_bytes_per_s) for nic in kind.nics} == {
        ("mlx5_0", 1, 25e9), ("mlx5_1", 0, 25e9)
    }  # fmt: skip
    assert [group.name for group in fabric.groups] == ["core", "rack1"]
    assert dict(fabric.hosts[0].aliases)["fqdn"] == "n1.site"
    assert dict(fabric.hosts[0].aliases)["guid-mlx5_0"] == "b8cef60300aa0100"
    assert fabric.alias_index["10.0.0.2"] == 1
    (island,) = fabric.islands
    assert island.hosts == (0, 1)
    assert island.bandwidth_bytes_per_s == 450e9
    assert not any("bandwidth of NICs" in line for line in fabric.assumed)
    assert fabric.routing == "adaptive"
    assert any("adaptive, as usual on InfiniBand, which the adapters speak" in line for line in fabric.assumed)


def test_neighbours_go_by_the_devices_behind_interfaces(tmp_path: Path) -> None:
    texts = {f"n{n}.collected": host(n, {"lldp": LLDP % (n, n)}) for n in (1, 2)}
    fabric = open_fabric(folder(tmp_path, texts)).fabric
    switch = {}
    for item in fabric.hosts[0].attach or ():
        switch[fabric.host_types[0].nics[item.nic].name] = fabric.groups[item.group].name
    rails = {nic.name: nic.rail for nic in fabric.host_types[0].nics}
    assert len(set(rails.values())) == 2 or len(set(switch.values())) == 2
    names = {name for group in fabric.groups for name in (group.name, *group.switches)}
    assert {"leaf-a", "leaf-b"} <= names
    assert "office" not in names


def test_one_file_alone(tmp_path: Path) -> None:
    text = host(1)
    assert formats.detect(text).name == "collected"
    fabric = formats.read(text, name="dir/n1.collected")
    assert (fabric.name, fabric.host_names, fabric.gpus) == ("n1", ("n1",), 2)


def test_hosts_without_nvidia_smi_are_read_from_the_pci_tree() -> None:
    rows = [
        f"address=0000:{n}1:00.0\tclass=0x120000\tvendor=0x1002\tdevice=0x74a1\tnuma=0\t"
        f"place=/sys/devices/pci0000:{n}0/0000:{n}0:01.0/0000:{n}1:00.0"
        for n in range(1, 3)
    ]
    nics = []
    for n in range(2):
        place = f"/pci0000:{2 - n}0/0000:{2 - n}0:01.0/0000:f{n}:00.0"
        nics.append(RDMA.format(n=n, host=1).replace(f"/pci0000:00/0000:1{n}:00.0", place))
    console = (
        "address=0000:00:01.0\tclass=0x030000\tvendor=0x1a03\tdevice=0x2000\tnuma=0\tplace=/sys/devices/pci0000:00/x"
    )
    text = collected("m1", {"pci": "\n".join([*rows, console]), "infiniband": "".join(nics)})
    fabric = formats.read(text, name="m1")
    assert [(nic.name, nic.gpu) for nic in fabric.host_types[0].nics] == [("mlx5_0", 1), ("mlx5_1", 0)]


def test_what_is_broken_is_left_out_and_said(tmp_path: Path) -> None:
    login = collected("login", {"pci": "address=x\tclass=0x020000"})
    cut = host(2, {"nvidia-smi-fabric": "nonsense", "scontrol-topology": "slurm_load_topo error"})
    fabric = open_fabric(folder(tmp_path, {"a": host(1), "b": cut.replace("@ end\n", ""), "c": login})).fabric
    assert fabric.host_names == ("n1", "n2")
    warnings = "\n".join(fabric.warnings)
    for word in ("login: no GPU seen", "n2: the script was stopped", "section scontrol-topology is left out"):
        assert word in warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# topoplan collected 1\n@ host\n|name=localhost\n", "calls itself localhost"),
        ("# topoplan collected 1\n@ host\n|name=n1\n@ host\n", ":4: .*head of a section"),
        ("# topoplan collected 1\n@ host\n|name=n1\nstray\n", "outside all sections"),
        ("# topoplan collected 1\n@ host\n|name=n1\n", "no GPU, no neighbour"),
        ("# topoplan collected 1\n@ host\n|name=$(reboot)\n", "calls itself"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        formats.read(text, name="f", format="collected")


def test_two_files_of_one_host_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="host n1 has two files"):
        open_fabric(folder(tmp_path, {"a": host(1), "b": host(1)}))


# ---- the script ----------------------------------------------------------------------------------------------------

SH = shutil.which("dash") or "/bin/sh"


def run(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script in `folder` with nothing but the given environment."""
    (folder / "collect.sh").write_text(script())
    return subprocess.run(
        [SH, "collect.sh", *args], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def stub(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(stat.S_IRWXU)


def test_the_script_runs_on_this_machine(tmp_path: Path) -> None:
    result = run(tmp_path, "out", PATH=os.environ["PATH"])
    assert result.returncode == 0
    assert result.stderr.startswith("topoplan: wrote out/")
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    (written,) = (tmp_path / "out").iterdir()
    assert written.suffix == ".collected"
    text = written.read_text().replace("|name=localhost", "|name=n1")
    assert parse(text, "f").complete
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collect.sh", "out"]


def test_the_script_asks_the_tools_that_are_there(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    (tmp_path / "topo").write_text(TOPO)
    (tmp_path / "smi").write_text(FABRIC.format(rack=3))
    stub(
        tools,
        "nvidia-smi",
        f"case $1 in topo) cat {tmp_path}/topo ;; -q) cat {tmp_path}/smi ;; -L) printf '{LIST}' ;; esac",
    )
    stub(tools, "scontrol", f"printf '{SLURM}'; echo complaint >&2")
    stub(tools, "lldpcli", "printf '@ end\\n# topoplan collected 9\\0\\r\\n'")
    stub(tools, "ibstat", "exit 3")
    sysfs = tmp_path / "sys"
    device = sysfs / "class/infiniband/mlx5_1"
    (device / "ports/1/gids").mkdir(parents=True)
    (device / "node_guid").write_text("b8ce:f603:00aa:0100\n")
    (device / "ports/1/state").write_text("4: ACTIVE\n")
    (device / "ports/1/rate").write_text("200 Gb/sec (4X HDR)\n")
    out = tmp_path / "out"
    result = run(
        tmp_path,
        str(out),
        PATH=f"{tools}:{os.environ['PATH']}",
        SLURMD_NODENAME="../../n 1;x",
        TOPOPLAN_SYSFS=str(sysfs),
    )
    assert (result.returncode, result.stdout) == (0, "")
    (written,) = out.iterdir()
    assert written.name == "_.._n_1_x.collected"
    file = parse(written.read_text(), "f")
    assert file.complete
    assert file.sections["nvidia-smi-topo"].split() == TOPO.split()
    assert "ClusterUUID" in file.sections["nvidia-smi-fabric"]
    assert file.sections["scontrol-topology"].rstrip() == SLURM.rstrip()
    assert file.sections["lldp"].startswith("@ end\n# topoplan collected 9")
    assert "complaint" not in written.read_text()
    fabric = formats.read(written.read_text().replace("../../n 1;x", "n1"), name="n1")
    assert {nic.name: nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics}["mlx5_1"] == 25e9
    assert [group.name for group in fabric.groups] == ["core", "rack1"]


@pytest.mark.parametrize("with_timeout", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_command_that_hangs_is_stopped(tmp_path: Path, with_timeout: bool) -> None:
    tools = tmp_path / "bin"
    stub(tools, "ibstat", "echo before; exec sleep 100")
    stub(tools, "nvidia-smi", "echo 'GPU 0'; [ $1 != -q ] || exec sleep 100")
    for name in ("uname", "tr", "sed", "cut", "mkdir", "mv", "rm", "head", "sleep", "cat", "grep"):
        (tools / name).symlink_to(shutil.which(name) or name)
    if with_timeout:
        (tools / "timeout").symlink_to(shutil.which("timeout") or "timeout")
    text = script().replace(":/usr/sbin:/sbin:/usr/local/sbin", "")
    (tmp_path / "collect.sh").write_text(text)
    result = subprocess.run(
        [SH, "collect.sh", "-"], cwd=tmp_path, env={"PATH": str(tools), "TOPOPLAN_SECONDS": "1"}, capture_output=True,
        text=True, check=False, timeout=180,
    )  # fmt: skip
    assert result.returncode == 0
    assert "@ ibstat\n|before\n" in result.stdout
    assert "@ nvidia-smi-fabric\n|GPU 0\n" in result.stdout
    assert result.stdout.endswith("@ end\n")


def test_nothing_is_written_where_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(tmp_path, "file/out", PATH=os.environ["PATH"])
    assert result.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collect.sh", "file"]


def test_shellcheck() -> None:
    assert complaints({"collect.sh": script()}, "-s", "sh") == ""
