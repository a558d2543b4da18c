"""hwloc XML: machines written here in the manner of versions 1, 2 and 3."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric, HostType
from topoplan.topologies import formats


def obj(kind: str, *inside: str, **attributes: str) -> str:
    made = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<object type="{kind}"{made}>{"".join(inside)}</object>'


def info(name: str, value: str) -> str:
    return f'<info name="{name}" value="{value}"/>'


def host_bridge(*inside: str) -> str:
    return obj("Bridge", *inside, bridge_type="0-1", bridge_pci="0000:[00-ff]")


def bridge(*inside: str) -> str:
    return obj("Bridge", *inside, bridge_type="1-1", pci_type="0604 [1000:c010] [1000:a096] b0")


def device(bus: str, kind: str, *inside: str, speed: str = "63.0", gp: str = "") -> str:
    text = f"{kind} [0000:0000] a1"
    return obj("PCIDev", *inside, pci_busid=f"0000:{bus}:00.0", pci_type=text, pci_link_speed=speed, gp_index=gp)


def gpu(bus: str, number: int, *inside: str) -> str:
    software = obj("OSDev", *inside, name=f"nvml{number}", osdev_type="1", gp_index=f"10{number}")
    return device(bus, "0302 [10de:2330]", software, gp=f"9{number}")


def nic(bus: str, name: str, *inside: str, kind: str = "3", model: str = "15b3:1021") -> str:
    return device(bus, f"0207 [{model}]", obj("OSDev", *inside, name=name, osdev_type=kind))


def machine(*inside: str, behind: str = "", version: str = ' version="2.0"') -> str:
    doctype = '<!DOCTYPE topology SYSTEM "hwloc2.dtd">'
    return f'<?xml version="1.0"?>\n{doctype}\n<topology{version}>{obj("Machine", *inside)}{behind}</topology>\n'


def matrix(labels: str, values: str, name: str = "NVLinkBandwidth") -> str:
    return (
        f'<distances2hetero nbobjs="2" kind="25" name="{name}"><indexes length="9">{labels} </indexes>'
        f'<u64values length="9">{values} </u64values></distances2hetero>'
    )


def read(text: str) -> Fabric:
    return formats.read(text, name="machine.xml")


def host(text: str) -> HostType:
    return read(text).host_types[0]


def package(*inside: str) -> str:
    return obj("Package", obj("NUMANode"), *inside)


TWO = (
    package(host_bridge(bridge(gpu("11", 0), nic("12", "mlx5_1")), nic("13", "mlx5_2"))),
    package(host_bridge(bridge(gpu("21", 1), nic("22", "mlx5_0")))),
)


def test_the_tree_pairs_gpus_and_adapters() -> None:
    kind = host(machine(*TWO))
    assert [(n.name, n.gpu, n.rail, n.bandwidth_bytes_per_s) for n in kind.nics] == [
        ("mlx5_1", 0, 1, 50e9),
        ("mlx5_0", 1, 0, 50e9),
    ]
    assert [n.name for n in kind.other_nics] == ["mlx5_2"]


@pytest.mark.parametrize("version", ["", ' version="2.0"', ' version="3.0"'])
def test_all_versions_number_devices_in_their_own_way(version: str) -> None:
    kinds = {"3": "32", "2": "16"} if "3" in version else {"3": "3", "2": "2"}
    text = machine(
        package(host_bridge(gpu("11", 0), nic("12", "ens1", kind=kinds["2"]), nic("13", "roce_x", kind=kinds["3"]))),
        version=version,
    )
    assert [n.name for n in host(text).nics] == ["roce_x"]


def test_consoles_are_not_gpus_and_names_count_where_classes_fail() -> None:
    console = device("02", "0300 [1a03:2000]")
    grace = device("0f", "1234 [10de:2e12]", obj("OSDev", name="cuda0", osdev_type="5"))
    assert host(machine(package(host_bridge(console, gpu("11", 0))))).gpus == 1
    assert host(machine(package(host_bridge(console, grace)))).gpus == 1


def test_ports_that_are_down_and_plain_ethernet_are_left_out() -> None:
    text = machine(
        package(
            host_bridge(
                gpu("11", 0),
                nic("12", "mlx5_0", info("Port1State", "4")),
                nic("13", "mlx5_1", info("Port1State", "1")),
                nic("14", "eno1", kind="2", model="8086:1521"),
            )
        )
    )
    fabric = read(text)
    assert [n.name for n in fabric.host_types[0].nics] == ["mlx5_0"]
    assert [(n.name, n.network) for n in fabric.host_types[0].other_nics] == [("eno1", "front-end")]
    assert "mlx5_1" in " ".join(fabric.warnings)


def test_memory_of_gpus_is_no_numa_node_of_cpus() -> None:
    inside = host_bridge(gpu("11", 0)), host_bridge(nic("21", "mlx5_0"))
    lone = read(machine(package(*inside), obj("NUMANode", subtype="GPUMemory")))
    assert any("NODE" in line for line in lone.warnings)  # one socket: not across sockets
    two = read(machine(package(inside[0]), package(inside[1])))
    assert any("SYS" in line for line in two.warnings)


def test_nvlink_by_the_matrix_between_gpus_and_through_switches() -> None:
    pair = host(machine(*TWO, behind=matrix("OSDev:100 OSDev:101", "0 40000 40000 0")))
    assert (pair.scale_up_gpus, pair.scale_up_bandwidth_bytes_per_s) == (2, 40e9)
    switch = obj("PCIDev", subtype="NVSwitch", pci_type="0680 [10de:1ac2] [0000:0000] a1", gp_index="77")
    table = "0 0 150000 0 0 150000 150000 150000 0"
    through = host(machine(*TWO, switch, behind=matrix("OSDev:100 PCIDev:91 PCIDev:77", table)))
    assert (through.scale_up_gpus, through.scale_up_bandwidth_bytes_per_s) == (2, 150e9)


def test_names_and_memory_are_kept() -> None:
    memory = info("CUDAGlobalMemorySize", "1048576KiB")
    fabric = read(machine(info("HostName", "gpu-7"), package(host_bridge(gpu("11", 0, memory)))))
    assert fabric.host_names == ("gpu-7",)
    assert fabric.host_types[0].gpu_memory_bytes == 2**30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<topology><object type="Machine"/></topology>', "no PCI devices"),
        (machine(nic("12", "mlx5_0")), "no GPU"),
        ("<topology></topology>", "no <topology> with an <object>"),
        (machine(*TWO, behind=matrix("OSDev:100 OSDev:101", "0 1 2")), "3 values for 2 objects"),
    ],
)
def test_what_is_not_a_machine_with_gpus_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        formats.read(text, name="machine.xml", format="hwloc")
    assert caught.value.place is not None


WORDS = st.sampled_from(
    [
        "",
        "0",
        "3",
        "32",
        "0302 [10de:2330] x",
        "0207 [15b3:1021] x",
        "0604 [1:1]",
        "nvml0",
        "mlx5_0",
        "NVSwitch",
        "é",
        "0-1",
    ]
)
KEYS = st.sampled_from(
    ["pci_busid", "pci_type", "pci_link_speed", "name", "subtype", "osdev_type", "bridge_type", "gp_index"]
)


@st.composite
def objects(draw: st.DrawFn, depth: int = 0) -> str:
    keys = draw(st.lists(KEYS, max_size=4, unique=True))
    inside = draw(st.lists(objects(depth + 1), max_size=3)) if depth < 4 else []
    kind = draw(st.sampled_from(["Package", "Bridge", "PCIDev", "OSDev", "NUMANode", "Core", "\N{SNOWMAN}"]))
    return obj(kind, *inside, **{key: draw(WORDS) for key in keys})


@settings(deadline=None, max_examples=50)
@given(
    st.lists(objects(), max_size=4), st.just("") | st.builds(matrix, WORDS, WORDS | st.text("0123456789 ", max_size=30))
)
def test_any_tree_gives_a_fabric_or_an_input_error(inside: list[str], behind: str) -> None:
    try:
        fabric = formats.read(machine(*inside, behind=behind), name="machine.xml", format="hwloc")
    except InputError:
        return
    assert parse_fabric(format_fabric(fabric)).host_types == fabric.host_types
