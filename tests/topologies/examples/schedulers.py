"""Examples of the formats of schedulers."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
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
}  # fmt: skip
