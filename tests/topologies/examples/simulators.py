"""Examples of the formats of simulators."""

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
}  # fmt: skip
