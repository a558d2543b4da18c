"""A few small valid texts of every format in `readers.READERS`.

Whoever adds a reader adds its texts here, under the name of the format: test_hostile.py damages each of them in many
ways, and test_detection.py sees that no other reader takes it for its own. Keep a text below about 2,000 characters,
write it for this table (none of a real site's), and let it use what the grammar has: comments, lists, several tiers,
GUIDs. Keep the formats sorted by name, so that two people who add one each do not meet in the same line.
"""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
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
}  # fmt: skip


def all_examples() -> list[tuple[str, str]]:
    """Return (format, text) of every example."""
    return [(name, text) for name, texts in EXAMPLES.items() for text in texts]
