"""Examples of the formats of hosts."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "collected": (
        """\
# topoplan collected 1
@ host
|name=n1
|fqdn=n1.cluster.site
|ip=10.0.0.1 fe80::1
|slurm=n1
@ nvidia-smi-list
|GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)
|GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)
@ nvidia-smi-topo
|\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity
|GPU0\t X \tNV18\tPIX\t0-31\t0
|GPU1\tNV18\t X \tSYS\t32-63\t1
|NIC0\tPIX\tSYS\t X \t\t
|
|NIC Legend:
|
|  NIC0: mlx5_0
@ nvidia-smi-fabric
|GPU 00000000:18:00.0
|        CliqueId                          : 7
|        ClusterUUID                       : 11111111-2222-3333-4444-555555555555
@ infiniband
|device=mlx5_0\tport=1\tnode_guid=b8ce:f603:00aa:0100\tstate=4: ACTIVE\trate=400 Gb/sec (4X NDR)\tnet=ib0,
@ pci
|address=0000:18:00.0\tclass=0x030200\tvendor=0x10de\tdevice=0x2330\tnuma=0\tplace=/sys/devices/pci0000:17/0000:18:00.0
@ ibstat missing
@ lldp
|{"lldp": {"interface": [{"ib0": {"chassis": {"leaf-a": {"id": {"type": "mac", "value": "2"}}},
| "port": {"id": {"type": "ifname", "value": "e1"}}}}]}}
@ scontrol-topology
|SwitchName=core Level=1 LinkSpeed=1 Nodes=n[1-2] Switches=rack1
|SwitchName=rack1 Level=0 LinkSpeed=1 Nodes=n[1-2]
@ kubernetes
|nvidia.com/gpu.clique="11111111-2222-3333-4444-555555555555.7"
@ end
""",
    ),
    "hwloc": (
        """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
  <object type="Machine" os_index="0" gp_index="1">
    <info name="HostName" value="gpu-1"/>
    <object type="Package" os_index="0" gp_index="2">
      <object type="NUMANode" os_index="0" gp_index="3"/>
      <object type="Bridge" gp_index="4" bridge_type="0-1" bridge_pci="0000:[10-1f]">
        <object type="Bridge" gp_index="5" bridge_type="1-1" pci_busid="0000:10:00.0"
                pci_type="0604 [1000:c010] [1000:a096] b0">
          <object type="PCIDev" gp_index="6" pci_busid="0000:11:00.0"
                  pci_type="0302 [10de:20b0] [10de:134f] a1" pci_link_speed="31.5">
            <object type="OSDev" gp_index="7" name="nvml0" osdev_type="1"/>
          </object>
          <object type="PCIDev" gp_index="8" pci_busid="0000:12:00.0"
                  pci_type="0302 [10de:20b0] [10de:134f] a1" pci_link_speed="31.5">
            <object type="OSDev" gp_index="9" name="nvml1" osdev_type="1"/>
          </object>
          <object type="PCIDev" gp_index="10" pci_busid="0000:13:00.0"
                  pci_type="0207 [15b3:101b] [15b3:0007] 00" pci_link_speed="31.5">
            <object type="OSDev" gp_index="11" name="ib0" osdev_type="2"/>
            <object type="OSDev" gp_index="12" name="mlx5_0" osdev_type="3"><info name="Port1State" value="4"/></object>
          </object>
        </object>
      </object>
    </object>
  </object>
  <distances2hetero nbobjs="2" kind="25" name="NVLinkBandwidth">
    <indexes length="13">OSDev:7 OSDev:9 </indexes>
    <u64values length="12">0 300000 300000 0 </u64values>
  </distances2hetero>
</topology>
""",
    ),
    "nccl": (
        """\
<!-- two GPUs, each with a NIC under its switch, joined by NVLink switches; one NIC for storage -->
<system version="1">
  <cpu host_hash="0x1" numaid="0" affinity="0000ffff" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143">
    <pci busid="0000:10:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">0
      <pci busid="0000:11:00.0" class="0x030200" vendor="0x10de" device="0x2330" link_speed="32.0 GT/s PCIe">
        <gpu dev="0" sm="90" rank="0" gdr="1">
          <nvlink target="0000:f0:00.0" count="10" tclass="0x068000"/>
          <nvlink target="0000:f1:00.0" count="8" tclass="0x068000"/>
        </gpu>
      </pci>
      <pci busid="0000:12:00.0" class="0x020700" link_speed="32.0 GT/s PCIe" link_width="16">
        <nic>
          <net name="mlx5_3" dev="0" speed="200000" port="1" guid="0x1" gdr="1" rail="0" plane="0"/>
          <net name="mlx5_4" dev="1" speed="200000" port="2" guid="0x1" gdr="1" rail="0" plane="1"/>
        </nic>
      </pci>
    </pci>
    <pci busid="0000:20:00.0" class="0x060400" link_speed="5.0 GT/s PCIe" link_width="16">
      <pci busid="0000:21:00.0" class="0x030200" vendor="0x10de" device="0x2330" link_speed="32.0 GT/s PCIe">
        <gpu dev="1" sm="90" rank="1" gdr="1">
          <nvlink target="0000:f0:00.0" count="10" tclass="0x068000"/>
          <nvlink target="0000:f1:00.0" count="8" tclass="0x068000"/>
        </gpu>
      </pci>
      <pci busid="0000:22:00.0" class="0x020700">
        <nic><net name="mlx5_1" dev="2" speed="400000" port="1" guid="0x2" gdr="1" rail="1" plane="0"/></nic>
      </pci>
    </pci>
    <pci busid="0000:30:00.0" class="0x020000">
      <nic><net name="mlx5_0" dev="3" speed="100000" port="1" guid="0x3" gdr="0" rail="0" plane="0"/></nic>
    </pci>
  </cpu>
</system>
""",
    ),
    "nccl-graphs": (
        """\
<graphs version="1">
  <graph id="0" pattern="4" nchannels="2" speedintra="40" speedinter="40" typeintra="NVL" typeinter="PIX">
    <channel><net dev="0"/><gpu dev="0"/><gpu dev="1"/><net dev="1"/></channel>
    <channel><net dev="1"/><gpu dev="1"/><gpu dev="0"/><net dev="0"/></channel>
  </graph>
</graphs>
""",
    ),
    "nvidia-smi": (
        """\
$ nvidia-smi topo -m
\t\x1b[4mGPU0\tGPU1\tNIC0\tNIC1\tNIC2\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m
GPU0\t X \tNV12\tNODE\tPIX\tSYS\t0-15,32-47\t0,2-3\t\tN/A
GPU1\tNV12\t X \tPXB\tNODE\tSYS\t0-15\t0\t\tN/A
NIC0\tNODE\tPXB\t X \tNODE\tSYS
NIC1\tPIX\tNODE\tNODE\t X \tSYS
NIC2\tSYS\tSYS\tSYS\tSYS\t X

Legend:

  X    = Self
  NV#  = Connection traversing a bonded set of # NVLinks

NIC Legend:

  NIC0: mlx5_0
  NIC1: mlx5_1
  NIC2: mlx5_bond_0
""",
        """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0)
  MIG 3g.20gb     Device  0: (UUID: MIG-a)
  MIG 3g.20gb     Device  1: (UUID: MIG-b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1)
  MIG 7g.40gb     Device  0: (UUID: MIG-c)
      GPU0  GPU1  mlx5_0  CPU Affinity  NUMA Affinity
GPU0   X    PHB   PHB     0-23          0
GPU1  PHB    X    PHB     0-23          0
""",
    ),
}  # fmt: skip
