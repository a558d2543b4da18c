import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.plan_json import format_plan, parse_plan
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Bound, InputFile, LinkLoad, Plan, Prediction, Stages

FABRIC = """\
apiVersion: topoplan/v1
kind: Fabric
name: f
routing: ecmp
host_types: {hgx: {gpus: 8, scale_up: {domain: host, bandwidth: 450 GB/s}, nics: {count: 4, bandwidth: 400 Gb/s}}}
hosts: [{names: "node-[0-8191]"}]
unavailable: node-3
"""
PRICE = Prediction(
    1.2345678901234567, {"tp": 0.1 + 0.2, "dp": 3.0}, 1.0, (LinkLoad("uplink leaf-0", 1e12 / 3, 5.5),), 1e15
)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return parse_fabric(FABRIC)


@pytest.fixture
def plan(fabric: Fabric) -> Plan:
    return Plan(
        "j",
        "f",
        {"load": InputFile("load.npy", "0" * 64), "fabric": InputFile("f.yaml", "1" * 64)},
        7,
        objective="hop_bytes",
        placement=RankPlacement(fabric, np.array([9, 8, 16, 17])),
        experts=ExpertPlacement(
            2,
            np.array([[0, 1, 2, 0], [2, 1, 0, 1]]),
            dispatch=np.array([[0.25, 1, 1, 0.75], [1, 1 / 3, 1, 2 / 3]]),
            dispatch_slot=np.array([[[0, 1, 2], [2, 1, 0]]]),
            lower_bound=np.array([10.0, 11.5]),
            max_load=np.array([12.0, 11.5]),
        ),
        ep_rank_to_rank=np.array([[0, 1]]),
        stages=Stages((0, 3, 5), (1.0, 2.0)),
        prediction=PRICE,
        baselines={"linear": PRICE, "strings": replace(PRICE, exposed_ms=2.0)},
        certificate={"hop_bytes": Bound(3.0, 2.9, False, "host-aligned"), "exposed_ms": Bound(1.0, 0.0, False, "any")},
        order_matters="It does.",
        assumed=("a",),
        warnings=("w",),
    )


def test_contract(plan: Plan) -> None:
    data = json.loads(format_plan(plan))
    assert data["format_version"] == "1.0"
    assert data["seed"] == 7
    assert list(data["inputs"]) == ["fabric", "load"]
    assert data["inputs"]["load"] == {"name": "load.npy", "sha256": "0" * 64}
    assert data["placement"] == {
        "host": ["node-1", "node-1", "node-2", "node-2"], "gpu": [1, 0, 0, 1], "nic": [0, 0, 0, 0]
    }  # fmt: skip
    assert data["experts"]["gpus"] == 2
    assert data["experts"]["slots"] == 4
    assert data["experts"]["physical_to_logical_map"] == [[0, 1, 2, 0], [2, 1, 0, 1]]
    assert data["experts"]["dispatch"][0] == [0.25, 1, 1, 0.75]
    assert data["experts"]["dispatch_slot"] == [[[0, 1, 2], [2, 1, 0]]]
    assert data["experts"]["load"] == {"max": [12.0, 11.5], "lower_bound": [10.0, 11.5]}
    assert data["experts"]["ep_rank_to_rank"] == [[0, 1]]
    assert "slot_gpu" not in data["experts"]
    assert data["prediction"]["axes"] == {"tp": 0.3, "dp": 3.0}
    assert data["prediction"]["busiest_links"] == [{"link": "uplink leaf-0", "bytes": 333333333333.0, "ms": 5.5}]
    assert [item["name"] for item in data["baselines"]] == ["linear", "strings"]
    assert data["certificate"]["hop_bytes"] == {
        "value": 3.0, "lower_bound": 2.9, "gap": 0.0344827586207, "proven_optimal": False, "space": "host-aligned"
    }  # fmt: skip
    assert data["certificate"]["exposed_ms"]["gap"] is None  # infinite


