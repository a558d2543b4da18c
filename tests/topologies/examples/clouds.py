"""Examples of the formats of clouds."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
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
    "gcp": (
        """\
[{"name": "vm-1", "id": "111", "machineType": "z/a4x-highgpu-4g", "resourceStatus": {
  "physicalHost": "/b1/s1/h1", "physicalHostTopology": {"block": "b1", "subblock": "s1", "host": "h1"}}},
 {"name": "vm-2", "id": "112", "machineType": "z/a4x-highgpu-4g", "resourceStatus": {
  "physicalHostTopology": {"block": "b1", "subblock": "s1", "host": "h2"}}}]
""",
        '[{"name": "v1", "resourceStatus": {"physicalHost": "/c/r1/h1"}}, {"name": "v2", "physicalHost": "/c/r2/h"}]\n',
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
}  # fmt: skip
