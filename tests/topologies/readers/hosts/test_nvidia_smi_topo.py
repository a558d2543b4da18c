"""nvidia-smi topo -m, printed here in all the ways that drivers, terminals and logs print it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric, HostType
from topoplan.topologies import formats

TAIL = ["CPU Affinity", "NUMA Affinity", "GPU NUMA ID"]


def table(
    cells: Sequence[Sequence[str]],
    nics: Sequence[str] = (),
    numa: Sequence[str] = (),
    join: str = "\t",
    rows: bool = False,
) -> str:
    """Header and rows; `cells` [gpus][gpus + nics], NIC rows only where asked for."""
    gpus = [f"GPU{g}" for g in range(len(cells))]
    numa = numa or ["0"] * len(gpus)
    lines = [join.join(["", *gpus, *nics, *TAIL])]
    for g, row in enumerate(cells):
        shown = [" X " if i == g else cell for i, cell in enumerate(row)]
        lines.append(join.join([gpus[g], *shown, f"{g}-{g + 7}", numa[g], "N/A"]))
    if rows:
        lines += [join.join([nic, *(["SYS"] * len(gpus)), *([" X "] * len(nics))]) for nic in nics]
    return "\n".join(lines) + "\n"


def switched(gpus: int, links: int, nics: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """Cells of GPUs behind NVLink switches; `nics` [gpus][nics]."""
    return [["X" if a == b else f"NV{links}" for b in range(gpus)] + list(nics[a] if nics else ()) for a in range(gpus)]


def legend(names: dict[str, str]) -> str:
    return "\nLegend:\n\n  X    = Self\n  NV#  = NVLinks\n\nNIC Legend:\n\n" + "".join(
        f"  {label}: {name}\n" for label, name in names.items()
    )


def read(text: str) -> Fabric:
    return formats.read(text, name="topo.txt")


def host(text: str) -> HostType:
    return read(text).host_types[0]


SCRAMBLED = [["NODE", "PIX"], ["PIX", "NODE"]]
NAMES = {"NIC0": "mlx5_4", "NIC1": "mlx5_9"}
PLAIN = table(switched(2, 12, SCRAMBLED), list(NAMES), rows=True) + legend(NAMES)


def test_nics_go_by_path_and_are_named_by_the_legend() -> None:
    kind = host(PLAIN)
    assert [(n.name, n.gpu, n.rail) for n in kind.nics] == [("mlx5_4", 1, 0), ("mlx5_9", 0, 1)]
    assert (kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == (2, 300e9)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("\tGPU0", "\t\x1b[4mGPU0", 1).replace("GPU NUMA ID", "GPU NUMA ID\x1b[0m"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("GPU0\tGPU1", "GPU0\nGPU1", 1),  # the header is broken
        PLAIN.replace("NIC0\tNIC1", "NIC0NIC1", 1),  # columns run into each other
        "2026-01-05 driver 570\n$ nvidia-smi topo -m\n" + PLAIN + "\n$ uptime\n 10:00 up 3 days\n",
        "\n".join(f"// {line}" for line in PLAIN.split("\n")),
        "\n".join(f"node-7: {line}" for line in PLAIN.split("\n")),
        table(switched(2, 12, SCRAMBLED), list(NAMES), join="    ") + legend(NAMES),
        PLAIN.replace("NV12\tNODE", "NV12\nNODE"),  # rows are broken too
        table(switched(2, 12, SCRAMBLED), list(NAMES.values())),  # old drivers name the columns themselves
        "\tGPU0\tGPU1\nGPU0\tX\tOK\nGPU1\tOK\tX\n\n" + PLAIN,  # topo -p2p stands before it
        PLAIN + legend({"NIC7": "mlx5_bond_0"}),
        PLAIN.replace("NV12\tNODE", "NV12NODE"),  # cells run into each other where a terminal broke the line
        PLAIN.replace("CPU Affinity", "CPU Affi        nity"),  # a terminal broke the line, and it was joined again
    ],
)
def test_however_it_is_printed(text: str) -> None:
    assert host(text).nics == host(PLAIN).nics
    assert host(text).domain_of_gpu == (0, 0)


def test_of_several_tables_the_first_is_read() -> None:
    assert not any("tables" in line for line in read(PLAIN + "\tGPU0\tGPU1\nGPU0\tX\tOK\nGPU1\tOK\tX\n").warnings)
    assert any("2 such tables" in line for line in read(PLAIN + PLAIN).warnings)


def test_numa_nodes_may_be_lists_empty_or_missing() -> None:
    cells = [["X", "SYS", "SYS"], ["SYS", "X", "SYS"], ["SYS", "SYS", "X"]]
    assert host(table(cells, numa=["0,3-9,11-17", "1", "0"])).switches == (0, 1, 0)
    assert host(table(cells, numa=["N/A"] * 3)).switches == (0, 1, 2)  # by their CPUs
    assert host("\tGPU0\tGPU1\tGPU2\nGPU0\t X \tSYS\tSYS\nGPU1\tSYS\t X \tSYS\nGPU2\tSYS\tSYS\t X \n").switches == ()


@pytest.mark.parametrize(("own", "each"), [("2", 900e9), ("N/A", 450e9)])
def test_memory_that_is_a_numa_node_means_grace(own: str, each: float) -> None:
    text = table(
        switched(4, 18, [["PIX" if n == g else "SYS" for n in range(4)] for g in range(4)]),
        ["mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"],
    )
    assert host(text.replace("N/A", own)).scale_up_bandwidth_bytes_per_s == each


def test_a_gpu_whose_nvlink_is_down_is_named() -> None:
    cells = switched(8, 18)
    for other in range(8):
        cells[2][other] = cells[other][2] = "NODE"
    found = read(table(cells))
    assert found.host_types[0].domain_of_gpu == (0, 0, 1, 0, 0, 0, 0, 0)
    assert any("7 of the 8 GPUs, but not GPU 2" in line for line in found.warnings)
    assert not any("but not" in line for line in read(table(switched(8, 18))).warnings)


def test_nvlink_pairs_of_any_shape() -> None:
    cells = [["SYS"] * 4 for _ in range(4)]
    for a, b in ((0, 3), (1, 2)):
        cells[a][b] = cells[b][a] = "NV4"
    kind = host(table(cells))
    assert (kind.domain_of_gpu, kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == ((0, 1, 1, 0), 2, 100e9)


def test_direct_links_add_up_and_switched_ones_do_not() -> None:
    assert host(table(switched(4, 4))).scale_up_bandwidth_bytes_per_s == 300e9
    assert host(table(switched(8, 18))).scale_up_bandwidth_bytes_per_s == 450e9


def test_a_cube_mesh_is_one_domain_and_numa_nodes_stand_for_hidden_switches() -> None:
    cells = [["SYS"] * 9 for _ in range(8)]
    for a in range(8):
        for b in range(8):
            if a != b and (a // 4 == b // 4 or a % 4 == b % 4):
                cells[a][b] = "NV2" if (a + b) % 2 else "NV1"
    cells[2][8] = cells[3][8] = "PIX"
    fabric = read(table(cells, ["mlx5_0"], numa=["0"] * 4 + ["1"] * 4))
    kind = fabric.host_types[0]
    assert (kind.scale_up_gpus, kind.switches) == (8, (0, 0, 0, 0, 1, 1, 1, 1))
    assert kind.nic_of_gpu == (0,) * 8
    assert any("alike" in line for line in fabric.warnings)


def test_the_model_beside_the_table_tells_the_speed() -> None:
    fabric = read("GPU 0: NVIDIA B200 (UUID: GPU-0)\n" + table(switched(8, 18)))
    assert fabric.host_types[0].scale_up_bandwidth_bytes_per_s == 900e9


def test_a_tray_whose_nics_are_all_far_is_paired_in_order_and_says_so() -> None:
    fabric = read(table(switched(4, 18, [["SYS"] * 4] * 4), [f"mlx5_{n}" for n in range(4)], ["0", "0", "1", "1"]))
    kind = fabric.host_types[0]
    assert kind.nic_of_gpu == (0, 1, 2, 3)
    assert kind.scale_up_bandwidth_bytes_per_s == 900e9
    assert kind.switches == (0, 0, 1, 1)
    assert "NVL72" in " ".join(fabric.warnings)
    near = [["NODE" if n // 2 == g // 2 else "SYS" for n in range(4)] for g in range(4)]
    kind = host(table(switched(4, 18, near), [f"mlx5_{n}" for n in range(4)]))
    assert (kind.nic_of_gpu, kind.scale_up_bandwidth_bytes_per_s) == ((0, 1, 2, 3), 900e9)


def test_storage_nics_and_virtual_functions_are_left_out() -> None:
    text = table(switched(1, 0, [["PIX"] * 34 + ["NODE"]]), [f"NIC{n}" for n in range(35)])
    kind = host(text)
    assert (len(kind.nics), len(kind.other_nics)) == (4, 31)


def test_pcie_alone_leaves_nvlink_open() -> None:
    cells = [["NODE"] * 8 for _ in range(8)]
    fabric = read("$ nvidia-smi topo -mp\n" + table(cells))
    assert fabric.host_types[0].scale_up_gpus == 8
    assert any(line.startswith("NVLink joins all 8 GPUs") for line in fabric.assumed)
    assert read("$ nvidia-smi topo -m\n" + table(cells)).host_types[0].scale_up_gpus == 1


def test_slices_are_places_of_their_own() -> None:
    listed = (
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0)\n  MIG 3g.20gb     Device  0: (UUID: MIG-a)\n"
        "  MIG 2g.10gb     Device  1: (UUID: MIG-b)\nGPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1)\n"
        "  MIG 1c.7g.40gb  Device  0: (UUID: MIG-c)\n"
    )
    kind = host(listed + table(switched(2, 12, SCRAMBLED), list(NAMES.values())))
    assert (kind.gpus, kind.slices, kind.scale_up_gpus, kind.gpu_memory_bytes) == (3, (2, 1), 1, 10e9)
    assert kind.nic_of_gpu == (1, 1, 0)
    assert kind.switches == (0, 0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GPU0\t X \tNV4\nGPU1\tNV4\t X \n", "no header"),
        (table(switched(2, 12)).replace("GPU1\tNV12", "gone"), "no row"),
        (table(switched(2, 12)).replace("GPU1\tNV12", "GPU1\tNV6"), "different NVLinks"),
        (table(switched(3, 12)).replace("GPU1\tNV12\t X \tNV12", "GPU1\tNV12"), "row GPU1 has 1 cells"),
        ("\tGPU0\tGPU1\tGPU1\nGPU0\t X \tNV1\tNV1\n", "twice"),
        ("GPU 0: A (UUID: x)\n  MIG 1g.5gb Device 0: (UUID: y)\n" + table(switched(2, 12)), "lists 1 GPUs"),
    ],
)
def test_a_damaged_table_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        formats.read(text, name="topo.txt", format="nvidia-smi")
    assert caught.value.place is not None


CELLS = st.sampled_from(
    ["X", "NV1", "NV18", "NV999", "PIX", "PXB", "PHB", "NODE", "SYS", "SOC", "N/A", "", "GPU1", "é"]
)
WORDS = st.sampled_from(
    ["GPU0", "GPU1", "GPU2", "NIC0", "NIC1", "mlx5_0", "CPU Affinity", "NUMA Affinity", "\x1b[4m", "0-7"]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(WORDS | CELLS, max_size=7), max_size=8), st.sampled_from(["\t", "  ", " \t"]))
def test_any_words_give_a_fabric_or_an_input_error(lines: list[list[str]], join: str) -> None:
    text = "\n".join(join.join(line) for line in lines)
    try:
        fabric = formats.read(text, name="topo.txt", format="nvidia-smi")
    except InputError:
        return
    assert parse_fabric(format_fabric(fabric)).host_types == fabric.host_types


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_whole_table_is_read(data: st.DataObject) -> None:
    gpus, nics = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 5))
    path = st.sampled_from(["PIX", "PXB", "PHB", "NODE", "SYS"])
    cells = [[data.draw(path) for _ in range(gpus + nics)] for _ in range(gpus)]
    for a in range(gpus):
        for b in range(a):
            cells[a][b] = cells[b][a] = data.draw(st.sampled_from(["NV2", "NV18", "SYS"]))
    kind = host(table(cells, [f"NIC{n}" for n in range(nics)], rows=data.draw(st.booleans())))
    assert kind.gpus == gpus
    assert len(kind.nics) + len(kind.other_nics) == nics
    assert all(kind.nics_of_gpu) or not nics
    for a in range(gpus):
        for b in range(a):
            if cells[a][b].startswith("NV"):
                assert kind.domain_of_gpu[a] == kind.domain_of_gpu[b]
