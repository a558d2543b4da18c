"""A few small valid texts of every format in `formats.READERS`.

Whoever adds a reader adds its texts here, under the name of the format: test_hostile.py damages each of them in many
ways, and test_detection.py sees that no other reader takes it for its own. Keep a text below about 2,000 characters,
write it for this table (none of a real site's), and let it use what the grammar has: comments, lists, several tiers,
GUIDs. Keep the formats sorted by name, so that two people who add one each do not meet in the same line.
"""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "astra-sim": (
        """\
# two hosts of eight
topology: [ Switch, Ring ]
npus_count: [ 8, 4 ]
bandwidth: [ 400, 50.0 ]  # GB/s
latency: [ 936.25, 1000 ]
""",
        """\
topology: [ Ring, FullyConnected, Switch ]
npus_count: [ 2, 3, 4 ]
bandwidth: [ 200.0, 100.0, 50.0 ]
latency: [ 50.0, 500.0, 2000.0 ]
""",
    ),
    "astra-sim-dims": (
        """{"logical-dims": ["8", "4", "2"]}
""",
    ),
    "aws": (
        """\
{"Instances": [
  {"InstanceId": "i-01", "InstanceType": "p5.48xlarge", "ZoneId": "z1", "NetworkNodes": ["nn-1", "nn-2", "nn-3"]},
  {"InstanceId": "i-02", "InstanceType": "p5.48xlarge", "ZoneId": "z1", "NetworkNodes": ["nn-1", "nn-2", "nn-4"]},
  {"InstanceId": "i-03", "InstanceType": "p5.48xlarge", "ZoneId": "z1", "NetworkNodes": null}
], "NextToken": "x"}
""",
        """\
{"Nodes": [{"Name": "ip-10-0-0-1.internal", "InstanceId": "i-01", "Topology": {
  "topology.k8s.aws/network-node-layer-1": "nn-1", "topology.k8s.aws/network-node-layer-2": "nn-2"}}]}
""",
    ),
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
    "containerlab": (
        """\
# two racks
name: lab
topology:
  nodes:
    leaf1: {kind: nokia_srlinux}
    leaf2: {kind: ceos, labels: {role: Leaf}}
    spine: {kind: nokia_srlinux}
    n1: {kind: linux}
    n2: {kind: linux, labels: {graph-icon: server}}
  links:
    - endpoints: ["leaf1:e1-1", "spine:e1-1"]
    - endpoints: ["leaf2:eth1", "spine:e1-2"]
    - endpoints: ["n1:eth1", "leaf1:e1-2"]
    - endpoints: ["n2:eth1", "leaf2:eth2"]
""",
    ),
    "dot": (
        """\
graph lab {
  "leaf01" [function="leaf" os="any"]
  "n01" [function="server"]
  "n02" [function="server"]
  "leaf01":"swp1" -- "n01":"eth1"
  "leaf01":"swp2" -- "n02":"eth1"
  "leaf01":"swp31" -- "spine01":"swp1"
}
""",
    ),
    "edges": (
        """\
side_a_device,side_a_type,side_a_name,side_b_device,side_b_type,side_b_name
leaf-1,dcim.interface,swp31,spine-1,dcim.interface,swp1
leaf-2,dcim.interface,swp31,spine-1,dcim.interface,swp2
srv-1,dcim.interface,enp1s0f0,leaf-1,dcim.interface,swp1
srv-1,dcim.interface,enp1s0f1,leaf-2,dcim.interface,swp1
srv-2,dcim.interface,enp1s0f0,leaf-1,dcim.interface,swp2
srv-2,dcim.interface,enp1s0f1,leaf-2,dcim.interface,swp2
srv-2,dcim.powerport,PSU1,pdu-1,dcim.poweroutlet,out3
""",
        """\
StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID
tor-1,Ethernet0,node-1,eth0,400000,1
tor-1,Ethernet4,node-2,eth0,400000,2
tor-1,Ethernet8,spine-1,Ethernet0,800000,
""",
        """\
# made by hand
source;target;speed;count;rail;plane
gpu-1;leaf-a;400G;1;0;0
gpu-1;leaf-b;400G;1;0;1
gpu-2;leaf-a;400G;1;0;0
gpu-2;leaf-b;400G;1;0;1
leaf-a;spine;400 Gb/s;2;;
leaf-b;spine;400 Gb/s;2;;
""",
    ),
    "fabric-clique": (
        """\
# host: ClusterUUID
tray-1: 0a1b2c3d-0000-4000-8000-00000000000a
tray-2: 0a1b2c3d-0000-4000-8000-00000000000a
tray-3: 0a1b2c3d-0000-4000-8000-00000000000b
""",
        """\
host,cluster_uuid,clique
t1,0a1b2c3d-0000-4000-8000-00000000000a,1
t2,0a1b2c3d-0000-4000-8000-00000000000a,2
t3,0a1b2c3d-0000-4000-8000-00000000000a,1
""",
    ),
    "gcp": (
        """\
[{"name": "vm-1", "id": "111", "machineType": "z/a4x-highgpu-4g", "resourceStatus": {
  "physicalHost": "/b1/s1/h1", "physicalHostTopology": {"block": "b1", "subblock": "s1", "host": "h1"}}},
 {"name": "vm-2", "id": "112", "machineType": "z/a4x-highgpu-4g", "resourceStatus": {
  "physicalHostTopology": {"block": "b1", "subblock": "s1", "host": "h2"}}}]
""",
        '[{"name": "v1", "resourceStatus": {"physicalHost": "/c/r1/h1"}}, {"name": "v2", "physicalHost": "/c/r2/h"}]\n',
    ),
    "graphml": (
        """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- drawn by hand -->
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="role" attr.type="string"/>
  <key id="d1" for="edge" attr.name="bandwidth" attr.type="string"/>
  <key id="d2" for="edge" attr.name="count" attr.type="long"/>
  <graph id="G" edgedefault="undirected">
    <node id="n1"><data key="d0">server</data></node>
    <node id="n2"><data key="d0">server</data></node>
    <node id="leaf"><data key="d0">leaf</data></node>
    <node id="spine"/>
    <edge source="n1" target="leaf"><data key="d1">400 Gb/s</data></edge>
    <edge source="n2" target="leaf"><data key="d1">400 Gb/s</data></edge>
    <edge source="leaf" target="spine"><data key="d1">800 Gb/s</data><data key="d2">2</data></edge>
  </graph>
</graphml>
""",
    ),
    "htsim": (
        """\
Nodes 8
Tiers 3
Podsize 4

Tier 0
Downlink_speed_Gbps 200
Radix_Down 2
Radix_Up 2
Downlink_Latency_ns 1000

Tier 1
Downlink_speed_Gbps 200
Radix_Down 2
Radix_Up 4

Tier 2
Downlink_speed_Gbps 100
Radix_Down 4
Bundle 2
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
    "hypernode": (
        """\
apiVersion: topology.volcano.sh/v1alpha1
kind: HyperNode
metadata: {name: s0}
spec:
  tier: 1
  members:
  - type: Node
    selector: {exactMatch: {name: node-0}}
  - type: Node
    selector: {regexMatch: {pattern: "^node-[12]$"}}
---
apiVersion: topology.volcano.sh/v1alpha1
kind: HyperNode
metadata: {name: top}
spec:
  tier: 2
  members:
  - type: HyperNode
    selector: {exactMatch: {name: s0}}
""",
    ),
    "ibdm": (
        """\
# a system with eight ports
TOPSYSTEM SW8,Eight

NODE SW 8 MT43132 U1
  1 -> P1
  2 -4x-10G-> P2

SW8 leaf1
  P1 -4x-10G-> HCA_1 n1 P1
  P2 -4x-10G-> HCA_1 n2 P1
  P7 -4x-10G-> Other spine1 L1/P1

SW8 leaf2 CFG: leaf1=R
  P1 -> HCA_1 n3 P1
  P7 -4x-10G-> Other spine1 L1/P2
""",
    ),
    "ibdm-cables": (
        """\
HCA_1 n1 P1 SW8 leaf1 P1
HCA_1 n2 P1 SW8 leaf2 P1 -4x-10G
SW8 leaf1 P8 SW8 spine P1
SW8 leaf2 P8 SW8 spine P2
""",
    ),
    "ibnetdiscover": (
        """\
#
# Topology file: generated on Mon Jan  5 10:00:00 2026
#
# Initiated from node 0000000000000a01 port 0000000000000b01

vendid=0x2c9
devid=0xd2f2
sysimgguid=0x1
switchguid=0x1(1)
Switch	3 "S-0000000000000001"		# "leaf-1" enhanced port 0 lid 1 lmc 0
[1]	"H-0000000000000011"[1](11) 		# "n1 mlx5_0" lid 11 4xNDR
[2]	"H-0000000000000012"[1](12) 		# "n2 mlx5_0" lid 12 4xNDR
[3]	"S-0000000000000002"[1]		# "spine" lid 2 4xNDR

vendid=0x2c9
devid=0xd2f2
sysimgguid=0x2
switchguid=0x2(2)
Switch	2 "S-0000000000000002"		# "spine" enhanced port 0 lid 2 lmc 0
[1]	"S-0000000000000001"[3]		# "leaf-1" lid 1 4xNDR
[2]	"S-0000000000000003"[2]		# "leaf-2" lid 3 4xNDR

vendid=0x2c9
devid=0xd2f2
sysimgguid=0x3
switchguid=0x3(3)
Switch	2 "S-0000000000000003"		# "leaf-2" enhanced port 0 lid 3 lmc 0
[1]	"H-0000000000000013"[1](13) 		# "n3 mlx5_0" lid 13 4xNDR
[2]	"S-0000000000000002"[2]		# "spine" lid 2 4xNDR

vendid=0x2c9
devid=0x1021
sysimgguid=0x11
caguid=0x11
Ca	1 "H-0000000000000011"		# "n1 mlx5_0"
[1](11) 	"S-0000000000000001"[1]		# lid 11 lmc 0 "leaf-1" lid 1 4xNDR

vendid=0x2c9
devid=0x1021
sysimgguid=0x12
caguid=0x12
Ca	1 "H-0000000000000012"		# "n2 mlx5_0"
[1](12) 	"S-0000000000000001"[2]		# lid 12 lmc 0 "leaf-1" lid 1 4xNDR

vendid=0x2c9
devid=0x1021
sysimgguid=0x13
caguid=0x13
Ca	1 "H-0000000000000013"		# "n3 mlx5_0"
[1](13) 	"S-0000000000000003"[1]		# lid 13 lmc 0 "leaf-2" lid 3 4xNDR
""",
    ),
    "infragraph": (
        """\
name: two-tiers
devices:
- name: server
  components:
  - {name: xpu, count: 2, choice: xpu}
  - {name: nic, count: 2, choice: nic}
  - {name: nvsw, count: 1, choice: switch}
  links:
  - {name: pcie}
  - {name: nvlink, physical: {bandwidth: {choice: gigabytes_per_second, gigabytes_per_second: 450}}}
  edges:
  - {ep1: {component: "xpu[0:2]"}, ep2: {component: "nic[0:2]"}, scheme: one2one, link: pcie}
  - {ep1: {component: "xpu"}, ep2: {component: "nvsw"}, scheme: many2many, link: nvlink}
- name: sw
  components:
  - {name: port, count: 8, choice: port}
  links: []
  edges: []
links:
- {name: eth, physical: {bandwidth: {choice: gigabits_per_second, gigabits_per_second: 400}}}
instances:
- {name: host, device: server, count: 4}
- {name: leaf, device: sw, count: 2}
edges:
- ep1: {instance: "host[0:4]", component: "nic[0]"}
  ep2: {instance: "leaf[0]", component: "port[0:4]"}
  scheme: one2one
  link: eth
- ep1: {instance: "host[0:4]", component: "nic[1]"}
  ep2: {instance: "leaf[1]", component: "port[0:4]"}
  scheme: one2one
  link: eth
""",
        """\
infrastructure:
  links:
    - {name: eth, bandwidth: {choice: gigabits_per_second, gigabits_per_second: 100}}
  instances:
    - {name: leafsw, device: any-switch}
    - {name: server, device: any-server}
  connections:
    - server.0.nic.0.eth.leafsw.0.port.0
    - server.1.nic.0.eth.leafsw.0.port.1
""",
    ),
    "kubernetes": (
        """\
apiVersion: v1
kind: List
items:
- kind: Node
  metadata: {name: n1, labels: {fabric.topograph.run/tier-0: leaf1, fabric.topograph.run/tier-1: top}}
  spec: {providerID: "aws:///z/i-01"}
  status:
    capacity: {nvidia.com/gpu: "8"}
    allocatable: {nvidia.com/gpu: "7"}
    addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: n1.example}]
    conditions: [{type: Ready, status: "True"}]
