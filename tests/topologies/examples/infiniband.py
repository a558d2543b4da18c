"""Examples of the formats of InfiniBand."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
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
