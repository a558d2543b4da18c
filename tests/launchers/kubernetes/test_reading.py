"""What is written gives back the placement, and files that would not be obeyed are refused."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.launchers.conftest import make_fabric, place
from tests.launchers.kubernetes.making import NAMES, SEVERAL, text_of
from tests.launchers.test_roundtrip import placements
from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import LAUNCHERS, compare, place_observed
from topoplan.launchers.base import Symptom
from topoplan.launchers.kubernetes import tables
from topoplan.launchers.kubernetes.kind import Kind
from topoplan.launchers.kubernetes.manifest import dump, load
from topoplan.model.capability import Freedom
from topoplan.model.placement import RankPlacement

NODE = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)


def check(name: str, placement: RankPlacement, *settings: str) -> None:
    """The reader gives back every rank's host and GPU."""
    launcher = LAUNCHERS[name]
    order = launcher.read({f"{name}.yaml": text_of(name, placement, *settings)})
    names = placement.fabric.host_names
    assert [seat.host for seat in order] == [names[h] for h in placement.host]
    assert [seat.gpu for seat in order] == placement.local.tolist()
    assert compare(placement, order, launcher) == []
    assert place_observed(placement.fabric, order).gpu.tolist() == placement.gpu.tolist()


@pytest.mark.parametrize("name", SEVERAL)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_placement_comes_back(name: str, data: st.DataObject) -> None:
    """Odd host names, two kinds of hosts, any rank on any GPU."""
    check(name, data.draw(placements(Freedom.RANKS)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_placements_on_hosts_of_one_kind_come_back(name: str, data: st.DataObject) -> None:
    nodes = data.draw(st.lists(NODE, min_size=1, max_size=12, unique=True))
    fabric = make_fabric(nodes, gpus=data.draw(st.integers(1, 8)))
    ranks = data.draw(st.integers(1, fabric.gpus))
    seed = data.draw(st.integers(0, 2**32))
    placement = RankPlacement(fabric, np.random.default_rng(seed).permutation(fabric.gpus)[:ranks])
    pins = ["", "pin=true", *(["pin=index"] if name in SEVERAL else [])]
    check(name, placement, *filter(None, [data.draw(st.sampled_from(pins))]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hosts", [1, 2, 3000])
def test_few_and_thousands_of_pinned_hosts_come_back(name: str, hosts: int) -> None:
    fabric = make_fabric([f"rack{i // 32}-node{i % 32}.cluster.example" for i in range(hosts)], gpus=4)
    generator = np.random.default_rng(hosts)
    placement = RankPlacement(fabric, generator.permutation(fabric.gpus)[: fabric.gpus - 1])
    check(name, placement, "pin=true")  # without pins: tests/launchers/test_roundtrip.py


@pytest.mark.parametrize("name", SEVERAL)
def test_pins_by_index_name_the_host_of_each_pod(name: str, torn: RankPlacement) -> None:
    kind, objects = opened(name, text_of(name, torn, "pin=index"))
    rows = tables.rows_of(objects, kind.file)
    assert kind.pod_hosts(objects, rows) == ["h6", "h1", "h10", "h0"]
    kind, objects = opened(name, text_of(name, torn, "pin=true"))
    assert kind.pod_hosts(objects, rows) == [None] * 4  # the entry point finds out


def opened(name: str, text: str) -> tuple[Kind, list[dict[str, Any]]]:
    kind = getattr(LAUNCHERS[name].reader, "__self__", None)
    assert isinstance(kind, Kind)
    return kind, load(text, kind.file)


def test_tables_are_cut_into_maps_of_less_than_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_PART_BYTES", 1000)
    fabric = make_fabric([f"n{i}-{i * 7919 % 10007:x}" for i in range(5000)], gpus=2)
    placement = RankPlacement(fabric, np.random.default_rng(1).permutation(fabric.gpus))
    text = text_of("jobset", placement)
    maps = [made for made in yaml.safe_load_all(text) if made["kind"] == "ConfigMap"]
    assert len(maps) > 20
    told = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    assert f"The table is in {len(maps)} ConfigMaps of at most 1 MiB, compressed." in told
    assert all(len(base64.b64decode(part)) <= 1000 for made in maps for part in made["binaryData"].values())
    names = [made["metadata"]["name"] for made in maps]
    assert len(set(names)) == len(names)
    assert all(f"name: {name}\n" in text.split("kind: JobSet")[1] for name in names)  # all are mounted
    check("jobset", placement)
    part = next(made for made in maps if "hosts.txt.gz.003" in made["binaryData"])
    maps.remove(part)
    with pytest.raises(InputError, match="part 3 of the plan's table is missing"):
        tables.rows_of(maps, "x")
    part["binaryData"]["hosts.txt.gz.003"] = base64.b64encode(b"x" * 1000).decode()
    with pytest.raises(InputError, match="not whole"):
        tables.rows_of([*maps, part], "x")
    part["binaryData"]["hosts.txt.gz.003"] = "?"
    with pytest.raises(InputError, match="not base64"):
        tables.rows_of([*maps, part], "x")


def test_config_maps_of_the_largest_jobs_stay_below_a_mebibyte() -> None:
    for hosts, gpus in ((150, 8), (2048, 8), (10000, 8)):
        fabric = make_fabric([f"gpu-{i:05d}.pod-{i // 256}.cluster.example" for i in range(hosts)], gpus=gpus)
        text = text_of("volcano", RankPlacement(fabric, np.random.default_rng(0).permutation(fabric.gpus)))
        for made in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if made["kind"] == "ConfigMap":
                packed = sum(len(base64.b64decode(part)) for part in made.get("binaryData", {}).values())
                assert packed + sum(map(len, made.get("data", {}).values())) < 2**20


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/etc/topoplan/pod.py\n", "/app/other.py\n", "ranks follow pod indices"),
        ("fieldPath: spec.nodeName", "fieldPath: metadata.name", "not told their node"),
        ("  pod.py: |", "  other.py: |", "which pods start through"),
        ("  hosts.txt: |", "  other.txt: |", "has the plan's table"),
        ("    h1 1,6 0,1", "    h1 1 0,1", "not a row"),
        ("    h1 1,6 0,1", "    h1 1,7 0,1", "rank 6 is missing"),
        ("                    - h0\n", "                    - h9\n", "pinned to h9, which is not in the plan's table"),
        ("                    - h0\n", "", "pinned to 3 hosts of the plan"),
        ("kind: ConfigMap", "kind: [", "not YAML"),
        ("kind: ConfigMap", "kinds: ConfigMap", "not a Kubernetes object"),
        ("        spec:\n", "        specr:\n", "not as topoplan writes it"),
    ],
)  # fmt: skip
def test_readers_refuse_what_would_not_be_obeyed(
    name: str, old: str, new: str, message: str, torn: RankPlacement
) -> None:
    text = text_of(name, torn, "pin=true")
    if old.startswith(" ") and old.strip() and old.strip()[0] == "-":  # depth differs with the kind
        line = next(line for line in text.splitlines(keepends=True) if line.strip() == old.strip())
        old, new = line, new.strip() and line.replace(old.strip(), new.strip())
    if old.strip() == "spec:":
        depth = next(line for line in text.splitlines() if line.strip() == "containers:").index("c") - 2
        old, new = f"\n{' ' * depth}spec:\n", f"\n{' ' * depth}specr:\n"
    assert old in text
    with pytest.raises(InputError) as caught:
        LAUNCHERS[name].read({f"{name}.yaml": text.replace(old, new)})
    assert message in str(caught.value)


def test_readers_count_pods(torn: RankPlacement) -> None:
    for name, old, new in (
        ("jobset", "parallelism: 4", "parallelism: 3"),
        ("kueue", "parallelism: 4", "parallelism: 5"),
        ("volcano", "replicas: 4", "replicas: 5"),
        ("mpijob", "replicas: 4", "replicas: 3"),
        ("pytorchjob", "replicas: 3", "replicas: 4"),
        ("leaderworkerset", "replicas: 1", "replicas: 2"),
        ("trainjob", "trainer:\n    numNodes: 4", "trainer:\n    numNodes: 5"),
    ):
        text = text_of(name, torn)
        assert old in text, name
        with pytest.raises(InputError, match="pods for 4 hosts of the plan"):
            LAUNCHERS[name].read({f"{name}.yaml": text.replace(old, new)})


@pytest.mark.parametrize("name", NAMES)
def test_broken_files_are_refused(name: str) -> None:
    file = f"{name}.yaml"
    for text in ("", "a", "[]", "--- 1", "kind: 1", "kind: Job", "kind: ConfigMap\ndata: []", "a: &a [*a]", "!!x 1",
                 "\x00", "kind: ConfigMap\nbinaryData: {hosts.txt.gz.000: 1}"):  # fmt: skip
        with pytest.raises(InputError):
            LAUNCHERS[name].read({file: text})
    with pytest.raises(InputError, match=f"{file} is missing"):
        LAUNCHERS[name].read({})


def test_a_table_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, torn: RankPlacement) -> None:
    monkeypatch.setattr(tables, "_PLAIN_BYTES", 0)
    text = text_of("jobset", torn)
    monkeypatch.setattr(tables, "_MOST_BYTES", 50)
    with pytest.raises(InputError, match="not whole"):
        LAUNCHERS["jobset"].read({"jobset.yaml": text})


def test_one_template_needs_hosts_of_one_size() -> None:
    from tests.launchers.kubernetes.making import hosts_with

    placement = place(hosts_with([4, 8]), [("n0", 0), ("n1", 0)])
    with pytest.raises(InfeasibleError, match="n0, n1 need templates of their own"):
        text_of("mpijob", placement)


def test_text_survives_the_round_trip() -> None:
    values = ["yes", "1e5", "a: b", "x\ny\n", "tab\there", "é", "\u2028", " lead", "trail ", "", "#", "0b1", "012"]
    made = {"kind": "X", "metadata": {"name": "x", "values": values}}
    assert load(dump([made]), "x") == [made]


def test_every_kind_explains_itself() -> None:
    for name in NAMES:
        assert Symptom.FOREIGN_HOST in LAUNCHERS[name].explains
        assert any("kubectl create -f" in hint for hint in LAUNCHERS[name].hints)
        assert any("reordered by" in hint for hint in LAUNCHERS[name].hints)
