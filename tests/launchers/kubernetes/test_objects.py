"""What is written: golden text, valid objects, safe values, and what each setting changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fabrics import two_leaves
from tests.launchers.conftest import make_fabric, place
from tests.launchers.kubernetes.crd import Schema, problems, read_crds
from tests.launchers.kubernetes.making import NAMES, SEVERAL, hosts_with, objects_of, text_of
from tests.launchers.kubernetes.trimmed import TRIMMED, inside
from topoplan.errors import InfeasibleError, InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.launchers.bundle import bundle
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.placement import RankPlacement
from topoplan.topologies.writers import write

CRDS = Path(__file__).parents[4] / "shared" / "samples" / "crds"
VERSION = "1.34"  # of Kubernetes
CORE = ("v1", "batch/v1")
USUAL = ("image=registry.example/train:1", "program=python3 train.py --name 'a b'", "rdma=rdma/ib:2")
CASES = [(name, setting) for name in NAMES for setting in ("", "pin=true")] + [
    (name, "pin=index") for name in SEVERAL
] + [(name, f"gang={gang}") for name in NAMES if "gang" in get_launcher(name).settings
     for gang in ("coscheduling", "yunikorn", "koordinator")]  # fmt: skip


def made(name: str, placement: RankPlacement, *more: str) -> list[dict[str, Any]]:
    return objects_of(name, placement, *USUAL, *(text for text in more if text))


@cache
def crds() -> dict[tuple[str, str], Schema]:
    if not CRDS.is_dir():
        pytest.skip(f"the projects' CRDs are not at {CRDS}; the trimmed schemas are tested instead")
    return read_crds(CRDS)


def core_problems(found: dict[str, Any]) -> list[str]:
    try:
        kubernetes_validate.validate(found, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message[:200]]
    return []


def all_problems(objects: list[dict[str, Any]], schemas: dict[tuple[str, str], Schema]) -> list[str]:
    """Of custom objects by the schemas, of core ones and those inside by kubernetes-validate."""
    found = []
    for item in objects:
        key = (item["apiVersion"], item["kind"])
        if key[0] in CORE:
            found += core_problems(item)
        else:
            own = problems(item, schemas.get(key) or TRIMMED[key])
            found += own or [problem for core in inside(item) for problem in core_problems(core)]
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("setting", ["", "pin=true"])
def test_golden(name: str, setting: str, torn: RankPlacement, golden: Callable[[str, str], None]) -> None:
    text = text_of(name, torn, *(USUAL if setting else ()), *filter(None, [setting]))
    program = "".join(f"    {line}\n" if line else "\n" for line in bundle("pod").splitlines())
    assert program in text  # word for word; shown in the golden file as a line
    golden(f"{name}/{setting or 'plain'}.yaml".replace("=", "-"), text.replace(program, "    ...\n"))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_valid_by_our_own_schemas(name: str, setting: str, torn: RankPlacement, nvl: RankPlacement) -> None:
    for placement in (torn, nvl):
        assert all_problems(made(name, placement, setting, "host_network=true"), {}) == []


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_valid_by_the_projects_crds(name: str, setting: str, torn: RankPlacement, nvl: RankPlacement) -> None:
    for placement in (torn, nvl):
        assert all_problems(made(name, placement, setting, "host_network=true"), crds()) == []


@pytest.mark.parametrize("level", ["hypernode", "kueue"])
@pytest.mark.parametrize("schemas", [lambda: TRIMMED, crds], ids=["our own schemas", "the projects' CRDs"])
def test_levels_of_the_network_are_valid(level: str, schemas: Callable[[], dict[tuple[str, str], Schema]]) -> None:
    objects = [item for item in yaml.safe_load_all(write(parse_fabric(two_leaves()), level)) if item["kind"] != "Node"]
    assert objects
    for item in objects:
        schema = schemas()[item["apiVersion"], item["kind"]]
        assert problems(item, schema) == []
        first, *_ = item["spec"]
        item["spec"][f"{first}s"] = item["spec"].pop(first)
        assert problems(item, schema)


def keys_of(found: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all fields, but those of maps with free keys."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield (*path, key)
            if key not in ("labels", "annotations", "limits", "data", "binaryData", "matchLabels", "plugins",
                           "nodeSelector", "selector"):  # fmt: skip
                yield from keys_of(value, (*path, key))
    elif isinstance(found, list):
        for i, value in enumerate(found):
            yield from keys_of(value, (*path, i))


def survivors(name: str, schemas: dict[tuple[str, str], Schema], placement: RankPlacement, every: int) -> list[str]:
    """Fields of which a misspelling is not found; every so-many-th field is tried, with a letter too many."""
    found = []
    for item in made(name, placement, "pin=true"):
        paths = [path for path in keys_of(item) if path[0] not in ("apiVersion", "kind")]  # those choose the schema
        assert len(paths) > 3
        for path in paths[every // 2 :: every]:
            broken = copy.deepcopy(item)
            parent: Any = broken
            for step in path[:-1]:
                parent = parent[step]
            parent[f"{path[-1]}r"] = parent.pop(path[-1])
            if not all_problems([broken], schemas):
                found.append("/".join(map(str, path)))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_a_planted_typo_fails_by_our_own_schemas(name: str, every: int, nvl: RankPlacement) -> None:
    assert survivors(name, {}, nvl, every) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_a_planted_typo_fails_by_the_projects_crds(name: str, every: int, nvl: RankPlacement) -> None:
    roles = {"mpijob": "mpi", "pytorchjob": "pytorch"}  # whose names those CRDs leave free
    free = [f"spec/{roles.get(name)}ReplicaSpecs/{role}" for role in ("Launcher", "Master", "Worker")]
    assert set(survivors(name, crds(), nvl, every)) <= set(free)


def test_wrong_types_fail(torn: RankPlacement) -> None:
    *_, job = made("mpijob", torn)
    job["spec"]["slotsPerWorker"] = "2"
    assert problems(job, TRIMMED["kubeflow.org/v2beta1", "MPIJob"])
    assert problems(job, crds()["kubeflow.org/v2beta1", "MPIJob"])


@pytest.mark.parametrize("name", NAMES)
def test_all_objects_stand_in_one_namespace(name: str, nvl: RankPlacement) -> None:
    objects = made(name, nvl, "namespace=team-a")
    assert {item["metadata"]["namespace"] for item in objects} == {"team-a"}


HOSTILE = [
    "$(id)", "`id`", "a: b", "- a", "{{x}}", "a # b", "'", '"', "\\", "%", "&a", "*a", "!!python/none", "yes", "1e5",
    "0x1f", "12:30:45", "null", "~", "---", "é", " a ", "|", ">", "@", "2026-01-01", "1_000", "=", "<<",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_value_becomes_anything_but_text(name: str, torn: RankPlacement) -> None:
    request = LaunchRequest(torn, "x\nkind: Pod", program=tuple(HOSTILE), image="r/i:1e5", nccl_topo_file="/a: b #c")
    text = get_launcher(name).write(request)[f"{name}.yaml"].text
    assert not any(line.startswith("kind: Pod\n") for line in text.splitlines(keepends=True))
    start = json.dumps(HOSTILE)[1:-1]
    objects = list(yaml.safe_load_all(text))
    assert start in json.dumps(objects)
    assert '"value": "/a: b #c"' in json.dumps(objects)
    assert "\n---\n" in text
    # readers of YAML 1.2, such as Kubernetes' own, take more words for numbers than PyYAML: all such are quoted
    assert all(f'"{word}"' in text for word in ("1e5", "yes", "null", "0x1f"))


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=1, max_size=4),
       plan=st.text(max_size=30))  # fmt: skip
def test_any_program_and_plan_name_come_back(words: list[str], plan: str) -> None:
    placement = place(make_fabric(["a", "b"]), [("b", 0), ("a", 0)])
    request = LaunchRequest(placement, plan, program=tuple(words))
    text = get_launcher("jobset").write(request)["jobset.yaml"].text
    *_, jobset = yaml.safe_load_all(text)
    command = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command == ["python3", "/etc/topoplan/pod.py", "run", *words]
    assert problems(jobset, TRIMMED["jobset.x-k8s.io/v1alpha2", "JobSet"]) == []
    assert 0 < len(jobset["metadata"]["name"]) <= 40
    assert jobset["metadata"]["name"][0].isalpha()  # as TrainJob wants it


def test_gangs_have_every_pod(torn: RankPlacement) -> None:
    group = made("jobset", torn, "gang=coscheduling")[1]
    assert (group["kind"], group["spec"]["minMember"]) == ("PodGroup", 4)
    *_, job = made("pytorchjob", torn, "gang=yunikorn", "queue=root.ml")
    for role in ("Master", "Worker"):
        template = job["spec"]["pytorchReplicaSpecs"][role]["template"]
        annotations = template["metadata"]["annotations"]
        assert json.loads(annotations["yunikorn.apache.org/task-groups"]) == [
            {"name": "pods", "minMember": 4, "minResource": {"nvidia.com/gpu": "2", "rdma/ib": "2"}}
        ]
        assert template["metadata"]["labels"]["queue"] == "root.ml"
        assert template["spec"]["schedulerName"] == "yunikorn"
    assert "kueue.x-k8s.io/queue-name" not in job["metadata"]["labels"]
    *_, job = made("mpijob", torn, "gang=koordinator", "scheduler=mine")
    launcher, worker = (job["spec"]["mpiReplicaSpecs"][role]["template"] for role in ("Launcher", "Worker"))
    assert worker["metadata"]["annotations"]["gang.scheduling.koordinator.sh/min-available"] == "4"
    assert worker["spec"]["schedulerName"] == "mine"
    assert "schedulerName" not in launcher["spec"]  # it is not one of the gang
    *_, job = made("volcano", torn, "topology=hard:2", "queue=q")
    assert (job["spec"]["minAvailable"], job["spec"]["queue"]) == (4, "q")
    assert job["spec"]["networkTopology"] == {"mode": "hard", "highestTierAllowed": 2}
    assert {"ssh", "svc"} <= set(job["spec"]["plugins"])
    with pytest.raises(InputError, match="is Kueue's"):
        made("volcano", torn, "topology=required:rack")


def test_kueue_gets_its_queue_and_level(torn: RankPlacement) -> None:
    *_, job = made("kueue", torn)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "default"
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kueue.x-k8s.io/podset-unconstrained-topology": "true"}
    *_, job = made("kueue", torn, "queue=lq", "topology=preferred:topoplan.io/leaf")
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kueue.x-k8s.io/podset-preferred-topology": "topoplan.io/leaf"}
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lq"
    with pytest.raises(InputError, match="is Volcano's"):
        made("kueue", torn, "topology=hard:2")


@pytest.mark.parametrize("name", NAMES)
def test_compute_domain_where_islands_are_wider_than_hosts(name: str, torn: RankPlacement, nvl: RankPlacement) -> None:
    (domain,) = [item for item in made(name, nvl) if item["kind"] == "ComputeDomain"]
    assert domain["spec"]["numNodes"] == 3
    claimed = domain["spec"]["channel"]["resourceClaimTemplate"]["name"]
    assert f'"resourceClaimTemplateName": "{claimed}"' in json.dumps(made(name, nvl))
    assert not [item for item in made(name, torn) if item["kind"] == "ComputeDomain"]
    alone = RankPlacement.from_hosts(nvl.fabric, ["t4", "t1"], [0, 0])  # one of the island, one outside
    assert not [item for item in made(name, alone) if item["kind"] == "ComputeDomain"]


def test_hosts_of_several_sizes() -> None:
    fabric = hosts_with([8, 4, 8, 8], broken=[(3, 2)])
    placement = place(fabric, [("n1", 0), ("n0", 7), ("n2", 3), ("n3", 4), ("n3", 1)])
    maps, *_, job = made("jobset", placement, "pin=true")
    shown = {}
    for group in job["spec"]["replicatedJobs"]:
        spec = group["template"]["spec"]["template"]["spec"]
        shown[group["name"]] = (
            group["template"]["spec"]["parallelism"],
            spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"],
            spec.get("nodeSelector") or spec["affinity"]["nodeAffinity"],
        )
    assert [(name, count, gpus) for name, (count, gpus, _) in shown.items()] == [
        ("pods-4-gpus", 1, 4), ("pods-8-gpus", 2, 8), ("pods-7-gpus", 1, 7)
    ]  # fmt: skip
    assert shown["pods-4-gpus"][2] == {"kubernetes.io/hostname": "n1"}
    assert '"values": ["n0", "n2"]' in json.dumps(shown["pods-8-gpus"][2])
    assert maps["data"]["devices.txt"] == "n3 0,1,3,4,5,6,7\n"  # its GPU 4 is the pod's device 3
    for name in NAMES:
        if name not in SEVERAL:
            with pytest.raises(InfeasibleError, match="n1, n0, n3 need templates of their own"):
                made(name, placement)


def test_names_that_no_node_has_cannot_be_pinned(torn: RankPlacement) -> None:
    upper = place(make_fabric(["A", "b"]), [("A", 0), ("b", 0)])
    made("jobset", upper)
    with pytest.raises(InputError, match=r"host A: 'A' cannot be the kubernetes\.io/hostname"):
        made("jobset", upper, "pin=true")
    alias = make_fabric(["a", "b"], aliases={"a": {"k8s": "b"}})
    with pytest.raises(InputError, match="b is the name of a and of another host"):
        made("jobset", place(alias, [("a", 0), ("b", 0)]), "pin=true")
    for name in NAMES:
        if name not in SEVERAL:
            with pytest.raises(InputError, match="none can be pinned alone"):
                made(name, torn, "pin=index")


def test_slices_are_refused() -> None:
    kind = HostType("mig", 4, (), 1, 1.0, slices=(2, 2))
    placement = place(Fabric("f", "ecmp", (kind,), (Host("a", 0),)), [("a", 0)])
    for name in NAMES:
        with pytest.raises(InfeasibleError, match="device plugin chooses the slices"):
            made(name, placement)


def test_an_object_too_large_to_store_is_refused() -> None:
    fabric = make_fabric([f"node-{i:04d}" for i in range(1500)], gpus=1)
    placement = place(fabric, [(name, 0) for name in fabric.host_names])
    with pytest.raises(InputError, match=r"would have \d\.\d MB"):
        made("jobset", placement, "pin=index")
    made("jobset", placement, "pin=true")
