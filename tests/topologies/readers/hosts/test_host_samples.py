"""Real files of hosts, read whole; counts are taken from the files by other means than the readers'."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric, HostType
from topoplan.topologies import formats

NAMELESS_GPUS = {"aws-p5.48xl-topo.xml": 8}  # of a file that says in a comment that it leaves them out


def read(path: Path) -> tuple[str, Fabric]:
    text = path.read_text()
    return text, formats.read(text, name=path.name)


def files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    assert found, f"no files like {pattern}"
    return found


def check(fabric: Fabric, text: str) -> HostType:
    """What holds of every host file; returns its one host type."""
    assert len(fabric.hosts) == 1
    assert not fabric.groups
    kind = fabric.host_types[0]
    again = parse_fabric(format_fabric(fabric))
    assert again.host_types == fabric.host_types
    assert again.warnings[: len(fabric.warnings)] == fabric.warnings
    names = [nic.name for nic in (*kind.nics, *kind.other_nics) if nic.name]
    assert len(set(names)) == len(names)
    assert all(name in text for name in names)
    return kind


def domains(kind: HostType) -> int:
    return len(set(kind.domain_of_gpu))


def test_nccl_files(shared_dir: Path) -> None:
    for path in files(shared_dir / "nccl_xml", "*.xml"):
        text, fabric = read(path)
        if "<graphs" in text:
            continue
        kind = check(fabric, text)
        body = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        gpus = len(re.findall(r"<gpu\s", body)) or len(re.findall(r'class="0x(?:03|12)', body))
        assert kind.gpus == (gpus or NAMELESS_GPUS[path.name]), path.name
        nets = {(m[1], m[2]) for m in re.finditer(r'<net name="([^"]*)".*?port="(\d+)"', body)}
        leaves = re.findall(r'<pci busid="[^"]*" link_speed[^>]*/>', body)
        nics = len(nets) or len(re.findall(r'class="0x02', body)) or len(leaves)
        assert len(kind.nics) + len(kind.other_nics) == nics, path.name
        if nets:
            assert {nic.name for nic in (*kind.nics, *kind.other_nics)} == {name for name, _ in nets}
        speeds = {name: int(speed) for name, speed in re.findall(r'<net name="([^"]*)".*?speed="(\d+)"', body)}
        assert all(nic.bandwidth_bytes_per_s == speeds[nic.name] * 1e6 / 8 for nic in kind.nics if nic.name)


@pytest.mark.parametrize(
    ("name", "nics", "islands", "gigabytes"),
    [
        ("infragraph-dgx_a100_nccl_topo.xml", 8, 1, 12 * 25),  # 4 ports of storage adapters apart
        ("oci-H100-topology.xml", 16, 1, 18 * 25),
        ("oci-topo-flattened.xml", 8, 1, 300),
        ("azure-ncv4-topo.xml", 1, 4, 0),
        ("aws-p4d-24xl-topo.xml", 4, 1, 300),
        ("aws-p5.48xl-topo.xml", 32, 1, 450),
        ("rccl-topo_8p_940.xml", 8, 1, 7 * 64),
        ("rccl-topo_4p4h.xml", 16, 4, 3 * 46),
        ("rccl-topo_8p_rome_4nics.xml", 4, 2, 3 * 46),
        ("rccl-topo_8p_pcie.xml", 1, 8, 0),
    ],
)
def test_what_nccl_files_mean(shared_dir: Path, name: str, nics: int, islands: int, gigabytes: int) -> None:
    kind = read(shared_dir / "nccl_xml" / name)[1].host_types[0]
    assert (len(kind.nics), domains(kind), kind.scale_up_bandwidth_bytes_per_s) == (nics, islands, gigabytes * 1e9)


def test_graphs_file(shared_dir: Path) -> None:
    for path in files(shared_dir / "nccl_xml", "*-graph.xml"):
        text, fabric = read(path)
        kind = check(fabric, text)
        assert kind.gpus == len(set(re.findall(r'<gpu dev="(\d+)"', text)))
        assert len(kind.nics) == len(set(re.findall(r'<net dev="(\d+)"', text)))


def test_smi_files(shared_dir: Path) -> None:
    for path in files(shared_dir / "nvidia_smi_topo", "*.txt"):
        if path.name == "SOURCES.txt":
            continue
        text, fabric = read(path)
        kind = check(fabric, text)
        before = text.split("\nGPU0 ")[0].split("\nGPU0\t")[0]
        assert kind.gpus == len(re.findall(r"GPU\d", before)), path.name
        nics = len(re.findall(r"NIC\d|mlx5_\w+", before))
        assert len(kind.nics) + len(kind.other_nics) == nics, path.name
        assert (kind.scale_up_gpus > 1) == bool(re.search(r"NV\d", text)), path.name
        if re.search(r"NV\d", text):
            assert domains(kind) == 1


def test_scrambled_nics_of_a_real_host(shared_dir: Path) -> None:
    text, fabric = read(shared_dir / "nvidia_smi_topo" / "h200_8gpu_8nic_scrambled.txt")
    kind = fabric.host_types[0]
    rows = [line.split("\t") for line in text.split("\n") if re.match(r"GPU\d\t", line)]
    assert [kind.nics[n].name for n in kind.nic_of_gpu] == [f"mlx5_{row[9:17].index('PIX')}" for row in rows]


def test_hwloc_files(shared_dir: Path) -> None:
    for path in files(shared_dir / "hwloc_xml", "*.xml"):
        text, fabric = read(path)
        kind = check(fabric, text)
        gpus = re.findall(r'pci_type="(?:03|12)\w\w \[(?:10de|1002):', text)
        assert kind.gpus == len(gpus), path.name
        rdma = set(re.findall(r'name="((?:mlx|roce)\w+)"', text))
        assert {nic.name for nic in kind.nics} == rdma, path.name


@pytest.mark.parametrize(
    ("name", "islands", "gigabytes"), [("nvidiaDGX2.xml", 1, 6 * 25), ("power8gpudistances.xml", 2, 2 * 20)]
)
def test_nvlink_of_hwloc_files(shared_dir: Path, name: str, islands: int, gigabytes: int) -> None:
    kind = read(shared_dir / "hwloc_xml" / name)[1].host_types[0]
    assert (domains(kind), kind.scale_up_bandwidth_bytes_per_s) == (islands, gigabytes * 1e9)
