"""The readers of AWS, Google Cloud and Oracle Cloud."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies import formats
from topoplan.topologies.formats import ReadOptions

HGX = HostType("hgx", 8, tuple(Nic(i, 50e9, i) for i in range(8)), 8, 450e9)


def read(data: object, **kwargs: Any) -> Fabric:
    text = data if isinstance(data, str) else json.dumps(data)
    return formats.read(text, name="cloud.json", options=ReadOptions(**kwargs))


def paths(fabric: Fabric) -> dict[str, list[str]]:
    """Groups above each host, nearest first."""
    found = {}
    for host in fabric.hosts:
        here, above = host.group, []
        while here >= 0:
            above.append(fabric.groups[here].name)
            here = fabric.groups[here].parent
        found[host.name] = above
    return found


def instance(name: str, nodes: list[str] | None, **more: str) -> dict[str, object]:
    return {"InstanceId": name, "NetworkNodes": nodes, **more}


class TestAws:
    def test_network_nodes_run_from_the_top(self) -> None:
        entries = [instance("i-1", ["t", "m", "a"]), instance("i-2", ["t", "m", "b"]), instance("i-3", ["t", "n", "c"])]
        fabric = read({"Instances": entries})
        assert paths(fabric) == {"i-1": ["a", "m", "t"], "i-2": ["b", "m", "t"], "i-3": ["c", "n", "t"]}
        assert [tier.name for tier in fabric.tiers] == ["leaf", "pod", "core"]

    def test_ultraservers_are_islands(self) -> None:
        entries = [instance(f"i-{n}", ["t", f"l{n}"], CapacityBlockId=f"cb-{n // 2}") for n in range(4)]
        entries.append(instance("i-9", ["t", "l9"]))
        fabric = read({"Instances": entries})
        assert [(i.name, i.hosts) for i in fabric.islands] == [("cb-0", (0, 1)), ("cb-1", (2, 3))]

    def test_instance_types(self) -> None:
        fabric = read({"Instances": [instance("i-1", ["t"], InstanceType="p5.48xlarge")]})
        kind = fabric.host_types[0]
        assert (kind.name, kind.gpus, kind.nics[0].bandwidth_bytes_per_s) == ("p5.48xlarge", 8, 50e9)
        fabric = read({"Instances": [instance("i-1", ["t"], InstanceType="x9.huge")]})
        assert any("instance types not known here, such as x9.huge" in line for line in fabric.warnings)
        assert read({"Instances": [instance("i-1", ["t"], InstanceType="p4d.24xlarge")]}, host_type=HGX).host_types == (
            HGX,
        )

    def test_instances_of_unknown_kinds_are_no_trays_of_others_islands(self) -> None:
        tray = {"InstanceType": "p6e-gb200.36xlarge", "CapacityBlockId": "cb"}
        fabric = read(
            {"Instances": [instance("i-1", ["t"], **tray), instance("i-2", ["t"], **tray),
                           instance("i-3", ["t"], InstanceType="g99.large"),
                           instance("i-4", ["t"], InstanceType="hpc7a.96xlarge")]}
        )  # fmt: skip
        assert {host.name: fabric.host_types[host.type].gpus for host in fabric.hosts} == {"i-1": 4, "i-2": 4, "i-3": 8}
        assert any(line.startswith("all other hosts: 8 GPUs") for line in fabric.assumed)
        assert any("kinds without GPUs: 1 instances such as i-4" in line for line in fabric.warnings)

    def test_the_user_and_the_file_disagree(self) -> None:
        data = {"Instances": [instance("i-1", ["t"], InstanceType="p6e-gb200.36xlarge")]}
        fabric = read(data, host_type=HGX)
        assert fabric.gpus == 4
        assert any("1 hosts such as i-1 do not have the 8 GPUs of hgx" in line for line in fabric.warnings)

    def test_instances_without_a_place(self) -> None:
        fabric = read({"Instances": [instance("i-1", ["t", "a"]), instance("i-2", None), instance("i-3", [])]})
        assert paths(fabric)["i-2"] == paths(fabric)["i-3"] == ["unplaced", "above"]
        assert any("2 hosts without a place" in line for line in fabric.warnings)

    def test_pages_and_lists(self) -> None:
        page = json.dumps({"Instances": [instance("i-1", ["t"])], "NextToken": "x"})
        other = json.dumps({"Instances": [instance("i-2", ["t"])]})
        assert read(f"{page}\n{other}").host_names == ("i-1", "i-2")
        assert read([instance("i-1", ["t"])]).host_names == ("i-1",)

    def test_yaml(self) -> None:
        rows = "".join(
            f"- AvailabilityZone: z\n  InstanceId: i-{n}\n  NetworkNodes:\n  - t\n  - l{n % 2}\n" for n in range(4)
        )
        text = f"Instances:\n{rows}NextToken: x\n"
        assert formats.detect(text).name == "aws"
        assert paths(read(text)) == {f"i-{n}": [f"l{n % 2}", "t"] for n in range(4)}

    def test_labels(self) -> None:
        labels = {f"topology.k8s.aws/network-node-layer-{n}": f"n{n}" for n in (3, 1, 2)}
        fabric = read({"Nodes": [{"Name": "ip-1", "InstanceId": "i-1", "Topology": labels}]})
        assert paths(fabric) == {"ip-1": ["n3", "n2", "n1"]}
        assert fabric.alias_index["i-1"] == 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"Instances": [{"InstanceId": "i", "NetworkNodes": ["a"]}, {"InstanceId": "i"}]}', "listed twice"),
            ('{"Instances": [{"NetworkNodes": ["a"]}]}', "name of a host must be a text"),
            ('{"Instances": [{"InstanceId": "i", "NetworkNodes": "a"}]}', "must be a list"),
            ('{"Instances": [{"InstanceId": "i", "NetworkNodes": [null]}]}', "a network node must be a text"),
            ('{"Instances": ["NetworkNodes"]}', "an instance must be a mapping"),
            ('{"NetworkNodes": 1}', "no list of Instances"),
            ('{"Instances": []}', "no hosts are named"),
            ('{"Instances": [', "not valid JSON"),
        ],
    )
    def test_refusals(self, text: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            formats.read(text, format="aws")
        assert message in str(caught.value)


class TestGcp:
    def test_paths(self) -> None:
        fabric = read([{"name": f"vm-{n}", "resourceStatus": {"physicalHost": f"/c/r{n % 2}/h{n}"}} for n in range(4)])
        assert paths(fabric) == {f"vm-{n}": [f"r{n % 2}", "c"] for n in range(4)}

    def test_what_runs_and_has_gpus(self) -> None:
        told = (("a", "a3-ultragpu-8g", "RUNNING"), ("b", "a3-ultragpu-8g", "STOPPED"), ("login", "n2-standard-4", ""))
        rows = [
            {"name": name, "machineType": f"zones/z/{kind}", "status": status, "physicalHost": f"/c/{name}/h"}
            for name, kind, status in told
        ]
        fabric = read(rows)
        assert fabric.host_names == ("a", "b")
        assert {h for h, _ in fabric.unusable_gpus} == {1}
        assert read(rows[2:]).host_names == ("login",)  # nothing else to plan for: taken as told

    def test_mappings(self) -> None:
        entries = [
            {
                "name": f"vm-{n}",
                "id": str(100 + n),
                "machineType": "https://x/machineTypes/a4x-highgpu-4g",
                "resourceStatus": {
                    "physicalHost": "/b/s/h",
                    "physicalHostTopology": {"cluster": "c", "block": "b", "subblock": f"s{n // 2}", "host": f"h{n}"},
                },
            }
            for n in range(4)
        ]
        fabric = read(entries)
        assert paths(fabric)["vm-3"] == ["s1", "b", "c"]
        assert [(i.name, i.hosts) for i in fabric.islands] == [("s0", (0, 1)), ("s1", (2, 3))]
        assert (fabric.gpus, fabric.alias_index["102"]) == (16, 2)

    def test_other_containers(self) -> None:
        assert paths(read({"vm-1": {"physicalHost": "/c/r/h"}})) == {"vm-1": ["r", "c"]}
        assert paths(read({"items": [{"name": "vm-1", "physicalHost": "b/s/h"}]})) == {"vm-1": ["s", "b"]}
        yaml = "- name: vm-1\n  resourceStatus:\n    physicalHost: /c/r/h\n"
        assert paths(read(yaml)) == {"vm-1": ["r", "c"]}

    @pytest.mark.parametrize(
        "text",
        [
            "vm-1 /c/r/h\nvm-2 /c/s/h\n",
            "NAME  PHYSICAL_HOST\nvm-1  /c/r/h\nvm-2  /c/s/h\n",
            "name,physicalHost\nvm-1,/c/r/h\n\nvm-2,/c/s/h\n",
            "vm-1: /c/r/h\nvm-2: /c/s/h\n",
        ],
        ids=["value", "table", "csv", "yaml"],
    )
    def test_tables(self, text: str) -> None:
        for given in (text, text.replace("\n", "\r\n"), "\ufeff" + text):
            assert formats.detect(given).name == "gcp"
            assert paths(read(given)) == {"vm-1": ["r", "c"], "vm-2": ["s", "c"]}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('[{"name": "a", "physicalHost": "/1/2/3/4/5"}]', "5 levels"),
            ('[{"physicalHost": "/1/2"}]', "name of a host must be a text"),
            ('{"items": []}', "no list of instances"),
            ("vm-1 /c/r/h\nvm-2\n", "2: this line is no instance"),
            ("vm-1 /c/r/h\nvm-1 /c/r/h\n", "listed twice"),
            ('[{"name": "a b", "physicalHost": "/1/2"}]', "refused"),
        ],
    )
    def test_refusals(self, text: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            formats.read(text, format="gcp")
        assert message in str(caught.value)


def rdma(island: str, network: str, local: str, fabric: str = "") -> dict[str, str]:
    found = {"customerHPCIslandId": island, "customerNetworkBlock": network, "customerLocalBlock": local}
    return found | ({"customerGpuMemoryFabric": fabric} if fabric else {})


class TestOci:
    HOSTS: ClassVar = {"n1": rdma("h", "n", "l1", "f"), "n2": rdma("h", "n", "l1", "f"), "n3": rdma("h", "m", "l2")}

    @pytest.mark.parametrize(
        "data",
        [
            "".join(f"{name}: {json.dumps(data)}\n" for name, data in HOSTS.items()),
            HOSTS,
            [{"hostname": name} | data for name, data in HOSTS.items()],
            [{"displayName": name, "id": "x", "rdmaTopologyData": data} for name, data in HOSTS.items()],
            {
                "data": {
                    "items": [
                        {
                            "instance-id": name,
                            "hpc-island-id": data["customerHPCIslandId"],
                            "network-block-id": data["customerNetworkBlock"],
                            "local-block-id": data["customerLocalBlock"],
                            "gpu-memory-fabric-id": data.get("customerGpuMemoryFabric"),
                        }
                        for name, data in HOSTS.items()
                    ]
                }
            },
            [
                {
                    "id": "ocid1.computebaremetalhost.x",
                    "instance-id": name,
                    "compute-hpc-island-id": data["customerHPCIslandId"],
                    "compute-network-block-id": data["customerNetworkBlock"],
                    "compute-local-block-id": data["customerLocalBlock"],
                    "compute-gpu-memory-fabric-id": data.get("customerGpuMemoryFabric"),
                }
                for name, data in HOSTS.items()
            ],
        ],
        ids=["pdsh", "mapping", "flat list", "nested list", "API", "capacity topology"],
    )
    def test_shapes(self, data: object) -> None:
        fabric = read(data)
        assert paths(fabric) == {"n1": ["l1", "n", "h"], "n2": ["l1", "n", "h"], "n3": ["l2", "m", "h"]}
        assert [(i.name, i.hosts) for i in fabric.islands] == [("f", fabric_hosts(fabric, "n1", "n2"))]

    def test_metadata_of_one_host(self) -> None:
        assert paths(read(rdma("h", "n", "l") | {"customerHostId": "n7"})) == {"n7": ["l", "n", "h"]}

    def test_bare_metal_without_an_instance_is_not_placed_on(self) -> None:
        ids = {"compute-hpc-island-id": "i", "compute-network-block-id": "n", "compute-local-block-id": "l"}
        rows = [
            {"id": f"h{n}", "instance-id": to, "instance-shape": "BM.GPU.H100.8", **ids}
            for n, to in ((1, "x"), (2, None))
        ]
        fabric = read({"data": {"items": rows}})
        assert [fabric.host_names[h] for h in {h for h, _ in fabric.unusable_gpus}] == ["h2"]

    def test_ocids_are_shortened(self) -> None:
        data = rdma(*(f"ocid1.block.oc1.iad.{letter * 60}" for letter in "abc"))
        assert paths(read({"n1": data}))["n1"] == ["c" * 60, "b" * 60, "a" * 60]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('n1: {"customerHPCIslandId": 123}\n', ":1: the id '123' is not a text"),
            ('n1: {"customerHPCIslandId": "a"}\nn2 nothing\n', ":2: 'n2 nothing' is not a host"),
            ('n1: {"customerHPCIslandId": }\n', ":1: not valid JSON"),
            ('{"customerHPCIslandId": "a"}', "a host without a name"),
            ('{"data": 3}', "no list of hosts"),
            ('n1: {"customerHPCIslandId": "a"}\nn1: {}\n', "host n1 is listed twice"),
        ],
    )
    def test_refusals(self, text: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            formats.read(text, format="oci", name="f")
        assert message in str(caught.value)


def fabric_hosts(fabric: Fabric, *names: str) -> tuple[int, ...]:
    return tuple(sorted(fabric.host_index[name] for name in names))