- kind: Node
  metadata: {name: n2, labels: {fabric.topograph.run/tier-0: leaf2, fabric.topograph.run/tier-1: top}}
  spec: {unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]}
  status: {capacity: {nvidia.com/gpu: "8"}}
""",
        """\
apiVersion: kueue.x-k8s.io/v1beta1
kind: Topology
metadata: {name: default}
spec: {levels: [{nodeLabel: example.com/block}, {nodeLabel: example.com/rack}, {nodeLabel: kubernetes.io/hostname}]}
---
kind: Node
apiVersion: v1
metadata: {name: n1, labels: {example.com/block: b1, example.com/rack: r1}}
---
kind: Node
apiVersion: v1
metadata: {name: n2, labels: {example.com/block: b2, example.com/rack: r1}}
""",
    ),
    "lab-json": (
        """{"format": "JSON", "title": "lab", "content": {"nodes": {"leaf1": {"os": "nos"}, "n1": {}, "n2": {}},
 "links": [[{"interface": "swp1", "node": "leaf1"}, {"interface": "eth1", "node": "n1"}],
  [{"interface": "swp2", "node": "leaf1"}, {"interface": "eth1", "node": "node-2"}]]}}
""",
        """{"name": "lab", "nodes": {"a": {"labels": {"role": "Leaf"}}, "b": {"labels": {"role": "server"}}},
 "links": [{"a": {"node": "a", "interface": "e1"}, "z": {"node": "b", "interface": "eth1"}}]}
