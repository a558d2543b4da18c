"""ibstat and scontrol show node, alone and in the files of the script."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.collect.test_collect import LIST, TOPO, collected
from topoplan.topologies import formats
from topoplan.topologies.collect.tools import SlurmNode, ibstat_rows, slurm_node

IBSTAT = """\
CA 'mlx5_{n}'
\tCA type: MT4129
\tNumber of ports: {ports}
\tNode GUID: 0x{guid}
\tSystem image GUID: 0x946dae0300000000
"""
PORT = "\tPort {n}:\n\t\tState: {state}\n\t\tPhysical state: LinkUp\n\t\tRate: {rate}\n\t\tLink layer: {link}\n"
NODE = (
    "NodeName=n1 Arch=x86_64 CoresPerSocket=56 Gres=gpu:h100:{gpus}(S:0-1),nvme:1 NodeAddr=10.9.0.1 "
    "NodeHostName=host-a Version=25.05 State={state} ThreadsPerCore=1 CfgTRES=cpu=112,gres/gpu=8 "
)


def ibstat(state: str = "Active", link: str = "InfiniBand") -> str:
    return "".join(
        IBSTAT.format(n=n, ports=1, guid=f"946dae030000000{n}") + PORT.format(n=1, state=state, rate=400, link=link)
        for n in range(3)
    )


def test_ibstat_becomes_the_rows_of_the_kernel() -> None:
    text = IBSTAT.format(n=0, ports=2, guid="946dae03000000f0")
    text += PORT.format(n=1, state="Active", rate=200, link="InfiniBand")
    text += PORT.format(n=2, state="Down", rate=40, link="Ethernet")
    assert list(ibstat_rows(text)) == [
        {"device": "mlx5_0", "port": "1", "node_guid": "946d:ae03:0000:00f0",
         "state": "Active", "rate": "200 Gb/sec", "link": "InfiniBand"},
        {"device": "mlx5_0", "port": "2", "node_guid": "946d:ae03:0000:00f0",
         "state": "Down", "rate": "40 Gb/sec", "link": "Ethernet"},
    ]  # fmt: skip
    assert list(ibstat_rows("\tPort 1:\n\t\tRate: 40\nCA 'bad name'\n\tPort 1:\n")) == []


def test_ibstat_tells_speeds_guids_and_link_where_the_kernel_does_not() -> None:
    text = collected("n1", {"nvidia-smi-list": LIST, "nvidia-smi-topo": TOPO, "ibstat": ibstat(link="Ethernet")})
    fabric = formats.read(text, name="n1")
    assert {nic.name: nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics} == {
        "mlx5_0": 50e9,
        "mlx5_1": 50e9,
    }
    assert dict(fabric.hosts[0].aliases)["guid-mlx5_1"] == "946dae0300000001"
    assert fabric.routing == "ecmp"
    row = "device=mlx5_0\tport=1\tnode_guid=0000:0000:00aa:0001\tstate=4: ACTIVE\trate=100 Gb/sec\tlink=InfiniBand\n"
    both = collected(
        "n1", {"nvidia-smi-list": LIST, "nvidia-smi-topo": TOPO, "infiniband": row, "ibstat": ibstat("Down")}
    )
    fabric = formats.read(both, name="n1")
    assert {nic.name: nic.bandwidth_bytes_per_s for nic in fabric.host_types[0].nics}["mlx5_0"] == 12.5e9
    assert any("no active port: mlx5_1" in line for line in fabric.warnings)


def test_nodes_of_slurm() -> None:
    assert slurm_node(NODE.format(gpus=8, state="ALLOCATED")) == SlurmNode(8, "h100", "", ("host-a", "10.9.0.1"))
    found = slurm_node("NodeName=x Gres=gpu:2,gpu:a100:4(S:0,1),craynetwork:1 State=IDLE+DRAIN+PLANNED*")
    assert found == SlurmNode(6, "a100", "DRAIN", ())
    assert slurm_node("NodeName=x Gres=(null) State=MIXED*\n") == SlurmNode(0, "", "", ())
    assert slurm_node("slurm_load_node error: Unable to contact slurm controller") is None


def test_what_slurm_says_is_compared_with_what_was_seen() -> None:
    sections = {"nvidia-smi-list": LIST, "nvidia-smi-topo": TOPO}
    fabric = formats.read(
        collected("n1", sections | {"scontrol-node": NODE.format(gpus=8, state="IDLE+DRAIN")}), name="n"
    )
    assert any("Slurm counts 8 GPUs, the script saw 2: the allocation has a part" in line for line in fabric.warnings)
    assert any("no further job there (DRAIN)" in line for line in fabric.warnings)
    assert fabric.alias_index["host-a"] == fabric.alias_index["10.9.0.1"] == 0
    same = formats.read(collected("n1", sections | {"scontrol-node": NODE.format(gpus=2, state="MIXED")}), name="n")
    assert not [line for line in same.warnings if "Slurm" in line]


def test_slurms_word_for_gpus_tells_their_nvlink_where_nothing_else_does() -> None:
    rows = [
        f"address=0000:{n}1:00.0\tclass=0x030200\tvendor=0x10de\tdevice=0xffff\tnuma=0\t"
        f"place=/sys/devices/pci0000:{n}0/0000:{n}0:01.0/0000:{n}1:00.0"
        for n in range(1, 9)
    ]
    told = NODE.format(gpus=8, state="MIXED").replace("h100", "b200")
    fabric = formats.read(collected("n1", {"pci": "\n".join(rows), "scontrol-node": told}), name="n")
    assert fabric.host_types[0].scale_up_bandwidth_bytes_per_s == 900e9


def test_plain_ethernet_is_kept_apart() -> None:
    rows = "".join(
        f"name={name}\tmac=x\tspeed={speed}\tstate={state}\tplace=/sys/devices/x\n"
        for name, speed, state in (("eno1", "25000", "up"), ("eno2", "10000", "down"), ("ib0", "400000", "up"),
                                   ("veth1", "10000", "up"), ("eno3", "-1", "up"), ("eno1", "25000", "up"))
    )  # fmt: skip
    rdma = "device=mlx5_0\tport=1\tstate=4: ACTIVE\trate=400 Gb/sec\tlink=InfiniBand\tnet=ib0,\n"
    text = collected("n1", {"nvidia-smi-list": LIST, "nvidia-smi-topo": TOPO, "infiniband": rdma, "net": rows})
    (kind,) = formats.read(text, name="n").host_types
    others = {nic.name: (nic.bandwidth_bytes_per_s, nic.network) for nic in kind.other_nics}
    assert others == {"eno1": (3.125e9, "front-end"), "mlx5_2": (0.0, "storage or front-end")}


@given(st.text(alphabet="CA' mlx5_0\n\tPort:1RateGUID0x=,()gpuStNode+", max_size=300))
def test_any_text(text: str) -> None:
    assert all(row["device"] for row in ibstat_rows(text))
    slurm_node(text)
    slurm_node("State=" + text)