def test_reads_back(plan: Plan, fabric: Fabric) -> None:
    text = format_plan(plan)
    again = parse_plan(text, fabric)
    assert format_plan(again) == text
    assert again.placement is not None
    assert again.placement.gpu.tolist() == [9, 8, 16, 17]
    assert again.experts is not None
    assert again.experts.dispatch is not None
    assert again.experts.dispatch.shape == (2, 4)
    assert again.stages == plan.stages
    assert again.inputs == plan.inputs
    assert (again.order_matters, again.assumed, again.objective) == ("It does.", ("a",), "hop_bytes")


def test_experts_alone_need_no_fabric(plan: Plan) -> None:
    uneven = ExpertPlacement(2, np.array([[0, 1, 2], [1, 0, 2]]), slot_gpu=np.array([0, 0, 1]))
    bare = Plan("", "f", {}, 0, experts=uneven)
    again = parse_plan(format_plan(bare))
    assert again.placement is None
    assert again.experts is not None
    assert again.experts.slot_gpu.tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="needs its fabric"):
        parse_plan(format_plan(plan))


def test_minor_versions_add_keys(plan: Plan, fabric: Fabric) -> None:
    data = json.loads(format_plan(plan)) | {"format_version": "1.7", "new": {"x": 1}}
    data["prediction"]["energy_j"] = 5
    assert parse_plan(json.dumps(data), fabric).seed == 7


def change(*path: str | int, value: Any) -> Callable[[Any], None]:
    def apply(data: Any) -> None:
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change("format_version", value="2.0"), "format version '2.0' is not supported"),
        (change("format_version", value=1), "not a plan"),
        (change("seed", value="x"), "seed must be a whole number, not 'x'"),
        (change("inputs", "load", "sha256", value="zz"), "sha256"),
        (change("placement", "host", 0, value="node-9999"), "rank 0 is on host 'node-9999'"),
        (change("placement", "host", 0, value=3), r"placement.host\[0\] must be a text"),
        (change("placement", "host", 0, value="node-3"), "rank 0 is placed on node-3, which is unavailable"),
        (change("placement", "gpu", 0, value=0), "ranks 0 and 1 share node-1"),
        (change("placement", "gpu", 0, value=8), "GPU 8 of node-1"),
        (change("placement", "gpu", value=[0]), "equally long"),
        (change("placement", "nic", 2, value=3), "rank 2 has NIC 3, but its GPU uses NIC 0"),
        (change("experts", "slots", value=5), "5 slots, but the map has 4"),
        (change("experts", "physical_to_logical_map", value=[[0, 1], [0]]), "not a regular array"),
        (change("experts", "physical_to_logical_map", 0, value=[0, 1, 1, 1]), "layer 0: expert 2 has no slot"),
        (change("experts", "physical_to_logical_map", 0, 0, value=10**30), "regular array|whole number"),
        (change("experts", "dispatch", 0, 0, value=-1.0), "negative"),
        (change("prediction", "exposed_ms", value="1"), "prediction.exposed_ms must be a number"),
        (change("prediction", "axes", value=[]), "prediction.axes must be a mapping"),
        (change("certificate", "hop_bytes", value={}), r"value is missing\n  and 3 more"),
    ],
)
def test_bad_plan(plan: Plan, fabric: Fabric, apply: Callable[[Any], None], message: str) -> None:
    data = json.loads(format_plan(plan))
    apply(data)
    with pytest.raises(InputError, match=message) as caught:
        parse_plan(json.dumps(data), fabric, "p/plan.json")
    assert caught.value.place is not None
    assert caught.value.place.path == "p/plan.json"


@pytest.mark.parametrize(
    ("text", "place"),
    [("", "p:1:1"), ('{\n"a": }', "p:2:6"), ("[]", "p"), ("5", "p"), ("[" * 100_000, "p"), ("9" * 9999, "p")],
)
def test_not_a_plan(text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_plan(text, None, "p")
    assert str(caught.value.place) == place


def test_65536_ranks_read_back(plan: Plan, fabric: Fabric) -> None:
    gpus = np.flatnonzero(fabric.gpu_free)[:65528]
    large = replace(plan, placement=RankPlacement(fabric, np.random.default_rng(0).permutation(gpus)))
    text = format_plan(large)
    again = parse_plan(text, fabric)
    assert again.placement is not None
    assert large.placement is not None
    assert np.array_equal(again.placement.gpu, large.placement.gpu)
    assert len(text.splitlines()) < 200