""",
    ),
    "lldp": (
        """{"node-1": {"lldp": {"interface": {"eth0": {"via": "LLDP",
  "chassis": {"leaf-1": {"id": {"type": "mac", "value": "02:00:00:00:00:01"}}},
  "port": {"id": {"type": "ifname", "value": "swp1"}, "descr": "x"}}}}},
 "node-2": {"lldp": {"interface": [{"eth0": {"chassis": {"id": {"type": "mac", "value": "02:00:00:00:00:02"}},
  "port": {"id": {"type": "local", "value": "7"}, "descr": "swp7",
           "auto-negotiation": {"current": "100GbaseCR4"}}}}]}}}
""",
        """{"lldp": [{"interface": [{"name": "ens1f0np0",
  "chassis": [{"id": [{"type": "mac", "value": "02:00:00:00:00:01"}],
  "name": [{"value": "leaf-a"}], "capability": [{"type": "Bridge", "enabled": true}]}],
  "port": [{"id": [{"type": "ifname", "value": "Ethernet12"}]}]}]}]}
""",
        """\
lldp.eth0.100.via=LLDP
lldp.eth0.100.rid=1
lldp.eth0.100.chassis.mac=02:00:00:00:00:01
lldp.eth0.100.chassis.name=leaf-a
lldp.eth0.100.chassis.descr=An OS
of two lines
lldp.eth0.100.chassis.Bridge.enabled=on
lldp.eth0.100.port.ifname=Ethernet12
lldp.eth0.100.port.auto-negotiation.current=100GbaseCR4
""",
        """\
