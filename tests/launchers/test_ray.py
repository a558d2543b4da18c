"""The Ray module as it is written, imported from its folder, with a stand-in for Ray (run for real with Ray 2.60)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InfeasibleError
from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.placement import RankPlacement

Place = Callable[..., RankPlacement]
SEATS = [("c", 1), ("a", 0), ("c", 0), ("b", 1), ("a", 1)]


def node(address: str, name: str, alive: bool = True) -> dict[str, Any]:
    return {
        "NodeManagerAddress": address, "NodeName": address, "NodeManagerHostname": name, "Alive": alive,
        "NodeID": f"id-{name}",
    }  # fmt: skip


NODES = [node("10.0.0.9", "head"), node("10.0.0.1", "B.lab"), node("10.0.0.2", "pod-7"), node("10.0.0.3", "c")]


@pytest.fixture
def placement(placement_of: Place) -> RankPlacement:
    return placement_of(["a", "b", "c"], SEATS, aliases={"a": {"ip": "10.0.0.2"}})


@pytest.fixture
def module(placement: RankPlacement, tmp_path: Path) -> Iterator[ModuleType]:
    request = LaunchRequest(placement, master_port=1234, nccl_topo_file="/a'b\\1")
    for name, file in get_launcher("ray").write(request).items():
        (tmp_path / name).write_text(file.text)
    spec = importlib.util.spec_from_file_location("topoplan_ray", tmp_path / "topoplan_ray.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["topoplan_ray"] = made
    spec.loader.exec_module(made)
    yield made
    del sys.modules["topoplan_ray"]


class Ray:
    """Records what is asked of it; actors are the options that they were started with."""

    def __init__(self, free: bool = True) -> None:
        self.groups: list[tuple[Any, dict[str, Any]]] = []
        self.removed: list[Any] = []
        group = SimpleNamespace(wait=lambda _: free)
        util = ModuleType("ray.util")
        util.placement_group = lambda bundles, **kw: self.groups.append((bundles, kw)) or group  # type: ignore[attr-defined,func-returns-value]
        util.remove_placement_group = self.removed.append  # type: ignore[attr-defined]
        strategies = ModuleType("ray.util.scheduling_strategies")
        strategies.PlacementGroupSchedulingStrategy = SimpleNamespace  # type: ignore[attr-defined]
        top = ModuleType("ray")
        top.nodes = lambda: NODES  # type: ignore[attr-defined]
        self.modules = {"ray": top, "ray.util": util, "ray.util.scheduling_strategies": strategies}
        self.actor = SimpleNamespace(options=lambda **kw: SimpleNamespace(remote=lambda *args, **own: (kw, args, own)))


@pytest.mark.parametrize("labels", [False, True])
def test_actors_stand_where_the_plan_says(module: ModuleType, monkeypatch: pytest.MonkeyPatch, labels: bool) -> None:
    ray = Ray()
    for name, made in ray.modules.items():
        monkeypatch.setitem(sys.modules, name, made)
    handles = module.start(ray.actor, "x", cpus_per_rank=4, labels=labels, lr=1)
    (bundles, options) = ray.groups[0]
    assert [bundle["GPU"] for bundle in bundles] == [2, 2, 1]
    assert [bundle["CPU"] for bundle in bundles] == [8, 8, 4]
    addresses = ["10.0.0.3", "10.0.0.2", "10.0.0.1"]
    if labels:
        wanted = ["id-c", "id-pod-7", "id-B.lab"]
        assert [selector["ray.io/node-id"] for selector in options["bundle_label_selector"]] == wanted
    else:
        assert all(f"node:{address}" in bundle for address, bundle in zip(addresses, bundles, strict=True))
    assert options["strategy"] == "STRICT_SPREAD"
    hosts = ["c", "a", "b"]
    for rank, (options, args, own) in enumerate(handles):
        env = options["runtime_env"]["env_vars"]
        at = options["scheduling_strategy"].placement_group_bundle_index
        gpu = int(env["CUDA_VISIBLE_DEVICES"].split(",")[int(env["LOCAL_RANK"])])
        assert (env["RANK"], env["TOPOPLAN_HOST"], hosts[at], gpu) == (str(rank), hosts[at], *SEATS[rank])
        assert (args, own, options["num_gpus"]) == (("x",), {"lr": 1}, 1)
        assert env["MASTER_ADDR"] == "10.0.0.3"
        assert (env["MASTER_PORT"], env["WORLD_SIZE"]) == ("1234", "5")
        assert env["NCCL_TOPO_FILE"] == "/a'b\\1"
        assert env["NCCL_IB_HCA"].startswith("=mlx5_")
        assert env["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] == "1"


def test_hosts_that_are_not_there_are_named(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = module.hosts()
    with pytest.raises(RuntimeError, match="no node for 2 hosts of the plan: a, b"):
        module.find_nodes(rows, [node("10.0.0.3", "c"), node("10.0.0.2", "a", alive=False)])
    with pytest.raises(RuntimeError, match="two Ray nodes are host c"):
        module.find_nodes(rows, [node("10.0.0.3", "c"), node("10.0.0.4", "c.lab")])
    ray = Ray(free=False)
    for name, made in ray.modules.items():
        monkeypatch.setitem(sys.modules, name, made)
    with pytest.raises(RuntimeError, match="not free within 1 s"):
        module.start(ray.actor, timeout_s=1)
    assert len(ray.removed) == 1


def test_slices_are_refused() -> None:
    fabric = Fabric("f", "ecmp", (HostType("mig", 2, (), 1, 0.0, slices=(2,)),), (Host("h", 0),))
    with pytest.raises(InfeasibleError, match="MIG"):
        get_launcher("ray").write(LaunchRequest(RankPlacement(fabric, np.arange(2))))
