"""Real files of cables and simulators, where the folder of samples is beside the repository: counts of our own."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.topologies import formats
from topoplan.topologies.names.table import parse_names

Count = dict[str, int]


def read(path: Path, names: Path | None = None) -> Fabric:
    text = formats.decode(path.read_bytes(), path.name)
    table = parse_names(names.read_text(), names.name) if names else {}
    return formats.read(text, name=path.name, options=formats.ReadOptions(names=table))


def counts(fabric: Fabric) -> Count:
    switches = {name for link in fabric.links for name in (link.a, link.b)}
    switches |= {name for group in fabric.groups if group.tier == 0 for name in group.switches}
    ports = sum(len(fabric.host_types[host.type].nics) for host in fabric.hosts)
    planes = sum(max(0, len(host.attach) - len(fabric.host_types[host.type].nics)) for host in fabric.hosts)
    return {
        "hosts": len(fabric.hosts),
        "gpus": fabric.gpus,
        "ports": ports + planes,
        "switches": len(switches),
        "trunks": sum(link.count for link in fabric.links),
    }


def of_ends(ends: list[tuple[str, str]], is_host: Callable[[str], bool], gpus: int | None = None) -> Count:
    """Counts of a list of cables; a GPU for each cable of a host unless told."""
    devices = {end for pair in ends for end in pair}
    hosts = {device for device in devices if is_host(device)}
    ports = sum((a in hosts) != (b in hosts) for a, b in ends)
    return {
        "hosts": len(hosts),
        "gpus": ports if gpus is None else gpus,
        "ports": ports,
        "switches": len(devices - hosts),
        "trunks": sum(a not in hosts and b not in hosts for a, b in ends),
    }


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


# ---- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ["air", "dc1"])
@pytest.mark.parametrize("table", [False, True])
def test_netbox_cables(shared_dir: Path, stem: str, table: bool) -> None:
    folder = shared_dir / "netbox_nrx"
    path = folder / f"{stem}_import_nb_06_cables.csv"
    rows = table_of(path)
    ends = [(row["side_a_device"], row["side_b_device"]) for row in rows]
    cards = {(r["side_a_device"], r["side_a_name"][:-2]) for r in rows if "srv" in r["side_a_device"]}
    gpus = len(cards) if stem == "air" else None  # two ports of a card are the planes of one NIC
    expected = of_ends(ends, lambda name: "srv" in name, gpus)
    fabric = read(path, folder / f"{stem}_import_nb_05_devices.csv" if table else None)
    assert counts(fabric) == expected
    assert fabric.planes == (2 if stem == "air" else 1)
    assert any("roles" in line for line in fabric.assumed) is not table


def test_sonic_links(shared_dir: Path) -> None:
    folder = shared_dir / "sonic_lab"
    rows = table_of(folder / "sonic_lab_links.csv")
    ends = {(r["StartDevice"], r["EndDevice"]) for r in rows}
    part = {"str-acs-serv-01"}
    while more := {x for pair in ends for x in pair if set(pair) & part} - part:
        part |= more
    loops = sum(r["StartDevice"] == r["EndDevice"] for r in rows)
    inside = [r for r in rows if r["StartDevice"] in part]
    fabric = read(folder / "sonic_lab_links.csv", folder / "sonic_lab_devices.csv")
    assert fabric.host_names == ("str-acs-serv-01",)
    assert sum(link.count for link in fabric.links) == len(inside) - 1
    speeds = {float(r["BandWidth"]) * 1e6 / 8 for r in inside}
    assert {link.bandwidth_bytes_per_s for link in fabric.links} == speeds
    assert f"{loops} cables from a device to itself were left out" in fabric.warnings
    apart = len(rows) - len(inside) - loops
    assert f"{apart} cables of parts of the network without hosts were left out" in fabric.warnings


def test_sonic_test_beds_are_explained(shared_dir: Path) -> None:
    for name in ("topo_ft2-64.yml", "topo_t0-64.yml", "topo_dualtor-64.yml"):
        with pytest.raises(InputError, match="there are no links in this topology"):
            read(shared_dir / "sonic_lab" / name)


# ---- labs ----------------------------------------------------------------------------------------------------------


def clab_ends(path: Path) -> list[tuple[str, str]]:
    data = yaml.safe_load(path.read_text())
    return [tuple(end.split(":")[0] for end in link["endpoints"]) for link in data["topology"]["links"]]


@pytest.mark.parametrize("name", ["clos01.clab.yml", "clos02.clab.yml", "setup.clos02.clab.yml"])
def test_containerlab(shared_dir: Path, name: str) -> None:
    path = shared_dir / "containerlab" / name
    assert counts(read(path)) == of_ends(clab_ends(path), lambda device: device.startswith("client"))


def test_netbox_as_containerlab_and_graphite(shared_dir: Path) -> None:
    folder = shared_dir / "netbox_nrx"
    expected = of_ends(clab_ends(folder / "dc1_data_dc1.clab.yaml"), lambda device: "srv" in device)
    assert counts(read(folder / "dc1_data_dc1.clab.yaml")) == expected
    assert counts(read(folder / "dc1_data_dc1.graphite.json")) == expected


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("containerlab/sonic01.clab.yml", "no device is a host"),
        ("netbox_nrx/colo_data_colo.clab.yaml", "no cable joins a host to a switch"),
    ],
)
def test_labs_without_cabled_hosts_are_explained(shared_dir: Path, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read(shared_dir / name)
    assert "name,role" in caught.value.hint


# ---- LLDP, NetQ, NMX -----------------------------------------------------------------------------------------------


def test_lldp(shared_dir: Path) -> None:
    folder = shared_dir / "lldp"
    for path in sorted(folder.glob("*.json")):
        chassis = re.findall(r'"chassis"', path.read_text())
        fabric = read(path)
        assert counts(fabric) | {"gpus": 0} == {
            "hosts": 1, "gpus": 0, "ports": len(chassis), "switches": len(chassis), "trunks": 0
        }  # fmt: skip
        assert fabric.host_names == (path.stem,)
    pica = read(folder / "json_single_object_pica8.json")
    assert pica.host_types[0].nics[0].bandwidth_bytes_per_s == 1e9 / 8  # it negotiates 1000Base-T
    with pytest.raises(InputError, match="host"):  # a switch that sees one switch
        read(folder / "plain_cumulus_spine.txt")


def test_nmx(shared_dir: Path) -> None:
    path = shared_dir / "netq" / "output_netq_computeNodes.json"
    nodes = json.loads(path.read_text())
    fabric = read(path)
    assert fabric.host_names == tuple(node["Name"] for node in nodes)
    assert fabric.gpus == sum(len(node["GpuIDList"]) for node in nodes)
    assert [island.name for island in fabric.islands] == sorted({node["DomainUUID"] for node in nodes})


# ---- ibdm ----------------------------------------------------------------------------------------------------------


def ibdm_ends(text: str) -> list[tuple[str, str]]:
    """Ends of each cable once: some files list those between switches from both ends."""
    found: dict[frozenset[tuple[str, str]], tuple[str, str]] = {}
    here = ""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words and not line[0].isspace():
            here = words[1]
        elif words:
            found[frozenset([(here, words[0]), (words[-2], words[-1])])] = (here, words[-2])
    return list(found.values())


@pytest.mark.parametrize(
    "name",
    [
        "32nodes-3lvl-is1-cbb2", "4-ary-2-tree", "4-ary-3-tree", "FullGnu", "PartialGazelle", "RhinoBased10K",
        "SingleGazelle", "gnu-based-32", "network",
    ],
)  # fmt: skip
def test_ibdm(shared_dir: Path, name: str) -> None:
    path = shared_dir / "ibdm_topo" / f"{name}.topo"
    ends = ibdm_ends(path.read_text())
    expected = of_ends(ends, lambda device: re.fullmatch(r"H-?\d+", device) is not None)
    assert counts(read(path)) == expected


def test_ibdm_cables(shared_dir: Path) -> None:
    path = shared_dir / "ibdm_topo" / "CreditLoopDemo.cables"
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    expected = of_ends([(row[1], row[4]) for row in rows], lambda device: not device.startswith("RD"))
    assert counts(read(path)) == expected


def test_definitions_alone_are_explained(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "ibdm_topo").glob("*.ibnl")):
        with pytest.raises(InputError, match="definitions alone"):
            read(path)
    folder = shared_dir / "ibdm_topo"
    together = (folder / "Gnu.ibnl").read_text() + "\n" + (folder / "FullGnu.topo").read_text()
    fabric = formats.read(together, name="both")
    assert len(fabric.hosts) == 16
    assert not any("no definition" in line for line in fabric.assumed if "Gnu" in line)


# ---- simulators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "AlibabaHPN_64g_8gps_DualToR_DualPlane_200Gbps_H100",
        "Rail_Opti_SingleToR_32g_8gps_200Gbps_A100",
        "Spectrum-X_128g_8gps_400Gbps_H100",
    ],
)
def test_simai(shared_dir: Path, name: str) -> None:
    path = shared_dir / "simai" / name
    rows = [line.split() for line in path.read_text().splitlines()]
    nodes, per_server, nvswitches, switches, _ = (int(word) for word in rows[0][:5])
    gpus = nodes - nvswitches - switches
    links = [(int(row[0]), int(row[1])) for row in rows[2:] if row]
    fabric = read(path)
    found = counts(fabric)
    assert found["hosts"] == gpus // per_server
    assert found["gpus"] == gpus
    assert found["switches"] == switches
    assert found["ports"] == sum(a < gpus and b >= gpus + nvswitches for a, b in links)
    assert found["trunks"] == sum(a >= gpus for a, b in links)
    assert fabric.planes == (2 if "DualPlane" in name else 1)
    assert fabric.host_types[0].scale_up_bandwidth_bytes_per_s == 2880e9 / 8
    assert fabric.host_types[0].name.startswith(rows[0][5].lower())


def test_other_files_of_simai_are_refused(shared_dir: Path) -> None:
    for name in ("SimAI.conf", "ata_ratio.csv", "nic_ratio.csv", "nvlink_ratio.csv"):
        with pytest.raises(InputError, match="settings of SimAI" if name == "SimAI.conf" else "no known topology"):
            read(shared_dir / "simai" / name)


def test_astrasim(shared_dir: Path) -> None:
    seen = 0
    for path in sorted((shared_dir / "astrasim").glob("*.yml")):
        data = yaml.safe_load(path.read_text())
        if "tbd" in data["bandwidth"]:
            with pytest.raises(InputError, match="'tbd' is no number"):
                read(path)
            continue
        fabric = read(path)
        counted: list[int] = data["npus_count"]
        assert fabric.gpus == math.prod(counted), path.name
        assert len(fabric.hosts) == math.prod(counted[1:])
        assert len(fabric.tiers) == len(counted) - 1
        seen += 1
    assert seen > 12
    for path in sorted((shared_dir / "astrasim").glob("*.json")):
        dims = json.loads(path.read_text())["logical-dims"]
        assert read(path).gpus == math.prod(map(int, dims))


def test_htsim(shared_dir: Path) -> None:
    fabric = read(shared_dir / "astrasim" / "8nodes.topo")
    assert (len(fabric.hosts), fabric.gpus) == (8, 8)
    # Podsize 4 and two hosts a leaf: 2 pods of 2 leaves; 2 aggregation switches a pod with 4 uplinks of 100 Gb/s each
    assert [sum(group.tier == t for group in fabric.groups) for t in range(3)] == [4, 2, 1]
    assert {(g.uplinks, g.link_bandwidth_bytes_per_s) for g in fabric.groups if g.tier == 1} == {((8.0,), 12.5e9)}


def test_infragraph(shared_dir: Path) -> None:
    folder = shared_dir / "infragraph"
    path = folder / "two-tier-clos-fabric-infrastructure.yaml"
    data: Any = yaml.safe_load(path.read_text())["infrastructure"]
    words = [text.split(".") for text in data["connections"]]
    ends = [(".".join(w[:2]), ".".join(w[5:7])) for w in words]
    assert counts(read(path)) == of_ends(ends, lambda name: name.startswith("server"))
    scale = folder / "scaleup-scaleout.yaml"
    assert counts(read(scale)) == {"hosts": 8, "gpus": 8, "ports": 8, "switches": 1, "trunks": 0}
    assert read(folder / "dgxa100.yaml").gpus == 8
    assert read(folder / "two-tier-clos-fabric-server.yaml").gpus == 4
    for name in ("cx5.yaml", "two-tier-clos-fabric-switch.yaml"):
        with pytest.raises(InputError, match="no host with an xpu"):
            read(folder / name)


# ---- InfiniBand ----------------------------------------------------------------------------------------------------


def test_ibsim_net_files_are_refused(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "ibnetdiscover").glob("ibsim-net*")):
        with pytest.raises(InputError, match="has no GUID") as caught:
            read(path)
        assert "ibsim" in caught.value.hint


def test_adapter_without_links_is_explained(shared_dir: Path) -> None:
    with pytest.raises(InputError, match="has 1 ports and not one link"):
        read(shared_dir / "ibnetdiscover" / "topograph-output_ibnetdiscover_example-bad.out")


def test_nameless_adapters_get_their_hosts_from_a_table(shared_dir: Path) -> None:
    path = shared_dir / "ibnetdiscover" / "topograph-output_ibnetdiscover_example.out"
    text = path.read_text()
    guids = re.findall(r'^Ca\s+\d+\s+"H-([0-9a-f]+)"\s+#\s+"MT4129 ConnectX7', text, re.MULTILINE)
    table = "guid,host,device\n" + "".join(f"0x{guid},extra-{n},mlx5_0\n" for n, guid in enumerate(guids))
    plain = read(path)
    told = formats.read(text, name="x", options=formats.ReadOptions(names=parse_names(table, "t")))
    assert len(guids) > 60
    assert len(told.hosts) == len(plain.hosts) + len(guids)
