"""Examples of the formats of cables, LLDP and graphs."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
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
}  # fmt: skip
