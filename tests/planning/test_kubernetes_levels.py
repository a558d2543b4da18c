"""Levels of the network stand beside jobs that ask for them, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from tests.fabrics import two_leaves
from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.launchers import LAUNCHERS
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.planning.artefacts import launch_files


def plan(text: str) -> Plan:
    fabric = parse_fabric(text)
    return Plan("train", fabric.name, {}, 0, placement=RankPlacement(fabric, np.arange(8)))


def test_volcano_gets_the_hypernodes_of_the_fabric() -> None:
    made = launch_files(plan(two_leaves()), "volcano", None, ["topology=hard:1"])
    assert list(made) == ["volcano.yaml", "hypernodes.yaml"]
    nodes = list(yaml.safe_load_all(made["hypernodes.yaml"].text))
    assert [node["metadata"]["name"] for node in nodes if node["spec"]["tier"] == 1] == ["leaf-0", "leaf-1"]
    assert [seat.host for seat in LAUNCHERS["volcano"].read({name: file.text for name, file in made.items()})] == [
        "n0"
    ] * 4 + ["n1"] * 4


def test_kueue_gets_its_topology_and_the_labels_of_nodes() -> None:
    made = launch_files(plan(two_leaves()), "kueue", None, ["topology=required:topoplan.io/leaf"])
    topology = next(yaml.safe_load_all(made["levels.yaml"].text))
    assert {"nodeLabel": "topoplan.io/leaf"} in topology["spec"]["levels"]


@pytest.mark.parametrize("launcher", ["volcano", "kueue"])
def test_no_levels_without_being_asked(launcher: str) -> None:
    assert list(launch_files(plan(two_leaves()), launcher, None)) == [f"{launcher}.yaml"]


def test_jobs_beside_kueue_get_its_annotations_alone() -> None:
    assert list(launch_files(plan(two_leaves()), "jobset", None, ["topology=required:rack"])) == ["jobset.yaml"]


def test_hosts_that_no_node_can_be_are_refused() -> None:
    text = two_leaves().replace('"n[', '"N[').replace('unavailable: "n3"', "")
    with pytest.raises(InputError, match="k8s aliases"):
        launch_files(plan(text), "volcano", None, ["topology=soft:1"])