-------------------------------------------------------------------------------
LLDP neighbors:
-------------------------------------------------------------------------------
Interface:    ens1f0np0, via: LLDP, RID: 2, Time: 12 days, 03:50:02
  Chassis:
    ChassisID:    mac 02:00:00:00:00:01
    SysName:      leaf-a
    SysDescr:     An OS
                  of two lines
    Capability:   Bridge, on
  Port:
    PortID:       ifname Ethernet12
    PortDescr:    to a host
-------------------------------------------------------------------------------
""",
        """\
<?xml version="1.0" encoding="UTF-8"?>
<lldp label="LLDP neighbors">
 <interface label="Interface" name="ens1f0np0" via="LLDP" rid="1">
  <chassis label="Chassis">
   <id label="ChassisID" type="mac">02:00:00:00:00:01</id>
   <name label="SysName">leaf-a</name>
   <capability label="Capability" type="Bridge" enabled="on"/>
  </chassis>
  <port label="Port"><id label="PortID" type="ifname">Ethernet12</id></port>
 </interface>
</lldp>
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
    "netq": (
        """[{"nodes": [{"compounded_nodes": [{"id": "1", "name": "leaf-1", "tier": 1, "device_type": "switch"},
   {"id": "2", "name": "a", "tier": 0, "device_type": "host"}, {"id": "3", "name": "b", "tier": 0}]}],
  "links": [{"compounded_links": [
   {"id": "x", "interfaces": [{"interface": "swp1", "node": "1"}, {"interface": "eth0", "node": "2"}]},
   {"id": "y", "interfaces": [{"interface": "swp2", "node": "1"}, {"interface": "eth0", "node": "3"}]}]}]}]
""",
    ),
    "nmx": (
        """[{"DomainUUID": "d-1", "GpuIDList": ["a", "b"], "Health": "HEALTHY", "ID": "0a", "Name": "tray-2",
   "LocationInfo": {"ChassisID": 1, "SlotID": 2, "TrayIndex": 1, "HostID": 1}},
 {"DomainUUID": "d-1", "GpuIDList": ["c"], "Name": "tray-1", "LocationInfo": {"ChassisID": 1, "SlotID": 1}},
 {"DomainUUID": "d-2", "GpuIDList": ["d", "e"], "Health": "DEGRADED", "Name": "tray-3"}]
""",
    ),
    "node-link": (
        """{"directed": false, "multigraph": false, "graph": {"name": "lab"},
 "nodes": [{"id": "gpu-1"}, {"id": "gpu-2", "type": "host"}, {"id": "leaf-1"}, {"id": "spine-1"}],
 "links": [{"source": "gpu-1", "target": "leaf-1", "bandwidth_gbps": 400},
  {"source": "gpu-2", "target": "leaf-1", "bandwidth_gbps": 400},
  {"source": "leaf-1", "target": "spine-1", "bandwidth": "400 Gb/s", "count": 2}]}
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
    "oci": (
        """\
node1: {"customerGpuMemoryFabric": "f1", "customerHPCIslandId": "h1", "customerLocalBlock": "l1"}
node2: {"customerGpuMemoryFabric": "f1", "customerHPCIslandId": "h1", "customerLocalBlock": "l2"}
""",
        """\
[{"hostname": "node1", "shape": "BM.GPU.H100.8", "rdmaTopologyData": {"customerHPCIslandId": "ocid1.hpc.oc1.x.aaa",
  "customerNetworkBlock": "ocid1.net.oc1.x.bbb", "customerLocalBlock": "ocid1.loc.oc1.x.ccc"}}]
""",
    ),
    "scontrol": (
        """\
SwitchName=leaf1 Level=0 LinkSpeed=1 Nodes=n[1-2]
SwitchName=leaf2 Level=0 LinkSpeed=1 Nodes=n[3-4]
SwitchName=top Level=1 LinkSpeed=1 Nodes=n[1-4] Switches=leaf[1-2]
""",
        """\
BlockName=b1 BlockIndex=0 Nodes=n[1-2] BlockSize=2
BlockName=b2 BlockIndex=1 Nodes=n[3-4] BlockSize=2
AggregatedBlock=b[1-2] BlockIndex=2 Nodes=n[1-4] BlockSize=4
""",
    ),
    "simai": (
        """\
9 2 2 3 12 H100
4 5 6 7 8
0 4 2880Gbps 0.000025ms 0
0 6 200Gbps 0.0005ms 0
1 4 2880Gbps 0.000025ms 0
1 7 200Gbps 0.0005ms 0
2 5 2880Gbps 0.000025ms 0
2 6 200Gbps 0.0005ms 0
3 5 2880Gbps 0.000025ms 0
3 7 200Gbps 0.0005ms 0
6 8 400Gbps 0.0005ms 0
6 8 400Gbps 0.0005ms 0
7 8 400Gbps 0.0005ms 0
7 8 400Gbps 0.0005ms 0
""",
    ),
    "simgrid": (
        """\
<?xml version="1.0"?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
 <zone id="lab" routing="Dijkstra">
  <host id="n1-gpu0" speed="1Gf"><prop id="host" value="n1"/><prop id="gpu" value="0"/></host>
  <host id="n1-gpu1" speed="1Gf"><prop id="host" value="n1"/><prop id="gpu" value="1"/></host>
  <host id="n2" speed="1Gf"/>
  <router id="leaf"/>
  <link id="a" bandwidth="50GBps" latency="500ns" sharing_policy="SPLITDUPLEX"/>
  <link id="b" bandwidth="50GBps" latency="500ns"/>
  <link id="f" bandwidth="450GBps" latency="25ns"/>
  <route src="n1-gpu0" dst="leaf"><link_ctn id="a" direction="UP"/></route>
  <route src="leaf" dst="n1-gpu0"><link_ctn id="a" direction="DOWN"/></route>
  <route src="n2" dst="leaf"><link_ctn id="b"/></route>
  <route src="n1-gpu0" dst="n1-gpu1"><link_ctn id="f"/></route>
 </zone>
</platform>
""",
    ),
    "slurm": (
        """\
# two racks under one switch
SwitchName=core Switches=rack[1-2]
SwitchName=rack1 Nodes=n[1-2] LinkSpeed=4
SwitchName=rack2 Nodes=n[9-10],n12
""",
        "RingName=r1 Nodes=n[3,1,2]\n",
    ),
    "slurm-block": (
        """\
# three racks
BlockName=rack1 Nodes=t[01-04]
BlockName=rack2 Nodes=t[05-08]
BlockName=rack3 Nodes=t[09-13]
BlockSizes=4,8
""",
    ),
    "slurm-yaml": (
        """\
---
- topology: tree
  cluster_default: true
  tree:
    switches:
      - {switch: top, children: "leaf[1-2]"}
      - {switch: leaf1, nodes: "n[1-2]"}
      - {switch: leaf2, nodes: "n[3-4]"}
- topology: racks
  cluster_default: false
  block:
    block_sizes: [2, 4]
    blocks:
      - {block: b1, nodes: "n[1-2]"}
      - {block: b2, nodes: "n[3-4]"}
- {topology: nothing, flat: true}
""",
        """\
- topology: cube
  torus3d: {dims: [2, 2, 1], nodes: "t[1-4]"}
""",
    ),
    "topograph": (
        """\
# a model
switches:
  core:
    labels: {topology.kubernetes.io/region: here}
    switches: [leaf-1, leaf-2]
blocks:
- switch: leaf-1
  nodes: ["n[1-2]"]
  annotations: {accelerator.topology.test/domain: nvl-1}
- switch: leaf-2
  nodes: ["n[3-4]", 1101]
  annotations:
    accelerator.topology.test/domain: nvl-2
""",
        '{"instances": [{"id": "I1", "network_layers": ["leaf-a", "top"]}, {"id": "I2", "network_layers": []}]}\n',
    ),
    "ufm": (
        """\
[{"system_name": "n1", "node_description": "n1 mlx5_0", "dname": "HCA-1/1", "name": "0000000000000011_1",
  "description": "Computer IB Port", "systemID": "0000000000000011", "peer": "00000000000000a0_1", "number": 1,
  "peer_node_name": "leaf-a", "peer_port_dname": "1", "peer_node_description": "leaf-a:1", "physical_state": "Link Up",
  "active_speed": "NDR", "active_width": "4x"},
 {"system_name": "n2", "node_description": "n2 mlx5_0", "dname": "HCA-1/1", "name": "0000000000000021_1",
  "description": "Computer IB Port", "systemID": "0000000000000021", "peer": "00000000000000a0_2", "number": 1,
  "peer_node_name": "leaf-a", "peer_port_dname": "2", "peer_node_description": "leaf-a:2", "physical_state": "Link Up",
  "active_speed": "NDR", "active_width": "4x"},
 {"system_name": "leaf-a", "node_description": "leaf-a:9", "dname": "9", "name": "00000000000000a0_9",
  "description": "Switch IB Port", "systemID": "00000000000000a0", "peer": "00000000000000b0_1", "number": 9,
  "peer_node_name": "spine", "peer_port_dname": "1", "peer_node_description": "spine:1", "physical_state": "Link Up",
  "active_speed": "HDR", "active_width": "4x"},
 {"system_name": "n2", "dname": "HCA-2/1", "description": "Computer IB Port", "physical_state": "Polling"}]
""",
        """\
{"data": [{"SystemName": "n1", "PeerNodeName": "leaf-a", "NodeDescription": "n1 mlx5_0",
  "Description": "Computer IB Port"}, {"SystemName": "n2", "PeerNodeName": "leaf-a", "NodeDescription": "n2 mlx5_0",
  "Description": "Computer IB Port"}]}
""",
    ),
}  # fmt: skip


def all_examples() -> list[tuple[str, str]]:
    """Return (format, text) of every example."""
    return [(name, text) for name, texts in EXAMPLES.items() for text in texts]
